#!/usr/bin/env bash
# sanitizers.sh short|address|thread [ARGUMENTS]: builds the program and tests with sanitizers, into build/asan or
# build/tsan, and runs them: `short` what every run of the tests takes, in minutes, `address` and `thread` all that can;
# arguments go to ctest. Fails when anything was found, also by a process whose end no test looks at.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  echo "sanitizers.sh: first say what: short, address or thread" >&2
  exit 64
}

targets=() chosen=()
case ${1-} in
  short)
    preset=asan
    targets=(thresher thresher_faults test_base test_store replay_{rows,compressed,committed})
    chosen=(-R '^(base|store|fuzz_(rows|compressed|committed)|program_(pairs|kill))$')
    export THRESHER_KILLS=2
    ;;
  address)
    preset=asan
    # Not with a sanitizer: a whole Slurm and hosts of namespaces (the same program, but it takes minutes there already),
    # limits of memory that a sanitizer alone exceeds, measurements, and what runs no program.
    chosen=(-E '^(program_(slurm|hosts|bench|gpu_check|bundle|hostile|docs)|faults_.*|shell_scripts|structure.*)$')
    ;;
  thread)
    preset=tsan
    targets=(thresher test_base test_store test_device test_comm test_comm_ending test_schedule)
    chosen=(-R '^(base|store|device|schedule|comm_np[12]|comm_ending_.*_np[12]|program_(pairs|sharded|kill|signals|verify))$')
    export OMP_NUM_THREADS=1
    ;;
  *) usage ;;
esac
shift

# What a sanitizer links into programs comes with g++ on Debian.
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
sanitizers=address,undefined
[ $preset = asan ] || sanitizers=thread
echo 'int main() {}' >"$probe/program.cpp"
if ! c++ "-fsanitize=$sanitizers" -static-libasan -static-libubsan -static-libtsan "$probe/program.cpp" \
    -o "$probe/program" 2>"$probe/why" || ! ASAN_OPTIONS=detect_leaks=0 "$probe/program" 2>>"$probe/why"; then
  cat "$probe/why" >&2
  echo "sanitizers.sh: this compiler cannot make or run programs with -fsanitize=$sanitizers (above), so nothing was" \
    "tested with it; on Debian libgcc-12-dev, which g++ needs, has the libraries" >&2
  exit 69
fi
# What finds nothing shows nothing: planted, a use after free and a race have to be found.
cat >"$probe/planted.cpp" <<'END'
#include <thread>
int main() {
  auto* shared = new int(0);
  std::thread other([=] { ++*shared; });
  ++*shared;
  other.join();
  delete shared;
  return *const_cast<volatile int*>(shared) == 0 ? 3 : 4;
}
END
c++ -O1 -pthread -Wno-use-after-free "-fsanitize=$sanitizers" "$probe/planted.cpp" -o "$probe/planted"
finding='heap-use-after-free'
[ $preset = asan ] || finding='data race'
if ASAN_OPTIONS=detect_leaks=0 "$probe/planted" 2>"$probe/found" || ! grep -q "$finding" "$probe/found"; then
  cat "$probe/found" >&2
  echo "sanitizers.sh: a planted fault ($finding) was not found" >&2
  exit 70
fi
if ! "$probe/program" 2>/dev/null; then
  echo "sanitizers.sh: no process may look at another one here (ptrace), so no leaks are looked for" >&2
  export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
fi

cores=$(nproc)
cmake --preset $preset -DTHRESHER_TESTS=ON --log-level=WARNING
cmake --build --preset $preset --parallel "$cores" ${targets[@]:+--target "${targets[@]}"}

# Reports go to files: a test that expects its program to fail does not tell a report from that.
findings=$PWD/build/$preset/findings
rm -rf "$findings"
mkdir "$findings"
for tool in ASAN TSAN; do
  name=${tool}_OPTIONS
  export "$name=${!name:+${!name}:}log_path=$findings/report:log_exe_name=1"
done
code=0
ctest --preset $preset --parallel "$cores" "${chosen[@]}" "$@" || code=1
# A refused request for too much memory writes a warning there, which is none.
mapfile -t reports < <(grep -rlE 'ERROR: |SUMMARY: |runtime error: ' "$findings")
if [ ${#reports[@]} -gt 0 ]; then
  head -n 60 "${reports[@]}" >&2
  echo "sanitizers.sh: ${#reports[@]} reports of the $preset build, above and in $findings" >&2
  code=1
fi
exit $code

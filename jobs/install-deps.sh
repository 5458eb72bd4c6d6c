#!/usr/bin/env bash
# Installs what is missing from Debian 12's own packages: `build` (compile and run thresher), `texts` (the quickstart's
# corpus), `tests` (what the tests need besides). Without arguments: build. Takes no time when nothing is missing.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config libopenmpi-dev openmpi-bin libhdf5-dev libboost-program-options-dev
  libboost-test-dev libdnnl-dev libfmt-dev libhwloc-dev libpcre2-dev libsimdjson-dev libutf8proc-dev libxxhash-dev libzstd-dev
  nlohmann-json3-dev zlib1g-dev)
texts=(fortunes)
tests=(python3 python3-h5py libboost-context-dev iproute2 patchelf slurmctld slurmd slurm-client munge shellcheck)

wanted=()
for group in "${@:-build}"; do
  case "$group" in
    build) wanted+=("${build[@]}") ;;
    texts) wanted+=("${texts[@]}") ;;
    tests) wanted+=("${tests[@]}") ;;
    *) echo "install-deps.sh: unknown group '$group'; the groups are build, texts, tests" >&2; exit 64 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps.sh: these packages are missing and installing them needs root: ${missing[*]}" >&2
    echo "Run as root:  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 77
  fi
  as_root=(sudo)
fi

echo "Installing from Debian: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# dpkg would sync every file, which takes minutes on a slow disk: one sync at the end does as well.
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -o DPkg::Lock::Timeout=600 \
  -o Dpkg::Options::=--force-unsafe-io "$@"; }
if ! { apt update && apt -y install --no-install-recommends "${missing[@]}" && sync -f /usr; } >"$log" 2>&1 </dev/null; then
  tail -n 30 "$log" >&2
  echo "install-deps.sh: apt-get failed (above); the packages needed are: ${missing[*]}" >&2
  exit 69
fi

#!/usr/bin/env bash
# bundle.sh BUILD_DIR OUTPUT.tar.gz: the program, its tests of devices and all libraries they need but the C library, the
# NVIDIA driver and CUDA's own, for machines of this kind that have neither MPI nor HDF5 nor Boost. `cmake --build
# build/release --target bundle` calls it. Unpack anywhere: thresher-bundle/bin/thresher, tests/gpu/check.sh beside it.
# Needs Debian's patchelf.
set -euo pipefail
command -v patchelf >/dev/null || { echo "bundle.sh: patchelf is missing: apt-get install patchelf" >&2; exit 69; }

build=$1
output=$2
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bundle=$folder/thresher-bundle
mkdir -p "$bundle"/{bin,lib/openmpi,share}

programs=("$build/thresher")
for extra in test_device thresher_cuda.so; do
  [ -e "$build/$extra" ] && programs+=("$build/$extra")
done
cp -L "${programs[@]}" "$bundle/bin/"
cp -L "$(command -v mpirun)" "$bundle/bin/mpirun"

# Libraries of a program or plugin; fails if one is missing.
libraries_of() {
  local list
  list=$(ldd "$@" 2>/dev/null || true)
  if grep -q 'not found' <<<"$list"; then return 1; fi
  awk '$2 == "=>" && $3 ~ /^\// { print $3 }' <<<"$list"
}

# The C library's own parts have to be those of the machine; the driver and CUDA belong to it as well.
carried() {
  grep -vE '/(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libresolv|libutil|libnsl|libanl)\.so|/lib(cuda|cudart|cublas|cublasLt|cudnn[a-z_]*|nccl|nvrtc|nvidia-[a-z]*)\.so' |
    sort -u
}

# Plugins whose libraries are not on this machine are of no use on another.
plugins=$(ompi_info --path pkglibdir --parsable | cut -d: -f3)
for plugin in "$plugins"/mca_*.so; do
  if libraries_of "$plugin" >>"$folder/libraries"; then cp -L "$plugin" "$bundle/lib/openmpi/"; fi
done
for program in "$build/thresher" "$build/test_device" "$bundle/bin/mpirun"; do
  if [ -e "$program" ]; then libraries_of "$program" >>"$folder/libraries"; fi
done
carried <"$folder/libraries" | while read -r library; do cp -L "$library" "$bundle/lib/"; done
chmod -R u+w "$bundle"
# shellcheck disable=SC2016 # the loader expands $ORIGIN
{
  patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$bundle"/bin/*
  patchelf --force-rpath --set-rpath '$ORIGIN' "$bundle"/lib/*.so*
  patchelf --force-rpath --set-rpath '$ORIGIN/..' "$bundle"/lib/openmpi/*.so
}
cp -rL "$(ompi_info --path pkgdatadir --parsable | cut -d: -f3)" "$bundle/share/openmpi"
mkdir -p "$bundle/data"
cp -r "$tree/data/model" "$bundle/data/"
cp "$tree/LICENSE" "$tree/README.md" "$bundle/"
mkdir -p "$bundle/tests" "$bundle/jobs"
cp -r "$tree/tests/gpu" "$bundle/tests/"
cp "$tree/jobs/mpi-env.sh" "$bundle/jobs/"
cp -r "$tree/slurm" "$bundle/"

tar -czf "$output" -C "$folder" thresher-bundle
echo "$output: $(du -h "$output" | cut -f1)"

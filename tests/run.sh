#!/usr/bin/env bash
# Installs what is missing, builds everything, runs all tests. Arguments go to ctest (-R text, -L unit ...).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs/install-deps.sh build texts tests
cores=$(nproc)
cmake --preset release -DTHRESHER_TESTS=ON --log-level=WARNING
cmake --build --preset release --parallel "$cores"
# Two at a time even on one core: many tests wait for a disk or for a timer.
exec ctest --preset release --parallel $((cores > 2 ? cores : 2)) "$@"

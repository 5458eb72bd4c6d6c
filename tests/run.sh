#!/usr/bin/env bash
# run.sh [--nightly | --release] [ARGUMENTS]: installs what is missing, builds everything, runs all tests; arguments go to
# ctest (-R text, -L unit ...). Without arguments a few tests, or with --nightly and --release all, run with
# sanitizers first (sanitizers.sh). --nightly and --release add faults and simulated jobs for an hour, or many, and end
# with a table of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

simulated=0
case ${1-} in
  --nightly) export THRESHER_TIER=1; simulated=100000; shift ;;
  --release) export THRESHER_TIER=2; simulated=1000000; shift ;;
esac

jobs/install-deps.sh build texts tests
code=0
if [ $# -eq 0 ]; then
  passes=(short)
  [ $simulated -eq 0 ] || passes=(address thread)
  for pass in "${passes[@]}"; do tests/sanitizers.sh "$pass" || code=1; done
fi

cores=$(nproc)
cmake --preset release -DTHRESHER_TESTS=ON --log-level=WARNING
cmake --build --preset release --parallel "$cores"
# Two at a time even on one core: many tests wait for a disk or for a timer.
run_tests() { ctest --preset release --parallel $((cores > 2 ? cores : 2)) "$@"; }
if [ $simulated -eq 0 ]; then
  run_tests "$@" || code=1
  exit $code
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
build/release/simulate_jobs --jobs $simulated --seed "$(date +%s)" 2>&1 | tee "$log" || code=1
run_tests --output-log "$log.tests" --verbose "$@" || code=1
echo "faults:"
{ tail -n 1 "$log"; sed -n 's/^[0-9]*: summary: //p' "$log.tests"; } | sed 's/^/  /'
rm -f "$log.tests"
exit $code

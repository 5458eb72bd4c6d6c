#!/usr/bin/env bash
# From a bare Debian 12 to a scored corpus: installs what is missing, builds thresher, imports the texts of Debian's
# fortunes and licences, scores them with the model in data/model on two ranks, and shows the results. May be run again
# at any time: what is done already is not done twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/mpi-env.sh

run=runs/quickstart
corpus=runs/quickstart-corpus.h5
thresher=build/release/thresher
log=build/quickstart.log

step() { printf '\n[%3d s] %s\n' "$SECONDS" "$1"; }
# Runs a command that prints much; shows the end of it only when it fails.
quietly() {
  "$@" >"$log" 2>&1 || { local code=$?; tail -n 40 "$log" >&2; echo "quickstart.sh: failed: $*" >&2; exit "$code"; }
}

step "Packages"
bash jobs/install-deps.sh build texts

step "Building $thresher (once; about three minutes on two cores)"
mkdir -p build runs
[ -f build/release/build.ninja ] || quietly cmake --preset release -DTHRESHER_TESTS=OFF
quietly cmake --build --preset release --target thresher

step "Importing the texts to $corpus"
# Fortunes end with a line '%'; a licence has no such line and becomes one long document.
mapfile -t texts < <(find /usr/share/games/fortunes /usr/share/common-licenses -maxdepth 1 -type f ! -name '*.dat' |
  LC_ALL=C sort)
$thresher import --format paragraphs --separator % --output "$corpus" --input "${texts[@]}"

step "Scoring on two ranks: $run"
score() { mpirun -n 2 $thresher score --model data/model --corpus "$corpus" --output "$run" "$@"; }
code=0
score || code=$?
if [ "$code" -eq 78 ]; then
  echo "The texts or the model have changed since the last quickstart: scoring anew."
  code=0
  score --fresh || code=$?
fi
[ "$code" -eq 0 ] || exit "$code"

step "Results"
# The summary stands above already.
$thresher inspect "$run" --extremes 10 --corpus "$corpus" | sed -n '/^Most likely/,$p'
cat <<TEXT

The results are in $run: results.h5 (one row a document), summary.json, run.json.
With Python (Debian package python3-h5py):

  import h5py
  results = h5py.File('$run/results.h5')
  print(results['id'].asstr()[:3], results['tokens'][:3], results['logprob'][:3])

As a table:       $thresher export $run --to csv
Your own texts:   $thresher import --input 'texts/*.txt' --output texts.h5
All commands:     $thresher --help
TEXT
step "Done"

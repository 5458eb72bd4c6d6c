#!/usr/bin/env bash
# check.sh [PROGRAMS] [OUTPUT]: what can only be shown on a GPU, shown on this machine's. PROGRAMS is a build folder or a
# bundle's bin (without it the bundle's that this file is in, or build/release); OUTPUT gets all logs, summary.txt and
# gpu.json (a temporary folder without it). Exits with 0 when everything is right, 1 when anything is wrong, 77 with a
# message when there is no GPU to use. What could not be run, or not in time, is named and is not wrong. README.md beside
# it has the environment variables.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(cd "$here/../.." && pwd)
programs=${1:-$tree/bin}
[ -d "$programs" ] || programs=$tree/build/release
programs=$(cd "$programs" && pwd) || exit 77
output=${2:-$(mktemp -d)}
mkdir -p "$output"
output=$(cd "$output" && pwd)
thresher=$programs/thresher
bundled=$tree/data/model
seconds=${THRESHER_GPU_SECONDS:-470}
shape=${THRESHER_GPU_SHAPE:-llama-1b}
large=${THRESHER_GPU_LARGE-llama-8b}
parts=${THRESHER_GPU_PARTS:-contract model layouts gate head speed peers large}
[ -n "${SANITIZER:-}" ] && parts=sanitizer
[ -n "${THRESHER_GPU_QUICK:-}" ] && parts="contract model layouts gate"
documents=${THRESHER_GPU_DOCUMENTS:-100000}
python=${THRESHER_PYTHON:-python3}
read -ra bench_words <<<"${THRESHER_GPU_BENCH:---seconds 2}"
read -ra side_words <<<"${THRESHER_GPU_SIDE:-}"
cases=${THRESHER_GPU_CASES:-says_what_it_is embed norm rope gate matmul attend score score_ties score_of_broken_logits
  attention_by_cudnn bring pieces columns embed_of_part attend_of_part split_vocabulary same_bits works_from_another_thread algorithms_can_be_given
  memory_that_is_not_there_is_refused_with_numbers seconds_are_measured peak}
wrong=0
background=()
# Nothing of an earlier run is taken for this one's.
rm -rf "$output"/{go,ready,gpu.txt,gpu.json,reference-here.json,*.log,side-*,run-*}
: >"$output/steps.jsonl"
: >"$output/summary.txt"

say() { echo "$*" | tee -a "$output/summary.txt"; }
left() { echo $((seconds - SECONDS)); }
wanted() { [[ " $parts " == *" $1 "* ]]; }
report() { python3 -B "$here/report.py" "$output" "$@" 2>>"$output/report.log"; }

# note NAME OUTCOME EXIT SECONDS
note() {
  printf '{"check": "%s", "outcome": "%s", "exit": %s, "seconds": %s}\n' "$@" >>"$output/steps.jsonl"
}
skipped() { # NAME WHY
  say "not run: $1: $2"
  note "$1" "not run" null 0
}
# step NAME LIMIT COMMAND...: runs for at most LIMIT seconds, and no longer than there is time; keeps the output, notes the
# outcome. 77 is a step that says it cannot be run here. Who takes LIMIT seconds hangs, which is wrong, unless there was no
# more time, or with slow=yes.
step() {
  local name=$1 limit=$2 begin=$EPOCHREALTIME code took cut=${slow:-}
  shift 2
  if [ "$(left)" -lt "$limit" ]; then limit=$(left) cut=yes; fi
  if [ "$limit" -lt 3 ]; then
    skipped "$name" "left out for time"
    return 124
  fi
  timeout -k 5 "$limit" "$@" >"$output/$name.log" 2>&1
  code=$?
  took=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $begin }")
  if [ $code -eq 0 ]; then
    say "ok     $name ($took s)"
    note "$name" ok 0 "$took"
  elif [ $code -eq 77 ]; then
    skipped "$name" "$(tail -n 1 "$output/$name.log")"
  elif [ $code -eq 124 ] && [ -n "$cut" ]; then
    skipped "$name" "cut off after $limit s"
  else
    say "WRONG  $name ($took s, exit $code): $(tail -n 3 "$output/$name.log" | tr '\n' ' ')"
    note "$name" wrong $code "$took"
    wrong=1
  fi
  return $code
}

# shellcheck disable=SC2317
ended() {
  local child
  for child in ${background[@]+"${background[@]}"}; do kill "$child" 2>/dev/null; done
  wait
  report
  [ -n "${models:-}" ] && rm -rf "$models"
}

if [ ! -x "$thresher" ]; then
  echo "check.sh: no program in $programs: build it (cmake --preset cuda && cmake --build --preset cuda), or name the folder"
  exit 77
fi
# cuBLASLt may be where only Python's packages look for it.
places=$(python3 -B "$here/libraries.py" 2>/dev/null)
[ -n "$places" ] && export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$places"
# A first word with the GPU: whatever is missing is said here.
timeout 120 "$thresher" bench --device cuda --shape tiny --seconds 0.05 --tokens-per-batch 64 --document 16 \
  >"$output/first.log" 2>&1
code=$?
if [ $code -eq 69 ]; then
  echo "check.sh: skipped, no GPU to use: $(tail -n 1 "$output/first.log")"
  exit 77
elif [ $code -ne 0 ]; then
  say "WRONG  the first steps on the GPU end with $code: $(tail -n 3 "$output/first.log")"
  note first wrong $code $SECONDS
  report
  exit 1
fi
nvidia-smi --query-gpu=name,uuid,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader \
  >"$output/gpu.txt" 2>/dev/null
[ -s "$output/gpu.txt" ] || head -n 1 "$output/first.log" >"$output/gpu.txt"
say "$(head -n 1 "$output/gpu.txt")"
# Models of random weights: in memory where there is room for the large one twice.
room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
if [ "${room:-0}" -gt 40000000 ]; then models=$(mktemp -d /dev/shm/thresher-XXXXXX); else models=$(mktemp -d); fi
trap ended EXIT
trap 'exit 143' TERM INT

# shellcheck source=tests/gpu/parts.sh
. "$here/parts.sh"
if wanted gate || wanted peers || wanted large; then make_models; fi
for part in contract sanitizer model layouts gate head speed peers large; do
  if wanted $part; then "part_$part"; report; fi
done

report --table | tee -a "$output/summary.txt"
say "$([ $wrong -eq 0 ] && echo "nothing is wrong" || echo "SOMETHING IS WRONG") after $SECONDS s; details in $output"
exit $wrong

#!/usr/bin/env bash
# check.sh [PROGRAMS] [OUTPUT]: what can only be shown on a GPU, shown on this machine's. PROGRAMS is a build folder or a
# bundle's bin (build/release without it); OUTPUT gets all logs, summary.txt and gpu.json (a temporary folder without it).
# Exits with 0 when everything is right, 1 when anything is wrong, 77 with a message when there is no GPU to use.
# THRESHER_GPU_QUICK=1 leaves the long benchmarks out, THRESHER_GPU_DOCUMENTS=N scores that many documents only;
# SANITIZER=compute-sanitizer runs the contract under it.
set -uo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=$(cd "${1:-$tree/build/release}" && pwd) || exit 77
output=${2:-$(mktemp -d)}
mkdir -p "$output"
thresher=$programs/thresher
model=$tree/data/model
[ -d "$model" ] || model=$programs/../share/model
wrong=0
rows=()

say() { echo "$*" | tee -a "$output/summary.txt"; }

# step NAME COMMAND...: runs, keeps the output, notes the outcome.
step() {
  local name=$1 start end code
  shift
  start=$(date +%s.%N)
  "$@" >"$output/$name.log" 2>&1
  code=$?
  end=$(date +%s.%N)
  local seconds
  seconds=$(awk "BEGIN { printf \"%.1f\", $end - $start }")
  if [ $code -eq 0 ]; then
    say "ok     $name ($seconds s)"
  else
    say "WRONG  $name ($seconds s, exit $code): $(tail -n 3 "$output/$name.log" | tr '\n' ' ')"
    wrong=1
  fi
  rows+=("{\"check\": \"$name\", \"exit\": $code, \"seconds\": $seconds}")
  return $code
}

skipped() {
  say "not run: $1"
  rows+=("{\"check\": \"$1\", \"exit\": null}")
}

if [ ! -x "$thresher" ]; then
  echo "check.sh: no program in $programs: build it (cmake --preset cuda && cmake --build --preset cuda), or name the folder"
  exit 77
fi
# A first word with the GPU: whatever is missing is said here.
"$thresher" bench --device cuda --shape tiny --seconds 0.05 >"$output/first.log" 2>&1
code=$?
if [ $code -eq 69 ]; then
  echo "check.sh: skipped, no GPU to use: $(tail -n 1 "$output/first.log")"
  exit 77
elif [ $code -ne 0 ]; then
  say "WRONG  the first steps on the GPU end with $code: $(tail -n 3 "$output/first.log")"
  exit 1
fi
nvidia-smi --query-gpu=name,uuid,driver_version,memory.total,clocks.max.sm --format=csv,noheader >"$output/gpu.txt" 2>/dev/null
[ -s "$output/gpu.txt" ] && say "$(cat "$output/gpu.txt")"

# 1. Every step against double precision, odd shapes, poisoned outputs, the same bits in any company.
if [ -x "$programs/test_device" ]; then
  # A case each: one that fails leaves the others their say, and a broken GPU context ends with its process.
  for name in says_what_it_is embed norm rope gate matmul attend score score_ties score_of_broken_logits pieces columns \
    embed_of_part attend_of_part split_vocabulary same_bits works_from_another_thread algorithms_can_be_given \
    memory_that_is_not_there_is_refused_with_numbers seconds_are_measured peak; do
    step "contract_$name" env THRESHER_TEST_GPU=0 ${SANITIZER:+"$SANITIZER" --error-exitcode 99} \
      "$programs/test_device" --run_test="cuda_device/$name" --log_level=message
  done
else
  skipped "device contract: $programs holds no test_device"
fi

# 2. A model from end to end: the CPU's scores against the GPU's.
corpus=$output/corpus.jsonl
python3 - "$tree" "${THRESHER_GPU_DOCUMENTS:-100000}" >"$corpus" <<'PYTHON'
import json, pathlib, sys
tree = pathlib.Path(sys.argv[1])
files = [f for f in (tree / 'README.md', tree / 'LICENSE', *sorted((tree / 'data').glob('*.md')),
                     *sorted((tree / 'jobs').glob('*.md')), *sorted((tree / 'tests').glob('*.md'))) if f.is_file()]
number = 0
for file in files:
    text = file.read_text(encoding='utf-8')
    for size in (40, 400, 3000):
        for at in range(0, min(len(text), 12 * size), size):
            if number < int(sys.argv[2]):
                print(json.dumps({'id': f'{file.name}-{number}', 'text': text[at:at + size]}))
            number += 1
PYTHON
score() { # NAME DTYPE DEVICE MORE...
  local name=$1 dtype=$2 device=$3
  shift 3
  step "score_$name" "$thresher" score --model "$model" --corpus "$corpus" --output "$output/run-$name" --fresh \
    --dtype "$dtype" --device "$device" --per-token "$@" &&
    "$thresher" export "$output/run-$name" --to jsonl --output "$output/$name.jsonl" >>"$output/score_$name.log" 2>&1
}
same() { # A B: the same bytes of results
  step "same_$1_$2" cmp "$output/run-$1/results.h5" "$output/run-$2/results.h5"
}
for dtype in f32 bf16; do
  score "cpu-$dtype" $dtype cpu
  score "cuda-$dtype" $dtype cuda
  step "agreement_$dtype" python3 "$tree/tests/gpu/compare.py" "$output/cpu-$dtype.jsonl" "$output/cuda-$dtype.jsonl" \
    --dtype $dtype
  # 3. The same bytes in other batches, and again.
  score "cuda-$dtype-small" $dtype cuda --tokens-per-batch 700
  same "cuda-$dtype" "cuda-$dtype-small"
  score "cuda-$dtype-again" $dtype cuda
  same "cuda-$dtype" "cuda-$dtype-again"
  # 4. The same bytes on other layouts, two ranks on one GPU, by way of host memory.
  if command -v mpirun >/dev/null; then
    for layout in dp=2 pp=2; do
      step "score_cuda-$dtype-$layout" bash "$tree/tests/mpi_env.sh" mpirun -n 2 "$thresher" score --model "$model" \
        --corpus "$corpus" --output "$output/run-cuda-$dtype-$layout" --fresh --dtype $dtype --device cuda --share-gpus \
        --per-token --layout $layout
      same "cuda-$dtype" "cuda-$dtype-$layout"
    done
  else
    skipped "layouts of two ranks ($dtype): no mpirun"
  fi
done

# 5. Speed. The numbers are for people to judge; only a program that fails is wrong.
benches=()
bench() { # NAME MORE...
  local name=$1
  shift
  step "bench_$name" "$thresher" bench --device cuda --dtype bf16 --json "$@" &&
    benches+=("\"$name\": $(tail -n 1 "$output/bench_$name.log")")
}
bench tiny --shape tiny --seconds 0.5
if [ -z "${THRESHER_GPU_QUICK:-}" ]; then
  bench small --shape llama-small --score --seconds 2
  bench 1b --shape llama-1b --document 2048 --score --seconds 5
  bench 8b-steps --shape llama-8b --document 2048 --seconds 5
fi

join() { local IFS=,; echo "$*"; }
printf '{"gpu": "%s", "date": "%s", "wrong": %s, "checks": [%s], "bench": {%s}}\n' "$(head -n 1 "$output/gpu.txt")" \
  "$(date -u +%FT%TZ)" $wrong "$(join "${rows[@]}")" "$(join ${benches[@]+"${benches[@]}"})" >"$output/gpu.json"
say "$([ $wrong -eq 0 ] && echo "all checks are right" || echo "SOMETHING IS WRONG"); details in $output"
exit $wrong

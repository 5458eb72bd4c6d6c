# The parts of check.sh, which sources this: what each runs, and for how long at most.
# shellcheck shell=bash disable=SC2154

# Random models; the peers load and compile while other parts run.
make_models() {
  step make_model 60 "$thresher" bench --shape "$shape" --make-model "$models/$shape" || return
  if wanted peers; then
    python3 -B "$here/side_by_side.py" "$thresher" --output "$output" --models "$models" --shape "$shape" \
      --python "$python" --reference hf --go "$output/go" --ready "$output/ready" --peak-file "$output/bench_$shape.log" \
      --seconds $(($(left) - 10)) ${side_words[@]+"${side_words[@]}"} >"$output/side_$shape.log" 2>&1 &
    background+=($!)
    side=$!
  fi
  if wanted large && [ -n "$large" ]; then
    make_large &
    background+=($!)
    making=$!
  fi
}

make_large() {
  "$thresher" bench --shape "$large" --make-model "$models/$large.new" >"$output/make_large.log" 2>&1 &
  local child=$!
  # shellcheck disable=SC2064
  trap "kill $child" TERM
  wait $child && mv "$models/$large.new" "$models/$large"
}

# Every step against double precision, odd shapes, poisoned outputs, the same bits in any company. A case each: one that
# fails leaves the others their say, and a broken GPU context ends with its process.
part_contract() {
  if [ ! -x "$programs/test_device" ]; then
    skipped contract "$programs holds no test_device"
    return
  fi
  for name in $cases; do
    step "contract_$name" 60 env THRESHER_TEST_GPU=0 "$programs/test_device" --run_test="cuda_device/$name" \
      --log_level=message
  done
}

# Few cases of the contract: each tool makes them 10 to 100 times as slow.
part_sanitizer() {
  local tool name
  # shellcheck disable=SC2034
  local slow=yes
  if ! command -v "$SANITIZER" >/dev/null; then
    skipped sanitizer "there is no $SANITIZER"
    return
  fi
  if [ ! -x "$programs/test_device" ]; then
    skipped sanitizer "$programs holds no test_device"
    return
  fi
  for tool in memcheck racecheck initcheck synccheck; do
    for name in ${THRESHER_GPU_CASES:-embed norm rope gate attend score matmul}; do
      step "${tool}_$name" 90 env THRESHER_TEST_GPU=0 "$SANITIZER" --tool $tool --error-exitcode 99 \
        "$programs/test_device" --run_test="cuda_device/$name" --log_level=message
    done
  done
}

# Scores of the bundled model, with their export.
score() { # NAME DTYPE DEVICE MORE...
  local name=$1 dtype=$2 device=$3
  shift 3
  step "score_$name" 60 "$thresher" score --model "$bundled" --corpus "$output/corpus.jsonl" --output \
    "$output/run-$name" --fresh --dtype "$dtype" --device "$device" --per-token "$@" &&
    "$thresher" export "$output/run-$name" --to jsonl --output "$output/$name.jsonl" >>"$output/score_$name.log" 2>&1
}
write_texts() {
  python3 -B "$here/texts.py" "$tree" "$documents" >"$output/corpus.jsonl"
}
same() { # A B: the same bytes of results
  step "same_$1_$2" 20 cmp "$output/run-$1/results.h5" "$output/run-$2/results.h5"
}

# A model from end to end: the CPU's scores against the GPU's; the same bytes in other batches, and again.
part_model() {
  local dtype
  write_texts
  for dtype in f32 bf16; do
    score "cpu-$dtype" $dtype cpu
    score "cuda-$dtype" $dtype cuda
    step "agreement_$dtype" 30 python3 -B "$here/compare.py" "$output/cpu-$dtype.jsonl" "$output/cuda-$dtype.jsonl" \
      --dtype $dtype
    score "cuda-$dtype-small" $dtype cuda --tokens-per-batch 700
    same "cuda-$dtype" "cuda-$dtype-small"
  done
  score cuda-bf16-again bf16 cuda
  same cuda-bf16 cuda-bf16-again
  score cuda-bf16-streamed bf16 cuda --stream-layers on
  same cuda-bf16 cuda-bf16-streamed
}

# The same bytes on other layouts, two ranks on one GPU, by way of host memory.
part_layouts() {
  local layout
  if [ ! -f "$output/run-cuda-bf16/results.h5" ]; then
    write_texts
    score cuda-bf16 bf16 cuda
  fi
  for layout in dp=2 pp=2; do
    step "score_cuda-bf16-$layout" 60 bash "$here/two_ranks.sh" "$thresher" score --model "$bundled" --corpus \
      "$output/corpus.jsonl" --output "$output/run-cuda-bf16-$layout" --fresh --dtype bf16 --device cuda --share-gpus \
      --per-token --layout $layout && same cuda-bf16 "cuda-bf16-$layout"
  done
}

# Nearer to Hugging Face's f32 than its own bf16 is: by numbers that come with the project, made on a CPU.
part_gate() {
  local reference=${THRESHER_GPU_REFERENCE:-$here/reference}
  step gate_bundled 60 python3 -B "$here/gate.py" "$thresher" "$bundled" "$reference/bundled.json" --output "$output" \
    --documents "$documents"
  if [ -f "$reference/$shape.json" ]; then
    step "gate_$shape" 90 python3 -B "$here/gate.py" "$thresher" "$models/$shape" "$reference/$shape.json" \
      --words --output "$output" --documents "$documents"
  else
    skipped "gate_$shape" "there is no reference of $shape"
  fi
}

# Waits until the peers are ready, so that nothing else computes, or takes memory, while that is measured.
quiet() {
  while [ -n "${side:-}" ] && kill -0 "$side" 2>/dev/null && [ ! -f "$output/ready" ] && [ "$(left)" -gt 100 ]; do
    sleep 0.5
  done
}

# The head's memory beside its weights.
part_head() {
  quiet
  step head 60 python3 -B "$here/head.py" "$thresher" --models "$models"
}

# Each step's share of the measured peak. The numbers are for people to judge; only a program that fails is wrong.
part_speed() {
  local name
  quiet
  for name in "$shape" $large; do
    step "bench_$name" 60 "$thresher" bench --device cuda --dtype bf16 --json --shape "$name" --document 2048 \
      "${bench_words[@]}"
  done
}

# Side by side with PyTorch. What the process that has been preparing says is this step's outcome.
part_peers() {
  local time
  [ -n "${side:-}" ] || { skipped peers "no model"; return; }
  # Some of the time is for the large shape.
  time=$(($(left) - 15))
  if wanted large && [ -n "$large" ] && [ $time -gt 150 ]; then time=$((time - 90)); fi
  echo $time >"$output/go.new"
  mv "$output/go.new" "$output/go"
  # shellcheck disable=SC2016
  step "side_by_side_$shape" $((time + 10)) bash -c \
    'while kill -0 "$0" 2>/dev/null; do sleep 0.2; done; cat "$1"; test -f "$2" && exit "$(cat "$2")"; exit 1' \
    "$side" "$output/side_$shape.log" "$output/side-$shape.exit"
  kill "$side" 2>/dev/null
  cat "$output/side_$shape.log" >>"$output/summary.txt"
  cat "$output/side_$shape.log"
  if [ -f "$output/reference-here.json" ]; then
    step gate_here 60 python3 -B "$here/gate.py" "$thresher" "$models/$shape" "$output/reference-here.json" --words \
      --output "$output" --documents "$documents"
  fi
}

# The large shape, by `thresher score`; side by side where there is time for that.
part_large() {
  local among=()
  [ -n "$large" ] || return
  while kill -0 "${making:-0}" 2>/dev/null && [ "$(left)" -gt 40 ]; do sleep 0.5; done
  if [ ! -d "$models/$large" ]; then
    skipped "large_$large" "its model could not be made: $(tail -n 1 "$output/make_large.log" 2>/dev/null)"
    return
  fi
  if [ "$(left)" -gt 200 ]; then among=(--peers "hf-compiled,packed"); else among=(--peers ""); fi
  step "large_$large" $(($(left) - 5)) python3 -B "$here/side_by_side.py" "$thresher" --output "$output" --models \
    "$models" --shape "$large" --streams fixed --repeats 3 --python "$python" --seconds $(($(left) - 15)) \
    --peak-file "$output/bench_$large.log" "${among[@]}" ${side_words[@]+"${side_words[@]}"}
  cat "$output/large_$large.log" >>"$output/summary.txt"
  cat "$output/large_$large.log"
}

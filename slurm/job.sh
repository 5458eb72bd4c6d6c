# shellcheck shell=bash
# Sourced by the batch scripts beside it: runs thresher on the job's nodes, and has Slurm start the job again where that
# helps: after a time limit, a lost node, a killed rank. What is committed is never computed again.
#
#   thresher_job score --model M --corpus C --output R ...
#
# THRESHER           the program (thresher)
# THRESHER_LAUNCHER  srun (where it has PMIx) or mpirun; chosen by itself
# THRESHER_RESTARTS  so many times at most (100); a restart that commits nothing is the last one
# THRESHER_GRACE     seconds that shards under way may take after Slurm's warning (150)

thresher_output_of() {
  while [ $# -gt 0 ]; do
    case $1 in
      --output=*) echo "${1#--output=}"; return ;;
      --output) echo "${2-}"; return ;;
    esac
    shift
  done
}

thresher_parts_in() {
  find "$1/parts" -maxdepth 1 -name 'part-*.h5' 2>/dev/null | wc -l
}

thresher_launcher() {
  if [ -n "${THRESHER_LAUNCHER-}" ]; then
    echo "$THRESHER_LAUNCHER"
  elif srun --mpi=list 2>&1 | grep -qw pmix; then
    echo srun
  else
    echo mpirun
  fi
}

# The launcher in the background, its process id in thresher_pid: bash runs a trap only between commands or in `wait`.
thresher_start() {
  local program=${THRESHER:-thresher} cpus=${SLURM_CPUS_PER_TASK:-1}
  case $(thresher_launcher) in
    srun)
      # -K1: a task that dies ends the step; without it the others wait for ever. Newer versions of srun do not take
      # --cpus-per-task over from sbatch.
      srun --mpi=pmix -K1 --cpus-per-task="$cpus" --cpu-bind=cores "$program" "$@" &
      ;;
    mpirun)
      # A node that is lost without a word is noticed by TCP's keepalive: half a minute instead of OpenMPI's eight. mpirun
      # that is told to end waits for so many seconds before it kills the ranks.
      OMPI_MCA_oob_tcp_keepalive_time=10 OMPI_MCA_oob_tcp_keepalive_intvl=5 OMPI_MCA_oob_tcp_keepalive_probes=3 \
        OMPI_MCA_odls_base_sigkill_timeout=60 \
        mpirun --map-by "ppr:${SLURM_NTASKS_PER_NODE:-1}:node:pe=$cpus" --bind-to core "$program" "$@" &
      ;;
    *)
      echo "THRESHER_LAUNCHER is '$THRESHER_LAUNCHER': it has to be srun or mpirun" >&2
      return 64
      ;;
  esac
  thresher_pid=$!
}

# mpirun keeps SIGTERM to itself until it is too late for its ranks, but hands SIGUSR1 on at once.
thresher_tell_mpirun() {
  if [ "$(thresher_launcher)" = mpirun ]; then kill -USR1 "$thresher_pid" 2>/dev/null; fi
}

# Whether the same job may end better another time. Ends of the program that repeat themselves: wrong options (64), input
# (65, 66), a missing device (69), memory (71), files (73, 74, 77), configuration (78).
thresher_may_retry() {
  case $1 in
    0 | 6[4-9] | 71 | 73 | 74 | 77 | 78) return 1 ;;
    *) return 0 ;;
  esac
}

thresher_job() {
  local output before after code restarts=${SLURM_RESTART_COUNT:-0} ended=
  output=$(thresher_output_of "$@")
  if [ -z "$output" ]; then
    echo "--output RUN_DIR is missing" >&2
    exit 64
  fi
  case " $* " in
    *' --grace'*) ;;
    *) set -- "$@" --grace "${THRESHER_GRACE:-150}" ;;
  esac
  before=$(thresher_parts_in "$output")
  echo "$(date +%FT%T) job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restart $restarts, $before parts committed"

  # Slurm's warning (--signal=B:USR1@...) goes to this script alone. A job that Slurm ends itself (scancel, a lost node, a
  # job that goes first) it ends with all its tasks, and puts it back into the queue where it has to be.
  trap 'kill -USR1 "$thresher_pid" 2>/dev/null' USR1
  trap 'ended=yes; thresher_tell_mpirun' TERM
  thresher_start "$@" || exit
  wait "$thresher_pid"
  code=$?
  while kill -0 "$thresher_pid" 2>/dev/null; do
    wait "$thresher_pid"
    code=$?
  done

  after=$(thresher_parts_in "$output")
  echo "$(date +%FT%T) ended with $code, $after parts committed"
  # With 1 the job is complete, but for more rejected documents than it allows.
  if [ -e "$output/_SUCCESS" ] || ! thresher_may_retry "$code"; then exit "$code"; fi
  if [ -n "$ended" ]; then
    echo "ended by Slurm: if it does not start the job again by itself, submit it once more to go on" >&2
  elif [ "$restarts" -ge "${THRESHER_RESTARTS:-100}" ]; then
    echo "restarted $restarts times, which is as often as THRESHER_RESTARTS allows" >&2
  elif [ "$restarts" -gt 0 ] && [ "$after" -le "$before" ]; then
    echo "this restart committed nothing, and another one would not either: see above" >&2
  else
    # Slurm ends this script now, and starts it again from the top.
    trap '' TERM
    scontrol requeue "$SLURM_JOB_ID" && exit "$code"
    echo "Slurm does not take the job again: submit it once more to go on" >&2
  fi
  exit "$code"
}

#!/usr/bin/env bash
# slurm.sh DIR N: a Slurm of its own on the hosts n0 (slurmctld) and n1 to nN (slurmd, two processors each) that
# hosts.sh has made in $THRESHER_HOSTS. Needs root. Prints "ready"; when its standard input ends it stops what
# it started, by process id. Clients need SLURM_CONF=DIR/slurm.conf and have to run on one of the hosts.
# `slurm.sh DIR start nI` starts slurmd on a host that has come back.
set -euo pipefail

folder=$(cd "$1" && pwd)
on_host=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/on_host.sh
export SLURM_CONF=$folder/slurm.conf
started=()

start_node() {
  mkdir -p "$folder/spool.$1" "$folder/tmp.$1"
  setpriv --pdeathsig KILL bash "$on_host" "$1" exec slurmd -N "$1" -D </dev/null >"$folder/slurmd.$1.log" 2>&1 &
  started+=($!)
}

if [ "$2" = start ]; then
  start_node "$3"
  echo ready
  cat >/dev/null
  exit
fi

take_down() {
  kill "${started[@]}" "$(<"$folder/munged.pid")" 2>/dev/null || true
  for process in "${started[@]}"; do wait "$process" 2>/dev/null || true; done
}
trap take_down EXIT

# Nodes share this machine's processors, so what Slurm is told of them is made up. The times are the shortest that it
# takes: a requeued job waits for its old credential to end (cred_expire), a lost node is noticed after SlurmdTimeout.
cat >"$folder/slurm.conf" <<C
ClusterName=thresher
SlurmctldHost=n0
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
TmpFS=$folder/tmp.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MessageTimeout=5
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=3
UnkillableStepTimeout=5
MinJobAge=600
ReturnToService=2
JobRequeue=1
MailProg=/bin/true
NodeName=n[1-$2] Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=batch Nodes=n[1-$2] Default=YES MaxTime=INFINITE State=UP
C

mkdir -p "$folder/state"
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
# Not by on_host.sh, which stays in front of what it starts.
setpriv --pdeathsig KILL nsenter --target "$(<"$THRESHER_HOSTS/n0.pid")" --net --uts --ipc --mount \
  slurmctld -c -D </dev/null >"$folder/slurmctld.log" 2>&1 &
started+=($!)
for ((i = 1; i <= $2; ++i)); do start_node "n$i"; done

idle() { bash "$on_host" n0 exec sinfo -h -t idle -o %D 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
for ((try = 0; try < 300; ++try)); do
  [ "$(idle)" -ge "$2" ] && break
  sleep 0.1
done
if [ "$(idle)" -lt "$2" ]; then
  tail -n 5 "$folder"/*.log >&2
  exit 1
fi
echo ready
cat >/dev/null

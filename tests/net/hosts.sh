#!/usr/bin/env bash
# hosts.sh DIR N: hosts n1 to nN on this machine, and n0 for mpirun: namespaces with a host name, a network of TCP between
# them, processes, shared memory and /etc/hosts of their own. Needs root. Prints "ready"; when its standard input ends it
# takes down what it made. Nothing is made outside of the namespaces, so nothing is left even when it is killed.
#
#   DIR/nI.pid    process 1 of host nI, as seen from outside: kill -9 it, and the host has lost its power
#   DIR/hosts     /etc/hosts of all of them
#
# on_host.sh runs commands there. n0 has no process numbers of its own, because nobody can enter those of a sibling.
set -euo pipefail

folder=$(cd "$1" && pwd)
count=$2
network=10.77.0
inits=()

take_down() {
  for init in "${inits[@]}"; do
    kill -KILL "$init" 2>/dev/null || true
  done
  for init in "${inits[@]}"; do
    while kill -0 "$init" 2>/dev/null; do sleep 0.01; done
  done
  rm -f "$folder"/n*.pid "$folder"/n*.ready "$folder/hosts"
}
trap take_down EXIT

start_host() {
  local name=$1
  shift
  # Both live no longer than this script: --pdeathsig and --kill-child.
  # shellcheck disable=SC2016 # expands in the host
  setpriv --pdeathsig KILL unshare --net --uts --ipc --mount --propagation private --fork --kill-child "$@" bash -c '
    hostname "$1"
    mount -t tmpfs shm /dev/shm
    mount --bind "$2/hosts" /etc/hosts
    ip link set lo up
    touch "$2/$1.ready"
    exec sleep infinity' host "$name" "$folder" </dev/null >/dev/null &
  local shell=$!
  inits+=("$shell")
  for ((try = 0; try < 1000; ++try)); do
    [ -e "$folder/$name.ready" ] && break
    sleep 0.01
  done
  disown
  local init
  init=$(pgrep --parent "$shell")
  inits+=("$init")
  echo "$init" >"$folder/$name.pid"
}

on_network_of() {
  nsenter --target "$(<"$folder/$1.pid")" --net "${@:2}"
}

{
  echo "127.0.0.1 localhost"
  for ((i = 0; i <= count; ++i)); do echo "$network.$((i + 1)) n$i"; done
} >"$folder/hosts"

# n0's only card is the switch that all others are plugged into.
start_host n0
on_network_of n0 ip link add eth0 type bridge
for ((i = 1; i <= count; ++i)); do
  start_host "n$i" --pid --mount-proc
  on_network_of n0 ip link add "port$i" type veth peer name eth0 netns "$(<"$folder/n$i.pid")"
  on_network_of n0 ip link set "port$i" master eth0 up
done
for ((i = 0; i <= count; ++i)); do
  on_network_of "n$i" ip address add "$network.$((i + 1))/24" dev eth0
  on_network_of "n$i" ip link set eth0 up
done

echo ready
cat >/dev/null

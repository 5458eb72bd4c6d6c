#!/usr/bin/env bash
# on_host.sh HOST COMMAND...: runs it on a host of hosts.sh, whose folder is $THRESHER_HOSTS, the way rsh does: a shell
# there gets the words, joined. mpirun starts its daemons with it (plm_rsh_agent).
set -euo pipefail

while [[ ${1:-} == -* ]]; do shift; done
host=$1
shift
exec nsenter --target "$(<"$THRESHER_HOSTS/$host.pid")" --net --uts --ipc --mount --pid --wd="$PWD" bash -c "$*"

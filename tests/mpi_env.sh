#!/usr/bin/env bash
# mpi_env.sh COMMAND...: runs a command with the settings of jobs/mpi-env.sh.
# shellcheck source-path=SCRIPTDIR source=../jobs/mpi-env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../jobs/mpi-env.sh"
# OpenMPI 4.1 leaks in modules that it unloads, which a leak report cannot name and so cannot leave out.
export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=0}
"$@"

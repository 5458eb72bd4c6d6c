#!/usr/bin/env bash
# mpi_env.sh COMMAND...: runs a command with the settings of jobs/mpi-env.sh.
# shellcheck source-path=SCRIPTDIR source=../jobs/mpi-env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../jobs/mpi-env.sh"
"$@"

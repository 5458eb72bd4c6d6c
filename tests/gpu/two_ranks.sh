#!/usr/bin/env bash
# two_ranks.sh PROGRAM WORDS...: two ranks of it on this machine, also as root; of a bundle by the mpirun beside it, for
# another's does not fit. 77 where there is none.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$tree/jobs/mpi-env.sh"
bundle=$(cd "$(dirname "$1")/.." && pwd)
if [ -d "$bundle/lib/openmpi" ]; then
  export OMPI_MCA_plm=isolated OPAL_PREFIX=$bundle OPAL_PKGLIBDIR=$bundle/lib/openmpi OMPI_MCA_mca_base_component_path=$bundle/lib/openmpi
  PATH=$bundle/bin:$PATH
fi
command -v mpirun >/dev/null || { echo "no mpirun"; exit 77; }
mpirun -n 2 "$@"

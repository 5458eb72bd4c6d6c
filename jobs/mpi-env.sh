# shellcheck shell=bash
# Sourced: settings for OpenMPI when all ranks are on this machine: as root, on few cores, in a container. Values that
# are set already stay. Not for a cluster: there `srun --mpi=pmix` or the site's mpirun know better.

thresher_mpi_default() {
  [ -n "${!1+set}" ] || export "$1=$2"
}
# mpirun refuses to run as root, or with more ranks than cores, unless told.
thresher_mpi_default OMPI_ALLOW_RUN_AS_ROOT 1
thresher_mpi_default OMPI_ALLOW_RUN_AS_ROOT_CONFIRM 1
thresher_mpi_default OMPI_MCA_rmaps_base_oversubscribe 1
# Without this two jobs side by side are both pinned to core 0.
thresher_mpi_default OMPI_MCA_hwloc_base_binding_policy none
thresher_mpi_default OMPI_MCA_mpi_yield_when_idle 1
# Shared memory between ranks, and no search for network cards; copies by ptrace fail in containers.
thresher_mpi_default OMPI_MCA_pml ob1
thresher_mpi_default OMPI_MCA_btl self,vader,tcp
thresher_mpi_default OMPI_MCA_btl_vader_single_copy_mechanism none
thresher_mpi_default OMPI_MCA_btl_tcp_if_include lo
thresher_mpi_default OMPI_MCA_oob_tcp_if_include lo

# In a plain chroot hwloc would complain about /sys once a process, and its search for X displays would wait for a name
# server to tell what localhost is.
thresher_mpi_default HWLOC_HIDE_ERRORS 2
thresher_mpi_default HWLOC_COMPONENTS -gl

# Session files of killed ranks confuse later jobs with the same number: each shell has a folder of its own.
if [ -z "${OMPI_MCA_orte_tmpdir_base+set}" ]; then
  thresher_mpi_folder=$(mktemp -d "${TMPDIR:-/tmp}/thresher-mpi.XXXXXX")
  thresher_mpi_shared=$(mktemp -d /dev/shm/thresher-mpi.XXXXXX 2>/dev/null || echo "$thresher_mpi_folder")
  export OMPI_MCA_orte_tmpdir_base=$thresher_mpi_folder
  export OMPI_MCA_btl_vader_backing_directory=$thresher_mpi_shared
  trap 'rm -rf "$thresher_mpi_folder" "$thresher_mpi_shared"' EXIT
fi

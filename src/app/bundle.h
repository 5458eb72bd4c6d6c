// A bundle carries the libraries and OpenMPI's plugins along that another machine may not have.
#pragma once

namespace thresher::app {

// If this program lies in a bundle (bin/thresher, lib/openmpi beside bin), tells OpenMPI where its plugins are. To be
// called before MPI is initialised. Ranks of a bundle share one machine; variables that are set already stay.
void use_bundled_mpi();

}  // namespace thresher::app

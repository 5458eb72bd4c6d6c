#include "comm/handles.h"

#include <mpi.h>

#include <mutex>

namespace thresher::comm {
namespace {

std::mutex mutex;
Handles open, made;

void count(long Handles::*kind, long change) {
  std::lock_guard lock(mutex);
  open.*kind += change;
  if (change > 0) made.*kind += change;
}

int created(int code, long Handles::*kind) {
  if (code == MPI_SUCCESS) count(kind, 1);
  return code;
}

int freed(int code, long Handles::*kind) {
  if (code == MPI_SUCCESS) count(kind, -1);
  return code;
}

}  // namespace

std::string Handles::text() const {
  return std::to_string(communicators) + " communicators, " + std::to_string(requests) + " requests, " +
         std::to_string(messages) + " messages, " + std::to_string(windows) + " windows, " + std::to_string(groups) +
         " groups";
}

Handles open_handles() {
  std::lock_guard lock(mutex);
  return open;
}

Handles made_handles() {
  std::lock_guard lock(mutex);
  return made;
}

}  // namespace thresher::comm

using thresher::comm::count;
using thresher::comm::created;
using thresher::comm::freed;
using thresher::comm::Handles;

extern "C" {

int MPI_Comm_dup(MPI_Comm comm, MPI_Comm* copy) {
  return created(PMPI_Comm_dup(comm, copy), &Handles::communicators);
}
int MPI_Comm_split(MPI_Comm comm, int colour, int key, MPI_Comm* part) {
  return created(PMPI_Comm_split(comm, colour, key, part), &Handles::communicators);
}
int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm* part) {
  return created(PMPI_Comm_split_type(comm, type, key, info, part), &Handles::communicators);
}
int MPI_Comm_create(MPI_Comm comm, MPI_Group group, MPI_Comm* part) {
  return created(PMPI_Comm_create(comm, group, part), &Handles::communicators);
}
int MPI_Comm_free(MPI_Comm* comm) {
  return freed(PMPI_Comm_free(comm), &Handles::communicators);
}

int MPI_Isend(const void* bytes, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  return created(PMPI_Isend(bytes, n, type, to, tag, comm, request), &Handles::requests);
}
int MPI_Irecv(void* bytes, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request* request) {
  return created(PMPI_Irecv(bytes, n, type, from, tag, comm, request), &Handles::requests);
}
int MPI_Ibarrier(MPI_Comm comm, MPI_Request* request) {
  return created(PMPI_Ibarrier(comm, request), &Handles::requests);
}
int MPI_Improbe(int from, int tag, MPI_Comm comm, int* found, MPI_Message* message, MPI_Status* status) {
  const int code = PMPI_Improbe(from, tag, comm, found, message, status);
  return code == MPI_SUCCESS && *found != 0 ? created(code, &Handles::messages) : code;
}
int MPI_Imrecv(void* bytes, int n, MPI_Datatype type, MPI_Message* message, MPI_Request* request) {
  return created(freed(PMPI_Imrecv(bytes, n, type, message, request), &Handles::messages), &Handles::requests);
}
int MPI_Mrecv(void* bytes, int n, MPI_Datatype type, MPI_Message* message, MPI_Status* status) {
  return freed(PMPI_Mrecv(bytes, n, type, message, status), &Handles::messages);
}

int MPI_Test(MPI_Request* request, int* done, MPI_Status* status) {
  const bool there = *request != MPI_REQUEST_NULL;
  const int code = PMPI_Test(request, done, status);
  return there && *done != 0 ? freed(code, &Handles::requests) : code;
}
int MPI_Testsome(int n, MPI_Request* requests, int* done, int* indices, MPI_Status* statuses) {
  const int code = PMPI_Testsome(n, requests, done, indices, statuses);
  if (code == MPI_SUCCESS && *done != MPI_UNDEFINED) count(&Handles::requests, -*done);
  return code;
}
int MPI_Wait(MPI_Request* request, MPI_Status* status) {
  const bool there = *request != MPI_REQUEST_NULL;
  const int code = PMPI_Wait(request, status);
  return there ? freed(code, &Handles::requests) : code;
}
int MPI_Waitall(int n, MPI_Request* requests, MPI_Status* statuses) {
  long there = 0;
  for (int i = 0; i < n; ++i) there += requests[i] != MPI_REQUEST_NULL;
  const int code = PMPI_Waitall(n, requests, statuses);
  if (code == MPI_SUCCESS) count(&Handles::requests, -there);
  return code;
}
int MPI_Request_free(MPI_Request* request) {
  return freed(PMPI_Request_free(request), &Handles::requests);
}

int MPI_Win_create(void* memory, MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, MPI_Win* window) {
  return created(PMPI_Win_create(memory, bytes, unit, info, comm, window), &Handles::windows);
}
int MPI_Win_allocate(MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void* memory, MPI_Win* window) {
  return created(PMPI_Win_allocate(bytes, unit, info, comm, memory, window), &Handles::windows);
}
int MPI_Win_allocate_shared(MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void* memory, MPI_Win* window) {
  return created(PMPI_Win_allocate_shared(bytes, unit, info, comm, memory, window), &Handles::windows);
}
int MPI_Win_free(MPI_Win* window) {
  return freed(PMPI_Win_free(window), &Handles::windows);
}

int MPI_Comm_group(MPI_Comm comm, MPI_Group* group) {
  return created(PMPI_Comm_group(comm, group), &Handles::groups);
}
int MPI_Group_incl(MPI_Group group, int n, const int* ranks, MPI_Group* part) {
  return created(PMPI_Group_incl(group, n, ranks, part), &Handles::groups);
}
int MPI_Group_free(MPI_Group* group) {
  return freed(PMPI_Group_free(group), &Handles::groups);
}

}  // extern "C"

// In every program of a sanitized build: what the sanitizers are told, and what of other people's code they leave out, so
// that it holds in any environment. Variables (ASAN_OPTIONS, LSAN_OPTIONS, UBSAN_OPTIONS, TSAN_OPTIONS) add to it and win.
//
// A finding ends the process with 99, which is no exit code of the program's own.
extern "C" {

// A request for too much memory is refused, as without a sanitizer. (operator new cannot be: it ends the process.)
const char* __asan_default_options() {
  return "exitcode=99:allocator_may_return_null=1:check_initialization_order=1:strict_string_checks=1";
}

const char* __lsan_default_options() {
  return "exitcode=99:print_suppressions=0";
}

const char* __ubsan_default_options() {
  return "print_stacktrace=1";
}

// What libraries that were compiled without the sanitizer do among themselves is theirs.
const char* __tsan_default_options() {
  return "exitcode=99:allocator_may_return_null=1:halt_on_error=1:ignore_noninstrumented_modules=1:"
         "second_deadlock_stack=1:print_suppressions=0";
}

// What libraries keep until the process ends. Third parties only.
const char* __lsan_default_suppressions() {
  return "leak:libmpi.so\n"
         "leak:libopen-pal.so\n"
         "leak:libopen-rte.so\n"
         "leak:openmpi/lib/openmpi3/\n"
         "leak:libpmix.so\n"
         "leak:pmix2/lib/\n"
         "leak:libhwloc.so\n"
         "leak:libevent\n"
         // OpenMPI's asprintf: it has no frame pointers, so who called libc is not found. This program does not call it.
         "leak:__vasprintf_internal\n"
         "leak:libhdf5_serial.so\n";  // 1.10.8, a few bytes when it refuses a damaged file
}

// Races inside libraries. Third parties only.
const char* __tsan_default_suppressions() {
  return "";
}

// OpenMPI unloads its modules before the process ends. A leak of theirs could then no longer be told from one of ours:
// the place that allocated it has no name any more. So nothing is unloaded.
int dlclose(void*) {
  return 0;
}

}  // extern "C"

# What every target is compiled with, and how a floor becomes a library.

add_library(thresher_options INTERFACE)
target_compile_features(thresher_options INTERFACE cxx_std_20)
target_compile_options(thresher_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # GCC 12 warns about std::string's own operator+ (its bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  -fstack-protector-strong -fcf-protection -fPIE)
target_compile_definitions(thresher_options INTERFACE _GLIBCXX_ASSERTIONS H5_USE_110_API)
target_link_options(thresher_options INTERFACE -pie -Wl,-z,relro,-z,now)
# The sanitizers know the plain functions that the fortified ones stand before.
if(CMAKE_BUILD_TYPE MATCHES "Rel" AND NOT THRESHER_SANITIZE)
  target_compile_definitions(thresher_options INTERFACE _FORTIFY_SOURCE=2)
endif()
if(THRESHER_SANITIZE)
  target_compile_options(thresher_options INTERFACE -fsanitize=${THRESHER_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  # In the program itself they stand before libraries that tests preload.
  target_link_options(thresher_options INTERFACE -fsanitize=${THRESHER_SANITIZE}
    $<$<CXX_COMPILER_ID:GNU>:-static-libasan -static-libubsan -static-libtsan>)
endif()
if(THRESHER_SANITIZE AND NOT THRESHER_FUZZ)
  target_sources(thresher_options INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${PROJECT_SOURCE_DIR}/tests/sanitizers/defaults.cpp>)
endif()
target_include_directories(thresher_options INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)

# thresher_together(<library> <source> ...): a sanitized build, which costs twice the compiler's time, compiles the
# library's sources a dozen at a time, so that they share what they include. Not the ones named: they give a name to one
# thing that another source gives to another.
function(thresher_together library)
  if(THRESHER_SANITIZE AND NOT THRESHER_FUZZ)
    set_target_properties(${library} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
    set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# thresher_floor(<name> USES <floors below> PRIVATE <third party> ALONE <sources>): the static library thresher_<name>
# from the sources in this folder and one level below it.
function(thresher_floor name)
  cmake_parse_arguments(arg "" "" "USES;PRIVATE;ALONE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp */*.cpp)
  add_library(thresher_${name} STATIC ${sources})
  thresher_together(thresher_${name} ${arg_ALONE})
  list(TRANSFORM arg_USES PREPEND thresher_)
  target_link_libraries(thresher_${name} PUBLIC thresher_options ${arg_USES} PRIVATE fmt::fmt ${arg_PRIVATE})
endfunction()

# THRESHER_CUDA: AUTO takes CUDA where nvcc is found, ON requires it, OFF leaves it out. Sets THRESHER_WITH_CUDA.

set(THRESHER_CUDA AUTO CACHE STRING "the CUDA device: AUTO, ON or OFF")
set_property(CACHE THRESHER_CUDA PROPERTY STRINGS AUTO ON OFF)
set(THRESHER_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "GPUs to compile for, as CMAKE_CUDA_ARCHITECTURES")
set(THRESHER_WITH_CUDA FALSE)
string(TOUPPER "${THRESHER_CUDA}" THRESHER_CUDA_WANTED)
# Sanitized and fuzzed builds are of the CPU's code.
if(THRESHER_CUDA_WANTED STREQUAL AUTO AND (THRESHER_SANITIZE OR THRESHER_FUZZ))
  set(THRESHER_CUDA_WANTED OFF)
endif()

if(THRESHER_CUDA_WANTED)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(THRESHER_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
    if(THRESHER_NVCC)
      set(ENV{CUDACXX} ${THRESHER_NVCC})
    endif()
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${THRESHER_CUDA_ARCHITECTURES})
  # A toolkit that is there in part must not end the configuration of those who did not ask for it.
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit 13.0)
  endif()
  if(CUDAToolkit_FOUND AND TARGET CUDA::cublasLt)
    set(THRESHER_WITH_CUDA TRUE)
    # CMake 3.25 does not know how nvcc is told about C++20.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    message(STATUS "CUDA ${CUDAToolkit_VERSION} for ${THRESHER_CUDA_ARCHITECTURES}")
  elseif(THRESHER_CUDA_WANTED STREQUAL AUTO)
    message(STATUS "no CUDA: nvcc 13 with cuBLASLt is not found")
  else()
    message(FATAL_ERROR "THRESHER_CUDA=${THRESHER_CUDA} needs nvcc 13.0 or newer with cuBLASLt (CUDACXX or "
                        "CUDAToolkit_ROOT say where); -DTHRESHER_CUDA=OFF builds without")
  endif()
endif()

# NCCL is loaded at run time; its header is all that is needed here.
set(THRESHER_WITH_NCCL FALSE)
if(THRESHER_WITH_CUDA)
  find_path(THRESHER_NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(THRESHER_NCCL_INCLUDE)
    set(THRESHER_WITH_NCCL TRUE)
  else()
    message(STATUS "no NCCL: nccl.h is not found (-DTHRESHER_NCCL_INCLUDE=FOLDER); GPUs exchange through the host")
  endif()
endif()

# Both sides of thresher_cuda.so have to be compiled with the same of these.
set(interface "")
foreach(header IN ITEMS include/thresher/device/device.h include/thresher/device/cuda.h include/thresher/device/softmax.h
                        include/thresher/tensor/tensor.h include/thresher/tensor/buffer.h include/thresher/tensor/dtype.h
                        include/thresher/base/check.h src/device/cuda/entry.h)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
  file(SHA256 ${PROJECT_SOURCE_DIR}/${header} digest)
  string(APPEND interface ${digest})
endforeach()
string(SHA256 interface "${interface}")
string(SUBSTRING ${interface} 0 16 THRESHER_CUDA_INTERFACE)

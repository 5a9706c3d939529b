# Every switch of the build. A preset turns each of them on somewhere (CMakePresets.json).
option(STRATWIRE_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(STRATWIRE_BUILD_PROGRAMS "Build stratwire-server and stratwire" ${PROJECT_IS_TOP_LEVEL})
option(STRATWIRE_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(STRATWIRE_BUILD_BENCH "Build the benchmarks" OFF)
option(STRATWIRE_BUILD_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(STRATWIRE_WARNINGS_AS_ERRORS "Treat warnings as errors" OFF)
set(STRATWIRE_SANITIZE "" CACHE STRING "Sanitizers for every target: address,undefined or thread")
set(STRATWIRE_DEPS_DIR "${PROJECT_SOURCE_DIR}/.deps" CACHE PATH
    "Folder with unpacked headers of packages that can't be installed (see dev, 'deps')")

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# Files that include Beast take 10 s each: worth a cache where there is one.
find_program(STRATWIRE_CCACHE ccache)
mark_as_advanced(STRATWIRE_CCACHE)
if(PROJECT_IS_TOP_LEVEL AND STRATWIRE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${STRATWIRE_CCACHE})
endif()

# What every target of ours is compiled with; nothing is set globally, so that a project that uses
# add_subdirectory() keeps its own flags.
add_library(stratwire_flags INTERFACE)
target_compile_features(stratwire_flags INTERFACE cxx_std_20)
target_compile_options(stratwire_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 sees an overlap in "text" + std::string that is not there (GCC bug 105651).
  target_compile_options(stratwire_flags INTERFACE -Wno-restrict)
endif()
if(STRATWIRE_WARNINGS_AS_ERRORS)
  target_compile_options(stratwire_flags INTERFACE -Werror)
endif()
if(STRATWIRE_BUILD_FUZZ)
  # libFuzzer is led by what it reaches in the libraries, not only in the targets.
  target_compile_options(stratwire_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(STRATWIRE_SANITIZE)
  target_compile_options(stratwire_flags INTERFACE -fsanitize=${STRATWIRE_SANITIZE}
    -fno-sanitize-recover=all)
  target_link_options(stratwire_flags INTERFACE -fsanitize=${STRATWIRE_SANITIZE})
  if(STRATWIRE_SANITIZE MATCHES "thread")
    # The thread sanitizer does not model fences; Asio's are an optimisation that can be left out.
    target_compile_definitions(stratwire_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
    target_compile_options(stratwire_flags INTERFACE -Wno-tsan)
  endif()
endif()

# Every third-party package, in one place. The names in brackets are Debian 12's packages.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED)  # [libboost1.81-dev] Asio and Beast, headers only
find_package(simdjson REQUIRED)           # [libsimdjson-dev]

# [libconcurrentqueue-dev] has headers and no CMake package.
find_path(STRATWIRE_CONCURRENTQUEUE_INCLUDE_DIR concurrentqueue/concurrentqueue.h
          PATH_SUFFIXES . REQUIRED)
add_library(stratwire_concurrentqueue INTERFACE)
target_include_directories(stratwire_concurrentqueue SYSTEM INTERFACE
  ${STRATWIRE_CONCURRENTQUEUE_INCLUDE_DIR})

# [libmsgpack-cxx-dev] depends on another Boost than ours, so that it can't be installed beside it;
# './dev deps' unpacks its headers into STRATWIRE_DEPS_DIR.
find_path(STRATWIRE_MSGPACK_INCLUDE_DIR msgpack.hpp
          HINTS ${STRATWIRE_DEPS_DIR}/usr/include)
if(NOT STRATWIRE_MSGPACK_INCLUDE_DIR)
  message(FATAL_ERROR
    "msgpack-c's C++ headers were not found in ${STRATWIRE_DEPS_DIR}.\n"
    "Run './dev deps', which unpacks Debian's libmsgpack-cxx-dev there, or pass "
    "-DSTRATWIRE_MSGPACK_INCLUDE_DIR=<folder of msgpack.hpp>.")
endif()
add_library(stratwire_msgpack INTERFACE)
target_include_directories(stratwire_msgpack SYSTEM INTERFACE ${STRATWIRE_MSGPACK_INCLUDE_DIR})
target_compile_definitions(stratwire_msgpack INTERFACE MSGPACK_NO_BOOST)

if(STRATWIRE_BUILD_PROGRAMS)
  find_package(CLI11 REQUIRED)            # [libcli11-dev]
  find_package(tomlplusplus REQUIRED)     # [libtomlplusplus-dev]
  find_package(spdlog REQUIRED)           # [libspdlog-dev]
endif()
if(STRATWIRE_BUILD_TESTS)
  find_package(GTest REQUIRED)            # [libgtest-dev libgmock-dev]
endif()
if(STRATWIRE_BUILD_BENCH)
  find_package(benchmark REQUIRED)        # [libbenchmark-dev]
  find_path(STRATWIRE_READERWRITERQUEUE_INCLUDE_DIR readerwriterqueue/readerwriterqueue.h
            REQUIRED)                     # [libreaderwriterqueue-dev] a baseline
  find_path(STRATWIRE_VALGRIND_INCLUDE_DIR valgrind/callgrind.h
            REQUIRED)                     # [valgrind] counts instructions
  # [libwebsockets-dev] a peer of the load bench, which leaves it out where it is missing
  find_path(STRATWIRE_LIBWEBSOCKETS_INCLUDE_DIR libwebsockets.h)
  find_library(STRATWIRE_LIBWEBSOCKETS_LIBRARY websockets)
endif()

# stratwire_add_test(NAME SOURCES ... [LINK ...] [LABELS ...] [TIMEOUT seconds]): one GoogleTest program.
include(GoogleTest)

function(stratwire_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE stratwire_flags ${ARG_LINK} GTest::gmock GTest::gtest_main)
  # One CTest entry for a program: starting it once is quicker than once for each of its cases.
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

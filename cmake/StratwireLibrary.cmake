# The libraries of this project, and the layers that they keep.

# Who may depend on whom. Leaves know nothing of one another, the rules of both ends (session) know
# values only, the two faces never meet.
set(STRATWIRE_MAY_USE_codecs "")
set(STRATWIRE_MAY_USE_queue "")
set(STRATWIRE_MAY_USE_telemetry "")
set(STRATWIRE_MAY_USE_transport "")
set(STRATWIRE_MAY_USE_session codecs)
set(STRATWIRE_MAY_USE_client codecs queue telemetry transport session)
set(STRATWIRE_MAY_USE_arbiter client codecs queue telemetry transport session)
set(STRATWIRE_MAY_USE_peer codecs queue telemetry transport session)
set(STRATWIRE_MAY_USE_server codecs queue telemetry transport session)
# Stands beside the faces, and is used by nothing but tests and the command-line tool.
set(STRATWIRE_MAY_USE_testing client server codecs queue telemetry transport session)

# stratwire_add_library(NAME SOURCES ... HEADERS ... [DEPENDS ...] [LINK ...])
#
# Makes one library of ours: target stratwire_NAME, alias stratwire::NAME, header set, flags, install.
#   HEADERS  public headers, relative to include/; each is compiled alone where tests are built
#   DEPENDS  libraries of ours below this one; an arrow that is not in the table is refused
#   LINK     third-party targets, private: none of their headers is in a header of ours
function(stratwire_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEPENDS;LINK" ${ARGN})
  set(target stratwire_${name})
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:stratwire_flags>)
    foreach(library IN LISTS ARG_LINK)
      target_link_libraries(${target} PRIVATE ${library})
    endforeach()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(stratwire::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} ${scope} cxx_std_20)
  stratwire_compile_alone(${target} ${ARG_HEADERS})
  list(TRANSFORM ARG_HEADERS PREPEND include/)
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS include FILES ${ARG_HEADERS})
  list(TRANSFORM ARG_DEPENDS PREPEND stratwire_)
  target_link_libraries(${target} ${scope} ${ARG_DEPENDS})
  install(TARGETS ${target} EXPORT stratwireTargets FILE_SET HEADERS)
  set_property(GLOBAL APPEND PROPERTY STRATWIRE_LIBRARIES ${name})
endfunction()

# Each header as the only include of a source, with our warnings, and twice, so that it holds all it
# needs and can come in two ways. Sanitizers would see the same again.
function(stratwire_compile_alone target)
  if(NOT STRATWIRE_BUILD_TESTS OR STRATWIRE_SANITIZE)
    return()
  endif()
  list(FILTER ARGN EXCLUDE REGEX "/detail/")
  foreach(header IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER ${header} file)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/alone/${file}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include <@header@>\n#include <@header@>\n" @ONLY)
    list(APPEND sources ${source})
  endforeach()
  add_library(${target}_headers OBJECT ${sources})
  target_link_libraries(${target}_headers PRIVATE ${target} stratwire_flags)
  set_target_properties(${target}_headers PROPERTIES CXX_CLANG_TIDY "")
endfunction()

# Refuses every arrow between our libraries that is not in the table, however it was drawn. Called
# once, after all libraries were added.
function(stratwire_check_layers)
  get_property(libraries GLOBAL PROPERTY STRATWIRE_LIBRARIES)
  foreach(library IN LISTS libraries)
    get_target_property(linked stratwire_${library} LINK_LIBRARIES)
    get_target_property(exposed stratwire_${library} INTERFACE_LINK_LIBRARIES)
    foreach(other IN LISTS libraries)
      if("${linked};${exposed}" MATCHES "stratwire(_|::)${other}($|[;>])"
         AND NOT other IN_LIST STRATWIRE_MAY_USE_${library})
        message(FATAL_ERROR "Layer broken: stratwire::${library} may not depend on "
          "stratwire::${other} (the table is in cmake/StratwireLibrary.cmake).")
      endif()
    endforeach()
  endforeach()
endfunction()

# stratwire_add_program(NAME SOURCES ... LINK ...): an executable that is installed.
function(stratwire_add_program name)
  if(NOT STRATWIRE_BUILD_PROGRAMS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE stratwire_flags ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS ${name})
endfunction()

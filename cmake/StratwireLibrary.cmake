# stratwire_add_library(NAME SOURCES ... HEADERS ... [DEPENDS ...] [LINK ...])
#
# Makes one library of ours: target stratwire_NAME, alias stratwire::NAME, header set, flags, install.
#   HEADERS  public headers, relative to include/
#   DEPENDS  libraries of ours below this one; an arrow that is not in the table is refused
#   LINK     third-party targets, private: none of their headers is in a header of ours

# The layers: who may depend on whom. Leaves know nothing of one another, the rules of both ends
# (session) know values only, the two faces never meet.
set(STRATWIRE_MAY_USE_codecs "")
set(STRATWIRE_MAY_USE_queue "")
set(STRATWIRE_MAY_USE_telemetry "")
set(STRATWIRE_MAY_USE_transport "")
set(STRATWIRE_MAY_USE_session codecs)
set(STRATWIRE_MAY_USE_client codecs queue telemetry transport session)
set(STRATWIRE_MAY_USE_server codecs queue telemetry transport session)

function(stratwire_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEPENDS;LINK" ${ARGN})
  foreach(dependency IN LISTS ARG_DEPENDS)
    if(NOT dependency IN_LIST STRATWIRE_MAY_USE_${name})
      message(FATAL_ERROR "Layer broken: stratwire::${name} may not depend on "
        "stratwire::${dependency} (the table is in cmake/StratwireLibrary.cmake).")
    endif()
  endforeach()

  list(TRANSFORM ARG_HEADERS PREPEND include/)
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
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS include FILES ${ARG_HEADERS})
  list(TRANSFORM ARG_DEPENDS PREPEND stratwire_)
  target_link_libraries(${target} ${scope} ${ARG_DEPENDS})
  install(TARGETS ${target} EXPORT stratwireTargets FILE_SET HEADERS)
  set_property(GLOBAL APPEND PROPERTY STRATWIRE_LIBRARIES ${name})
endfunction()

# stratwire_add_program(NAME SOURCES ... LINK ...): an executable that is installed.
function(stratwire_add_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE stratwire_flags ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS ${name})
endfunction()

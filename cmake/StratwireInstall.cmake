# find_package(stratwire): the exported targets, their dependencies, the version.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

install(EXPORT stratwireTargets NAMESPACE stratwire::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/stratwire)
get_property(STRATWIRE_COMPONENTS GLOBAL PROPERTY STRATWIRE_LIBRARIES)
list(JOIN STRATWIRE_COMPONENTS " " STRATWIRE_COMPONENTS)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/stratwireConfig.cmake.in
  ${PROJECT_BINARY_DIR}/stratwireConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/stratwire)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/stratwireConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/stratwireConfig.cmake
              ${PROJECT_BINARY_DIR}/stratwireConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/stratwire)

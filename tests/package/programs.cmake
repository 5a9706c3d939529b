# The consumer's programs; the same however it got the libraries. It asks for no include folder, no
# language level and no flag of its own.
add_executable(values ${CMAKE_CURRENT_LIST_DIR}/values.cpp)
target_link_libraries(values PRIVATE stratwire::codecs)

add_executable(feed ${CMAKE_CURRENT_LIST_DIR}/feed.cpp)
target_link_libraries(feed PRIVATE stratwire::client stratwire::arbiter stratwire::server)

add_executable(pair ${CMAKE_CURRENT_LIST_DIR}/pair.cpp)
target_link_libraries(pair PRIVATE stratwire::peer)

# The example of a test, as a user would copy it.
add_executable(strategy_test ${CMAKE_CURRENT_LIST_DIR}/../../examples/10_test_a_strategy.cpp)
target_link_libraries(strategy_test PRIVATE stratwire::testing)

# The consumer's programs; the same however it got the libraries. It keeps to C++20 and asks for no
# include folder and no flag of its own.
add_executable(values)
target_sources(values PRIVATE ${CMAKE_CURRENT_LIST_DIR}/values.cpp)
target_link_libraries(values PRIVATE stratwire::codecs)

/// What the test kit finds wrong is a failure of GoogleTest.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include <stratwire/testing/failure.hpp>

namespace stratwire::testing {

/// Set as the program starts.
inline const FailureHandler kFormerHandler =
    set_failure_handler([](const std::string& what) { ADD_FAILURE() << what; });

}  // namespace stratwire::testing

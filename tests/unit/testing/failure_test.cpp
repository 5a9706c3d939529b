#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/testing/failure.hpp>

namespace stratwire::testing {
namespace {

using ::testing::ElementsAre;

TEST(Failure, IsAnExceptionUntilAHandlerIsSet) {
  EXPECT_THROW(fail("nobody connected"), Failed);
  std::vector<std::string> failures;
  set_failure_handler([&failures](const std::string& what) { failures.push_back(what); });
  fail("first");
  fail("second");
  EXPECT_THAT(failures, ElementsAre("first", "second"));
  const FailureHandler former = set_failure_handler({});
  EXPECT_TRUE(former);
  EXPECT_THROW(fail("again"), Failed);
}

TEST(Failure, WaitingEndsWithWhatItWaitsForOrWithPatience) {
  int looks = 0;
  EXPECT_TRUE(eventually([&looks] { return ++looks == 3; }));
  EXPECT_EQ(looks, 3);
  EXPECT_FALSE(eventually([] { return false; }, std::chrono::milliseconds{1}));
}

}  // namespace
}  // namespace stratwire::testing

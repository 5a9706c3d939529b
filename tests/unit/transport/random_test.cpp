#include <set>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/transport/random.hpp>

namespace stratwire::transport {
namespace {

TEST(Random, FillsEveryByte) {
  std::string seen(64, '\0');
  for (int i = 0; i < 20; ++i) {
    std::string bytes(64, '\0');
    random_bytes(bytes);
    for (std::size_t j = 0; j < bytes.size(); ++j) seen[j] = static_cast<char>(seen[j] | bytes[j]);
  }
  // The odds that one of 64 bytes was 0 in 20 draws are 64 in 2^160.
  EXPECT_EQ(seen.find('\0'), std::string::npos);
}

TEST(MaskKeys, DoNotRepeat) {
  MaskKeys first;
  MaskKeys second;
  std::set<MaskKey> seen;
  for (int i = 0; i < 300; ++i) {
    seen.insert(first.next());
    seen.insert(second.next());
  }
  // 600 of 2^32: more than two equal ones have odds of 1 in 10^11.
  EXPECT_GE(seen.size(), 598U);
}

}  // namespace
}  // namespace stratwire::transport

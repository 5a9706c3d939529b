// A struct of the user's is published once its fields are described.
// EXPECT: no matching function for call to .*Publisher::publish
#include <stratwire/server.hpp>

struct Quote {
  double bid = 0;
  double ask = 0;
};
#ifndef STRATWIRE_BAD
STRATWIRE_DESCRIBE(Quote, bid, ask)
#endif

auto send(stratwire::Publisher& quotes) {
  return quotes.publish(Quote{1, 2});
}

// A client owns one connection.
// EXPECT: use of deleted function .*Client
#include <utility>

#include <stratwire/client.hpp>

stratwire::Client take(stratwire::Client client) {
  return client;
}

stratwire::Client give(stratwire::Client& client) {
#ifdef STRATWIRE_BAD
  return take(client);
#else
  return take(std::move(client));
#endif
}

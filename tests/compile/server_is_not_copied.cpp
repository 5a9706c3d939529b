// A server owns its port and its threads.
// EXPECT: use of deleted function .*Server
#include <utility>

#include <stratwire/server.hpp>

stratwire::Server take(stratwire::Server server) {
  return server;
}

stratwire::Server give(stratwire::Server& server) {
#ifdef STRATWIRE_BAD
  return take(server);
#else
  return take(std::move(server));
#endif
}

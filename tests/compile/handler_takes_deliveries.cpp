// poll() hands over everything that came; a handler of one message type belongs to on<T>().
// EXPECT: no matching function for call to .*Client::poll
#include <stratwire/client.hpp>

std::size_t drain(stratwire::Client& client) {
#ifdef STRATWIRE_BAD
  return client.poll([](const stratwire::PriceUpdate&) noexcept {});
#else
  return client.poll([](const stratwire::Delivery&) noexcept {});
#endif
}

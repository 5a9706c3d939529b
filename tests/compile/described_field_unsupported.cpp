// A member that has no form on the wire is refused by name of the cure, not by a page of templates.
// EXPECT: a member has a type that can't be sent
#include <string>

#include <stratwire/describe.hpp>

struct Order {
  double price = 0;
#ifdef STRATWIRE_BAD
  void* book = nullptr;
#else
  int book = 0;
#endif
};
STRATWIRE_DESCRIBE(Order, price, book)

auto write(const Order& order, std::string& out) {
  return stratwire::encode_data(stratwire::Codec::json, order, out);
}

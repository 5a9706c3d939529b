// A field that has no form on the wire is refused where it is described, not when it is sent.
// EXPECT: static assertion failed
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

static_assert(stratwire::Described<Order>);

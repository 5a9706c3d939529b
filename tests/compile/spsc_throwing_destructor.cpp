// An item whose destructor throws would leave its slot in the ring half gone.
// EXPECT: static assertion failed
#include <stratwire/queue/spsc.hpp>

struct Item {
#ifdef STRATWIRE_BAD
  ~Item() noexcept(false) {}
#endif
};

void use(stratwire::queue::Spsc<Item>& ring) {
  (void)ring.capacity();
}

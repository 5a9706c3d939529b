// Two rings with the same items would hand each of them over twice.
// EXPECT: use of deleted function .*Spsc
#include <stratwire/queue/spsc.hpp>

void use(stratwire::queue::Spsc<int>& ring) {
#ifdef STRATWIRE_BAD
  auto other = ring;
#else
  auto& other = ring;
#endif
  (void)other.capacity();
}

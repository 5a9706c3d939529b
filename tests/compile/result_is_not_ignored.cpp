// An error that nobody looks at is a bug.
// EXPECT: ignoring returned value of type .*Result
#include <string>

#include <stratwire/codec.hpp>

void write(const stratwire::Message& message, std::string& out) {
#ifdef STRATWIRE_BAD
  stratwire::encode(stratwire::Codec::json, message, out);
#else
  stratwire::encode(stratwire::Codec::json, message, out).value();
#endif
}

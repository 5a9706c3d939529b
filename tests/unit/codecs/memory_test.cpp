/// What the codecs allocate: nothing where they promise it, little where they do not.
#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/describe.hpp>

#include "general_decoder.hpp"

namespace {

// relaxed: counts of one thread, read by the same.
std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> allocated_bytes{0};

void* counted(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);          // relaxed: as above.
  allocated_bytes.fetch_add(bytes, std::memory_order_relaxed);  // relaxed: as above.
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes);
}
void* operator new[](std::size_t bytes) {
  return counted(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes);
}
// noinline: g++ sees free() meet new, and not that new is malloc() here, when it inlines only one.
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace stratwire {

struct Fill {
  double price = 0;
  std::uint64_t size = 0;
  std::string_view venue{};
};
STRATWIRE_DESCRIBE(Fill, price, size, venue)

namespace {

template <class Work>
std::size_t allocations_of(Work&& work) {
  const std::size_t before = allocations.load(std::memory_order_relaxed);  // relaxed: one thread.
  work();
  return allocations.load(std::memory_order_relaxed) - before;  // relaxed: one thread.
}

template <class Work>
std::size_t bytes_of(Work&& work) {
  const std::size_t before = allocated_bytes.load(std::memory_order_relaxed);  // relaxed: as above.
  work();
  return allocated_bytes.load(std::memory_order_relaxed) - before;  // relaxed: as above.
}

class Memory : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(BothCodecs, Memory, testing::Values(Codec::json, Codec::msgpack),
                         [](const auto& test) {
                           return test.param == Codec::json ? "Json" : "Msgpack";
                         });

const std::string kMint(44, 'x');

TEST_P(Memory, DataMessagesCostNoAllocation) {
  const PriceUpdate price{kMint, kMint, 142.3317, 12, 1732094400123456789};
  const AccountUpdate account{kMint, 1, 2, 3};
  const Envelope envelope{"prices:SOL-USDC", 1051};
  std::array<char, 4096> buffer;
  Decoder decoder(GetParam());
  Message message;
  std::string kept;
  kept.reserve(4096);
  const std::size_t count = allocations_of([&] {
    for (int i = 0; i < 1000; ++i) {
      const auto priced = encode(GetParam(), envelope, price, std::span<char>(buffer));
      ASSERT_TRUE(decoder.decode({buffer.data(), *priced}, message).ok());
      const auto counted_account = encode(GetParam(), envelope, account, std::span<char>(buffer));
      ASSERT_TRUE(decoder.decode({buffer.data(), *counted_account}, message).ok());
      kept.clear();
      ASSERT_TRUE(encode(GetParam(), Message{envelope, price}, kept).ok());
    }
  });
  EXPECT_EQ(count, 0U);
}

TEST(MemoryJson, OtherFormsCostNoAllocationOnceWarm) {
  const std::string spaced =
      R"({ "type":"PriceUpdate","input_mint":"a\n","output_mint":"b","price":1,"volume":2,)"
      R"("timestamp":3 })";
  const std::string event = R"({"type":"Event","event":"e","data":{"a":[1,2,3]}})";
  Decoder decoder(Codec::json);
  Message message;
  ASSERT_TRUE(decoder.decode(spaced, message).ok());
  const std::size_t count = allocations_of([&] {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(decoder.decode(spaced, message).ok());
      ASSERT_TRUE(decoder.decode(event, message).ok());
    }
  });
  EXPECT_EQ(count, 0U);
}

TEST_P(Memory, EventsAndStructsCostNoAllocationOnceWarm) {
  const Fill fill{142.3317, 17, kMint};
  Decoder decoder(GetParam());
  Message message;
  std::string bytes;
  Fill back;
  const auto there_and_back = [&] {
    std::string& data = detail::data_buffer();
    ASSERT_TRUE(encode_data(GetParam(), fill, data).ok());
    bytes.clear();
    ASSERT_TRUE(
        encode(GetParam(), {{"fills:A", 1}, Event{"Fill", {GetParam(), data}}}, bytes).ok());
    ASSERT_TRUE(decoder.decode(bytes, message).ok());
    ASSERT_TRUE(decode_data(std::get<Event>(message.body).data, back).ok());
  };
  there_and_back();
  const std::size_t count = allocations_of([&] {
    for (int i = 0; i < 100; ++i) there_and_back();
  });
  EXPECT_EQ(back.venue, kMint);
  EXPECT_EQ(count, 0U);
}

TEST(MemoryJson, TextsThatGrowByAByteCostNoAllocationEach) {
  Decoder decoder(Codec::json);
  Message message;
  std::string event;
  event.reserve(8'192);
  const std::size_t count = allocations_of([&] {
    for (std::size_t bytes = 1; bytes < 4'000; ++bytes) {
      event = R"({"type":"Event","event":"e","data":")";
      event.append(bytes, 'x').append("\"}");
      ASSERT_TRUE(decoder.decode(event, message).ok());
    }
  });
  // A few for each doubling.
  EXPECT_LT(count, 100U);
}

TEST_P(Memory, RefusalsOfEncodersCostNoAllocation) {
  std::array<char, 1024> buffer;
  const PriceUpdate bad{"\xff", "b", 1, 2, 3};
  const std::size_t count = allocations_of([&] {
    EXPECT_FALSE(encode(GetParam(), {}, bad, std::span<char>(buffer)).ok());
    EXPECT_FALSE(encode(GetParam(), {}, bad, std::span<char>(buffer).first(8)).ok());
  });
  EXPECT_EQ(count, 0U);
}

TEST_P(Memory, RefusalsOfDecodersCostNoMoreThanTheirMessages) {
  using namespace std::string_view_literals;
  const bool json = GetParam() == Codec::json;
  const std::string_view lacking =
      json ? R"({"type":"Welcome","client_id":1,"epoch":2,"heartbeat_ms":3})"sv
           : "\x94\x0a\x01\x02\x03"sv;
  const std::string_view good =
      json ? R"({"type":"Pong","t1":1,"t2":2,"t3":3})"sv : "\x94\x08\x01\x02\x03"sv;
  Decoder decoder(GetParam());
  Message message;
  ASSERT_FALSE(decoder.decode(lacking, message).ok());
  const std::size_t usual =
      allocations_of([&] { ASSERT_TRUE(decoder.decode(good, message).ok()); });
  const std::size_t refused = allocations_of(
      [&] { ASSERT_EQ(decoder.decode(lacking, message).error().member, "message_bytes_max"); });
  EXPECT_EQ(refused, usual);
}

TEST(MemoryMsgpack, ClaimedSizesAreNotBelieved) {
  using namespace std::string_view_literals;
  for (const std::string_view claim :
       {"\xdd\xff\xff\xff\xff"sv, "\xdf\xff\xff\xff\xff"sv, "\xdb\xff\xff\xff\xff"sv,
        "\xc6\xff\xff\xff\xff"sv, "\xc9\xff\xff\xff\xff"sv,
        "\x93\x05\x01\xdd\xff\xff\xff\xff\xa1x"sv, "\x93\x0b\x01\xdd\xff\xff\xff\xff\x90"sv,
        "\x94\x05\x01\x90\xdd\xff\xff\xff\xff\x93"sv}) {
    Decoder decoder(Codec::msgpack);
    Message message;
    const std::size_t bytes = bytes_of([&] { EXPECT_FALSE(decoder.decode(claim, message).ok()); });
    EXPECT_LT(bytes, 4096U);
  }
}

TEST_P(Memory, GrowsWithTheInputAndIsGivenBack) {
  // The most nodes for the bytes: an array of small numbers.
  constexpr std::size_t kElements = 200'000;
  std::string bytes;
  if (GetParam() == Codec::json) {
    bytes = R"({"type":"Event", "event":"e","data":[1)";
    for (std::size_t i = 1; i < kElements; ++i) bytes += ",1";
    bytes += "]}";
  } else {
    bytes = std::string(
        "\x95\x03\x00\xa0\xa1"
        "e\xdd\x00\x03\x0d\x40",
        11);
    bytes += std::string(kElements, '\x01');
  }
  detail::GeneralDecoder decoder(GetParam());
  Message message;
  const std::size_t used = bytes_of([&] { ASSERT_FALSE(decoder.decode(bytes, message)); });
  // 32 bytes for each value, twice while the vector grows, and simdjson's own.
  EXPECT_LT(used, 100 * bytes.size());
  EXPECT_GT(decoder.bytes_kept(), detail::GeneralDecoder::kBytesKeptMax);
  std::string small;
  ASSERT_TRUE(encode(GetParam(), Message{{}, Ping{1}}, small).ok());
  ASSERT_FALSE(decoder.decode(small, message));
  EXPECT_LT(decoder.bytes_kept(), detail::GeneralDecoder::kBytesKeptMax);
}

}  // namespace
}  // namespace stratwire

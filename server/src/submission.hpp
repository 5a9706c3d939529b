/// One published message on its way from a publisher to the hub.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include <stratwire/message.hpp>

namespace stratwire::server {

class Channel;

/// Texts are kept inside, up to kInlineTextBytes; longer ones in one allocation.
///
/// \thread one thread at a time; handed over by the inbox
class Submission {
 public:
  /// Two mints of 44 characters fit, and the whole is three cache lines.
  static constexpr std::size_t kInlineTextBytes = 128;

  Submission() noexcept = default;
  /// \param channel  nullptr: a broadcast
  Submission(Channel* channel, const PriceUpdate& message)
      : channel_(channel),
        numbers_{std::bit_cast<std::uint64_t>(message.price), message.volume,
                 static_cast<std::uint64_t>(message.timestamp)},
        kind_(Kind::price) {
    keep(message.input_mint, message.output_mint);
  }
  Submission(Channel* channel, const AccountUpdate& message)
      : channel_(channel),
        numbers_{message.lamports, message.slot, static_cast<std::uint64_t>(message.timestamp)},
        kind_(Kind::account) {
    keep(message.pubkey, {});
  }
  Submission(Channel* channel, const Event& message)
      : channel_(channel),
        kind_(message.data.codec == Codec::json ? Kind::event_json : Kind::event_msgpack) {
    keep(message.type, message.data.bytes);
  }

  [[nodiscard]] Channel* channel() const noexcept { return channel_; }

  /// The message in the form of a channel's log, the same for every codec.
  ///
  /// \param buffer    only ever grows
  /// \lifetime        until `buffer` changes
  [[nodiscard]] std::string_view record(std::string& buffer) const {
    const std::size_t text_bytes = std::size_t{first_bytes_} + second_bytes_;
    const std::size_t bytes = sizeof(RecordHead) + text_bytes;
    if (buffer.size() < bytes) buffer.resize(bytes);
    const RecordHead head{{numbers_[0], numbers_[1], numbers_[2]}, first_bytes_, kind_};
    std::memcpy(buffer.data(), &head, sizeof head);
    std::memcpy(buffer.data() + sizeof head, long_text_ ? long_text_.get() : text_, text_bytes);
    return {buffer.data(), bytes};
  }
  /// Calls `visitor` with the message of a record; its texts point into the record.
  template <class Visitor>
  static decltype(auto) visit_record(std::string_view record, Visitor&& visitor) {
    RecordHead head;
    std::memcpy(&head, record.data(), sizeof head);
    const std::string_view text = record.substr(sizeof head);
    return visit_parts(head.kind, head.numbers, text.substr(0, head.first_bytes),
                       text.substr(head.first_bytes), visitor);
  }

  /// Calls `visitor` with the message as it was published; its texts point into this object.
  template <class Visitor>
  decltype(auto) visit(Visitor&& visitor) const {
    const char* const text = long_text_ ? long_text_.get() : text_;
    return visit_parts(kind_, numbers_, {text, first_bytes_}, {text + first_bytes_, second_bytes_},
                       visitor);
  }

  /// Bytes that it may take in a lane at most; set for paced publishers only.
  std::uint32_t paced_bytes = 0;
  /// When publish() was called; 0 = not known. \units Unix nanoseconds
  std::int64_t published_ns = 0;

 private:
  enum class Kind : std::uint8_t { price, account, event_json, event_msgpack };
  struct RecordHead {
    std::uint64_t numbers[3] = {};
    std::uint32_t first_bytes = 0;
    Kind kind = Kind::price;
  };

  template <class Visitor>
  static decltype(auto) visit_parts(Kind kind, const std::uint64_t (&numbers)[3],
                                    std::string_view first, std::string_view second,
                                    Visitor&& visitor) {
    const auto timestamp = static_cast<std::int64_t>(numbers[2]);
    switch (kind) {
      case Kind::price:
        return visitor(
            PriceUpdate{first, second, std::bit_cast<double>(numbers[0]), numbers[1], timestamp});
      case Kind::account:
        return visitor(AccountUpdate{first, numbers[0], numbers[1], timestamp});
      case Kind::event_json:
        return visitor(Event{first, {Codec::json, second}});
      case Kind::event_msgpack:
        break;
    }
    return visitor(Event{first, {Codec::msgpack, second}});
  }

  void keep(std::string_view first, std::string_view second) {
    first_bytes_ = static_cast<std::uint32_t>(first.size());
    second_bytes_ = static_cast<std::uint32_t>(second.size());
    char* to = text_;
    if (first.size() + second.size() > kInlineTextBytes) {
      long_text_ = std::make_unique_for_overwrite<char[]>(first.size() + second.size());
      to = long_text_.get();
    }
    if (!first.empty()) std::memcpy(to, first.data(), first.size());
    if (!second.empty()) std::memcpy(to + first.size(), second.data(), second.size());
  }

  Channel* channel_ = nullptr;
  std::uint64_t numbers_[3] = {};
  std::unique_ptr<char[]> long_text_{};
  std::uint32_t first_bytes_ = 0;
  std::uint32_t second_bytes_ = 0;
  Kind kind_ = Kind::price;
  char text_[kInlineTextBytes];
};

}  // namespace stratwire::server

/// A line of text as a message to publish.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include <stratwire/codec.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>

namespace stratwire::cli {

using Publishable = std::variant<PriceUpdate, AccountUpdate, Event>;

/// What is wrong with a line, as a part of a sentence, with the byte (from 1) where it is known:
/// "the input ends inside a value (truncated, byte 7)".
[[nodiscard]] std::string problem_of_line(const Error& error);

/// Reads lines.
///
/// \thread one thread at a time
class LineReader {
 public:
  /// \param event  type of the Event that a line becomes which is no message of ours
  explicit LineReader(std::string event) : event_{std::move(event)} {}

  /// An object whose "type" is PriceUpdate, AccountUpdate or Event is that message (PROTOCOL.md,
  /// without ch and seq); any other JSON value becomes the data of an Event.
  ///
  /// \errors    those of the decoder, with the offset in the line
  /// \lifetime  views are valid until the next call, or until `line` goes
  [[nodiscard]] Result<Publishable> read(std::string_view line);

 private:
  std::string event_;
  Decoder decoder_{Codec::json};
  Message message_{};
  std::string scratch_{};
};

}  // namespace stratwire::cli

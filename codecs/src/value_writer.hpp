/// Values one after another into a string, in either codec.
///
/// The general encoders: control messages, described structs and transcoding. Only the first
/// fault is kept; what is written after it does not matter, the caller cuts it off.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fault.hpp"

namespace stratwire::detail {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) noexcept : out_(out) {}

  void null();
  void boolean(bool value);
  void unsigned_integer(std::uint64_t value);
  void signed_integer(std::int64_t value);
  void floating(double value);
  void text(std::string_view value);
  /// A complete value in this codec, already checked.
  void raw(std::string_view bytes);
  void begin_object(std::size_t members);
  void key(std::string_view name);
  /// A key, or a text, of ours: without anything that JSON escapes.
  void plain_key(std::string_view name);
  void plain_text(std::string_view value);
  void end_object();
  void begin_array(std::size_t elements);
  void end_array();

  void refuse(Errc code) noexcept;
  [[nodiscard]] Errc refused() const noexcept { return refused_; }

 private:
  void separate();

  std::string& out_;
  // Whether the next value needs a comma before it.
  bool first_ = true;
  Errc refused_ = Errc::ok;
};

class MsgpackWriter {
 public:
  explicit MsgpackWriter(std::string& out) noexcept : out_(out) {}

  void null();
  void boolean(bool value);
  void unsigned_integer(std::uint64_t value);
  void signed_integer(std::int64_t value);
  void floating(double value);
  void text(std::string_view value);
  void raw(std::string_view bytes);
  void begin_object(std::size_t members);
  void key(std::string_view name) { text(name); }
  void end_object() noexcept {}
  void begin_array(std::size_t elements);
  void end_array() noexcept {}

  void refuse(Errc code) noexcept;
  [[nodiscard]] Errc refused() const noexcept { return refused_; }

 private:
  template <std::unsigned_integral T>
  void put(unsigned char head, T value);

  std::string& out_;
  Errc refused_ = Errc::ok;
};

}  // namespace stratwire::detail

#include "value_writer.hpp"

#include <array>
#include <bit>

#include "json_encode.hpp"
#include "number_format.hpp"
#include "utf8.hpp"
#include "wire_order.hpp"

namespace stratwire::detail {

// ---- JSON

void JsonWriter::refuse(Errc code) noexcept {
  if (refused_ == Errc::ok) refused_ = code;
}

void JsonWriter::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

void JsonWriter::null() {
  raw("null");
}

void JsonWriter::boolean(bool value) {
  raw(value ? "true" : "false");
}

void JsonWriter::unsigned_integer(std::uint64_t value) {
  std::array<char, kIntegerTextBytesMax + kFormatSlack> text;
  raw({text.data(), static_cast<std::size_t>(format_unsigned(text.data(), value) - text.data())});
}

void JsonWriter::signed_integer(std::int64_t value) {
  std::array<char, kIntegerTextBytesMax + kFormatSlack> text;
  raw({text.data(), static_cast<std::size_t>(format_signed(text.data(), value) - text.data())});
}

void JsonWriter::floating(double value) {
  if (value - value != 0) return refuse(Errc::not_finite);
  std::array<char, kDoubleTextBytesMax + kFormatSlack> buffer;
  const char* const end = format_double(buffer.data(), value);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  raw(text);
  // The value of an Event may go through both codecs, and MessagePack tells 5 from 5.0.
  if (text.find_first_of(".e") == std::string_view::npos) out_ += ".0";
}

void JsonWriter::text(std::string_view value) {
  separate();
  // In pieces, so that the room for the worst case stays small; none ends inside a character.
  constexpr std::size_t kPiece = 256;
  std::array<char, json_string_bytes_max(kPiece)> buffer;
  const char* begin = buffer.data();
  while (value.size() > kPiece) {
    std::size_t bytes = kPiece;
    while (bytes > kPiece - 4 && (static_cast<unsigned char>(value[bytes]) & 0xc0U) == 0x80U) {
      --bytes;
    }
    const char* const end = format_json_string(buffer.data(), value.substr(0, bytes));
    if (end == nullptr) return refuse(Errc::invalid_utf8);
    out_.append(begin, end - 1);
    begin = buffer.data() + 1;
    value.remove_prefix(bytes);
  }
  const char* const end = format_json_string(buffer.data(), value);
  if (end == nullptr) return refuse(Errc::invalid_utf8);
  out_.append(begin, end);
}

void JsonWriter::raw(std::string_view bytes) {
  separate();
  out_ += bytes;
}

void JsonWriter::begin_object(std::size_t /*members*/) {
  separate();
  out_ += '{';
  first_ = true;
}

void JsonWriter::key(std::string_view name) {
  text(name);
  out_ += ':';
  first_ = true;
}

void JsonWriter::plain_key(std::string_view name) {
  plain_text(name);
  out_ += ':';
  first_ = true;
}

void JsonWriter::plain_text(std::string_view value) {
  separate();
  out_ += '"';
  out_ += value;
  out_ += '"';
}

void JsonWriter::end_object() {
  out_ += '}';
  first_ = false;
}

void JsonWriter::begin_array(std::size_t /*elements*/) {
  separate();
  out_ += '[';
  first_ = true;
}

void JsonWriter::end_array() {
  out_ += ']';
  first_ = false;
}

// ---- MessagePack

void MsgpackWriter::refuse(Errc code) noexcept {
  if (refused_ == Errc::ok) refused_ = code;
}

template <std::unsigned_integral T>
void MsgpackWriter::put(unsigned char head, T value) {
  std::array<char, 1 + sizeof(T)> bytes;
  bytes[0] = static_cast<char>(head);
  store_big_endian(bytes.data() + 1, value);
  out_.append(bytes.data(), bytes.size());
}

void MsgpackWriter::null() {
  out_ += '\xc0';
}

void MsgpackWriter::boolean(bool value) {
  out_ += value ? '\xc3' : '\xc2';
}

void MsgpackWriter::unsigned_integer(std::uint64_t value) {
  if (value < 0x80) {
    out_ += static_cast<char>(value);
  } else if (value <= 0xff) {
    put(0xcc, static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    put(0xcd, static_cast<std::uint16_t>(value));
  } else if (value <= 0xffff'ffff) {
    put(0xce, static_cast<std::uint32_t>(value));
  } else {
    put(0xcf, value);
  }
}

void MsgpackWriter::signed_integer(std::int64_t value) {
  if (value >= 0) return unsigned_integer(static_cast<std::uint64_t>(value));
  if (value >= -32) {
    out_ += static_cast<char>(value);
  } else if (value >= INT8_MIN) {
    put(0xd0, static_cast<std::uint8_t>(value));
  } else if (value >= INT16_MIN) {
    put(0xd1, static_cast<std::uint16_t>(value));
  } else if (value >= INT32_MIN) {
    put(0xd2, static_cast<std::uint32_t>(value));
  } else {
    put(0xd3, static_cast<std::uint64_t>(value));
  }
}

void MsgpackWriter::floating(double value) {
  if (value - value != 0) return refuse(Errc::not_finite);
  put(0xcb, std::bit_cast<std::uint64_t>(value));
}

void MsgpackWriter::text(std::string_view value) {
  if (utf8_valid_prefix(value) != value.size()) return refuse(Errc::invalid_utf8);
  if (value.size() < 32) {
    out_ += static_cast<char>(0xa0U | value.size());
  } else if (value.size() <= 0xff) {
    put(0xd9, static_cast<std::uint8_t>(value.size()));
  } else if (value.size() <= 0xffff) {
    put(0xda, static_cast<std::uint16_t>(value.size()));
  } else {
    put(0xdb, static_cast<std::uint32_t>(value.size()));
  }
  out_ += value;
}

void MsgpackWriter::raw(std::string_view bytes) {
  out_ += bytes;
}

void MsgpackWriter::begin_object(std::size_t members) {
  if (members < 16) {
    out_ += static_cast<char>(0x80U | members);
  } else if (members <= 0xffff) {
    put(0xde, static_cast<std::uint16_t>(members));
  } else {
    put(0xdf, static_cast<std::uint32_t>(members));
  }
}

void MsgpackWriter::begin_array(std::size_t elements) {
  if (elements < 16) {
    out_ += static_cast<char>(0x90U | elements);
  } else if (elements <= 0xffff) {
    put(0xdc, static_cast<std::uint16_t>(elements));
  } else {
    put(0xdd, static_cast<std::uint32_t>(elements));
  }
}

}  // namespace stratwire::detail

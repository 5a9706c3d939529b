/// Your own structs as messages, by naming their members once.
///
///   struct Trade { std::string symbol; double price = 0; std::uint64_t size = 0; };
///   STRATWIRE_DESCRIBE(Trade, symbol, price, size)
///
/// Such a struct travels as an Event: `event` is the name of the type, `data` an object of the
/// members in the order given. Members may be bool, integers, float, double, std::string,
/// std::string_view, std::optional and std::vector of these, and other described structs.
/// A name that is not a member of the struct does not compile.
///
/// When decoding, members that the struct does not have are skipped, a std::optional may be missing
/// or null, every other member must be there. Use it for messages of your own; prices and accounts
/// have faster forms of their own (message.hpp).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include <stratwire/message.hpp>
#include <stratwire/result.hpp>

namespace stratwire {

namespace detail {

/// One value after another, in either codec. Keeps the first error.
class ValueWriter {
 public:
  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void unsigned_integer(std::uint64_t value) = 0;
  virtual void signed_integer(std::int64_t value) = 0;
  virtual void floating(double value) = 0;
  virtual void text(std::string_view value) = 0;
  virtual void begin_object(std::size_t members) = 0;
  virtual void key(std::string_view name) = 0;
  virtual void end_object() = 0;
  virtual void begin_array(std::size_t elements) = 0;
  virtual void end_array() = 0;

 protected:
  ~ValueWriter() = default;
};

/// A value that was parsed. Each read answers false when it noted an error.
class ValueReader {
 public:
  struct Source;

  ValueReader(Source& source, std::uint32_t node) noexcept : source_(&source), node_(node) {}

  [[nodiscard]] bool is_null() const noexcept;
  bool boolean(bool& out) const;
  bool unsigned_integer(std::uint64_t& out) const;
  bool signed_integer(std::int64_t& out) const;
  bool floating(double& out) const;
  bool text(std::string_view& out) const;
  /// Whether it is an object, where members can be looked for.
  bool object() const;
  /// The member of that name; empty when there is none. False when there are two.
  bool member(std::string_view name, std::optional<ValueReader>& out) const;
  /// Elements of an array.
  bool array(std::size_t& elements) const;
  /// The first element, and the one behind an element. Precondition: there is one.
  [[nodiscard]] ValueReader first() const noexcept;
  [[nodiscard]] ValueReader next() const noexcept;

  /// Notes an error at this value.
  bool refuse(Errc code) const;
  /// Notes that this object lacks a member.
  bool refuse_missing(std::string_view type, std::string_view name) const;
  /// Adds the name of the member to the error noted inside of it, once.
  void name_error(std::string_view type, std::string_view name) const;

 private:
  Source* source_;
  std::uint32_t node_;
};

/// Empty, with the memory of its last use: publishing a struct allocates nothing once warm.
///
/// \lifetime  until the next call on this thread
[[nodiscard]] std::string& data_buffer() noexcept;

/// Calls `write` with a writer that appends to `out`; undone on error.
Result<void> write_value(Codec codec, const void* object,
                         void (*write)(ValueWriter& out, const void* object), std::string& out);
/// Calls `read` with the parsed value.
Result<void> read_value(const RawValue& value, void* object,
                        bool (*read)(const ValueReader& in, void* object));

template <class Struct, class Value>
struct Field {
  std::string_view name;
  Value Struct::*pointer;
};
template <class Struct, class Value>
Field(std::string_view, Value Struct::*) -> Field<Struct, Value>;

template <class... Fields>
struct Description {
  std::string_view name;
  std::tuple<Fields...> fields;
};

/// "Trade" of "my::Trade": the namespace is a matter of the program, not of the wire.
constexpr std::string_view unqualified(std::string_view name) noexcept {
  const std::size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

template <class... Fields>
constexpr Description<Fields...> make_description(std::string_view name, Fields... fields) {
  return {unqualified(name), std::tuple<Fields...>{fields...}};
}

}  // namespace detail

/// A struct with a STRATWIRE_DESCRIBE in its own namespace.
template <class T>
concept Described = requires(const T* type) {
  stratwire_describe(type).name;
};

/// The name that a described struct has as an Event.
template <Described T>
[[nodiscard]] constexpr std::string_view described_name() noexcept {
  return stratwire_describe(static_cast<const T*>(nullptr)).name;
}

namespace detail {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kUnsupported = false;

template <class T>
void write_member(ValueWriter& out, const T& value) {
  if constexpr (std::same_as<T, bool>) {
    out.boolean(value);
  } else if constexpr (std::unsigned_integral<T>) {
    out.unsigned_integer(value);
  } else if constexpr (std::signed_integral<T>) {
    out.signed_integer(value);
  } else if constexpr (std::floating_point<T> && sizeof(T) <= sizeof(double)) {
    out.floating(static_cast<double>(value));
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    out.text(value);
  } else if constexpr (kIsOptional<T>) {
    value ? write_member(out, *value) : out.null();
  } else if constexpr (kIsVector<T>) {
    out.begin_array(value.size());
    // By value type, because a std::vector<bool> hands out proxies.
    for (const typename T::value_type& item : value) write_member(out, item);
    out.end_array();
  } else if constexpr (Described<T>) {
    const auto description = stratwire_describe(static_cast<const T*>(nullptr));
    out.begin_object(std::tuple_size_v<decltype(description.fields)>);
    std::apply(
        [&](const auto&... fields) {
          ((out.key(fields.name), write_member(out, value.*fields.pointer)), ...);
        },
        description.fields);
    out.end_object();
  } else {
    static_assert(kUnsupported<T>,
                  "STRATWIRE_DESCRIBE: a member has a type that can't be sent; "
                  "describe.hpp lists those that can");
  }
}

template <class T>
bool read_member(const ValueReader& in, T& out);

template <class T>
bool read_integer(const ValueReader& in, T& out) {
  std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t> wide = 0;
  bool good = false;
  if constexpr (std::is_signed_v<T>) {
    good = in.signed_integer(wide);
  } else {
    good = in.unsigned_integer(wide);
  }
  if (!good) return false;
  if (wide > std::numeric_limits<T>::max() || wide < std::numeric_limits<T>::min()) {
    return in.refuse(Errc::out_of_range);
  }
  out = static_cast<T>(wide);
  return true;
}

template <class T>
bool read_floating(const ValueReader& in, T& out) {
  double wide = 0;
  if (!in.floating(wide)) return false;
  if (wide > std::numeric_limits<T>::max() || wide < std::numeric_limits<T>::lowest()) {
    return in.refuse(Errc::out_of_range);
  }
  out = static_cast<T>(wide);
  return true;
}

template <class T>
bool read_elements(const ValueReader& in, std::vector<T>& out) {
  std::size_t elements = 0;
  if (!in.array(elements)) return false;
  out.clear();
  out.reserve(elements);
  std::optional<ValueReader> item;
  for (std::size_t i = 0; i < elements; ++i) {
    item = i == 0 ? in.first() : item->next();
    T value{};
    if (!read_member(*item, value)) return false;
    out.push_back(std::move(value));
  }
  return true;
}

template <class T, class Field>
bool read_field(const ValueReader& in, std::string_view type, const Field& field, T& out) {
  std::optional<ValueReader> member;
  if (!in.member(field.name, member)) return false;
  auto& value = out.*field.pointer;
  if (!member) {
    if constexpr (kIsOptional<std::remove_cvref_t<decltype(value)>>) {
      value.reset();
      return true;
    }
    return in.refuse_missing(type, field.name);
  }
  if (read_member(*member, value)) return true;
  in.name_error(type, field.name);
  return false;
}

template <class T>
bool read_member(const ValueReader& in, T& out) {
  if constexpr (std::same_as<T, bool>) {
    return in.boolean(out);
  } else if constexpr (std::integral<T>) {
    return read_integer(in, out);
  } else if constexpr (std::floating_point<T> && sizeof(T) <= sizeof(double)) {
    return read_floating(in, out);
  } else if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
    std::string_view text;
    if (!in.text(text)) return false;
    out = text;
    return true;
  } else if constexpr (kIsOptional<T>) {
    out.reset();
    return in.is_null() || read_member(in, out.emplace());
  } else if constexpr (kIsVector<T>) {
    return read_elements(in, out);
  } else if constexpr (Described<T>) {
    if (!in.object()) return false;
    const auto description = stratwire_describe(static_cast<const T*>(nullptr));
    return std::apply(
        [&](const auto&... fields) {
          return (read_field(in, description.name, fields, out) && ...);
        },
        description.fields);
  } else {
    static_assert(kUnsupported<T>,
                  "STRATWIRE_DESCRIBE: a member has a type that can't be sent; "
                  "describe.hpp lists those that can");
  }
}

}  // namespace detail

/// Appends the `data` of the Event that a described struct travels as.
///
/// \errors  not_finite, invalid_utf8, too_deep beyond kNestingMax; `out` is then as it was before
/// \thread  any thread
template <Described T>
[[nodiscard]] Result<void> encode_data(Codec codec, const T& value, std::string& out) {
  return detail::write_value(
      codec, &value,
      [](detail::ValueWriter& writer, const void* object) {
        detail::write_member(writer, *static_cast<const T*>(object));
      },
      out);
}

/// Reads the `data` of an Event into a described struct.
///
/// \param out  some members may have been overwritten when an error is returned
/// \errors     of the decoder with the offset in data.bytes, missing_member, wrong_type and
///             out_of_range; these name the member in Error::context
/// \lifetime   std::string_view members point into data.bytes, or, where a text had escapes, into
///             memory of this thread that is valid until it calls decode_data() again
/// \thread     any thread
template <Described T>
[[nodiscard]] Result<void> decode_data(const RawValue& data, T& out) {
  return detail::read_value(data, &out, [](const detail::ValueReader& reader, void* object) {
    return detail::read_member(reader, *static_cast<T*>(object));
  });
}

}  // namespace stratwire

// ---- The macro: applies STRATWIRE_DETAIL_FIELD to up to 256 names.

#define STRATWIRE_DETAIL_PARENS ()
#define STRATWIRE_DETAIL_EXPAND(...) \
  STRATWIRE_DETAIL_EXPAND4(          \
      STRATWIRE_DETAIL_EXPAND4(STRATWIRE_DETAIL_EXPAND4(STRATWIRE_DETAIL_EXPAND4(__VA_ARGS__))))
#define STRATWIRE_DETAIL_EXPAND4(...) \
  STRATWIRE_DETAIL_EXPAND3(           \
      STRATWIRE_DETAIL_EXPAND3(STRATWIRE_DETAIL_EXPAND3(STRATWIRE_DETAIL_EXPAND3(__VA_ARGS__))))
#define STRATWIRE_DETAIL_EXPAND3(...) \
  STRATWIRE_DETAIL_EXPAND2(           \
      STRATWIRE_DETAIL_EXPAND2(STRATWIRE_DETAIL_EXPAND2(STRATWIRE_DETAIL_EXPAND2(__VA_ARGS__))))
#define STRATWIRE_DETAIL_EXPAND2(...) \
  STRATWIRE_DETAIL_EXPAND1(           \
      STRATWIRE_DETAIL_EXPAND1(STRATWIRE_DETAIL_EXPAND1(STRATWIRE_DETAIL_EXPAND1(__VA_ARGS__))))
#define STRATWIRE_DETAIL_EXPAND1(...) __VA_ARGS__

#define STRATWIRE_DETAIL_FIELD(Type, name) \
  ::stratwire::detail::Field {             \
#name, &Type::name                     \
  }
#define STRATWIRE_DETAIL_FIELDS(Type, name, ...) \
  STRATWIRE_DETAIL_FIELD(Type, name)             \
  __VA_OPT__(, STRATWIRE_DETAIL_AGAIN STRATWIRE_DETAIL_PARENS(Type, __VA_ARGS__))
#define STRATWIRE_DETAIL_AGAIN() STRATWIRE_DETAIL_FIELDS

/// Describes a struct: its name, then the members that travel. At namespace scope, in the
/// namespace of the struct, behind its definition.
#define STRATWIRE_DESCRIBE(Type, ...)                                                \
  [[maybe_unused]] constexpr auto stratwire_describe(const Type*) {                  \
    return ::stratwire::detail::make_description(                                    \
        #Type, STRATWIRE_DETAIL_EXPAND(STRATWIRE_DETAIL_FIELDS(Type, __VA_ARGS__))); \
  }

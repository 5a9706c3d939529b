/// A value or an Error.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <stratwire/error.hpp>

namespace stratwire {

/// Thrown by `Result::value()` only.
///
/// \thread immutable
class BadResult : public std::exception {
 public:
  explicit BadResult(Error error) : error_(std::move(error)), text_(error_.message()) {}
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
  [[nodiscard]] const Error& error() const noexcept { return error_; }

 private:
  Error error_;
  std::string text_;
};

/// What a call that can fail returns, for both camps: `.error()` never throws, `.value()` does.
///
/// \thread one thread at a time
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  Result(Errc code) : state_(std::in_place_index<1>, Error{code}) {}         // NOLINT

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  /// The error; `Errc::ok` when there is none.
  [[nodiscard]] const Error& error() const noexcept {
    static const Error none{};
    const Error* const error = std::get_if<1>(&state_);
    return error != nullptr ? *error : none;
  }
  /// The value; throws BadResult when there is none.
  [[nodiscard]] T& value() & { return checked(*this); }
  [[nodiscard]] const T& value() const& { return checked(*this); }
  [[nodiscard]] T value() && { return std::move(checked(*this)); }

  /// Precondition: ok().
  [[nodiscard]] T& operator*() noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& operator*() const noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }

 private:
  template <class Self>
  static auto& checked(Self& self) {
    if (!self.ok()) throw BadResult(self.error());
    return *std::get_if<0>(&self.state_);
  }

  std::variant<T, Error> state_;
};

/// Success, or an Error. Costs nothing to make when all is well.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  // Not defaulted: `return {}` would then clear the room for the Error, too.
  Result() noexcept {}                               // NOLINT: modernize-use-equals-default
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit
  Result(Errc code) : error_(Error{code}) {}         // NOLINT

  [[nodiscard]] bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const noexcept {
    static const Error none{};
    return error_ ? *error_ : none;
  }
  void value() const {
    if (error_) throw BadResult(*error_);
  }

 private:
  std::optional<Error> error_{};
};

}  // namespace stratwire

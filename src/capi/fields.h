// The fields of a JSON object that a caller of the C API passes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strict_json.h"
#include "pyro/error.h"
#include "pyro/machine.h"

namespace pyro::capi {

/// The fields of one object. Each is read at most once, and refuse_rest() finds mistyped names.
class Fields {
 public:
  explicit Fields(std::string_view text) : object_(nlohmann::json::object()) {
    if (!text.empty()) object_ = parse_strict_json(text, ErrorCode::usage);
    if (!object_.is_object()) throw Error(ErrorCode::usage, "the options are not an object");
  }

  /// Leaves `target` as it is when there is no such field, or null.
  template <typename T>
  void read(const char* name, T& target) {
    const auto field = object_.find(name);
    if (field == object_.end()) return;
    if (!field->is_null()) assign(name, *field, target);
    object_.erase(field);
  }

  void refuse_rest() const {
    if (object_.empty()) return;
    throw Error(ErrorCode::usage, "options: there is no field '" + object_.begin().key() + "'");
  }

  [[noreturn]] static void refuse(const char* name, const char* expected) {
    throw Error(ErrorCode::usage, std::string("options: field '") + name + "' is not " + expected);
  }

 private:
  static void assign(const char* name, const nlohmann::json& value, bool& target) {
    if (!value.is_boolean()) refuse(name, "true or false");
    target = value.get<bool>();
  }

  static void assign(const char* name, const nlohmann::json& value, int& target) {
    constexpr std::uint64_t kMax = 1000;
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax) {
      refuse(name, "a number from 0 to 1000");
    }
    target = value.get<int>();
  }

  static void assign(const char* name, const nlohmann::json& value, unsigned& target) {
    constexpr std::uint64_t kMax = kMaxDiskMib;  // the largest of them
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax) {
      refuse(name, "a number in its bounds");
    }
    target = value.get<unsigned>();
  }

  static void assign(const char* name, const nlohmann::json& value, std::uint64_t& target) {
    // A file's size is signed.
    constexpr auto kMax = std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax) {
      refuse(name, "a number of bytes");
    }
    target = value.get<std::uint64_t>();
  }

  template <typename Period>
  static void assign(const char* name, const nlohmann::json& value,
                     std::chrono::duration<std::int64_t, Period>& target) {
    constexpr double kMax = 1e9;  // Thirty years.
    if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > kMax) {
      refuse(name, "a number of seconds");
    }
    const std::chrono::duration<double> seconds(value.get<double>());
    target = std::chrono::round<std::chrono::duration<std::int64_t, Period>>(seconds);
  }

  static void assign(const char* name, const nlohmann::json& value, std::string& target) {
    if (!value.is_string()) refuse(name, "a string");
    target = value.get<std::string>();
    if (target.find('\0') != target.npos) refuse(name, "a string without a zero byte");
  }

  static void assign(const char* name, const nlohmann::json& value, std::filesystem::path& target) {
    std::string text;
    assign(name, value, text);
    if (text.empty()) refuse(name, "a path");
    target = std::move(text);
  }

  template <typename T>
  static void assign(const char* name, const nlohmann::json& value, std::vector<T>& target) {
    if (!value.is_array()) refuse(name, "a list");
    target.clear();
    for (const nlohmann::json& element : value) assign(name, element, target.emplace_back());
  }

  template <typename T>
  static void assign(const char* name, const nlohmann::json& value, std::optional<T>& target) {
    assign(name, value, target.emplace());
  }

  nlohmann::json object_;
};

}  // namespace pyro::capi

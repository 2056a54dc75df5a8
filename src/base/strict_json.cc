// JSON without ambiguities, read at a bounded cost.
#include "base/strict_json.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pyro/error.h"

namespace pyro {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// No document of pyro needs ten; each level takes memory.
constexpr std::size_t kMaxDepth = 64;
/// The length of a key in a message.
constexpr std::size_t kMaxShownKey = 100;

/// The parser's text after "syntax error while parsing value - ", without the part that quotes the
/// document: that may be a password.
std::string detail_of(std::string_view what) {
  constexpr std::string_view kMark = " - ";
  const std::size_t mark = what.find(kMark);
  if (mark == what.npos) return {};
  const std::string_view detail = what.substr(mark + kMark.size());
  return ": " + std::string(detail.substr(0, detail.find("; last read: ")));
}

/// Builds the document while it is read. A parser with a callback would copy each open object's
/// children at every value, which takes hours for 4 MiB.
template <typename Json>
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, ErrorCode code, const std::stop_token& stop)
      : text_(text), code_(code), stop_(stop) {}

  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(typename Json::binary_t&) override { return false; }  // not in JSON

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    Level& level = levels_.back();
    const auto [key, is_new] = level.keys.insert(std::move(name));
    if (!is_new) refuse_second(*key);
    level.key = &*key;
    level.slot = &append(level.value->template get_ref<typename Json::object_t&>(), *key);
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&,
                   const nlohmann::json::exception& error) override {
    const std::string_view before = text_.substr(0, byte == 0 ? 0 : byte - 1);
    const auto line = 1 + std::ranges::count(before, '\n');
    const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    const bool has_place = dynamic_cast<const nlohmann::json::parse_error*>(&error) != nullptr;
    throw Error(code_, has_place
                           ? "line " + std::to_string(line) + ", column " + std::to_string(column) +
                                 ": not valid JSON" + detail_of(error.what())
                           : "not valid JSON");  // a number beyond every type
  }

 private:
  /// An open object or array. It does not move in memory while it is open: its parent grows only
  /// after it is closed.
  struct Level {
    Json* value;
    std::set<std::string> keys = {};
    const std::string* key = nullptr;  // of an object: the key of the next or the open value
    Json* slot = nullptr;
  };

  static json& append(json::object_t& object, const std::string& key) { return object[key]; }
  /// ordered_json's own emplace() goes through all keys.
  static ordered_json& append(ordered_json::object_t& object, const std::string& key) {
    return object.emplace_back(key, nullptr).second;
  }

  Json& place(Json value) {
    if (stop_.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    if (++values_ > kMaxJsonValues) {
      throw Error(code_, "more than " + std::to_string(kMaxJsonValues) + " values");
    }
    if (levels_.empty()) return root_ = std::move(value);
    Level& level = levels_.back();
    if (level.slot == nullptr) return level.value->emplace_back(std::move(value));
    return *level.slot = std::move(value);
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (levels_.size() == kMaxDepth) {
      throw Error(code_, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    Json& placed = place(std::move(value));
    levels_.push_back({.value = &placed});
    return true;
  }

  bool close() {
    levels_.pop_back();
    return true;
  }

  [[noreturn]] void refuse_second(const std::string& key) const {
    const std::string where = path_of_open_object();
    const std::string shown = key.size() > kMaxShownKey ? key.substr(0, kMaxShownKey) + "..." : key;
    throw Error(code_, where + (where.empty() ? "" : ": ") + "field '" + shown + "': given twice");
  }

  [[nodiscard]] std::string path_of_open_object() const {
    std::string path;
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      const Level& level = levels_[i];
      if (level.value->is_array()) path += '[' + std::to_string(level.value->size() - 1) + ']';
      if (level.key == nullptr) continue;
      path += (path.empty() ? "" : ".") + level.key->substr(0, kMaxShownKey);
    }
    return path;
  }

  std::string_view text_;
  ErrorCode code_;
  const std::stop_token& stop_;
  Json root_;
  std::vector<Level> levels_;
  std::size_t values_ = 0;
};

template <typename Json>
Json build(std::string_view text, ErrorCode code, const std::stop_token& stop) {
  Builder<Json> builder(text, code, stop);
  Json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace

json parse_strict_json(std::string_view text, ErrorCode code, const std::stop_token& stop) {
  return build<json>(text, code, stop);
}

ordered_json parse_ordered_json(std::string_view text, ErrorCode code) {
  return build<ordered_json>(text, code, {});
}

json parse_strict_json_or_null(std::string_view text) {
  try {
    return parse_strict_json(text, ErrorCode::failed);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace pyro

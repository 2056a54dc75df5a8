// JSON read so that everybody who reads it reads the same.
#include "base/strict_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "pyro/error.h"

namespace pyro {
namespace {

using nlohmann::json;

/// No document of ours needs ten; memory for the rest would be given to whoever wrote it.
constexpr std::size_t kDeepest = 64;

/// Where the parser stands: the keys of every open object, the index in every open array.
class KeyWatch {
 public:
  explicit KeyWatch(ErrorCode code) : code_(code) {}

  void see(json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        open(false);
        break;
      case json::parse_event_t::array_start:
        open(true);
        break;
      case json::parse_event_t::key:
        enter(parsed.get_ref<const std::string&>());
        break;
      case json::parse_event_t::value:
        count();
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        levels_.pop_back();
        count();
        break;
    }
  }

 private:
  struct Level {
    bool is_array;
    std::size_t index = 0;
    std::string key;
    std::set<std::string> keys;
  };

  void open(bool is_array) {
    if (levels_.size() == kDeepest) {
      throw Error(code_, "nested deeper than " + std::to_string(kDeepest) + " levels");
    }
    levels_.push_back({.is_array = is_array, .key = {}, .keys = {}});
  }

  void count() {
    if (!levels_.empty() && levels_.back().is_array) ++levels_.back().index;
  }

  void enter(const std::string& key) {
    Level& level = levels_.back();
    if (!level.keys.insert(key).second) {
      const std::string where = path_of_open_object();
      throw Error(code_, where + (where.empty() ? "" : ": ") + "field '" + key + "': given twice");
    }
    level.key = key;
  }

  [[nodiscard]] std::string path_of_open_object() const {
    std::string path;
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      const Level& level = levels_[i];
      if (level.is_array) path += '[' + std::to_string(level.index) + ']';
      if (!level.is_array) path += (path.empty() ? "" : ".") + level.key;
    }
    return path;
  }

  ErrorCode code_;
  std::vector<Level> levels_;
};

/// What the parser says after "syntax error while parsing value - ", but not what it read last:
/// that may be a password.
std::string detail_of(std::string_view what) {
  constexpr std::string_view kMark = " - ";
  const std::size_t mark = what.find(kMark);
  if (mark == what.npos) return {};
  const std::string_view detail = what.substr(mark + kMark.size());
  return ": " + std::string(detail.substr(0, detail.find("; last read: ")));
}

Error syntax_error(std::string_view text, const json::parse_error& error, ErrorCode code) {
  const std::string_view before = text.substr(0, error.byte == 0 ? 0 : error.byte - 1);
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  return Error(code, "line " + std::to_string(line) + ", column " + std::to_string(column) +
                         ": not valid JSON" + detail_of(error.what()));
}

}  // namespace

json parse_strict_json(std::string_view text, ErrorCode code) {
  KeyWatch watch(code);
  try {
    return json::parse(text, [&](int, json::parse_event_t event, json& parsed) {
      watch.see(event, parsed);
      return true;
    });
  } catch (const json::parse_error& error) {
    throw syntax_error(text, error, code);
  } catch (const json::exception&) {  // a number beyond every type
    throw Error(code, "not valid JSON");
  }
}

}  // namespace pyro

// JSON read so that everybody who reads it reads the same.
#include "oci/strict_json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace pyro {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;

/// Watches the parser go and throws at what it would pass over.
class Watcher {
 public:
  explicit Watcher(ErrorCode code) : code_(code) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    if (depth > kMaxDepth) throw Error(code_, "the JSON is nested too deeply");
    if (event == Json::parse_event_t::object_start) names_.emplace_back();
    if (event == Json::parse_event_t::object_end) names_.pop_back();
    if (event == Json::parse_event_t::key) take_name(value.get_ref<const std::string&>());
    return true;
  }

 private:
  void take_name(const std::string& name) {
    if (!names_.back().insert(name).second) {
      throw Error(code_, "the JSON has \"" + name + "\" twice in one object");
    }
  }

  ErrorCode code_;
  std::vector<std::set<std::string>> names_;
};

}  // namespace

Json parse_strict_json(std::string_view text, ErrorCode code) {
  Watcher watcher(code);
  try {
    return Json::parse(text, std::ref(watcher));
  } catch (const Json::parse_error& error) {
    throw Error(code, "not valid JSON at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {  // A number beyond every type.
    throw Error(code, "not valid JSON");
  }
}

}  // namespace pyro

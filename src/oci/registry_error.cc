// The answers of a registry or token server that refuses.
#include "oci/registry_error.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/strict_json.h"
#include "base/text.h"
#include "net/http.h"
#include "net/retry.h"
#include "net/url.h"

namespace pyro {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxShown = std::size_t{8} << 10;

void append_part(std::string& text, std::string_view separator, const Json& object,
                 const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || !field->is_string() ||
      field->get_ref<const std::string&>().empty()) {
    return;
  }
  if (!text.empty()) text += separator;
  text += field->get_ref<const std::string&>();
}

/// "CODE: message; CODE: message"
std::string render_errors(const Json& errors) {
  std::string all;
  for (const Json& error : errors) {
    if (!error.is_object()) continue;
    std::string one;
    append_part(one, ": ", error, "code");
    append_part(one, ": ", error, "message");
    if (!all.empty() && !one.empty()) all += "; ";
    all += one;
  }
  return all;
}

/// Empty when the body is not the JSON of the specification, as with many proxies.
std::string registry_errors(const std::string& body) {
  try {
    const Json document = parse_strict_json(body, ErrorCode::network);
    if (!document.is_object()) return {};
    const auto errors = document.find("errors");
    if (errors != document.end() && errors->is_array()) return render_errors(*errors);
    std::string details;  // Docker Hub's token server has its own form.
    append_part(details, "", document, "details");
    return details;
  } catch (const Error&) {
    return {};
  }
}

std::string hint_for(int status) {
  if (status == 401 || status == 403) return "check that you are logged in and may read it";
  if (status == 404) return "check the registry, the repository and the tag";
  if (status == 511) return "a captive portal wants a login first: open a browser";
  if (status == 429) return "it limits how often it answers: wait, or log in for a higher limit";
  if (status >= 500) return "the fault is on that side: try again later";
  return {};
}

}  // namespace

std::string describe_answer(const HttpResponse& response) {
  std::string text = std::to_string(response.status);
  if (response.media_type() == "text/html") return text + " with a web page";
  const std::string errors = registry_errors(response.body).substr(0, kMaxShown);
  return errors.empty() ? text : text + " " + errors;
}

void refuse_page_of_registry(const HttpResponse& response) {
  refuse_web_page(response, "as a registry");
}

void throw_registry_error(const Error& error, const HttpResponse& response) {
  if (response.status == 404) throw NotThere(error);
  throw_by_status(error, response);
}

Error registry_refusal(const std::string& speaker, const HttpResponse& response) {
  Error error(ErrorCode::network, "the request was for " + redact(response.url),
              hint_for(response.status));
  error.add_context(speaker + " answered " + describe_answer(response));
  return error;
}

}  // namespace pyro

// Pushes images into real registries byte for byte, also those that skopeo would not touch.
#include "support/raw_push.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include "support/process.h"

namespace pyro::testing {
namespace {

class Upload {
 public:
  Upload(std::string repository_url, const RawPushOptions& options)
      : url_(std::move(repository_url)), options_(options) {}

  void blob(const std::string& digest, const std::string& bytes) const {
    const std::string location =
        header_value(curl({"-X", "POST", url_ + "/blobs/uploads/"}, {}, "202"), "Location: ");
    const char separator = location.find('?') == std::string::npos ? '?' : '&';
    put(location + separator + "digest=" + digest, "application/octet-stream", bytes);
  }

  void document(const std::string& reference, const Document& document) const {
    put(url_ + "/manifests/" + reference, document.media_type, document.bytes);
  }

 private:
  void put(const std::string& url, const std::string& type, const std::string& bytes) const {
    curl({"-X", "PUT", "-H", "Content-Type: " + type, "--data-binary", "@-", url}, bytes, "201");
  }

  // The head and body of the answer.
  std::string curl(const std::vector<std::string>& more, const std::string& body,
                   const std::string& wanted_status) const {
    Command command{.argv = {"curl", "-sS", "-i", "-w", "\n%{http_code}"}, .stdin_text = body};
    const auto add = [&](std::initializer_list<std::string> words) {
      command.argv.insert(command.argv.end(), words);
    };
    if (options_.certificate_file.empty()) add({"--insecure"});
    if (!options_.certificate_file.empty()) add({"--cacert", options_.certificate_file.string()});
    if (!options_.authorization.empty()) add({"-H", "Authorization: " + options_.authorization});
    command.argv.insert(command.argv.end(), more.begin(), more.end());
    const std::string answer = run_checked(command).out;
    if (answer.ends_with("\n" + wanted_status)) return answer;
    throw std::runtime_error(fmt::format("{}: refused:\n{}", more.back(), answer));
  }

  // HTTP/2 writes names in lower case.
  static std::string header_value(const std::string& answer, const std::string& name) {
    const auto same = [](char a, char b) { return std::tolower(a) == std::tolower(b); };
    const auto at = std::search(answer.begin(), answer.end(), name.begin(), name.end(), same);
    if (at == answer.end()) throw std::runtime_error("no " + name + " in\n" + answer);
    const auto begin = at + static_cast<std::ptrdiff_t>(name.size());
    return {begin, std::find(begin, answer.end(), '\r')};
  }

  const std::string url_;
  const RawPushOptions& options_;
};

bool is_index(const Document& document) {
  return document.bytes.find("\"manifests\"") != std::string::npos;
}

}  // namespace

void push_raw(const Image& image, const std::string& registry_url, const std::string& repository,
              const std::string& tag, const RawPushOptions& options) {
  const Upload upload(fmt::format("{}/v2/{}", registry_url, repository), options);
  for (const auto& [digest, bytes] : image.blobs) upload.blob(digest, bytes);
  // What a document refers to must be there before it.
  for (const bool indexes : {false, true}) {
    for (const auto& [digest, document] : image.documents) {
      if (digest != image.digest() && is_index(document) == indexes) {
        upload.document(digest, document);
      }
    }
  }
  upload.document(tag, image.root);
}

}  // namespace pyro::testing

// The executable beside a fake registry that it trusts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scenarios/harness.h"
#include "support/fake_registry.h"
#include "support/hash.h"

namespace pyro::testing {

inline constexpr char kRepository[] = "team/tool";
inline constexpr char kUser[] = "robin";
inline constexpr char kPassword[] = "s3cret/pass:word";

class RegistryHarness : public PyroHarness {
 protected:
  explicit RegistryHarness(const FakeRegistryOptions& options = {}) { start_registry(options); }

  /// Replaces the registry by a new one, trusted like the old one.
  void start_registry(const FakeRegistryOptions& options = {}) {
    registry_ = std::make_unique<FakeRegistry>(options);
    variables_["SSL_CERT_FILE"] = registry_->certificate_file().string();
  }

  /// Puts `image` there as "1" and into the catalog as "tool:1".
  void offer(const Image& image, const std::string& host_name = "localhost") {
    registry_->put(kRepository, "1", image);
    use_catalog({oci_entry(registry_->host(host_name))});
  }

  /// ~/.docker/config.json
  void log_in(const std::string& host, const std::string& user = kUser,
              const std::string& password = kPassword) const {
    const nlohmann::json auths{{"auths", {{host, {{"auth", base64(user + ":" + password)}}}}}};
    write_secret(home() / ".docker/config.json", auths.dump());
  }

  /// A registry with kUser and kPassword.
  static AuthOptions auth(AuthOptions::Mode mode) {
    AuthOptions options{.mode = mode};
    options.user = kUser;
    options.password = kPassword;
    return options;
  }

  /// All credentials that were sent, and their parts.
  std::vector<std::string> secrets() const {
    std::vector<std::string> all = {kPassword, base64(std::string(kUser) + ":" + kPassword),
                                    "fake-token", "signature=", "top-secret"};
    for (const RecordedRequest& request : registry_->requests()) {
      const std::string sent = request.request.header("Authorization").value_or("");
      if (!sent.empty()) all.push_back(sent.substr(sent.find(' ') + 1));
    }
    return all;
  }

  std::unique_ptr<FakeRegistry> registry_;
};

}  // namespace pyro::testing

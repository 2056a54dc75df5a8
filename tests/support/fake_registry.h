// A registry inside the test: real sockets, images put into it, and faults as data.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/certificates.h"
#include "support/http_server.h"
#include "support/images.h"
#include "support/registry_auth.h"
#include "support/registry_faults.h"
#include "support/temp_dir.h"

namespace pyro::testing {

/// One request as the fake registry saw it.
struct RecordedRequest {
  Listener listener = Listener::registry;
  RequestKind kind = RequestKind::other;
  std::string repository = {};
  std::string reference = {};  ///< Tag or digest.
  HttpRequest request = {};
  int status = 0;  ///< Of the answer, after its faults.
};

struct FakeRegistryOptions {
  bool tls = true;
  LeafOptions certificate = {};  ///< expired_leaf(), wrong_host_leaf() ...
  bool self_signed = false;      ///< Not from the authority of certificate_file().
  /// Clients have to show a certificate of its own authority: see issue().
  bool wants_client_certificate = false;
  /// Where redirects lead to is good for one request, as signed links that expire: then 403.
  bool links_work_once = false;
};

/// Serves on 127.0.0.1 as long as it lives:
///   registry  /v2/..., /token and /redirected/...
///   cdn       /redirected/...: another origin; 400 to every request with Authorization
///   token     /token: another port of the same host
///   plain     /redirected/... by plain http
/// All but `plain` use TLS by default. Every method is thread-safe.
class FakeRegistry {
 public:
  explicit FakeRegistry(const FakeRegistryOptions& options = {});
  ~FakeRegistry();

  /// Everything in the image by digest, and its root as `tag` unless that is empty. The same tag
  /// again moves it.
  void put(const std::string& repository, const std::string& tag, const Image& image);
  /// The blob then answers 404.
  void remove_blob(const std::string& repository, const std::string& digest);

  void set_auth(const AuthOptions& options);
  void add_rule(const Match& when, const Fault& then);
  /// What held_after() holds goes on.
  void clear_rules();

  /// "localhost:PORT"; with another name of this machine ("127.0.0.1") it is another host to
  /// clients that compare names.
  std::string host(const std::string& name = "localhost") const;
  std::string url(Listener listener = Listener::registry,
                  const std::string& name = "localhost") const;
  /// A realm on the same host, another port; or on another host.
  std::string token_realm(const std::string& name = "localhost") const;
  /// The authority to trust.
  std::filesystem::path certificate_file() const { return authority_.certificate_file(); }
  std::filesystem::path certificate_dir() const { return authority_.certificate_dir(); }
  KeyPair issue(const LeafOptions& options) const { return authority_.issue(options); }
  const HttpServer& server(Listener listener) const;

  /// Everything asked so far, in the order of arrival, the refused ones too.
  std::vector<RecordedRequest> requests() const;
  int count(RequestKind kind, const std::string& reference = {}) const;
  /// Whether a request with an Authorization header reached that listener.
  bool saw_authorization(Listener listener) const;
  bool saw_any_request(Listener listener) const;
  void forget_requests();

 private:
  struct Repository {
    std::map<std::string, std::string> tags;
    std::map<std::string, Document> documents;
    std::map<std::string, std::string> blobs;
    std::set<std::string> configs;  // digests, as JSON
  };
  struct CountedRule {
    Rule rule;
    int seen = 0;
  };

  std::unique_ptr<HttpServer> start(Listener listener, const std::optional<KeyPair>& tls);
  HttpResponse handle(Listener listener, const HttpRequest& request);
  bool is_config(const RecordedRequest& request) const;
  std::vector<Fault> faults_for(const RecordedRequest& request, bool refused);
  HttpResponse answer(const RecordedRequest& request, const std::vector<Fault>& faults);
  HttpResponse content(const RecordedRequest& request);
  HttpResponse stored(const RecordedRequest& request) const;
  HttpResponse redirect(const RedirectFault& redirect, const RecordedRequest& request);

  TempDir dir_;
  CertificateAuthority authority_;
  RegistryAuth auth_;
  mutable std::mutex mutex_;  // guards what follows up to the servers
  std::map<std::string, Repository> repositories_;
  std::vector<CountedRule> rules_;
  std::vector<RecordedRequest> requests_;
  int signatures_ = 0;
  std::set<std::string> used_signatures_;
  const bool links_work_once_;
  const bool wants_client_certificate_;
  std::array<std::unique_ptr<HttpServer>, 4> servers_;  // last: they end before what they use
};

}  // namespace pyro::testing

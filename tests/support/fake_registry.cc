// A registry inside the test: real sockets, images put into it, and faults as data.
#include "support/fake_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "support/apply_faults.h"

namespace pyro::testing {
namespace {

HttpResponse not_found(const std::string& code) {
  const nlohmann::json body{{"errors", {{{"code", code}, {"message", "not known here"}}}}};
  return {.status = 404,
          .headers = {{"Content-Type", "application/json; charset=utf-8"}},
          .body = body.dump() + "\n"};
}

HttpResponse found(const std::string& type, const std::string& digest, const std::string& bytes) {
  return {.headers = {{"Content-Type", type},
                      {"Docker-Content-Digest", digest},
                      {"Docker-Distribution-Api-Version", "registry/2.0"}},
          .body = bytes};
}

// As S3 words them.
HttpResponse storage_error(int status, const std::string& code) {
  return {.status = status,
          .headers = {{"Content-Type", "application/xml"}},
          .body = fmt::format("<Error><Code>{}</Code></Error>\n", code)};
}

// Splits "PREFIX NAME MARK REFERENCE" of a path into name and reference.
bool split(std::string_view path, std::string_view prefix, std::string_view mark,
           RecordedRequest& request) {
  const std::size_t at = path.rfind(mark);
  if (!path.starts_with(prefix) || at == std::string_view::npos || at < prefix.size()) return false;
  request.repository = path.substr(prefix.size(), at - prefix.size());
  request.reference = path.substr(at + mark.size());
  return true;
}

RequestKind kind_of(RecordedRequest& request) {
  const std::string_view path = request.request.path;
  if (path == "/token") return RequestKind::token;
  if (path == "/v2/" || path == "/v2") return RequestKind::ping;
  if (split(path, "/v2/", "/manifests/", request)) return RequestKind::manifest;
  if (split(path, "/v2/", "/blobs/", request)) return RequestKind::blob;
  if (split(path, "/redirected/", "/manifests/", request)) return RequestKind::redirected;
  if (split(path, "/redirected/", "/blobs/", request)) return RequestKind::redirected;
  return RequestKind::other;
}

// What the client calls this machine, so that links lead to the same name.
std::string name_in(const HttpRequest& request) {
  const std::string host = request.header("Host").value_or("localhost");
  return host.substr(0, host.rfind(':'));
}

bool agrees(const Match& match, const RecordedRequest& request, bool refused) {
  const bool ranged = request.request.header("Range").has_value();
  return match.refused == refused &&
         (match.kind == RequestKind::any || match.kind == request.kind) &&
         (match.repository.empty() || match.repository == request.repository) &&
         (match.reference.empty() || match.reference == request.reference) &&
         (match.method.empty() || match.method == request.request.method) &&
         (!match.listener || match.listener == request.listener) &&
         (!match.ranged || match.ranged == ranged);
}

bool is_blob(const RecordedRequest& request) {
  return request.kind == RequestKind::blob || request.kind == RequestKind::config ||
         (request.kind == RequestKind::redirected &&
          request.request.path.find("/blobs/") != std::string::npos);
}

/// The digest of its config; empty where it names none.
std::string config_of(const Document& document) {
  const auto content = nlohmann::json::parse(document.bytes, nullptr, false);
  if (!content.is_object() || !content.contains("config")) return {};
  const nlohmann::json& config = content["config"];
  return config.is_object() ? config.value("digest", nlohmann::json("")).dump() : "";
}

}  // namespace

FakeRegistry::FakeRegistry(const FakeRegistryOptions& options)
    // Two of one name would be taken for each other.
    : authority_(dir_.path(), "authority of " + dir_.path().filename().string()),
      links_work_once_(options.links_work_once),
      wants_client_certificate_(options.wants_client_certificate) {
  std::optional<KeyPair> tls;
  if (options.tls) {
    tls = options.self_signed ? self_signed(dir_.path(), options.certificate)
                              : authority_.issue(options.certificate);
  }
  const std::lock_guard lock(
      mutex_);  // Whoever handles a request takes it, and then sees them all.
  for (const Listener listener : {Listener::registry, Listener::cdn, Listener::token}) {
    servers_[static_cast<std::size_t>(listener)] = start(listener, tls);
  }
  servers_[static_cast<std::size_t>(Listener::plain)] = start(Listener::plain, std::nullopt);
}

FakeRegistry::~FakeRegistry() = default;

std::unique_ptr<HttpServer> FakeRegistry::start(Listener listener,
                                                const std::optional<KeyPair>& tls) {
  const bool asks = wants_client_certificate_ && listener == Listener::registry;
  return std::make_unique<HttpServer>(
      HttpServerOptions{
          .tls = tls,
          .client_authority = asks ? authority_.certificate_file() : std::filesystem::path()},
      [this, listener](const HttpRequest& request) { return handle(listener, request); });
}

void FakeRegistry::put(const std::string& repository, const std::string& tag, const Image& image) {
  const std::lock_guard lock(mutex_);
  Repository& into = repositories_[repository];
  into.documents.insert(image.documents.begin(), image.documents.end());
  into.blobs.insert(image.blobs.begin(), image.blobs.end());
  for (const auto& [digest, document] : image.documents) into.configs.insert(config_of(document));
  if (!tag.empty()) into.tags[tag] = image.digest();
}

void FakeRegistry::remove_blob(const std::string& repository, const std::string& digest) {
  const std::lock_guard lock(mutex_);
  repositories_[repository].blobs.erase(digest);
}

void FakeRegistry::set_auth(const AuthOptions& options) {
  auth_.set(options);
}

void FakeRegistry::add_rule(const Match& when, const Fault& then) {
  const std::lock_guard lock(mutex_);
  rules_.push_back({{when, then}});
}

void FakeRegistry::clear_rules() {
  const std::lock_guard lock(mutex_);
  rules_.clear();
  for (const auto& server : servers_) server->release();
}

std::string FakeRegistry::host(const std::string& name) const {
  return server(Listener::registry).host(name);
}

std::string FakeRegistry::url(Listener listener, const std::string& name) const {
  return server(listener).url(name);
}

std::string FakeRegistry::token_realm(const std::string& name) const {
  return url(Listener::token, name) + "/token";
}

const HttpServer& FakeRegistry::server(Listener listener) const {
  return *servers_[static_cast<std::size_t>(listener)];
}

std::vector<RecordedRequest> FakeRegistry::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

int FakeRegistry::count(RequestKind kind, const std::string& reference) const {
  const auto all = requests();
  return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const RecordedRequest& one) {
    return (kind == RequestKind::any || one.kind == kind) &&
           (reference.empty() || one.reference == reference);
  }));
}

bool FakeRegistry::saw_authorization(Listener listener) const {
  const auto all = requests();
  return std::any_of(all.begin(), all.end(), [&](const RecordedRequest& one) {
    return one.listener == listener && one.request.header("Authorization");
  });
}

bool FakeRegistry::saw_any_request(Listener listener) const {
  const auto all = requests();
  return std::any_of(all.begin(), all.end(),
                     [&](const RecordedRequest& one) { return one.listener == listener; });
}

void FakeRegistry::forget_requests() {
  const std::lock_guard lock(mutex_);
  requests_.clear();
}

HttpResponse FakeRegistry::handle(Listener listener, const HttpRequest& http) {
  RecordedRequest request{.listener = listener, .request = http};
  request.kind = kind_of(request);
  const bool guarded = listener == Listener::registry && request.kind != RequestKind::token &&
                       request.kind != RequestKind::redirected;
  std::unique_lock lock(mutex_);
  const std::string url = server(listener).url(name_in(http));
  lock.unlock();
  std::optional<HttpResponse> refusal;
  if (guarded) refusal = auth_.refuse(http, request.repository, url);
  lock.lock();
  if (request.kind == RequestKind::blob && is_config(request)) request.kind = RequestKind::config;
  const auto faults = faults_for(request, refusal.has_value());
  HttpResponse response =
      refusal ? apply_faults(std::move(*refusal), http, faults, false) : answer(request, faults);
  request.status = response.status;
  requests_.push_back(std::move(request));
  return response;
}

bool FakeRegistry::is_config(const RecordedRequest& request) const {
  const auto repository = repositories_.find(request.repository);
  return repository != repositories_.end() &&
         repository->second.configs.contains('"' + request.reference + '"');
}

std::vector<Fault> FakeRegistry::faults_for(const RecordedRequest& request, bool refused) {
  std::vector<Fault> faults;
  for (CountedRule& counted : rules_) {
    const Match& match = counted.rule.when;
    if (!agrees(match, request, refused)) continue;
    ++counted.seen;
    if (counted.seen >= match.first && counted.seen <= match.last) {
      faults.push_back(counted.rule.then);
    }
  }
  return faults;
}

HttpResponse FakeRegistry::answer(const RecordedRequest& request,
                                  const std::vector<Fault>& faults) {
  HttpResponse response = content(request);
  const auto redirecting =
      std::find_if(faults.begin(), faults.end(), [](const Fault& fault) { return fault.redirect; });
  if (redirecting != faults.end()) response = redirect(*redirecting->redirect, request);
  return apply_faults(std::move(response), request.request, faults, is_blob(request));
}

HttpResponse FakeRegistry::content(const RecordedRequest& request) {
  if (request.kind == RequestKind::token) return auth_.issue_token(request.request);
  const bool from_storage = request.kind == RequestKind::redirected;
  if (from_storage) {
    const std::string signature = request.request.parameter("signature").value_or("");
    const bool used = !used_signatures_.insert(signature).second;
    if (links_work_once_ && used) return storage_error(403, "AccessDenied");
    if (request.listener != Listener::registry && request.request.header("Authorization")) {
      return storage_error(400, "InvalidArgument");
    }
  } else if (request.listener != Listener::registry) {
    return not_found("NOT_FOUND");
  }
  if (request.kind == RequestKind::ping) return found("application/json", "", "{}");
  return stored(request);
}

HttpResponse FakeRegistry::stored(const RecordedRequest& request) const {
  const auto repository = repositories_.find(request.repository);
  if (repository == repositories_.end()) return not_found("NAME_UNKNOWN");
  const auto& [tags, documents, blobs, configs] = repository->second;
  if (is_blob(request)) {
    const auto blob = blobs.find(request.reference);
    if (blob == blobs.end()) return not_found("BLOB_UNKNOWN");
    HttpResponse response = found("application/octet-stream", blob->first, blob->second);
    response.headers.emplace_back("Accept-Ranges", "bytes");
    return response;
  }
  const auto tag = tags.find(request.reference);
  const auto document = documents.find(tag == tags.end() ? request.reference : tag->second);
  if (document == documents.end()) return not_found("MANIFEST_UNKNOWN");
  return found(document->second.media_type, document->first, document->second.bytes);
}

HttpResponse FakeRegistry::redirect(const RedirectFault& redirect, const RecordedRequest& request) {
  const std::string name = name_in(request.request);
  const std::string what = is_blob(request) ? "blobs" : "manifests";
  const std::string target = fmt::format("/redirected/{}/{}/{}?signature={}", request.repository,
                                         what, request.reference, ++signatures_);
  std::string location = redirect.location;
  switch (redirect.to) {
    case RedirectFault::To::cdn:
      location = url(Listener::cdn, name) + target;
      break;
    case RedirectFault::To::plain:
      location = url(Listener::plain, name) + target;
      break;
    case RedirectFault::To::relative:
      location = target;
      break;
    case RedirectFault::To::itself:
      location = request.request.target;
      break;
    case RedirectFault::To::location:
      break;
  }
  return {.status = redirect.status,
          .headers = {{"Location", location}, {"Content-Type", "text/html; charset=utf-8"}},
          .body = "<a href=\"elsewhere\">Temporary Redirect</a>.\n"};
}

}  // namespace pyro::testing

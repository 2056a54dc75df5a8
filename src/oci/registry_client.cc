// One image in one registry.
#include "oci/registry_client.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "base/sha256.h"
#include "oci/registry_error.h"
#include "oci/registry_session.h"
#include "oci/verified_body.h"

namespace pyro {
namespace {

/// An index has one or two entries without a platform, if any; more would only be requests.
constexpr std::size_t kMaxCandidates = 8;

/// A manifest or index, verified.
struct Document {
  Digest digest;
  std::variant<Manifest, Index> content;
};

struct PlatformManifest {
  Digest digest;
  Manifest manifest;
};

/// What a document that is asked for must turn out to be.
struct Expectation {
  std::optional<Digest> digest = {};
  std::optional<std::uint64_t> size = {};
};

/// The registry's own word on the digest: needed by nobody, but when it is wrong, something is.
void check_digest_header(const HttpResponse& response, const Digest& digest) {
  const auto claimed = response.headers.get("Docker-Content-Digest");
  if (!claimed || *claimed == digest.to_string() || claimed->starts_with("sha512:")) return;
  throw Error(ErrorCode::integrity,
              "its digest is " + digest.to_string() + ", but the registry calls it " + *claimed);
}

Digest check_body(const HttpResponse& response, const Expectation& expected) {
  if (expected.size && *expected.size != response.body.size()) {
    throw Error(ErrorCode::integrity, "it has " + std::to_string(response.body.size()) +
                                          " bytes instead of " + std::to_string(*expected.size));
  }
  const Digest digest = sha256(response.body);
  if (expected.digest && *expected.digest != digest) {
    throw Error(ErrorCode::integrity, "its digest is " + digest.to_string());
  }
  check_digest_header(response, digest);
  return digest;
}

/// Runs `work`, and says of what its failure is.
template <typename Work>
auto about(const std::string& subject, const Work& work) {
  try {
    return work();
  } catch (Error& error) {
    if (error.code() != ErrorCode::interrupted) error.add_context(subject);
    throw;
  }
}

}  // namespace

class RegistryClient::Impl {
 public:
  Impl(HttpClient& http, ImageReference image, const NetworkOptions& options, RetryOptions retry,
       Warn warn)
      : image_(std::move(image)),
        session_(http, image_, options, credential_sources(options, retry.stop, std::move(warn))),
        retry_(std::move(retry)) {}

  ResolvedImage resolve(const std::optional<Digest>& pin);
  NamedImage look_up();
  void fetch_blob(const Descriptor& blob, const BodySink& sink, const Replay& replay);

 private:
  Document fetch_top(const std::optional<Digest>& pin);
  Document fetch_child(const Descriptor& child);
  Document fetch_document(const std::string& reference, const Expectation& expected);
  HttpResponse get_document(const std::string& reference);
  HttpResponse ask_for_head();
  void get_front(const Descriptor& blob, VerifiedBody& body, std::uint64_t size);
  void get_rest(const Descriptor& blob, VerifiedBody& body);
  void get_rest(const Descriptor& blob, VerifiedBody& body, const BodySink& sink);
  std::optional<PlatformManifest> find_manifest(const Index& index, int levels,
                                                std::string& platforms);
  [[nodiscard]] std::string by_digest(const Digest& digest) const;

  ImageReference image_;
  RegistrySession session_;
  RetryOptions retry_;
};

ResolvedImage RegistryClient::Impl::resolve(const std::optional<Digest>& pin) {
  Document top = fetch_top(pin);
  if (auto* const manifest = std::get_if<Manifest>(&top.content)) {
    return {top.digest, top.digest, std::move(*manifest)};
  }
  std::string platforms;
  auto found = find_manifest(std::get<Index>(top.content), 1, platforms);
  if (!found) {
    Error error(ErrorCode::network,
                platforms.empty() ? "it names no platform at all" : "there is only " + platforms);
    error.add_context(image_.to_string() + " has no image for linux/amd64");
    throw error;
  }
  return {top.digest, found->digest, std::move(found->manifest)};
}

Document RegistryClient::Impl::fetch_top(const std::optional<Digest>& pin) {
  const std::optional<Digest> digest = pin ? pin : image_.digest();
  const std::string name = digest ? by_digest(*digest) : image_.to_string();
  return about("cannot fetch the manifest of " + name, [&] {
    return fetch_document(digest ? digest->to_string() : image_.reference(), {digest});
  });
}

Document RegistryClient::Impl::fetch_child(const Descriptor& child) {
  return about("cannot fetch the manifest of " + by_digest(child.digest), [&] {
    return fetch_document(child.digest.to_string(), {child.digest, child.size});
  });
}

Document RegistryClient::Impl::fetch_document(const std::string& reference,
                                              const Expectation& expected) {
  const HttpResponse response = Retry(retry_).run([&] { return get_document(reference); });
  const Digest digest = check_body(response, expected);
  return {digest, parse_manifest(response.body, response.media_type())};
}

HttpResponse RegistryClient::Impl::get_document(const std::string& reference) {
  HttpRequest request{.on_head = refuse_web_page};
  request.headers.add("Accept", std::string(kManifestAccept));
  std::string body;
  HttpResponse response =
      session_.get("manifests/" + reference, request, bounded_sink(body, kMaxManifestBytes));
  if (response.status != 200) {
    Error error = refused_answer(session_.speaker(response), response);
    if (response.status == 404) error.add_context("it does not exist");
    throw_refusal(error, response);
  }
  response.body = std::move(body);
  return response;
}

/// The manifest for our platform, in `index` or `levels` below. Adds to `platforms` what else there
/// is.
std::optional<PlatformManifest> RegistryClient::Impl::find_manifest(const Index& index, int levels,
                                                                    std::string& platforms) {
  const Descriptor* const match = choose_platform(index);
  const auto candidates =
      match != nullptr ? std::vector<Descriptor>{*match} : entries_without_platform(index);
  if (const std::string list = list_platforms(index); !list.empty()) {
    platforms += (platforms.empty() ? "" : ", ") + list;
  }
  for (std::size_t i = 0; i < std::min(candidates.size(), kMaxCandidates); ++i) {
    Document document = fetch_child(candidates[i]);
    if (auto* const manifest = std::get_if<Manifest>(&document.content)) {
      return PlatformManifest{document.digest, std::move(*manifest)};
    }
    if (levels == 0) continue;
    auto found = find_manifest(std::get<Index>(document.content), levels - 1, platforms);
    if (found) return found;
  }
  return std::nullopt;
}

NamedImage RegistryClient::Impl::look_up() {
  return about("cannot look up " + image_.to_string(), [&]() -> NamedImage {
    const HttpResponse head = Retry(retry_).run([&] { return ask_for_head(); });
    const std::string named = head.headers.get("Docker-Content-Digest").value_or("");
    const auto digest = head.ok() ? Digest::parse(named) : std::nullopt;
    if (digest) return {*digest, is_index_type(head.media_type())};
    const Document document = fetch_document(image_.reference(), {image_.digest()});
    return {document.digest, std::holds_alternative<Index>(document.content)};
  });
}

HttpResponse RegistryClient::Impl::ask_for_head() {
  constexpr int kNotAllowed = 405;
  constexpr int kNotImplemented = 501;
  HttpRequest request{.on_head = refuse_web_page, .head_only = true};
  request.headers.add("Accept", std::string(kManifestAccept));
  HttpResponse response =
      session_.get("manifests/" + image_.reference(), request, [](std::span<const std::byte>) {});
  if (response.ok() || response.status == kNotAllowed || response.status == kNotImplemented) {
    return response;
  }
  Error error = refused_answer(session_.speaker(response), response);
  if (response.status == 404) error.add_context("it does not exist");
  throw_refusal(error, response);
}

void RegistryClient::Impl::fetch_blob(const Descriptor& blob, const BodySink& sink,
                                      const Replay& replay) {
  VerifiedBody body(blob, sink);
  try {
    if (replay.run) {
      get_front(blob, body, replay.begin);
      std::uint64_t known = body.received() - std::min(replay.begin, body.received());
      replay.run([&](std::span<const std::byte> bytes) {
        const auto again = static_cast<std::size_t>(std::min<std::uint64_t>(known, bytes.size()));
        known -= again;
        body.replay(bytes.subspan(again));
      });
    }
    Retry(retry_).run_transfer([&] { return body.received(); },
                               [&] {
                                 if (!body.is_complete() || blob.size == 0) get_rest(blob, body);
                               });
    body.finish();
  } catch (Error& error) {
    if (body.sink_failed() || error.code() == ErrorCode::interrupted) throw;
    error.add_context("cannot fetch the layer " + by_digest(blob.digest));
    throw;
  }
}

/// At least the first `size` bytes; the answer, which would bring all of them, is ended there.
void RegistryClient::Impl::get_front(const Descriptor& blob, VerifiedBody& body,
                                     std::uint64_t size) {
  struct Enough {};
  const auto take = [&](std::span<const std::byte> bytes) {
    body.take(bytes);
    if (body.received() >= size) throw Enough{};
  };
  const auto get = [&] {
    try {
      if (body.received() < size) get_rest(blob, body, take);
    } catch (const Enough&) {
    }
  };
  Retry(retry_).run_transfer([&] { return body.received(); }, get);
}

void RegistryClient::Impl::get_rest(const Descriptor& blob, VerifiedBody& body) {
  get_rest(blob, body, [&](std::span<const std::byte> bytes) { body.take(bytes); });
}

void RegistryClient::Impl::get_rest(const Descriptor& blob, VerifiedBody& body,
                                    const BodySink& sink) {
  HttpRequest request{.on_head = [&](const HttpResponse& head) { body.check_head(head); }};
  body.prepare(request);
  const HttpResponse response = session_.get("blobs/" + blob.digest.to_string(), request, sink);
  body.check_end(response);
  if (!response.ok()) throw_refusal(refused_answer(session_.speaker(response), response), response);
}

std::string RegistryClient::Impl::by_digest(const Digest& digest) const {
  return image_.registry() + "/" + image_.repository() + "@" + digest.to_string();
}

RegistryClient::RegistryClient(HttpClient& http, ImageReference image,
                               const NetworkOptions& options, RetryOptions retry, Warn warn)
    : impl_(std::make_unique<Impl>(http, std::move(image), options, std::move(retry),
                                   std::move(warn))) {}
RegistryClient::~RegistryClient() = default;
RegistryClient::RegistryClient(RegistryClient&&) noexcept = default;
RegistryClient& RegistryClient::operator=(RegistryClient&&) noexcept = default;

ResolvedImage RegistryClient::resolve(const std::optional<Digest>& pin) {
  return impl_->resolve(pin);
}

NamedImage RegistryClient::look_up() {
  return impl_->look_up();
}

void RegistryClient::fetch_blob(const Descriptor& blob, const BodySink& sink,
                                const Replay& replay) {
  impl_->fetch_blob(blob, sink, replay);
}

}  // namespace pyro

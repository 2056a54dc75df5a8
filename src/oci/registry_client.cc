// One image in one registry.
#include "oci/registry_client.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "base/errors.h"
#include "base/hash.h"
#include "net/retry.h"
#include "net/url.h"
#include "oci/mirrors.h"
#include "oci/registry_error.h"

namespace pyro {
namespace {

/// The registry's own word on the digest is not needed, but a wrong one is a sign of damage.
void check_digest_header(const HttpResponse& response, const Digest& digest) {
  const auto claimed = response.headers.get("Docker-Content-Digest");
  if (!claimed || *claimed == digest.to_string() || claimed->starts_with("sha512:")) return;
  throw Error(ErrorCode::integrity,
              "its digest is " + digest.to_string() + ", but the registry calls it " + *claimed);
}

Digest check_body(const HttpResponse& response, const std::optional<Digest>& expected,
                  const std::optional<std::uint64_t>& size) {
  if (size && *size != response.body.size()) {
    throw Error(ErrorCode::integrity, "it has " + std::to_string(response.body.size()) +
                                          " bytes instead of " + std::to_string(*size));
  }
  const Digest digest = sha256(response.body);
  if (expected && *expected != digest) {
    throw Error(ErrorCode::integrity, "its digest is " + digest.to_string());
  }
  check_digest_header(response, digest);
  return digest;
}

}  // namespace

RegistryClient::RegistryClient(HttpClient& http, ImageReference image,
                               const NetworkOptions& options, const RetryOptions& retry,
                               const HostWatch& watch)
    : image_(std::move(image)),
      hosts_(http, endpoints_of(image_, load_registries(options.registries_files, watch.note)),
             options, retry, watch) {}

ResolvedImage RegistryClient::resolve(const std::optional<Digest>& pin) {
  return resolve_platform(fetch_top(pin), image_.to_string(), ErrorCode::network, *this);
}

Document RegistryClient::fetch_top(const std::optional<Digest>& pin) {
  const std::optional<Digest> digest = pin ? pin : image_.digest();
  const std::string name = digest ? by_digest(*digest) : image_.to_string();
  return with_context("cannot fetch the manifest of " + name,
                      [&] { return fetch_document(digest, {}); });
}

Document RegistryClient::document(const Descriptor& child) {
  return with_context("cannot fetch the manifest of " + by_digest(child.digest),
                      [&] { return fetch_document(child.digest, child.size); });
}

/// A missing config says nothing about the image: the layers may be there.
std::string RegistryClient::config(const Descriptor& descriptor) {
  std::string text;
  try {
    fetch_blob("config", descriptor, bounded_sink(text, kMaxManifestBytes), {});
  } catch (const NotThere&) {
    return {};
  }
  return text;
}

Document RegistryClient::fetch_document(const std::optional<Digest>& expected,
                                        const std::optional<std::uint64_t>& size) {
  return hosts_.ask(expected ? Hosts::By::digest : Hosts::By::tag, [&](Host& host) {
    const std::string reference =
        expected ? expected->to_string() : host.endpoint.image.reference();
    const HttpResponse response =
        Retry(host.retry).run([&] { return get_document(host, reference); });
    try {
      const Digest digest = check_body(response, expected, size);
      return Document{digest,
                      parse_manifest(response.body, response.media_type(), host.retry.stop)};
    } catch (Error& error) {
      error.add_hint(response.encoding_hint());
      throw;
    }
  });
}

HttpResponse RegistryClient::get_document(Host& host, const std::string& reference) {
  HttpRequest request{.on_head = refuse_page_of_registry};
  request.headers.add("Accept", std::string(kManifestAccept));
  std::string body;
  HttpResponse response =
      host.session.get("manifests/" + reference, request, bounded_sink(body, kMaxManifestBytes));
  if (response.status != 200) {
    Error error = registry_refusal(host.session.speaker(response), response);
    if (response.status == 404) error.add_context("it does not exist");
    throw_registry_error(error, response);
  }
  response.body = std::move(body);
  return response;
}

NamedImage RegistryClient::look_up() {
  const auto ask = [this](Host& host) -> NamedImage {
    const HttpResponse head = Retry(host.retry).run([&] { return ask_for_head(host); });
    const std::string named = head.headers.get("Docker-Content-Digest").value_or("");
    const auto digest = head.ok() ? Digest::parse(named) : std::nullopt;
    if (digest) return {*digest, is_index_type(head.media_type())};
    const Document document = fetch_document(image_.digest(), {});
    return {document.digest, std::holds_alternative<Index>(document.content)};
  };
  return with_context("cannot look up " + image_.to_string(),
                      [&] { return hosts_.ask(Hosts::By::tag, ask); });
}

HttpResponse RegistryClient::ask_for_head(Host& host) {
  constexpr int kNotAllowed = 405;
  constexpr int kNotImplemented = 501;
  HttpRequest request{.on_head = refuse_page_of_registry, .head_only = true};
  request.headers.add("Accept", std::string(kManifestAccept));
  HttpResponse response = host.session.get("manifests/" + host.endpoint.image.reference(), request,
                                           [](std::span<const std::byte>) {});
  if (response.ok() || response.status == kNotAllowed || response.status == kNotImplemented) {
    return response;
  }
  Error error = registry_refusal(host.session.speaker(response), response);
  if (response.status == 404) error.add_context("it does not exist");
  throw_registry_error(error, response);
}

void RegistryClient::fetch_blob(const std::string& what, const Descriptor& blob,
                                const BodySink& sink, const Replay& replay) {
  ResumableBody body({.size = blob.size, .digest = blob.digest}, sink, hosts_.session());
  std::vector<Host*> used;
  try {
    if (replay.run) {
      transfer(blob, body, used, [&](Host& host) { get_front(host, blob, body, replay.begin); });
      // The kept bytes begin at replay.begin; what was fetched beyond it is not replayed.
      std::uint64_t fetched = body.received() - std::min(replay.begin, body.received());
      replay.run([&](std::span<const std::byte> bytes) {
        const auto skipped =
            static_cast<std::size_t>(std::min<std::uint64_t>(fetched, bytes.size()));
        fetched -= skipped;
        body.replay(bytes.subspan(skipped));
      });
    }
    transfer(blob, body, used, [&](Host& host) {
      const bool is_complete = body.received() == blob.size && blob.size > 0;
      if (is_complete) return;
      get_rest(host, blob, body, [&](std::span<const std::byte> bytes) { body.write(bytes); });
    });
    body.verify();
  } catch (Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    // Any of the hosts may have sent the wrong bytes: all mirrors among them are dropped.
    const bool is_mirrors_fault = error.code() == ErrorCode::integrity && mark_failed(used, error);
    if (is_mirrors_fault) hosts_.session().request_restart();
    if (body.sink_failed() && !is_mirrors_fault) throw;
    error.add_context("cannot fetch the " + what + " " + by_digest(blob.digest));
    throw;
  }
}

/// Runs `get` with retries, on one host after the other. Bytes that were passed on cannot be taken
/// back: when they turn out to be wrong, no other host helps.
void RegistryClient::transfer(const Descriptor& blob, ResumableBody& body, std::vector<Host*>& used,
                              const std::function<void(Host&)>& get) {
  const auto work = [&](Host& host) {
    if (used.empty() || used.back() != &host) {
      used.push_back(&host);
      body.forget_server();
    }
    Retry(host.retry).run([&] { get(host); }, [&] { return body.received(); });
  };
  const auto can_go_on = [&](const Error& error) {
    return !body.sink_failed() && body.received() <= blob.size &&
           (error.code() == ErrorCode::network || body.received() == 0);
  };
  hosts_.ask(Hosts::By::digest, work, can_go_on);
}

/// Gets at least the first `size` bytes, then aborts the response, which would deliver all.
void RegistryClient::get_front(Host& host, const Descriptor& blob, ResumableBody& body,
                               std::uint64_t size) {
  struct Enough {};
  if (body.received() >= size) return;
  try {
    get_rest(host, blob, body, [&](std::span<const std::byte> bytes) {
      body.write(bytes);
      if (body.received() >= size) throw Enough{};
    });
  } catch (const Enough&) {
  }
}

void RegistryClient::get_rest(Host& host, const Descriptor& blob, ResumableBody& body,
                              const BodySink& sink) {
  HttpRequest request{.on_head = [&](const HttpResponse& head) { body.check_head(head); }};
  body.prepare(request);
  const HttpResponse response = host.session.get("blobs/" + blob.digest.to_string(), request, sink);
  body.check_end(response);
  if (!response.ok()) {
    throw_registry_error(registry_refusal(host.session.speaker(response), response), response);
  }
}

/// Whether a mirror among `hosts` has failed for the first time.
bool RegistryClient::mark_failed(const std::vector<Host*>& hosts, const Error& why) {
  bool is_new = false;
  for (const Host* const host : hosts) is_new |= hosts_.mark_failed(*host, why);
  return is_new;
}

std::string RegistryClient::by_digest(const Digest& digest) const {
  return image_.registry() + "/" + image_.repository() + "@" + digest.to_string();
}

}  // namespace pyro

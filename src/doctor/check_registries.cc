// Whether the catalog's registries are there.
//
// Source: OCI distribution specification, "Determining Support".
#include <compare>
#include <set>

#include "base/reference.h"
#include "doctor/checks.h"
#include "net/curl_client.h"
#include "oci/mirrors.h"

namespace pyro {
namespace {

constexpr std::size_t kLargestAnswer = 64 << 10;

struct Place {
  std::string name;  ///< Of its finding.
  std::string host;
  bool insecure = false;
  bool is_mirror = false;

  friend auto operator<=>(const Place&, const Place&) = default;
};

void add_places(const Environment& environment, const std::vector<RegistryRule>& rules,
                std::set<Place>& places) {
  if (!environment.oci_registry) return;
  const auto image =
      ImageReference::make(*environment.oci_registry, environment.oci_repository.value_or(""),
                           environment.oci_reference.value_or(""));
  if (!image) {
    places.insert({"registry " + *environment.oci_registry, *environment.oci_registry});
    return;
  }
  for (const Endpoint& endpoint : endpoints_of(*image, rules)) {
    const std::string& host = endpoint.image.registry();
    places.insert({(endpoint.is_mirror ? "mirror " : "registry ") + host, host, endpoint.insecure,
                   endpoint.is_mirror});
  }
}

HttpResponse ping(HttpClient& http, const Place& place, const std::string& scheme) {
  return get_small(http, {.url = scheme + "://" + place.host + "/v2/", .insecure = place.insecure},
                   kLargestAnswer);
}

/// What the answer to a ping says. Logging in is for pulls: being asked to is an answer. A pull
/// does without the ping, so that one that is refused may still be of a registry.
void judge(const HttpResponse& answer, Finding& finding) {
  constexpr int kUnauthorized = 401;
  constexpr int kServerError = 500;
  if (answer.ok() || answer.status == kUnauthorized) return;
  finding.message += " with status " + std::to_string(answer.status);
  finding.health = answer.status >= kServerError ? Health::missing : Health::warning;
  finding.remedy = answer.status >= kServerError
                       ? "try again later"
                       : "see whether it is a registry, or a proxy answers in its place";
}

void ask(HttpClient& http, const Place& place, Finding& finding) {
  HttpResponse answer;
  finding.message = "it answers";
  try {
    answer = ping(http, place, "https");
  } catch (const NotTlsError&) {
    const bool may_be_plain =
        place.insecure || is_loopback(split_host_and_port(place.host).host);  // spec section 6
    if (!may_be_plain) throw;
    finding.message += " without TLS";
    answer = ping(http, place, "http");
  }
  judge(answer, finding);
  if (!place.insecure || finding.health != Health::ok) return;
  finding.health = Health::warning;
  finding.message += ", and nobody checks that it is who it says";
}

Finding examine(HttpClient& http, const Place& place) {
  Finding finding{.name = place.name, .health = Health::ok, .message = {}};
  try {
    ask(http, place, finding);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    finding.message = error.what();
    // Pulls go on without a mirror.
    finding.health = place.is_mirror ? Health::warning : Health::missing;
    finding.remedy = "check this machine's network, DNS and proxy, --ca-file and SSL_CERT_FILE";
  }
  return finding;
}

Finding refused(const Error& error) {
  return {.name = "registries",
          .health = Health::missing,
          .message = error.what(),
          .remedy = error.hint()};
}

}  // namespace

void check_registries(const StoreOptions& options, const DoctorOptions& wanted,
                      Findings& findings) {
  std::set<Place> places;
  try {
    const auto rules = load_registries(options.network.registries_files);
    for (const Environment& environment : options.catalog.environments()) {
      if (wanted.environment && environment.name != *wanted.environment) continue;
      add_places(environment, rules, places);
    }
    CurlClient http(client_options(options.network, wanted.stop, wanted.progress));
    for (const Place& place : places) findings.push_back(examine(http, place));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    findings.push_back(refused(error));
  }
}

}  // namespace pyro

// Whether the catalog's registries are there.
//
// Source: OCI distribution specification, "Determining Support".
#include <set>

#include "base/oci_names.h"
#include "doctor/checks.h"
#include "net/curl_client.h"

namespace pyro {
namespace {

constexpr std::size_t kLargestAnswer = 64 << 10;

std::set<std::string> registries_of(const Catalog& catalog,
                                    const std::optional<std::string>& wanted) {
  std::set<std::string> registries;
  for (const Environment& environment : catalog.environments()) {
    if (wanted && environment.name != *wanted) continue;
    if (environment.oci_registry) registries.insert(*environment.oci_registry);
  }
  return registries;
}

/// What the answer to a ping says. Logging in is for pulls: being asked to is an answer. A pull
/// does without the ping, so that one that is refused may still be of a registry.
void judge(const HttpResponse& answer, Finding& finding) {
  constexpr int kUnauthorized = 401;
  constexpr int kServerError = 500;
  finding.message = "it answers";
  if (answer.ok() || answer.status == kUnauthorized) return;
  finding.message += " with status " + std::to_string(answer.status);
  finding.health = answer.status >= kServerError ? Health::missing : Health::warning;
  finding.remedy = answer.status >= kServerError
                       ? "try again later"
                       : "see whether it is a registry, or a proxy answers in its place";
}

Finding ask(HttpClient& http, const std::string& registry) {
  Finding finding{.name = "registry " + registry, .health = Health::ok, .message = {}};
  try {
    judge(get_small(http, {.url = "https://" + registry + "/v2/"}, kLargestAnswer), finding);
    return finding;
  } catch (const NotTlsError&) {
    finding.message = "it answers without TLS";
    if (is_loopback(split_host_and_port(registry).host))
      return finding;  // which may (spec section 6)
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    finding.message = error.what();
  }
  finding.health = Health::missing;
  finding.remedy = "check this machine's network, DNS and proxy, and SSL_CERT_FILE";
  return finding;
}

}  // namespace

void check_registries(const StoreOptions& options, const DoctorOptions& wanted,
                      Findings& findings) {
  CurlClient http({.ca_file = options.network.ca_file,
                   .ca_directory = options.network.ca_directory,
                   .user_agent = "pyro/" PYRO_VERSION,
                   .stop = wanted.stop});
  for (const std::string& registry : registries_of(options.catalog, wanted.environment)) {
    findings.push_back(ask(http, registry));
  }
}

}  // namespace pyro

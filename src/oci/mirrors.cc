// Mirrors: which hosts have an image, and which of them is asked. The only file that knows toml++.
#include "oci/mirrors.h"

// Some texts, like "[{", break assertions of the parser. They throw an exception in every build, in
// place of abort() or undefined behaviour.
#pragma push_macro("NDEBUG")
#undef NDEBUG
namespace pyro {
namespace {
struct BrokenAssumption {};
constexpr void check_assumption(bool holds) {
  if (!holds) throw BrokenAssumption();
}
}  // namespace
}  // namespace pyro
#define TOML_ASSERT(expr) pyro::check_assumption(static_cast<bool>(expr))
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "base/reference.h"
#include "base/text.h"
#include "oci/registry_error.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using Note = std::function<void(std::string_view)>;

constexpr std::size_t kMaxRulesFile = std::size_t{1} << 20;
/// Each dot may open a table within a table, and the parser is recursive.
constexpr std::size_t kMaxDotsInALine = 1000;

Error unusable_rules(const fs::path& file, const std::string& why) {
  Error error(ErrorCode::failed, why);
  error.add_context("cannot use the registries in " + file.string());
  return error;
}

std::string read_rules(const fs::path& file) {
  return read_required_file(file, kMaxRulesFile, "cannot use the registries in");
}

/// Reads the rules of one file.
class RulesReader {
 public:
  RulesReader(const fs::path& file, const Note& note) : file_(file), note_(note) {}

  std::vector<RegistryRule> read() {
    const toml::table document = parse();
    if (const auto* const old = document.get("registries")) {
      fail(*old, "this is version 1 of the format, which is not read any more",
           "write it as [[registry]] tables: containers-registries.conf(5)");
    }
    note_helpers(document);
    std::vector<RegistryRule> rules;
    for (const toml::table* const table : tables_of(document, "registry")) {
      rules.push_back(read_rule(*table));
      check_agreement(rules.back(), *table);
    }
    return rules;
  }

 private:
  /// Drops the messages of the parser, which quote the file.
  toml::table parse() {
    const std::string text = read_rules(file_);
    check_characters(text);
    check_depth(text);
    try {
      return toml::parse(text);
    } catch (const BrokenAssumption&) {
      throw unusable_rules(file_, "not TOML");
    } catch (const toml::parse_error& error) {
      throw unusable_rules(file_,
                           "line " + std::to_string(error.source().begin.line) + ": not TOML");
    }
  }

  /// Without a note, users of such helpers would not know why their logins fail.
  void note_helpers(const toml::table& document) const {
    const auto* const helpers = document.get_as<toml::array>("credential-helpers");
    if (helpers == nullptr || !note_) return;
    bool any = false;
    for (const toml::node& name : *helpers) {
      any = any || name.value<std::string>() != "containers-auth.json";
    }
    if (any)
      note_("the credential-helpers in " + file_.string() +
            " are not asked: name them in credHelpers or credsStore of a file of credentials");
  }

  /// TOML has no control characters but these three.
  void check_characters(std::string_view text) const {
    for (std::size_t line = 1; const char c : text) {
      if (c == '\n') ++line;
      const bool is_control = static_cast<unsigned char>(c) < ' ' || c == '\x7f';
      if (is_control && !is_one_of(c, "\t\r\n")) {
        throw unusable_rules(file_, "line " + std::to_string(line) + ": a control character");
      }
    }
  }

  void check_depth(std::string_view text) const {
    for (std::size_t line = 1; !text.empty(); ++line) {
      const std::size_t end = std::min(text.find('\n'), text.size() - 1);
      const auto dots = std::ranges::count(text.substr(0, end), '.');
      if (static_cast<std::size_t>(dots) > kMaxDotsInALine) {
        throw unusable_rules(file_, "line " + std::to_string(line) + ": too many dots");
      }
      text.remove_prefix(end + 1);
    }
  }

  [[noreturn]] void fail(const toml::node& place, const std::string& why,
                         std::string hint = {}) const {
    throw unusable_rules(file_, "line " + std::to_string(place.source().begin.line) + ": " + why)
        .add_hint(std::move(hint));
  }

  [[nodiscard]] std::vector<const toml::table*> tables_of(const toml::table& parent,
                                                          const char* name) const {
    std::vector<const toml::table*> tables;
    const toml::node* const node = parent.get(name);
    if (node == nullptr) return tables;
    if (!node->is_array_of_tables()) {
      fail(*node, std::string("\"") + name + "\" is not an array of tables");
    }
    for (const toml::node& each : *node->as_array()) tables.push_back(each.as_table());
    return tables;
  }

  [[nodiscard]] bool flag(const toml::table& table, const char* name) const {
    const toml::node* const node = table.get(name);
    if (node == nullptr) return false;
    if (!node->is_boolean()) fail(*node, std::string("\"") + name + "\" is neither true nor false");
    return node->as_boolean()->get();
  }

  [[nodiscard]] std::optional<std::string> text(const toml::table& table, const char* name) const {
    const toml::node* const node = table.get(name);
    if (node == nullptr) return std::nullopt;
    if (!node->is_string()) fail(*node, std::string("\"") + name + "\" is not a text");
    return node->as_string()->get();
  }

  /// "host[:port][/path]"; empty without a value.
  [[nodiscard]] std::string place(const toml::table& table, const char* name) const {
    std::string value = text(table, name).value_or("");
    while (value.ends_with('/')) value.pop_back();
    const bool is_bad = value.find("://") != value.npos || value.starts_with('/') ||
                        !std::ranges::all_of(value, is_graphic);
    if (is_bad) fail(*table.get(name), std::string("\"") + name + "\" is not host[:port][/path]");
    const std::size_t end = std::min(value.find('/'), value.size());
    return canonical_registry(to_lower(value.substr(0, end))) + value.substr(end);
  }

  [[nodiscard]] RegistryRule read_rule(const toml::table& table) const {
    RegistryRule rule{.prefix = place(table, "prefix"),
                      .location = place(table, "location"),
                      .insecure = flag(table, "insecure"),
                      .blocked = flag(table, "blocked"),
                      .mirrors = {},
                      .file = file_};
    const bool is_wildcard = rule.prefix.starts_with("*.");
    if (rule.location.empty() && !is_wildcard) fail(table, "\"location\" is missing");
    if (rule.prefix.empty()) rule.prefix = rule.location;
    const std::string_view fixed = std::string_view(rule.prefix).substr(is_wildcard ? 1 : 0);
    if (fixed.find('*') != fixed.npos || (is_wildcard && fixed.find('/') != fixed.npos)) {
      fail(table, "\"prefix\" may have a * only as in *.example.com");
    }
    const bool only_digests = flag(table, "mirror-by-digest-only");
    for (const toml::table* const mirror : tables_of(table, "mirror")) {
      rule.mirrors.push_back(read_mirror(*mirror, only_digests));
    }
    return rule;
  }

  /// containers refuse such a file, too: either entry could be the valid one.
  void check_agreement(const RegistryRule& rule, const toml::table& table) {
    const std::string& place = rule.location.empty() ? rule.prefix : rule.location;
    const Flags& first =
        first_of_place_.try_emplace(place, rule.insecure, rule.blocked).first->second;
    const char* const what = rule.insecure != first.insecure ? "insecure"
                             : rule.blocked != first.blocked ? "blocked"
                                                             : nullptr;
    if (what == nullptr) return;
    fail(table, std::string("\"") + what + "\" differs from an entry above for the same location");
  }

  [[nodiscard]] MirrorRule read_mirror(const toml::table& table, bool only_digests) const {
    MirrorRule mirror{.location = place(table, "location"), .insecure = flag(table, "insecure")};
    if (mirror.location.empty()) fail(table, "\"location\" is missing");
    const auto use = text(table, "pull-from-mirror");
    if (!use) return mirror;
    const toml::node& node = *table.get("pull-from-mirror");
    if (only_digests) fail(node, "\"mirror-by-digest-only\" has said already what it serves");
    if (*use != "all" && *use != "digest-only" && *use != "tag-only") {
      fail(node, "\"pull-from-mirror\" is none of all, digest-only, tag-only");
    }
    mirror.serves_tags = *use != "digest-only";
    mirror.serves_digests = *use != "tag-only";
    return mirror;
  }

  struct Flags {
    Flags(bool is_insecure, bool is_blocked) : insecure(is_insecure), blocked(is_blocked) {}
    bool insecure;
    bool blocked;
  };

  const fs::path& file_;
  const Note& note_;
  std::map<std::string, Flags> first_of_place_;
};

/// The number of characters of `name` that the prefix matches; nothing if it does not match.
std::optional<std::size_t> match(std::string_view name, std::string_view prefix) {
  std::size_t end = prefix.size();
  if (prefix.starts_with("*.")) {
    prefix.remove_prefix(1);
    const std::string_view host = name.substr(0, name.find_first_of("/:@"));
    if (!host.ends_with(prefix) || host.size() == prefix.size()) return std::nullopt;
    end = host.size();
  } else if (!name.starts_with(prefix)) {
    return std::nullopt;
  }
  const bool is_whole = end == name.size() || std::string_view("/:@").find(name[end]) != name.npos;
  return is_whole ? std::optional(end) : std::nullopt;
}

/// `name` with its first `front` characters replaced by `location`.
ImageReference relocate(const std::string& name, std::size_t front, const std::string& location,
                        const RegistryRule& rule) {
  const std::string moved = location.empty() ? name : location + name.substr(front);
  auto image = ImageReference::parse(moved);
  if (image) return std::move(*image);
  throw Error(ErrorCode::failed,
              rule.file.string() + " makes " + moved + " of " + name + ", which names no image");
}

/// One host may be several mirrors: "cache.example/hub/team/env", "cache.example/ours/team/env".
std::string mirror_key(const Endpoint& endpoint) {
  return endpoint.image.registry() + "/" + endpoint.image.repository();
}

/// For a host with others behind it: waiting for it would only cost time.
RetryOptions short_retry(RetryOptions retry) {
  retry.retries = std::min(retry.retries, 1);
  retry.progress_counts = false;
  retry.max_retry_after = std::chrono::seconds(1);
  return retry;
}

}  // namespace

std::vector<RegistryRule> load_registries(const std::vector<fs::path>& files, const Note& note) {
  std::vector<RegistryRule> all;
  for (const fs::path& file : files) {
    std::vector<RegistryRule> rules = RulesReader(file, note).read();
    std::set<std::string_view> replaced;
    for (const RegistryRule& rule : rules) replaced.insert(rule.prefix);
    std::erase_if(all, [&](const RegistryRule& old) { return replaced.contains(old.prefix); });
    std::ranges::move(rules, std::back_inserter(all));
  }
  return all;
}

std::string canonical_registry(const std::string& host) {
  return is_docker_hub(host) ? "docker.io" : host;
}

const RegistryRule* find_rule(std::string_view name, const std::vector<RegistryRule>& rules) {
  const RegistryRule* best = nullptr;
  for (const RegistryRule& rule : rules) {
    const bool is_longer = best == nullptr || rule.prefix.size() > best->prefix.size();
    if (is_longer && match(name, rule.prefix)) best = &rule;
  }
  if (best == nullptr || !best->blocked) return best;
  throw Error(ErrorCode::network,
              "the registry " + best->prefix + " is blocked by " + best->file.string());
}

std::vector<Endpoint> endpoints_of(const ImageReference& image,
                                   const std::vector<RegistryRule>& rules) {
  const std::string upstream = canonical_registry(to_lower(image.registry()));
  const std::string name = upstream + image.to_string().substr(image.registry().size());
  const RegistryRule* const best = find_rule(name, rules);
  if (best == nullptr) return {{.image = image}};
  const std::size_t front = *match(name, best->prefix);
  std::vector<Endpoint> endpoints;
  for (const MirrorRule& mirror : best->mirrors) {
    endpoints.push_back({.image = relocate(name, front, mirror.location, *best),
                         .insecure = mirror.insecure,
                         .is_mirror = true,
                         .serves_tags = mirror.serves_tags,
                         .serves_digests = mirror.serves_digests,
                         .upstream = upstream});
  }
  endpoints.push_back(
      {.image = relocate(name, front, best->location, *best), .insecure = best->insecure});
  return endpoints;
}

std::string insecure_warning(const std::string& host) {
  return "TLS verification is off for " + host + ": registries.conf calls it insecure";
}

Hosts::Hosts(HttpClient& http, const std::vector<Endpoint>& endpoints,
             const NetworkOptions& options, const RetryOptions& retry, HostWatch watch)
    : watch_(std::move(watch)) {
  if (watch_.session == nullptr) watch_.session = &own_session_;
  const CredentialSources sources = credential_sources(options, retry.stop, watch_.warn);
  for (const Endpoint& endpoint : endpoints) {
    hosts_.push_back({.endpoint = endpoint,
                      .session = RegistrySession(http, endpoint, options, sources),
                      .retry = endpoint.is_mirror ? short_retry(retry) : retry});
  }
}

Host& Hosts::choose(By by) {
  const auto serves = [&](const Host& host) {
    const Endpoint& endpoint = host.endpoint;
    return (by == By::tag ? endpoint.serves_tags : endpoint.serves_digests) &&
           !(endpoint.is_mirror && session().has_failed(mirror_key(endpoint)));
  };
  const auto found = std::ranges::find_if(hosts_, serves);
  Host& host = found == hosts_.end() ? hosts_.back() : *found;
  if (!std::exchange(host.is_announced, true)) announce(host);
  return host;
}

void Hosts::announce(const Host& host) const {
  const std::string& name = host.endpoint.image.registry();
  if (host.endpoint.is_mirror && watch_.note) watch_.note("asking the mirror " + name);
  if (host.endpoint.insecure && watch_.warn) watch_.warn(insecure_warning(name));
}

bool Hosts::mark_failed(const Host& host, const Error& why) {
  // `failed` may be about this host's credentials or certificates. If not, the next host fails the
  // same way.
  const bool is_its_fault = why.code() == ErrorCode::network ||
                            why.code() == ErrorCode::integrity || why.code() == ErrorCode::failed;
  if (!host.endpoint.is_mirror || !is_its_fault) return false;
  if (!session().mark_failed(mirror_key(host.endpoint))) return false;
  const std::string line =
      "going on without the mirror " + host.endpoint.image.registry() + ": " + why.what();
  // A mirror need not have the image: that is no reason to warn.
  const auto& tell = dynamic_cast<const NotThere*>(&why) != nullptr ? watch_.note : watch_.warn;
  if (tell) tell(line);
  return true;
}

}  // namespace pyro

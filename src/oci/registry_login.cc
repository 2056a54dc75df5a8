// Logging in to registries and out: credentials are checked, then written to a file or a helper.
//
// Source: docker's config.json and containers-auth.json(5), for the format that other programs
// expect.
#include "pyro/registry_login.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "base/output_file.h"
#include "base/reference.h"
#include "base/text.h"
#include "net/curl_client.h"
#include "net/retry.h"
#include "oci/credential_helper.h"
#include "oci/credentials.h"
#include "oci/mirrors.h"
#include "oci/registry_error.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

/// Locks a file of credentials from reading to writing. The lock is on another file beside, which
/// is removed afterwards: the directory could be locked by every user who may read it.
class CredentialLock {
 public:
  CredentialLock(const fs::path& file, const CredentialSources& sources)
      : directory_(open_directory(file.parent_path())),
        name_("." + file.filename().string() + ".pyro-lock"),
        lock_(acquire(file.parent_path(), sources)) {}
  ~CredentialLock() {
    if (lock_) ::unlinkat(directory_.get(), name_.c_str(), 0);
  }
  CredentialLock(const CredentialLock&) = delete;
  CredentialLock& operator=(const CredentialLock&) = delete;

 private:
  [[nodiscard]] std::optional<FileLock> acquire(const fs::path& directory,
                                                const CredentialSources& sources) const try {
    // The holder may be waiting for a credential helper.
    const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(
        sources.helper_timeout + std::chrono::seconds(5));
    return FileLock::acquire(directory_.get(), name_, directory / name_,
                             {.timeout = timeout, .stop = sources.stop, .on_wait = {}});
  } catch (const Error& error) {
    // Some network file systems have no locks. The time between reading and writing is short.
    if (error.code() == ErrorCode::filesystem) return std::nullopt;
    if (error.code() != ErrorCode::busy) throw;
    throw Error(ErrorCode::busy, "another process has locked " + directory.string(),
                "try again later");
  }

  Fd directory_;
  std::string name_;
  std::optional<FileLock> lock_;
};

/// Removes all entries for the whole of `registry`. Whether there were any.
bool remove_entries(OrderedJson& content, std::string_view registry) {
  const auto auths = content.find("auths");
  if (auths == content.end() || !auths->is_object()) return false;
  auto& entries = auths->get_ref<OrderedJson::object_t&>();
  bool removed = false;
  for (auto entry = entries.begin(); entry != entries.end();) {
    const bool is_its = means_registry(entry->first, registry);
    removed = removed || is_its;
    entry = is_its ? entries.erase(entry) : std::next(entry);
  }
  return removed;
}

void add_entry(OrderedJson& content, std::string_view registry, OrderedJson entry) {
  OrderedJson& auths = content["auths"];
  if (!auths.is_object()) auths = OrderedJson::object();
  auths[docker_key(registry)] = std::move(entry);
}

fs::path target_file(const CredentialSources& sources) {
  if (!sources.files.empty()) return follow_links(fs::absolute(sources.files.front()));
  throw Error(ErrorCode::failed, "there is no place for credentials: HOME is not set",
              "name a file in REGISTRY_AUTH_FILE");
}

/// An edit of a file: read under its lock, replaced in one step.
class CredentialEdit {
 public:
  explicit CredentialEdit(const CredentialSources& sources)
      : sources_(sources), target_(target_file(sources)) {
    make_directories(target_.parent_path(), 0700);
    lock_.emplace(target_, sources);
    file_ = CredentialFile::read(target_);
    content_ = file_ ? file_->content() : OrderedJson::object();
  }

  OrderedJson& content() { return content_; }

  /// Calls `work` with the helper that the file names for the registry. The name of the program, if
  /// there is a helper.
  template <typename Work>
  std::optional<std::string> use_helper(std::string_view registry, const Work& work) const try {
    const auto name = file_ ? file_->helper_for(registry) : std::nullopt;
    if (!name) return std::nullopt;
    const CredentialHelper helper(*name, sources_.helper_directories,
                                  {.timeout = sources_.helper_timeout, .stop = sources_.stop});
    work(helper);
    return helper.program();
  } catch (Error& error) {
    if (error.code() != ErrorCode::interrupted) {
      error.add_context("cannot use the helper in " + target_.string());
    }
    throw;
  }

  void commit() {
    if (sources_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    replace_file(target_, content_.dump(1, '\t') + "\n", 0600);
  }

 private:
  const CredentialSources& sources_;
  fs::path target_;
  std::optional<CredentialLock> lock_;
  std::optional<CredentialFile> file_;
  OrderedJson content_;
};

constexpr std::size_t kMaxAnswer = std::size_t{64} << 10;
constexpr std::size_t kMaxSecret = std::size_t{16} << 10;

std::string check_registry(std::string_view registry) {
  if (is_oci_registry(registry)) return to_lower(registry);
  const std::size_t scheme = registry.find("://");
  std::string text = in_quotes(registry) + " is not a registry like registry.example.org:5000";
  if (scheme != registry.npos) {
    text += ": leave the " + std::string(registry.substr(0, scheme + 3)) + " away";
  }
  throw Error(ErrorCode::usage, std::move(text));
}

/// RFC 7617 section 2: a colon in the name would be taken for the end of the name.
void check_credentials(const std::string& username, const std::string& password) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  if (username.empty()) throw Error(ErrorCode::usage, "the user name is empty");
  if (password.empty()) throw Error(ErrorCode::usage, "the password is empty");
  if (username.find(':') != username.npos) {
    throw Error(ErrorCode::usage, "the user name has a colon in it");
  }
  if (std::ranges::any_of(username, is_control) || std::ranges::any_of(password, is_control)) {
    throw Error(ErrorCode::usage, "the user name or the password has a control character in it");
  }
  if (username.size() > kMaxSecret || password.size() > kMaxSecret) {
    throw Error(ErrorCode::usage, "the user name or the password is longer than 16 KiB");
  }
}

void warn(const LoginOptions& options, const std::string& text) {
  if (options.progress != nullptr) options.progress->warning(text);
}

CredentialSources sources_of(const LoginOptions& options) {
  return credential_sources(options.network, options.stop,
                            [&](std::string_view text) { warn(options, std::string(text)); });
}

/// Whether registries.conf turns TLS verification off.
bool is_insecure(const LoginOptions& options, const std::string& registry) {
  const auto rules = load_registries(options.network.registries_files, [&](std::string_view line) {
    if (options.progress != nullptr) options.progress->note(line);
  });
  const RegistryRule* const rule = find_rule(canonical_registry(registry), rules);
  if (rule == nullptr || !rule->insecure) return false;
  warn(options, insecure_warning(registry));
  return true;
}

/// Whether the registry has accepted the credentials.
bool try_credentials(const LoginOptions& options, const std::string& registry,
                     const Credentials& credentials) {
  const NetworkOptions& network = options.network;
  CurlClient http(client_options(network, options.stop, options.progress));
  RegistrySession session(http,
                          {.registry = std::string(registry_host(registry)),
                           .insecure = is_insecure(options, registry)},
                          network, credentials);
  Retry retry({.retries = network.retries, .delay = network.retry_delay, .stop = options.stop});
  retry.run([&] {
    std::string body;
    const HttpResponse answer =
        session.get("", {.on_head = refuse_page_of_registry}, bounded_sink(body, kMaxAnswer));
    if (!answer.ok()) throw_by_status(registry_refusal(session.speaker(answer), answer), answer);
  });
  return session.sent_credentials();
}

bool check_with_registry(const LoginOptions& options, const std::string& registry,
                         const Credentials& credentials) try {
  const RunningOperation operation(options.progress, {.name = "checking", .subject = registry});
  const bool checked = try_credentials(options, registry, credentials);
  if (!checked) {
    warn(options, "the password was not checked: " + registry +
                      " admits anonymous users, or does not speak TLS");
  }
  return checked;
} catch (Error& error) {
  if (error.code() != ErrorCode::interrupted) error.add_context("cannot log in to " + registry);
  throw;
}

LoginPlace login_place(const CredentialSources& sources, std::string registry,
                       std::optional<std::string> helper) {
  return {std::move(registry), sources.files.front(), std::move(helper)};
}

/// The origin of credentials in the other files. Errors in them are left to the next pull.
std::optional<std::string> remaining_in(CredentialSources sources, const std::string& registry) {
  sources.files.erase(sources.files.begin());
  sources.warn = {};
  try {
    const CredentialLookup lookup = find_credentials(sources, registry, "");
    return lookup.credentials ? std::optional(lookup.origin) : std::nullopt;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    return std::nullopt;
  }
}

/// Replaces the hints on full and read-only file systems, which are about the cache.
template <typename Work>
Kept in_file(const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::filesystem) throw;
    throw Error(error.code(), error.what(), "REGISTRY_AUTH_FILE can name another file");
  }
}

}  // namespace

Kept keep_credentials(const CredentialSources& sources, std::string_view registry,
                      const Credentials& credentials) {
  CredentialEdit edit(sources);
  Kept kept;
  kept.was_there = remove_entries(edit.content(), registry);
  kept.helper = edit.use_helper(registry, [&](const CredentialHelper& helper) {
    helper.store(docker_key(registry), credentials);
  });
  OrderedJson entry = OrderedJson::object();
  if (!kept.helper) {
    entry["auth"] = base64_encode(credentials.username + ":" + credentials.password);
  }
  // Empty if a helper keeps the credentials: other programs see by it that there are some.
  add_entry(edit.content(), registry, std::move(entry));
  edit.commit();
  return kept;
}

Kept forget_credentials(const CredentialSources& sources, std::string_view registry) {
  std::error_code error;
  if (!fs::exists(target_file(sources), error) && !error) return {};
  CredentialEdit edit(sources);
  Kept kept;
  const bool is_in_file = remove_entries(edit.content(), registry);
  kept.helper = edit.use_helper(registry, [&](const CredentialHelper& helper) {
    for (const std::string& server : helper_servers(registry)) {
      if (helper.get(server) && helper.erase(server)) kept.was_there = true;
    }
  });
  if (is_in_file) edit.commit();
  kept.was_there = kept.was_there || is_in_file;
  return kept;
}

LoginReport log_in(const LoginOptions& options, std::string_view registry,
                   const std::string& username, const std::string& password) {
  const std::string host = check_registry(registry);
  check_credentials(username, password);
  const Credentials credentials{username, password};
  const CredentialSources sources = sources_of(options);
  const bool checked = options.check && check_with_registry(options, host, credentials);
  const Kept kept = in_file([&] { return keep_credentials(sources, host, credentials); });
  return {login_place(sources, host, kept.helper), checked};
}

LogoutReport log_out(const LoginOptions& options, std::string_view registry) {
  const std::string host = check_registry(registry);
  const CredentialSources sources = sources_of(options);
  const Kept kept = in_file([&] { return forget_credentials(sources, host); });
  return {login_place(sources, host, kept.helper), kept.was_there, remaining_in(sources, host)};
}

}  // namespace pyro

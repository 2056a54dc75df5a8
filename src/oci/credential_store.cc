// Writing to a file of credentials, or to the helper that it names.
#include "oci/credential_store.h"

#include <sys/file.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/base64.h"
#include "base/files.h"
#include "base/replace_file.h"
#include "oci/credential_file.h"
#include "oci/credential_helper.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kMostLinks = 40;
constexpr std::chrono::milliseconds kPollInterval{50};

/// The file itself: people keep a link to it in its place, which is to stay.
fs::path through_links(fs::path file) {
  std::error_code error;
  for (int links = 0; links < kMostLinks && fs::is_symlink(file, error); ++links) {
    file = file.parent_path() / fs::read_symlink(file);
  }
  return file;
}

/// One at a time: what one login reads, another must not replace before it is written. The lock is
/// on the directory, where it leaves no file behind.
Fd lock_directory(const fs::path& directory, const CredentialSources& sources) {
  Fd fd = open_directory(directory);
  // Whoever holds it may wait for a helper.
  const auto end =
      std::chrono::steady_clock::now() + sources.helper_patience + std::chrono::seconds(5);
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    // Not every network file system locks directories. What is read is then still read just before.
    if (errno != EWOULDBLOCK && errno != EINTR) break;
    if (sources.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    if (std::chrono::steady_clock::now() > end) {
      throw Error(ErrorCode::busy, "another process has locked " + directory.string(),
                  "try again later");
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return fd;
}

/// Removes what there is for all of `registry`; whether there was anything.
bool remove_entries(Json& content, std::string_view registry) {
  const auto auths = content.find("auths");
  if (auths == content.end() || !auths->is_object()) return false;
  auto& entries = auths->get_ref<Json::object_t&>();
  bool removed = false;
  for (auto entry = entries.begin(); entry != entries.end();) {
    const bool is_its = means_registry(entry->first, registry);
    removed = removed || is_its;
    entry = is_its ? entries.erase(entry) : std::next(entry);
  }
  return removed;
}

void add_entry(Json& content, std::string_view registry, Json entry) {
  Json& auths = content["auths"];
  if (!auths.is_object()) auths = Json::object();
  auths[docker_key(registry)] = std::move(entry);
}

fs::path target_of(const CredentialSources& sources) {
  if (!sources.files.empty()) return through_links(fs::absolute(sources.files.front()));
  throw Error(ErrorCode::failed, "there is no place for credentials: HOME is not set",
              "name a file in REGISTRY_AUTH_FILE");
}

/// The file, read under its lock and written in one step.
class Edit {
 public:
  explicit Edit(const CredentialSources& sources) : sources_(sources), target_(target_of(sources)) {
    make_directories(target_.parent_path(), 0700);
    lock_ = lock_directory(target_.parent_path(), sources);
    file_ = CredentialFile::read(target_);
    content_ = file_ ? file_->content() : Json::object();
  }

  Json& content() { return content_; }

  /// Hands the helper to `work` that the file names for the registry; the program's name, where
  /// there is one.
  template <typename Work>
  std::optional<std::string> with_helper(std::string_view registry, const Work& work) const try {
    const auto name = file_ ? file_->helper_for(registry) : std::nullopt;
    if (!name) return std::nullopt;
    const CredentialHelper helper(*name, sources_.helper_directories,
                                  {.patience = sources_.helper_patience, .stop = sources_.stop});
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
  Fd lock_;
  std::optional<CredentialFile> file_;
  Json content_;
};

}  // namespace

Kept keep_credentials(const CredentialSources& sources, std::string_view registry,
                      const Credentials& credentials) {
  Edit edit(sources);
  Kept kept;
  kept.was_there = remove_entries(edit.content(), registry);
  kept.helper = edit.with_helper(registry, [&](const CredentialHelper& helper) {
    helper.store(docker_key(registry), credentials);
  });
  Json entry = Json::object();
  if (!kept.helper) {
    entry["auth"] = base64_encode(credentials.username + ":" + credentials.password);
  }
  // Empty where a helper keeps them: by that others see that there are any.
  add_entry(edit.content(), registry, std::move(entry));
  edit.commit();
  return kept;
}

Kept forget_credentials(const CredentialSources& sources, std::string_view registry) {
  std::error_code error;
  if (!fs::exists(target_of(sources), error) && !error) return {};
  Edit edit(sources);
  Kept kept;
  const bool is_in_file = remove_entries(edit.content(), registry);
  kept.helper = edit.with_helper(registry, [&](const CredentialHelper& helper) {
    for (const std::string& server : helper_servers(registry)) {
      if (helper.get(server) && helper.erase(server)) kept.was_there = true;
    }
  });
  if (is_in_file) edit.commit();
  kept.was_there = kept.was_there || is_in_file;
  return kept;
}

}  // namespace pyro

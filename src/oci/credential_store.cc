// Writing to a file of credentials, or to the helper that it names.
#include "oci/credential_store.h"

#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/base64.h"
#include "base/destination.h"
#include "base/file_lock.h"
#include "base/files.h"
#include "base/replace_file.h"
#include "oci/credential_file.h"
#include "oci/credential_helper.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

/// One at a time: what one login reads, another must not replace before it is written. The lock is
/// on a file of its own, which is removed again: every user who may read the directory could lock
/// that.
class Turn {
 public:
  Turn(const fs::path& file, const CredentialSources& sources)
      : directory_(open_directory(file.parent_path())),
        name_("." + file.filename().string() + ".pyro-lock"),
        lock_(acquire(file.parent_path(), sources)) {}
  ~Turn() {
    if (lock_) ::unlinkat(directory_.get(), name_.c_str(), 0);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  [[nodiscard]] std::optional<FileLock> acquire(const fs::path& directory,
                                                const CredentialSources& sources) const try {
    // Its holder may wait for a credential helper.
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(
        sources.helper_patience + std::chrono::seconds(5));
    return FileLock::acquire(directory_.get(), name_, directory / name_,
                             {.timeout = patience, .stop = sources.stop, .on_wait = {}});
  } catch (const Error& error) {
    // Not every network file system has locks. What is read is then still read just before.
    if (error.code() == ErrorCode::filesystem) return std::nullopt;
    if (error.code() != ErrorCode::busy) throw;
    throw Error(ErrorCode::busy, "another process has locked " + directory.string(),
                "try again later");
  }

  Fd directory_;
  std::string name_;
  std::optional<FileLock> lock_;
};

/// Removes what there is for all of `registry`; whether there was anything.
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

fs::path target_of(const CredentialSources& sources) {
  if (!sources.files.empty()) return follow_links(fs::absolute(sources.files.front()));
  throw Error(ErrorCode::failed, "there is no place for credentials: HOME is not set",
              "name a file in REGISTRY_AUTH_FILE");
}

/// The file, read under its lock and written in one step.
class Edit {
 public:
  explicit Edit(const CredentialSources& sources) : sources_(sources), target_(target_of(sources)) {
    make_directories(target_.parent_path(), 0700);
    turn_.emplace(target_, sources);
    file_ = CredentialFile::read(target_);
    content_ = file_ ? file_->content() : OrderedJson::object();
  }

  OrderedJson& content() { return content_; }

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
  std::optional<Turn> turn_;
  std::optional<CredentialFile> file_;
  OrderedJson content_;
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
  OrderedJson entry = OrderedJson::object();
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

// Authenticates the manifests of saved states.
#include "machine/state_seal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/files.h"
#include "base/hash.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kMinKey = 16;
constexpr std::size_t kMaxKeyFile = 4096;
constexpr const char* kHmac = "hmac";

std::string hmac_of(json manifest, std::string_view key) {
  manifest.erase(kHmac);
  return hmac_sha256(key, manifest.dump()).to_string();
}

std::string random_hex(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  if (::getrandom(bytes.data(), size, 0) != static_cast<ssize_t>(size)) {
    throw system_error("cannot get random bytes", errno);
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

/// Gives `file` its content, unless another process did so first.
void make_file(const std::filesystem::path& file, std::string_view content) {
  std::filesystem::path draft = file;
  draft += "." + random_hex(8);
  {
    const Fd made = open_at(AT_FDCWD, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, draft);
    write_all(made.get(), content, draft);
    sync_file(made.get(), draft);
  }
  const int error = ::link(draft.c_str(), file.c_str()) != 0 ? errno : 0;
  ::unlink(draft.c_str());
  if (error != 0 && error != EEXIST) throw system_error("cannot make " + file.string(), error);
}

}  // namespace

std::filesystem::path find_state_key_file() {
  return find_state_key_file([](const char* name) -> std::optional<std::string> {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): see the header.
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  });
}

std::filesystem::path find_state_key_file(
    const std::function<std::optional<std::string>(const char* name)>& variables) {
  const std::filesystem::path state = variables("XDG_STATE_HOME").value_or("");
  const std::filesystem::path home = variables("HOME").value_or("");
  if (state.is_absolute()) return state / "pyro" / "state.key";
  if (home.is_absolute()) return home / ".local" / "state" / "pyro" / "state.key";
  return {};
}

StateSeal::StateSeal(const MachineOptions& options)
    : key_(options.state_key), file_(options.state_key_file) {
  if (!key_.empty() && key_.size() < kMinKey) {
    throw Error(ErrorCode::usage,
                fmt::format("the key of saved states has less than {} characters", kMinKey),
                "make one: openssl rand -hex 32");
  }
}

void StateSeal::seal(json& manifest) const {
  manifest[kHmac] = hmac_of(manifest, find_or_make_key());
}

std::optional<std::string> StateSeal::complaint_about(const json& manifest) const try {
  const auto found = manifest.find(kHmac);
  if (found == manifest.end() || !found->is_string()) return "its manifest has no HMAC";
  const auto key = find_key();
  if (key && *found == hmac_of(manifest, *key)) return std::nullopt;
  return "it was made with another key, or its manifest was changed";
} catch (const Error& error) {
  return error.what();
}

std::optional<std::string> StateSeal::find_key() const {
  if (!key_.empty()) return key_;
  if (file_.empty()) return std::nullopt;
  const auto found = read_regular_file(file_, kMaxKeyFile);
  if (!found) return std::nullopt;
  const FileTrust trust =
      judge_file(found->status.st_mode, found->status.st_uid, ::geteuid(), Holds::secrets);
  const bool is_secret = (found->status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (!trust.believed || !is_secret) {
    throw Error(ErrorCode::failed, "cannot use the key in " + file_.string() + ": " + trust.remark,
                trust.remedy);
  }
  if (found->content.size() < kMinKey) {
    throw Error(ErrorCode::failed, "there is no key in " + file_.string(), "remove the file");
  }
  return found->content;
}

std::string StateSeal::find_or_make_key() const {
  if (auto key = find_key()) return std::move(*key);
  if (file_.empty()) {
    throw Error(ErrorCode::failed, "there is no key to authenticate it with: HOME is not set",
                "set HOME, XDG_STATE_HOME or PYRO_STATE_KEY");
  }
  std::error_code error;
  std::filesystem::create_directories(file_.parent_path(), error);
  if (error) throw system_error("cannot make " + file_.parent_path().string(), error.value());
  make_file(file_, random_hex(32) + '\n');
  if (auto key = find_key()) return std::move(*key);
  throw Error(ErrorCode::filesystem, "there is no key in " + file_.string());
}

}  // namespace pyro

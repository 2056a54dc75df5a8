// Manifests of saved states in a cache. Names in the input stand for values that it cannot guess:
// @conditions@, @kind@, @files@, @artifacts@. Each is read as it is, and sealed with the right key.
#include <stdlib.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "machine/qemu/qemu.h"
#include "machine/saved_states.h"
#include "oracle.h"
#include "store/installation.h"

namespace pyro::fuzz {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kLargestInput = 64 << 10;

fs::path make_place() {
  std::string name = (fs::temp_directory_path() / "pyro-state-fuzz-XXXXXX").string();
  require(::mkdtemp(name.data()) != nullptr, "there is a place for files");
  return name;
}

/// A cache with the files of one state, and the install that it is of.
class Place {
 public:
  Place() : path_(make_place()), layout_(path_ / "cache") {
    ::umask(022);
    for (const char* const name : {"vmlinux", "rootfs.ext4", "monitor"}) write(path_ / name, name);
    lease_.installation.record.name = "tool:1";
    lease_.installation.record.version = "1";
    lease_.kernel = open(path_ / "vmlinux");
    lease_.rootfs = open(path_ / "rootfs.ext4");
    folder_ = layout_.make(directory());
    write(directory() / kMemoryName, std::string(4096, 'm'));
    write(directory() / kDevicesName, "devices");
    const PreparedState saved{.config = config_,
                              .memory = open(directory() / kMemoryName),
                              .devices = open(directory() / kDevicesName)};
    good_ = state_manifest(state_conditions(key(), config_), saved);
  }
  ~Place() { remove_tree_at(AT_FDCWD, path_, path_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  /// `text` with the names replaced by the values of the state.
  [[nodiscard]] std::string filled_in(std::string text) const {
    const std::array<std::pair<std::string_view, const json*>, 4> names = {
        {{"@conditions@", &good_.at("conditions")},
         {"@kind@", &good_.at("booted_on")},
         {"@files@", &good_.at("files")},
         {"@artifacts@", &good_.at("artifacts")}}};
    for (const auto& [name, value] : names) {
      const std::size_t at = text.find(name);
      if (at != text.npos) text.replace(at, name.size(), value->dump());
    }
    return text;
  }

  void check(const std::string& manifest) const {
    write(directory() / kManifestName, manifest);
    require(!states_.find(key()).state, "a manifest without an HMAC is not believed");
    json document = json::parse(manifest, nullptr, false);
    if (!document.is_object()) return;
    if (is_as_saved(folder_.get(), directory())) check_digests(document);
    StateSeal(options_).seal(document);
    write(directory() / kManifestName, document.dump());
    const StateLookup found = states_.find(key());
    require(found.exists, "a state with any manifest is there");
    require((found.state.has_value() || found.is_impossible) == found.differences.empty(),
            "a state is used, or said why not");
    if (found.state) check_conditions(document);
  }

 private:
  /// A manifest that is accepted has all of them, and for each file its identity or its digest.
  void check_conditions(const json& manifest) const {
    const auto says_the_same = [&](const char* key) {
      return manifest.contains(key) && manifest[key] == good_.at(key);
    };
    require(says_the_same("conditions") && says_the_same("booted_on"),
            "a state that is used is what its manifest says");
    for (const auto& [name, right] : good_.at("files").items()) {
      const json file = manifest.at("files").at(name);
      require(file.value("identity", json()) == right["identity"] ||
                  file.value("digest", json()) == right["digest"],
              "a file of a state that is used is known");
    }
  }

  /// The manifest may record nothing about the files; recorded values must be right.
  void check_digests(const json& manifest) const {
    if (!manifest.is_object()) return;
    const json files = manifest.value("artifacts", json());
    for (const auto& [name, right] : good_.at("artifacts").items()) {
      if (!files.is_object() || !files.contains(name) || !is_record(files[name])) continue;
      require(files[name]["size"] == right["size"] && files[name]["digest"] == right["digest"],
              "a file with another digest is not as it was saved");
    }
  }
  static bool is_record(const json& file) {
    return file.is_object() && file.contains("size") && file["size"].is_number_unsigned() &&
           file.contains("digest") && file["digest"].is_string() &&
           Digest::parse(file["digest"].get<std::string>()).has_value();
  }

  static void write(const fs::path& file, std::string_view content) {
    const Fd fd = open_at(AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0600, file);
    write_all(fd.get(), content, file.string());
  }
  static Fd open(const fs::path& file) { return open_at(AT_FDCWD, file, O_RDONLY, 0, file); }

  [[nodiscard]] fs::path directory() const { return states_.directory_of(key()); }
  [[nodiscard]] StateKey key() const { return {lease_, config_, monitor_}; }

  const fs::path path_;
  const CacheLayout layout_;
  const MachineOptions options_{.monitor = {}, .state_key = "sixteen bytes or more"};
  const SavedStates states_{layout_, options_};
  const Qemu monitor_{path_ / "monitor"};
  InstallLease lease_;
  const MachineConfig config_{};
  Fd folder_;
  json good_;
};

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  static const Place place;
  if (size > kLargestInput) return 0;
  place.check(place.filled_in(std::string(as_text(data, size))));
  return 0;
}

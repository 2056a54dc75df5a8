// What must be the same to go on from a saved state.
#include "machine/state_conditions.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <fstream>

#include "base/fs_verity.h"
#include "base/hash.h"
#include "guest/protocol.h"
#include "machine/initramfs.h"
#include "store/layout.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr const char* kIdentity = "identity";
constexpr const char* kDigest = "digest";

/// A state holds registers of the processor it was saved on, and the guest uses its features.
json processor() {
  json found = json::object();
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line) && !line.empty();) {
    for (const char* const key : {"model name", "flags"}) {
      if (line.starts_with(key)) found[key] = sha256(line).to_string();
    }
  }
  return found;
}

std::string host_kernel() {
  struct utsname names {};
  return ::uname(&names) == 0 ? names.release : "";
}

json machine_conditions(const StateKey& key) {
  const MachineConfig& config = key.asked;
  const bool is_kernel = key.kind == StateKind::kernel;
  return {{"accelerator", to_string(config.accelerator)},
          {"cpus", config.cpus},
          {"memory_mib", config.memory_mib},
          {"network", to_string(config.network)},
          // A kernel that has not seen its disks goes on with any.
          {"disk", is_kernel ? json(config.disk_mib != 0) : json(config.disk_mib)}};
}

json digests_of(const InstallRecord& record) {
  json digests = json::object();
  for (const auto& [name, artifact] : record.artifacts) digests[name] = artifact.digest.to_string();
  if (record.source_digest) digests["source"] = *record.source_digest;
  return digests;
}

json base_conditions(const BaseRecord& base) {
  json digests = json::object();
  for (const auto& [name, digest] : base.digests) digests[name] = digest.to_string();
  return {{"name", base.name}, {"digests", std::move(digests)}};
}

void add_install_conditions(const InstallLease& lease, json& conditions) {
  const InstallRecord& record = lease.installation.record;
  conditions["name"] = record.name;
  conditions["version"] = record.version;
  conditions["digests"] = digests_of(record);
  conditions["catalog_version"] = std::string(kCatalogVersion);
  if (lease.base) conditions["base"] = base_conditions(*lease.base);
}

/// What the record says of the root file system, if it was not written to since then: a change of a
/// file changes its ctime, which no system call sets.
std::optional<Digest> recorded_digest(const InstallLease& lease) {
  const auto& artifacts = lease.installation.record.artifacts;
  const auto recorded = artifacts.find(std::string(kArtifactKinds[kRootfs].name));
  struct stat file {};
  struct stat record {};
  if (recorded == artifacts.end() || ::fstat(lease.rootfs.get(), &file) != 0 ||
      ::fstatat(lease.directory.get(), kRecordName, &record, AT_SYMLINK_NOFOLLOW) != 0) {
    return std::nullopt;
  }
  const auto time = [](const struct stat& status) {
    return std::pair(status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  };
  return time(file) < time(record) ? std::optional(recorded->second.digest) : std::nullopt;
}

}  // namespace

json machine_type_json(const MachineConfig& config) {
  return {{"accelerator", to_string(config.accelerator)},
          {"type", config.type == MachineType::q35 ? "q35" : "microvm"}};
}

std::string name_of_base(const BaseRecord& base) {
  return base.name.starts_with('/') ? kInstalledKernelName : base.name;
}

StateFile::StateFile(int file, std::optional<Digest> digest)
    : file_(file < 0 ? -1
                     : try_open(AT_FDCWD, fmt::format("/proc/self/fd/{}", file).c_str(), O_RDONLY)),
      digest_(digest) {}

StateFile::StateFile(const std::filesystem::path& file)
    : file_(try_open(AT_FDCWD, file.c_str(), O_RDONLY | O_NONBLOCK)) {}

json StateFile::identity() const {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return nullptr;
  return {{"device", status.st_dev},
          {"inode", status.st_ino},
          {"size", status.st_size},
          {"modified_ns", status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec}};
}

json StateFile::record(const std::string& name, const std::stop_token& stop) const {
  json identity = this->identity();
  if (!identity.is_object()) throw system_error("cannot open " + name, errno);
  const Digest digest = digest_ ? *digest_ : file_verity(file_.get(), identity["size"], name, stop);
  return {{kIdentity, std::move(identity)}, {kDigest, digest.to_string()}};
}

bool StateFile::is_identical(const json& record) const {
  const json identity = this->identity();
  return identity.is_object() && record.is_object() && record.value(kIdentity, json()) == identity;
}

bool StateFile::has_content(const json& record) const try {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode) || !record.is_object())
    return false;
  return record.value(kDigest, json()) == file_verity(file_.get(),
                                                      static_cast<std::uint64_t>(status.st_size),
                                                      "a file of the state", {})
                                              .to_string();
} catch (const Error&) {
  return false;
}

std::vector<std::string> differences_between(const json& before, const json& now) {
  std::vector<std::string> found;
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key) || before[key] != value) found.push_back(difference_in(key));
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) found.push_back(difference_in(key));
  }
  return found;
}

StateConditions state_conditions(const StateKey& key, const MachineConfig& config) {
  const InstallLease& lease = key.lease;
  StateConditions conditions;
  conditions.values = {{"machine", machine_conditions(key)},
                       {"options", key.monitor.fingerprint()}};
  // The program in a memory that is kept goes on by itself, as long as it is understood.
  if (key.kind == StateKind::kept) {
    conditions.values["guest_protocol"] = guest::kProtocolVersion;
  } else {
    conditions.values["guest_program"] = std::string(guest_program_digest());
  }
  conditions.files.emplace("monitor", key.monitor.program());
  conditions.files.emplace("vmlinux", lease.kernel.get());
  if (lease.initrd) conditions.files.emplace("initrd.img", lease.initrd.get());
  if (key.kind == StateKind::prepared) {
    add_install_conditions(lease, conditions.values);
    conditions.files.emplace("rootfs.ext4", StateFile(lease.rootfs.get(), recorded_digest(lease)));
  }
  if (config.accelerator == Accelerator::kvm) {
    conditions.values["processor"] = processor();
    conditions.values["host_kernel"] = host_kernel();
  }
  return conditions;
}

std::string difference_in(const std::string& key) {
  if (key == "monitor") return "the machine monitor was replaced";
  if (key == "guest_program") return "this pyro has another guest program";
  if (key == "guest_protocol") return "this pyro speaks another protocol with its guests";
  if (key == "machine") return "a machine of another shape or accelerator is asked for";
  if (key == "options") return "this pyro starts machines with other options";
  if (key == "processor") return "this is another processor";
  if (key == "host_kernel") return "this host runs another kernel";
  if (key == "catalog_version") return "this pyro has another catalog";
  if (key == "digests") return "another build of the environment is installed";
  if (key == "base") return "another kernel boots it";
  if (key == "version") return "another version of the environment is installed";
  if (key == "name") return "it is of another environment";
  if (key == kMemoryName || key == kDevicesName || key == kDiskName)
    return "the saved state itself was changed";
  return key + " was changed or replaced";
}

}  // namespace pyro

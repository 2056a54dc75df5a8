// What a machine's saved state depends on.
#include "vm/state_conditions.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include <fstream>

#include "base/sha256.h"
#include "stream/artifacts.h"
#include "vm/guest_program.h"
#include "vm/qemu_arguments.h"

namespace pyro {
namespace {

using nlohmann::json;

json identity_of(const struct stat& status) {
  return {{"device", status.st_dev},
          {"inode", status.st_ino},
          {"size", status.st_size},
          {"modified_ns", status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec}};
}

json identity_of_path(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return nullptr;
  return identity_of(status);
}

/// A state holds registers of the processor it was saved on, and a guest relies on its abilities.
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

/// Of all machines, whatever their shape, which is a condition of its own.
const std::string& digest_of_options() {
  static const std::string digest = [] {
    std::string words = qemu_resume_commands();
    for (const Accelerator accelerator : {Accelerator::kvm, Accelerator::tcg}) {
      for (const MachineType type : {MachineType::microvm, MachineType::q35}) {
        const MachineShape shape{
            .accelerator = accelerator, .type = type, .network = GuestNetwork::user};
        for (const std::string& word : qemu_arguments(shape, QemuStart::resume)) {
          words += '\0' + word;
        }
      }
    }
    return sha256(words).to_string();
  }();
  return digest;
}

json machine_conditions(const MachineShape& shape) {
  json machine = kind_of(shape);
  machine["cpus"] = shape.cpus;
  machine["memory_mib"] = shape.memory_mib;
  machine["network"] = name_of(shape.network);
  return machine;
}

json digests_of(const InstallRecord& record) {
  json digests = json::object();
  for (const auto& [name, artifact] : record.artifacts) digests[name] = artifact.digest.to_string();
  if (record.source_digest) digests["source"] = *record.source_digest;
  return digests;
}

/// What a person calls a condition.
std::string words_for(const std::string& key) {
  if (key == "monitor") return "the machine monitor was replaced";
  if (key == "guest_program") return "this pyro has another guest program";
  if (key == "machine") return "a machine of another shape or accelerator is asked for";
  if (key == "options") return "this pyro starts machines with other options";
  if (key == "processor") return "this is another processor";
  if (key == "host_kernel") return "this host runs another kernel";
  if (key == "catalog_version") return "this pyro has another catalog";
  if (key == "digests") return "another build of the environment is installed";
  if (key == "version") return "another version of the environment is installed";
  if (key == "name") return "it is of another environment";
  return key + " was changed or replaced";
}

}  // namespace

std::string_view name_of(GuestNetwork network) noexcept {
  return network == GuestNetwork::user ? "user" : "none";
}

json kind_of(const MachineShape& shape) {
  return {{"accelerator", to_string(shape.accelerator)},
          {"type", shape.type == MachineType::q35 ? "q35" : "microvm"}};
}

json file_identity(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return nullptr;
  return identity_of(status);
}

std::vector<std::string> differences_between(const json& before, const json& now) {
  std::vector<std::string> found;
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key) || before[key] != value) found.push_back(words_for(key));
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) found.push_back(words_for(key));
  }
  return found;
}

json state_conditions(const StateOwner& owner, const MachineShape& shape) {
  const auto& [held, asked, monitor] = owner;
  const InstallRecord& record = held.installation.record;
  json conditions = {{"name", record.name},
                     {"version", record.version},
                     {"digests", digests_of(record)},
                     {"catalog_version", std::string(kCatalogVersion)},
                     {"guest_program", std::string(guest_program_digest())},
                     {"machine", machine_conditions(asked)},
                     {"options", digest_of_options()},
                     {"monitor", {{"path", monitor.string()}, {"file", identity_of_path(monitor)}}},
                     {"vmlinux", file_identity(held.kernel.get())},
                     {"rootfs.ext4", file_identity(held.rootfs.get())}};
  if (held.initrd) conditions["initrd.img"] = file_identity(held.initrd.get());
  if (shape.accelerator == Accelerator::kvm) {
    conditions["processor"] = processor();
    conditions["host_kernel"] = host_kernel();
  }
  return conditions;
}

}  // namespace pyro

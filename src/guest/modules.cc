// Kernel modules from the initrd, in the order that modules.dep asks for.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "guest/descriptor.h"
#include "guest/system.h"
#include "guest/text.h"

namespace pyro::guest {
namespace {

// A name with '_' also stands for one with '-'.
constexpr std::string_view kBuses[] = {"virtio_pci", "virtio_mmio"};
constexpr std::string_view kFileSystems[] = {"overlay", "ext4"};

/// Device ids of virtio 1.2, section 5.
struct Driver {
  std::string_view name;
  std::string_view device;
};
constexpr Driver kDisk = {"virtio_blk", "0x0002"};
constexpr Driver kDrivers[] = {
    {"virtio_net", "0x0001"}, {"virtio_console", "0x0003"}, {"virtio_rng", "0x0004"}};

constexpr const char* kDevices = "/sys/bus/virtio/devices/";
constexpr const char* kProbesDevices = "/sys/bus/virtio/drivers_autoprobe";
constexpr const char* kDiskDriver = "/sys/bus/virtio/drivers/virtio_blk";

/// "kernel/drivers/char/hw_random/virtio-rng.ko.xz" to "virtio_rng".
std::string module_name(std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  name = name.substr(0, name.find('.'));
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

struct Device {
  std::string name;
  std::string id;
};

/// The devices on the virtio bus. They appear when the module of the bus is loaded.
std::vector<Device> virtio_devices() {
  const std::string folder = kDevices;
  std::vector<Device> found;
  DIR* const devices = ::opendir(folder.c_str());
  if (devices == nullptr) return found;
  while (const dirent* const entry = ::readdir(devices)) {
    if (entry->d_name[0] == '.') continue;
    const std::string id = read_file(folder + entry->d_name + "/device");
    found.push_back({entry->d_name, id.substr(0, id.find('\n'))});
  }
  ::closedir(devices);
  return found;
}

bool has_disk_driver() {
  return ::access(kDiskDriver, F_OK) == 0;
}

class Loader {
 public:
  Loader() {
    utsname names{};
    ::uname(&names);
    folder_ = std::string("/lib/modules/") + names.release + '/';
    index_ = read_file(folder_ + "modules.dep");
  }

  void load(std::string_view name) {
    std::string_view rest = index_;
    while (!rest.empty()) {
      std::string_view line = take_up_to(rest, '\n');
      const std::string_view path = take_up_to(line, ':');
      if (module_name(path) == name) return load_with_needs(path, line);
    }
  }

 private:
  // modules.dep lists all dependencies of a module; the last one has to be loaded first.
  void load_with_needs(std::string_view path, std::string_view needs) {
    std::vector<std::string_view> order{path};
    while (!needs.empty()) {
      if (const std::string_view need = take_up_to(needs, ' '); !need.empty())
        order.push_back(need);
    }
    for (auto it = order.rbegin(); it != order.rend(); ++it) insert(*it);
  }

  // Failures are ignored: most modules are loaded already, and a missing device is reported later.
  void insert(std::string_view path) {
    if (std::ranges::find(tried_, path) != tried_.end()) return;
    tried_.push_back(path);
    const Descriptor file(::open((folder_ + std::string(path)).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return;
    constexpr int kCompressed = 4;  // MODULE_INIT_COMPRESSED_FILE
    const bool plain = path.ends_with(".ko");
    ::syscall(SYS_finit_module, file.get(), "", plain ? 0 : kCompressed);
  }

  std::string folder_;
  std::string index_;
  std::vector<std::string_view> tried_;
};

}  // namespace

// Each module costs milliseconds of the boot, so only those of present devices are loaded.
bool load_modules() {
  Loader loader;
  std::vector<Device> devices = virtio_devices();
  for (const std::string_view bus : kBuses) {
    if (!devices.empty()) break;
    loader.load(bus);
    devices = virtio_devices();
  }
  for (const Driver& driver : kDrivers) {
    const bool is_needed = std::ranges::find(devices, driver.device, &Device::id) != devices.end();
    if (is_needed) loader.load(driver.name);
  }
  for (const std::string_view name : kFileSystems) loader.load(name);
  const bool is_built_in = has_disk_driver();
  write_setting(kProbesDevices, "0");
  loader.load(kDisk.name);
  return !is_built_in && has_disk_driver();
}

void release_disk() {
  write_setting(kProbesDevices, "1");
  for (const Device& device : virtio_devices()) {
    if (device.id == kDisk.device) write_setting(std::string(kDiskDriver) + "/bind", device.name);
  }
}

}  // namespace pyro::guest

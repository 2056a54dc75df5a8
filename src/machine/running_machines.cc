// The machines that run on this host: their monitors say in their arguments what they are.
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/text.h"
#include "machine/monitor.h"
#include "pyro/machine.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLabelPrefix = "pyro/";

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();
  return std::move(content).str();
}

/// The label in the arguments of a monitor, which end with zero bytes.
std::optional<std::string> label_in(std::string_view arguments) {
  constexpr std::string_view kOption("\0-name\0pyro/", 12);
  const std::size_t at = arguments.find(kOption);
  if (at == arguments.npos) return std::nullopt;
  const std::string_view label = arguments.substr(at + kOption.size());
  return std::string(label.substr(0, label.find('\0')));
}

/// The fields of /proc/PID/stat behind the name, which may hold any character; the first one is the
/// third in proc(5).
std::vector<std::string> fields_of_stat(const fs::path& process) {
  const std::string text = content_of(process / "stat");
  const std::size_t end = text.rfind(") ");
  std::vector<std::string> fields;
  if (end == text.npos) return fields;
  std::istringstream rest(text.substr(end + 2));
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

/// A number of kB in a file of lines "NAME: 12 kB".
std::optional<std::uint64_t> kilobytes_in(const fs::path& file, std::string_view name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream words(line.substr(name.size()));
    if (std::uint64_t kilobytes = 0; words >> kilobytes) return kilobytes;
  }
  return std::nullopt;
}

/// What it holds, with its share of what several machines map. Of another user's process all that
/// it has mapped.
std::uint64_t memory_of(const fs::path& process) {
  auto kilobytes = kilobytes_in(process / "smaps_rollup", "Pss:");
  if (!kilobytes) kilobytes = kilobytes_in(process / "status", "VmRSS:");
  return kilobytes.value_or(0) * 1024;
}

std::string name_of_user(uid_t user) {
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(user);
}

std::chrono::seconds time_since_boot() {
  double seconds = 0;
  std::ifstream("/proc/uptime") >> seconds;
  return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

std::optional<MachineStart> start_called(std::string_view name) {
  for (const auto start : {MachineStart::boot, MachineStart::kernel_state,
                           MachineStart::prepared_state, MachineStart::saved_machine}) {
    if (to_string(start) == name) return start;
  }
  return std::nullopt;
}

/// Nothing for another process, and for one that has ended meanwhile.
std::optional<RunningMachine> machine_of(const fs::path& process, int number) {
  constexpr std::size_t kParent = 1;
  constexpr std::size_t kStartTime = 19;
  const auto label = label_in(content_of(process / "cmdline"));
  const auto fields = fields_of_stat(process);
  struct stat status {};
  if (!label || fields.size() <= kStartTime || ::stat(process.c_str(), &status) != 0) {
    return std::nullopt;
  }
  const std::size_t slash = label->find('/');
  const auto start = start_called(label->substr(0, slash));
  const auto ticks = number_in<std::int64_t>(fields[kStartTime]);
  if (!start || slash == label->npos || !ticks) return std::nullopt;
  const std::chrono::seconds started(*ticks / ::sysconf(_SC_CLK_TCK));
  return RunningMachine{.environment = label->substr(slash + 1),
                        .start = *start,
                        .since = std::chrono::system_clock::now() - (time_since_boot() - started),
                        .memory_bytes = memory_of(process),
                        .user = name_of_user(status.st_uid),
                        .process = number_in<int>(fields[kParent]).value_or(0),
                        .monitor = number};
}

}  // namespace

std::string machine_label(std::string_view environment, MachineStart start) {
  return std::string(kLabelPrefix).append(to_string(start)).append("/").append(environment);
}

std::vector<RunningMachine> running_machines() {
  std::vector<RunningMachine> machines;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/proc", gone)) {
    const auto number = number_in<int>(entry.path().filename().native());
    if (!number) continue;
    if (auto machine = machine_of(entry.path(), *number)) machines.push_back(std::move(*machine));
  }
  std::ranges::sort(machines, {}, &RunningMachine::since);
  return machines;
}

}  // namespace pyro

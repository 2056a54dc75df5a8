// What commands that have to do with machines let one choose of them.
#include "cli/commands/machine_arguments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <optional>

namespace pyro::cli {
namespace {

constexpr const char* kMonitor = "qemu-system-x86_64";

std::optional<unsigned> parse_number(const std::string& text, unsigned least, unsigned most) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number < least || number > most) return std::nullopt;
  return number;
}

std::filesystem::path find_in_path(const std::string& path) {
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string directory = path.substr(begin, end - begin);
    std::filesystem::path program = std::filesystem::path(directory) / kMonitor;
    if (directory.starts_with('/') && ::access(program.c_str(), X_OK) == 0) return program;
    begin = end + 1;
  }
  return {};
}

/// One that means nothing must not pass for "off", nor for "require".
KvmUse kvm_use(const Variables& variables) {
  const std::string text = variables("PYRO_KVM").value_or("");
  if (text.empty()) return KvmUse::where_it_works;
  if (text == "off") return KvmUse::never;
  if (text == "require") return KvmUse::required;
  throw Error(ErrorCode::usage, "PYRO_KVM is 'off', 'require' or not set, but not '" + text + "'");
}

}  // namespace

void declare_machine_size(Arguments& arguments, MachineOptions& options) {
  arguments.value(
      "--cpus", "N",
      [&](const std::string& text) {
        const auto number = parse_number(text, 1, kMaxCpus);
        if (!number) refuse_value("--cpus", text, fmt::format("a number from 1 to {}", kMaxCpus));
        options.cpus = *number;
      },
      "Processors of the machine (default 1)");
  arguments.value(
      "--memory", "MIB",
      [&](const std::string& text) {
        const auto number = parse_number(text, kMinMemoryMib, kMaxMemoryMib);
        if (!number) {
          refuse_value(
              "--memory", text,
              fmt::format("a number of MiB from {} to {}", kMinMemoryMib, kMaxMemoryMib));
        }
        options.memory_mib = *number;
      },
      "Memory of the machine (default 512); what a command\nwrites to files takes up to half of "
      "it");
}

void find_monitor(const Variables& variables, MachineOptions& options) {
  options.monitor = variables("PYRO_QEMU").value_or("");
  if (options.monitor.empty()) options.monitor = find_in_path(variables("PATH").value_or(""));
  if (options.kvm == KvmUse::where_it_works) options.kvm = kvm_use(variables);
}

}  // namespace pyro::cli

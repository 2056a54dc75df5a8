// Makes the next runs of an environment fast: a machine that has booted, kept.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <type_traits>
#include <utility>

#include "base/file_lock.h"
#include "store/held_installation.h"
#include "store/layout.h"
#include "store/staging_directory.h"
#include "vm/conversation.h"
#include "vm/launch.h"
#include "vm/prepared_state.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kProofPatience{30};

std::uint64_t allocated_bytes(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

/// Runs a program that every environment has, for its effects on nothing but caches.
void run_trivial(GuestLink& link) {
  const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  const RunOptions options{.machine = {},
                           .command = {"true"},
                           .output = null.get(),
                           .error_output = null.get(),
                           .timeout = std::chrono::milliseconds(kProofPatience)};
  const CommandEnd end = run_command(link, options);
  if (end.code == 0 && end.signal == 0 && end.refused == 0 && !end.timed_out) return;
  throw Error(ErrorCode::failed, "'true' does not work in the guest" +
                                     (end.refusal.empty() ? "" : ": " + end.refusal));
}

/// A port of the host's that a guest on the user network is to find.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (!socket_ || ::bind(socket_.get(), generic, size) != 0 || ::listen(socket_.get(), 1) != 0 ||
        ::getsockname(socket_.get(), generic, &size) != 0) {
      throw system_error("cannot listen for the guest", errno);
    }
    port_ = ntohs(address.sin_port);
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  /// What the first to connect says.
  [[nodiscard]] std::string hear() const {
    constexpr int kPatience = 5000;  // ms
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, kPatience) != 1) return {};
    const Fd guest(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ready.fd = guest.get();
    std::array<char, 256> words;
    if (::poll(&ready, 1, kPatience) != 1) return {};
    const ssize_t got = ::read(guest.get(), words.data(), words.size());
    return {words.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }

 private:
  Fd socket_;
  std::uint16_t port_ = 0;
};

class Preparation {
 public:
  Preparation(EnvironmentStore& store, std::string_view name, const PrepareOptions& options)
      : lock_timeout_(store.options().lock_timeout),
        options_(options),
        launcher_(store, name, options.machine, options.progress, options.stop),
        layout_(launcher_.layout()) {
    report_.name = launcher_.environment().name;
    report_.version = launcher_.environment().version;
  }

  PrepareReport run() {
    const HeldInstallation held = timed("install", [&] { return launcher_.hold(); });
    shape_ = launcher_.shape();
    directory_ = prepared_state_dir(layout_, report_.name, shape_.network);
    const FileLock lock = acquire_lock();
    if (!options_.force && is_prepared(held)) return std::move(report_);
    make(held);
    return std::move(report_);
  }

 private:
  template <typename Action>
  std::invoke_result_t<Action> timed(const char* step, Action action) {
    const auto begin = Clock::now();
    struct Note {
      PrepareReport& report;
      const char* step;
      Clock::time_point begin;
      ~Note() {
        report.steps.push_back(
            {step, std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin)});
      }
    } note{report_, step, begin};
    return action();
  }

  FileLock acquire_lock() {
    const Fd locks = make_and_open_directory(layout_.locks_dir());
    const std::string name = directory_.parent_path().filename().string() + ".prepare.lock";
    return FileLock::acquire(locks.get(), name, layout_.locks_dir() / name,
                             {.timeout = lock_timeout_,
                              .stop = options_.stop,
                              .on_wait = [&](std::optional<int> holder) {
                                launcher_.progress().waiting(report_.name, holder);
                              }});
  }

  bool is_prepared(const HeldInstallation& held) {
    const auto lookup =
        find_prepared_state(directory_, state_conditions(held, shape_, options_.machine.monitor));
    if (!lookup.state) return false;
    tell(*lookup.state);
    report_.prepared_before = true;
    return true;
  }

  void tell(const PreparedState& state) {
    report_.manifest = directory_ / kManifestName;
    report_.accelerator = shape_.accelerator;
    report_.state_bytes =
        allocated_bytes(state.memory.get()) + allocated_bytes(state.devices.get());
  }

  void make(const HeldInstallation& held) {
    StagingDirectory staging(layout_);
    PreparedState state{.directory = directory_,
                        .manifest = {},
                        .memory = make_file(staging, kMemoryName),
                        .devices = make_file(staging, kDevicesName)};
    if (::ftruncate(state.memory.get(), static_cast<off_t>(shape_.memory_bytes())) != 0) {
      throw system_error("cannot make the memory file", errno);
    }
    save(held, state);
    timed("prove", [&] { prove(held, state); });
    publish(held, staging, state);
    tell(state);
  }

  // QEMU opens the memory file for writing even when it only maps it privately, so nobody else may.
  static Fd make_file(const StagingDirectory& staging, const char* name) {
    return open_at(staging.descriptor(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                   staging.path_of(name));
  }

  void save(const HeldInstallation& held, const PreparedState& state) {
    LiveMachine live =
        timed("boot", [&] { return launcher_.boot(shape_, held, state.memory.get()); });
    shape_ = live.shape;
    timed("warm up", [&] { run_trivial(*live.link); });
    timed("save", [&] { live.machine->save(state.devices.get()); });
  }

  void prove(const HeldInstallation& held, const PreparedState& state) {
    LiveMachine live = launcher_.resume(shape_, held, state);
    run_trivial(*live.link);
    if (shape_.network == GuestNetwork::user) prove_network(*live.link);
  }

  static void prove_network(GuestLink& link) {
    constexpr std::string_view kWords = "pyro";
    const Listener listener;
    reach_host(link, listener.port(), kWords, Clock::now() + kProofPatience);
    if (listener.hear() == kWords) return;
    throw Error(ErrorCode::failed, "the guest's network does not work");
  }

  void publish(const HeldInstallation& held, StagingDirectory& staging,
               const PreparedState& state) {
    timed("sync", [&] {
      sync_file(state.memory.get(), staging.path_of(kMemoryName));
      sync_file(state.devices.get(), staging.path_of(kDevicesName));
    });
    const auto path = staging.path_of(kManifestName);
    const Fd file = open_at(staging.descriptor(), kManifestName,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
    write_all(file.get(), manifest(held, state).dump(2) + '\n', path);
    sync_file(file.get(), path);
    const Fd parent = make_and_open_directory(directory_.parent_path());
    staging.publish(parent.get(), directory_);
  }

  [[nodiscard]] json manifest(const HeldInstallation& held, const PreparedState& state) const {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    json steps = json::array();
    for (const PrepareStep& step : report_.steps) {
      steps.push_back(
          {{"name", step.name}, {"seconds", std::chrono::duration<double>(step.time).count()}});
    }
    return {{"conditions", state_conditions(held, shape_, options_.machine.monitor)},
            {"monitor_version", qemu_version(options_.machine.monitor)},
            {"state",
             {{"memory", file_identity(state.memory.get())},
              {"devices", file_identity(state.devices.get())}}},
            {"prepared_at", std::chrono::duration_cast<std::chrono::seconds>(now).count()},
            {"steps", steps}};
  }

  const std::optional<std::chrono::milliseconds> lock_timeout_;
  const PrepareOptions& options_;
  Launcher launcher_;
  const CacheLayout& layout_;
  MachineShape shape_;
  std::filesystem::path directory_;
  PrepareReport report_;
};

}  // namespace

PrepareReport prepare_machine(EnvironmentStore& store, std::string_view name,
                              const PrepareOptions& options) {
  return Preparation(store, name, options).run();
}

std::string_view to_string(Readiness readiness) noexcept {
  switch (readiness) {
    case Readiness::cold:
      return "cold";
    case Readiness::warm:
      return "warm";
    case Readiness::stale:
      return "stale";
  }
  return "cold";
}

ReadinessReport machine_readiness(const EnvironmentStore& store, std::string_view name,
                                  const MachineOptions& options) {
  const Environment& environment = store.options().catalog.require(name);
  const CacheLayout layout(store.options().cache_dir);
  ReadinessReport report;
  const auto held = hold_installation(layout.install_dir(environment), environment);
  report.installed = held.has_value();
  const auto directory = prepared_state_dir(layout, environment.name, options.network);
  if (!held) {
    report.reasons.emplace_back("it is not installed");
    return report;
  }
  const MachineShape shape = shape_for(options, layout);
  StateLookup lookup =
      find_prepared_state(directory, state_conditions(*held, shape, options.monitor));
  if (lookup.state) {
    report.readiness = Readiness::warm;
  } else if (lookup.exists) {
    report.readiness = Readiness::stale;
    report.reasons = std::move(lookup.differences);
  } else {
    report.reasons.emplace_back("no machine was prepared");
  }
  return report;
}

}  // namespace pyro

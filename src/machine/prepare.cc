// Prepare: boots a machine, and saves it for the next runs of its environment.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <type_traits>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "base/fs_verity.h"
#include "machine/guest_requests.h"
#include "machine/launch.h"
#include "machine/saved_states.h"
#include "machine/warm_up.h"
#include "store/installation.h"
#include "store/transaction.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kSmokeTestTimeout{30};

/// A port of the host for a guest on the user network.
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

  /// The first bytes of the first client.
  [[nodiscard]] std::string receive() const {
    const auto deadline = Clock::now() + std::chrono::seconds(5);
    if (!wait_to_read(socket_.get(), deadline)) return {};
    const Fd guest(
        uninterrupted([&] { return ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC); }));
    std::array<char, 256> words;
    if (!wait_to_read(guest.get(), deadline)) return {};
    const ssize_t got = ::read(guest.get(), words.data(), words.size());
    return {words.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }

 private:
  Fd socket_;
  std::uint16_t port_ = 0;
};

/// Has the guest connect to a loopback port of the host over the user network, and send `words`.
void reach_host(GuestSession& session, std::uint16_t port, std::string_view words,
                Deadline deadline) {
  guest::ReachPayload host;
  ::inet_pton(AF_INET, guest::kGatewayAddress, &host.address);
  host.port = htons(port);
  session.send_fixed(guest::FrameType::reach, host, words);
  GuestFrame frame = session.next(deadline);
  if (frame.type == guest::FrameType::done) return;
  if (frame.type != guest::FrameType::refused) refuse_frame();
  const int error = fixed_part<guest::RefusalPayload>(frame.payload).error_number;
  throw Error(ErrorCode::failed,
              "the guest's network does not work: " +
                  std::string(system_error(shortened(frame.payload), error).what()));
}

/// Has a guest on the user network connect to a port of this host.
/// @throws Error(failed)
void check_network(GuestConnection& guest, const std::stop_token& stop) {
  constexpr std::string_view kWords = "pyro";
  const Listener listener;
  GuestSession session(guest, stop);
  reach_host(session, listener.port(), kWords, Clock::now() + kSmokeTestTimeout);
  if (listener.receive() == kWords) return;
  throw Error(ErrorCode::failed, "the guest's network does not work");
}

/// boot, warm up, save, prove, sync, digest
constexpr std::uint64_t kStepsOfCreation = 6;
/// Every guest touches at least so much of its memory.
constexpr std::uint64_t kMinStateBytes = std::uint64_t{16} << 20;

std::uint64_t allocated_bytes(const PreparedState& state) {
  std::uint64_t bytes = 0;
  for (const int fd : {state.memory.get(), state.devices.get(), state.disk.get()}) {
    struct stat status {};
    if (::fstat(fd, &status) == 0) bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

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
    const InstallLease lease = timed("install", [&] { return launcher_.acquire_lease(); });
    asked_ = launcher_.config();
    directory_ = launcher_.states().directory_of(key(lease));
    const FileLock lock = acquire_lock();
    if (!options_.force && is_prepared(lease)) return std::move(report_);
    create(lease);
    return std::move(report_);
  }

 private:
  template <typename Action>
  std::invoke_result_t<Action> timed(const char* step, Action action) {
    const auto begin = Clock::now();
    if (operation_) operation_->set_detail(step);
    struct Note {
      Preparation& self;
      const char* step;
      Clock::time_point begin;
      ~Note() {
        self.report_.steps.push_back({step, elapsed_since(begin)});
        if (self.operation_) self.operation_->add(1);
      }
    } note{*this, step, begin};
    return action();
  }

  FileLock acquire_lock() {
    const Fd locks = layout_.make(layout_.locks_dir());
    const std::string name = CacheLayout::prepare_lock_name(report_.name);
    return FileLock::acquire(locks.get(), name, layout_.locks_dir() / name,
                             {.timeout = lock_timeout_,
                              .stop = options_.stop,
                              .on_wait = [&](std::optional<int> holder) {
                                launcher_.progress().waiting(report_.name, holder);
                              }});
  }

  bool is_prepared(const InstallLease& lease) {
    const auto lookup = launcher_.states().find(key(lease));
    if (!lookup.state) return false;
    describe(*lookup.state);
    report_.prepared_before = true;
    return true;
  }

  void describe(const PreparedState& state) {
    report_.manifest = directory_ / kManifestName;
    report_.accelerator = state.config.accelerator;
    report_.state_bytes = allocated_bytes(state);
  }

  void create(const InstallLease& lease) {
    operation_.emplace(
        options_.progress,
        Operation{.name = "preparing", .subject = report_.name, .total = kStepsOfCreation});
    launcher_.states().require_key();
    StagingDirectory staging(layout_);
    require_free_space(layout_.staging_dir(), kMinStateBytes);
    PreparedState state{.config = asked_,
                        .memory = make_state_file(staging, kMemoryName),
                        .devices = make_state_file(staging, kDevicesName)};
    if (asked_.disk_mib != 0) state.disk = make_state_file(staging, kDiskName);
    with_disk_full_details(state, [&] { save(lease, state); });
    // Before the smoke test: if the monitor is replaced meanwhile, the state is stale, and not
    // wrong.
    const StateConditions conditions = state_conditions(key(lease), state.config);
    timed("prove", [&] { smoke_test_state(lease, state); });
    publish(conditions, staging, state);
    describe(state);
    operation_.reset();
  }

  // On a full disk the monitor is killed (SIGBUS) when its guest touches another page.
  template <typename Action>
  void with_disk_full_details(const PreparedState& state, const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      const auto* const lost = dynamic_cast<const MachineLost*>(&error);
      const bool has_other_reasons = error.code() == ErrorCode::interrupted ||
                                     (lost != nullptr && lost->loss() != Loss::monitor);
      const std::string why = disk_full_details(layout_.staging_dir(), allocated_bytes(state), 0);
      if (has_other_reasons || why.empty()) throw;
      Error full = system_error("cannot save a machine of " + report_.name, ENOSPC);
      throw full.add_context(why);
    }
  }

  void save(const InstallLease& lease, PreparedState& state) {
    LiveMachine live =
        timed("boot", [&] { return launcher_.start(asked_, lease, state.memory.get()); });
    state.config = live.config;
    timed("warm up", [&] { warm_up(*live.guest, lease.installation.record, options_.stop); });
    timed("save", [&] {
      live.guest->machine().save(state.devices.get(), {Clock::now() + kSaveTimeout, options_.stop});
      if (live.scratch) {
        copy_sparse(live.scratch.get(), state.disk.get(), "its scratch disk", options_.stop);
      }
    });
  }

  void smoke_test_state(const InstallLease& lease, const PreparedState& state) {
    LiveMachine live = launcher_.resume(lease, state);
    check_guest(*live.guest, asked_.is_container, options_.stop);
    if (asked_.network == GuestNetwork::user_and_host) check_network(*live.guest, options_.stop);
  }

  void publish(const StateConditions& conditions, StagingDirectory& staging,
               const PreparedState& state) {
    timed("sync", [&] { sync_state(staging, state); });
    json manifest =
        timed("digest", [&] { return state_manifest(conditions, state, options_.stop); });
    add_history(manifest);
    const Fd parent = layout_.make(directory_.parent_path());
    launcher_.states().publish(staging, std::move(manifest), parent.get(), directory_);
  }

  // For people: when and how long it was prepared.
  void add_history(json& manifest) const {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    json steps = json::array();
    for (const PrepareStep& step : report_.steps) {
      steps.push_back(
          {{"name", step.name}, {"seconds", std::chrono::duration<double>(step.time).count()}});
    }
    manifest["monitor_version"] = launcher_.monitor().version();
    manifest["prepared_at"] = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    manifest["steps"] = std::move(steps);
  }

  [[nodiscard]] StateKey key(const InstallLease& lease) const {
    return {lease, asked_, launcher_.monitor()};
  }

  const std::optional<std::chrono::milliseconds> lock_timeout_;
  const PrepareOptions& options_;
  Launcher launcher_;
  const CacheLayout& layout_;
  MachineConfig asked_;
  std::filesystem::path directory_;
  PrepareReport report_;
  std::optional<RunningOperation> operation_;  ///< From the boot on.
};

}  // namespace

PrepareReport prepare_machine(EnvironmentStore& store, std::string_view name,
                              const PrepareOptions& options) {
  return Preparation(store, name, options).run();
}

}  // namespace pyro

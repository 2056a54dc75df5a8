// Makes the next runs of an environment fast: a machine that has booted, kept.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <type_traits>
#include <utility>

#include "base/file_lock.h"
#include "base/free_space.h"
#include "store/held_installation.h"
#include "store/layout.h"
#include "store/staging_directory.h"
#include "vm/launch.h"
#include "vm/prepared_state.h"
#include "vm/proof.h"
#include "vm/qemu.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kRest{200};
constexpr std::chrono::seconds kSavePatience{60};  // it takes half a second
/// Of the memory that a guest is given, it never touches less. How much more depends on the guest.
constexpr std::uint64_t kLeastState = std::uint64_t{16} << 20;

std::uint64_t allocated_bytes(const PreparedState& state) {
  std::uint64_t bytes = 0;
  for (const int fd : {state.memory.get(), state.devices.get()}) {
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
    const HeldInstallation held = timed("install", [&] { return launcher_.hold(); });
    asked_ = launcher_.shape();
    directory_ = prepared_state_dir(layout_, report_.name, asked_.network);
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
    const Fd locks = layout_.make(layout_.locks_dir());
    const std::string name = CacheLayout::prepare_lock_name(report_.name);
    return FileLock::acquire(locks.get(), name, layout_.locks_dir() / name,
                             {.timeout = lock_timeout_,
                              .stop = options_.stop,
                              .on_wait = [&](std::optional<int> holder) {
                                launcher_.progress().waiting(report_.name, holder);
                              }});
  }

  bool is_prepared(const HeldInstallation& held) {
    const auto lookup = find_prepared_state(layout_, directory_, owner(held));
    if (!lookup.state) return false;
    tell(*lookup.state);
    report_.prepared_before = true;
    return true;
  }

  void tell(const PreparedState& state) {
    report_.manifest = directory_ / kManifestName;
    report_.accelerator = state.shape.accelerator;
    report_.state_bytes = allocated_bytes(state);
  }

  void make(const HeldInstallation& held) {
    StagingDirectory staging(layout_);
    require_free_space(layout_.staging_dir(), kLeastState);
    PreparedState state{.shape = asked_,
                        .memory = make_file(staging, kMemoryName),
                        .devices = make_file(staging, kDevicesName)};
    explaining_space(state, [&] { save(held, state); });
    // Before the proof: a monitor that is replaced meanwhile makes it stale, not wrong.
    const json conditions = state_conditions(owner(held), state.shape);
    timed("prove", [&] { prove(held, state); });
    publish(conditions, staging, state);
    tell(state);
  }

  // A disk that is full kills the monitor when its guest touches one more page (SIGBUS).
  template <typename Action>
  void explaining_space(const PreparedState& state, const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      const auto* const lost = dynamic_cast<const MachineLost*>(&error);
      const bool has_other_reasons = error.code() == ErrorCode::interrupted ||
                                     (lost != nullptr && lost->loss() != Loss::monitor);
      const std::string why =
          explain_lack_of_space(layout_.staging_dir(), allocated_bytes(state), 0);
      if (has_other_reasons || why.empty()) throw;
      Error full = system_error("cannot save a machine of " + report_.name, ENOSPC);
      throw full.add_context(why);
    }
  }

  // QEMU opens the memory file for writing even when it only maps it privately, so nobody else may.
  static Fd make_file(const StagingDirectory& staging, const char* name) {
    return open_at(staging.descriptor(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                   staging.path_of(name));
  }

  void save(const HeldInstallation& held, PreparedState& state) {
    LiveMachine live =
        timed("boot", [&] { return launcher_.boot(asked_, held, state.memory.get()); });
    state.shape = live.shape;
    timed("warm up", [&] {
      run_trivial(*live.link);
      come_to_rest(*live.link);
    });
    timed("save", [&] {
      live.machine->save(state.devices.get(), {Clock::now() + kSavePatience, options_.stop});
    });
  }

  // What booting and the command have left to do would go on in each machine that starts from here.
  static void come_to_rest(GuestLink& link) {
    const auto end = Clock::now() + kRest;
    while (!link.stop_requested() && link.wait({}, end)) {
      while (link.take()) {
      }
    }
  }

  void prove(const HeldInstallation& held, const PreparedState& state) {
    LiveMachine live = launcher_.resume(held, state);
    run_trivial(*live.link);
    if (asked_.network == GuestNetwork::user) prove_network(*live.link);
  }

  void publish(const json& conditions, StagingDirectory& staging, const PreparedState& state) {
    timed("sync", [&] {
      sync_file(state.memory.get(), staging.path_of(kMemoryName));
      sync_file(state.devices.get(), staging.path_of(kDevicesName));
    });
    json manifest =
        timed("digest", [&] { return state_manifest(conditions, state, options_.stop); });
    add_story(manifest);
    const auto path = staging.path_of(kManifestName);
    const Fd file = open_at(staging.descriptor(), kManifestName,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
    write_all(file.get(), manifest.dump(2) + '\n', path);
    sync_file(file.get(), path);
    const Fd parent = layout_.make(directory_.parent_path());
    staging.publish(parent.get(), directory_);
  }

  // How it came to be, for people.
  void add_story(json& manifest) const {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    json steps = json::array();
    for (const PrepareStep& step : report_.steps) {
      steps.push_back(
          {{"name", step.name}, {"seconds", std::chrono::duration<double>(step.time).count()}});
    }
    manifest["monitor_version"] = qemu_version(options_.machine.monitor);
    manifest["prepared_at"] = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    manifest["steps"] = std::move(steps);
  }

  [[nodiscard]] StateOwner owner(const HeldInstallation& held) const {
    return {held, asked_, options_.machine.monitor};
  }

  const std::optional<std::chrono::milliseconds> lock_timeout_;
  const PrepareOptions& options_;
  Launcher launcher_;
  const CacheLayout& layout_;
  MachineShape asked_;
  std::filesystem::path directory_;
  PrepareReport report_;
};

}  // namespace

PrepareReport prepare_machine(EnvironmentStore& store, std::string_view name,
                              const PrepareOptions& options) {
  return Preparation(store, name, options).run();
}

}  // namespace pyro

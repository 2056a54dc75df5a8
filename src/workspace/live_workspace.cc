// A workspace in use.
#include "workspace/live_workspace.h"

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "base/files.h"
#include "pyro/error.h"
#include "workspace/host_files.h"
#include "workspace/seed.h"

namespace pyro {
namespace {

constexpr const char* kStopped = "the workspace was stopped";
constexpr const char* kSuspended = "the workspace was suspended";
constexpr const char* kReset = "the workspace was reset";

/// Its catalog is empty: a workspace has all that it is made of. The cache has the saved states.
StoreOptions store_options(const WorkspaceSettings& settings) {
  StoreOptions store;
  store.cache_dir = settings.cache_dir;
  return store;
}

void require_new_snapshot_name(const WorkspaceManifest& manifest, const std::string& name) {
  require_workspace_name(name);
  if (name == kBeforeReset) {
    throw Error(ErrorCode::usage, "the name " + name + " is for what a reset replaces");
  }
  if (manifest.find_snapshot(name) != nullptr) {
    throw Error(ErrorCode::usage, "there is a snapshot " + name + " already");
  }
}

void wait_for_ends(const std::vector<std::shared_ptr<WorkspaceCommand>>& commands) {
  for (const auto& command : commands) {
    static_cast<void>(wait_to_read(command->end_event(), std::nullopt));
  }
}

bool is_whole_workspace(const std::string& path) {
  const auto normal = std::filesystem::path(path).lexically_normal();
  return normal == kWorkspaceDirectory || normal == std::filesystem::path(kWorkspaceDirectory) / "";
}

std::vector<SavedProcess> saved_processes(
    const std::vector<std::shared_ptr<WorkspaceCommand>>& commands) {
  std::vector<SavedProcess> processes;
  for (const auto& command : commands) {
    processes.push_back({.session = command->session(),
                         .number = command->number(),
                         .command = command->command(),
                         .keeps_input = command->input() == ProcessInput::attachments});
  }
  return processes;
}

}  // namespace

LiveWorkspace::LiveWorkspace(WorkspaceSettings settings, WorkspaceDirectory workspace)
    : settings_(std::move(settings)),
      workspace_(std::move(workspace)),
      workspaces_(settings_.directory),
      store_(store_options(settings_)),
      manifest_(workspace_.manifest()),
      is_new_(settings_.role == WorkspaceRole::beginning),
      beginning_(manifest_) {}

LiveWorkspace::~LiveWorkspace() {
  finish_saving();
}

WorkspaceManifest LiveWorkspace::beginning() const {
  const std::lock_guard lock(mutex_);
  return beginning_;
}

// --- the machine ---

std::shared_ptr<HeldMachine> LiveWorkspace::running_machine() const {
  const std::lock_guard lock(mutex_);
  return machine_ && !machine_->has_ended() ? machine_ : nullptr;
}

bool LiveWorkspace::has_machine() const {
  return running_machine() != nullptr;
}

WorkspaceState LiveWorkspace::current_state() const {
  return workspace_.state(manifest_.current);
}

std::shared_ptr<HeldMachine> LiveWorkspace::machine(ProgressListener& progress,
                                                    const std::stop_token& stop) {
  const std::lock_guard lock(states_mutex_);
  if (auto machine = running_machine()) return machine;
  start_machine(progress, stop);
  return running_machine();
}

void LiveWorkspace::start_machine(ProgressListener& progress, const std::stop_token& stop) {
  MachineOptions options = settings_.machine;
  options.cpus = manifest_.cpus;
  options.memory_mib = manifest_.memory_mib;
  options.disk_mib = manifest_.disk_mib;
  options.network = manifest_.network;
  const auto saved = current_state().processes();
  auto started =
      std::make_shared<HeldMachine>(store_, workspace_.machine(settings_.name, is_new_), options,
                                    StartOptions{.progress = &progress, .stop = stop});
  if (started->info().start == MachineStart::saved_machine) {
    follow_saved(started, saved);
  } else {
    end_all_records(workspace_.descriptor());
  }
  const std::lock_guard lock(mutex_);
  machine_ = std::move(started);
}

// Those of a snapshot get records of their own: the ones that they had are of another time.
void LiveWorkspace::follow_saved(const std::shared_ptr<HeldMachine>& machine,
                                 const std::vector<SavedProcess>& saved) {
  for (const SavedProcess& process : saved) {
    auto record = ProcessRecord::reopen(workspace_.descriptor(), process.number);
    if (!record) record.emplace(ProcessRecord::make(workspace_.descriptor(), process.command));
    auto command = std::make_shared<WorkspaceCommand>(
        machine, process.session,
        process.keeps_input ? ProcessInput::attachments : ProcessInput::client, std::move(*record));
    const std::lock_guard lock(mutex_);
    commands_.insert_or_assign(command->number(), std::move(command));
  }
}

// --- a new one ---

bool LiveWorkspace::create(const std::string& from, bool all_files, CreatedWorkspace& created,
                           ProgressListener& progress, const std::stop_token& stop) {
  created = seed(from, all_files, progress, stop);
  const std::lock_guard lock(states_mutex_);
  WorkspaceManifest manifest = manifest_;
  const unsigned state = manifest.next_state();
  copy_current_to(workspace_.make_state(state), false);
  manifest.add_snapshot(kBaseline, state);
  manifest.created = std::chrono::system_clock::now();  // its life begins
  commit(std::move(manifest));
  {
    const std::lock_guard begin(mutex_);
    beginning_ = manifest_;
  }
  if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  return workspaces_.publish(workspace_, settings_.name);
}

CreatedWorkspace LiveWorkspace::seed(const std::string& from, bool all_files,
                                     ProgressListener& progress, const std::stop_token& stop) {
  SeedOptions options{.from = from};
  std::optional<Seed> seed;
  if (!from.empty()) {
    seed.emplace(from, all_files, stop);
    options.choice = &*seed;
    options.bytes = seed->bytes();
  }
  const auto machine = this->machine(progress, stop);
  CreatedWorkspace created;
  created.unreadable = machine->seed(options, {.progress = &progress, .stop = stop});
  if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  is_new_ = false;
  if (seed) {
    seed->host_files().write(workspace_.descriptor(), workspace_.path());
    created.files = seed->files();
    created.bytes = seed->bytes();
    created.secrets = seed->secrets();
  }
  return created;
}

// --- copies ---

void LiveWorkspace::note_change() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  workspace_.note_change();
}

void LiveWorkspace::export_changes(const std::function<void()>& work) {
  const auto changes = [this] {
    const std::lock_guard lock(mutex_);
    return changes_;
  };
  const std::uint64_t before = changes();
  work();
  const bool is_busy = is_running_a_command();
  const std::lock_guard lock(mutex_);
  if (!is_busy && changes_ == before) workspace_.note_export();
}

CopiedOut LiveWorkspace::copy_out(HeldMachine& machine, const CopyOut& copy,
                                  const CopyOptions& options) {
  const std::lock_guard lock(host_files_mutex_);
  CopyOutRules rules(copy, workspace_.descriptor());
  const auto work = [&] {
    machine.copy_out(copy, options, &rules);
    if (!rules.result().left_alone.empty()) note_change();
  };
  try {
    is_whole_workspace(copy.from) ? export_changes(work) : work();
  } catch (const Error&) {
    rules.keep_notes(workspace_.path());  // what was written is known
    throw;
  }
  rules.keep_notes(workspace_.path());
  return rules.result();
}

// --- commands ---

std::shared_ptr<WorkspaceCommand> LiveWorkspace::start_command(std::shared_ptr<HeldMachine> machine,
                                                               CommandOptions command,
                                                               ClientStreams streams,
                                                               ProcessInput input) {
  // With the lock: who stops the workspace stops all that are there.
  const std::lock_guard lock(mutex_);
  if (is_stopping_) throw Error(ErrorCode::busy, "the workspace is being stopped");
  ++changes_;
  workspace_.note_change();
  auto record = ProcessRecord::make(workspace_.descriptor(), command.command);
  auto started = std::make_shared<WorkspaceCommand>(std::move(machine), std::move(command),
                                                    std::move(streams), input, std::move(record));
  std::erase_if(commands_, [](const auto& one) { return one.second->has_ended(); });
  commands_.emplace(started->number(), started);
  return started;
}

std::shared_ptr<WorkspaceCommand> LiveWorkspace::require_running(unsigned process) const {
  const std::lock_guard lock(mutex_);
  const auto found = commands_.find(process);
  if (found != commands_.end() && !found->second->has_ended()) return found->second;
  throw Error(ErrorCode::not_found, "the process " + std::to_string(process) + " has ended",
              "'pyro workspace logs' shows what it wrote");
}

void LiveWorkspace::signal(unsigned process, int number) const {
  std::shared_ptr<WorkspaceCommand> command;
  {
    const std::lock_guard lock(mutex_);
    const auto found = commands_.find(process);
    if (found != commands_.end()) command = found->second;
  }
  if (command) command->signal(number);
}

bool LiveWorkspace::is_running_a_command() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(commands_, [](const auto& one) { return !one.second->has_ended(); });
}

std::vector<std::shared_ptr<WorkspaceCommand>> LiveWorkspace::running_commands() const {
  std::vector<std::shared_ptr<WorkspaceCommand>> running;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, command] : commands_) {
    if (!command->has_ended()) running.push_back(command);
  }
  return running;
}

// --- states ---

void LiveWorkspace::commit(WorkspaceManifest manifest) {
  workspace_.write(manifest);
  manifest_ = std::move(manifest);
}

std::string LiveWorkspace::next_snapshot_name() const {
  for (unsigned number = 1;; ++number) {
    std::string name = "s" + std::to_string(number);
    if (manifest_.find_snapshot(name) == nullptr) return name;
  }
}

/// Of a machine that runs, at one instant; the machine goes on.
SaveReport LiveWorkspace::copy_current_to(const WorkspaceState& state, bool is_durable) {
  const auto machine = running_machine();
  if (!machine) {
    state.copy_from(current_state(), false, {});
    return {};
  }
  const auto files = state.make_machine_files();
  const Fd disk = state.make_disk();
  std::vector<SavedProcess> processes;
  SaveReport report = machine->save({files.memory.get(), files.devices.get(), disk.get()},
                                    HeldMachine::AfterSave::goes_on,
                                    [&] { processes = saved_processes(running_commands()); });
  state.write_machine(machine->describe(report, files.devices.get()), processes, is_durable);
  return report;
}

TakenSnapshot LiveWorkspace::take_snapshot(std::string name) {
  const std::lock_guard lock(states_mutex_);
  finish_saving();
  if (name.empty()) name = next_snapshot_name();
  require_new_snapshot_name(manifest_, name);
  WorkspaceManifest manifest = manifest_;
  const unsigned number = manifest.next_state();
  try {
    const SaveReport report = copy_current_to(workspace_.make_state(number), true);
    manifest.add_snapshot(name, number);
    commit(std::move(manifest));
    return {.name = name, .paused = report.paused};
  } catch (Error& error) {
    workspace_.remove_state(number);
    throw error.add_context("the snapshot cannot be taken");
  }
}

void LiveWorkspace::remove_snapshots(const std::vector<std::string>& names) {
  const std::lock_guard lock(states_mutex_);
  finish_saving();
  WorkspaceManifest manifest = manifest_;
  for (const std::string& name : names) {
    static_cast<void>(manifest.require_snapshot(name));
    if (name == kBaseline) {
      throw Error(ErrorCode::usage, "the baseline of a workspace stays: 'reset' needs it");
    }
    manifest.remove_snapshot(name);
  }
  commit(std::move(manifest));
  workspace_.remove_unused_states(manifest_);
}

void LiveWorkspace::reset(const std::string& snapshot) {
  const std::lock_guard lock(states_mutex_);
  finish_saving();
  const unsigned from = manifest_.require_snapshot(snapshot).state;
  WorkspaceManifest manifest = manifest_;
  manifest.current = manifest_.next_state();
  manifest.add_snapshot(kBeforeReset, manifest_.current);
  try {
    workspace_.make_state(manifest.current).copy_from(workspace_.state(from), false, {});
  } catch (Error& error) {
    workspace_.remove_state(manifest.current);
    throw error.add_context("the workspace cannot be reset");
  }
  std::function<void()> finish;
  try {
    finish = save_and_end(kReset, false);
  } catch (const Error&) {  // Without room, what was there is its disk.
    if (const auto machine = running_machine()) machine->stop(kReset);
    wait_for_ends(running_commands());
    drop_machine();
  }
  try {
    end_all_records(workspace_.descriptor());
    commit(std::move(manifest));
  } catch (const Error&) {
    if (finish) finish();  // it goes on where it was
    throw;
  }
  // What was there counts as its disk until its memory is durable: nobody has to wait for that.
  saving_ = std::thread([this, finish = std::move(finish)] {
    workspace_.remove_unused_states(manifest_);
    try {
      if (finish) finish();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): without room.
    }
  });
}

void LiveWorkspace::finish_saving() {
  if (saving_.joinable()) saving_.join();
}

void LiveWorkspace::fork_to(const WorkspaceDirectory& child, const std::string& snapshot) {
  const std::lock_guard lock(states_mutex_);
  finish_saving();
  WorkspaceManifest manifest = manifest_;
  manifest.created = std::chrono::system_clock::now();
  manifest.current = 1;
  manifest.snapshots.clear();
  child.take_files_of(workspace_, {});
  if (const auto files = HostFiles::read(workspace_.descriptor())) {
    files->write(child.descriptor(), child.path());
  }
  const WorkspaceState state = child.make_state(manifest.current);
  if (snapshot.empty()) {
    copy_current_to(state, false);
  } else {
    const unsigned from = manifest_.require_snapshot(snapshot).state;
    state.copy_from(workspace_.state(from), false, {});
  }
  if (const SnapshotRecord* const baseline = manifest_.find_snapshot(kBaseline)) {
    const unsigned number = manifest.next_state();
    child.make_state(number).copy_from(workspace_.state(baseline->state), true, {});
    manifest.add_snapshot(kBaseline, number);
  }
  if (workspace_.has_changes()) child.note_change();
  child.write(manifest);
}

// --- its end ---

std::function<void()> LiveWorkspace::save_and_end(const char* why, bool commands_go_on) {
  const auto machine = running_machine();
  if (!machine) return [] {};
  const auto state = std::make_shared<WorkspaceState>(current_state());
  const auto files = std::make_shared<WorkspaceState::MachineFiles>(state->make_machine_files());
  std::vector<std::shared_ptr<WorkspaceCommand>> commands;
  SaveReport report;
  try {
    report = machine->save(
        {.memory = files->memory.get(), .devices = files->devices.get()},
        HeldMachine::AfterSave::ends,
        [&] {
          commands = running_commands();
          for (const auto& one : commands) one->note_saved(commands_go_on);
        },
        why);
  } catch (const Error&) {
    for (const auto& command : commands) command->note_saved(false);
    state->forget_machine();
    throw;
  }
  wait_for_ends(commands);
  if (commands_go_on) std::erase_if(commands, [](const auto& one) { return !one->goes_on(); });
  drop_machine();
  return [machine, state, files, report, processes = saved_processes(commands)] {
    state->write_machine(machine->describe(report, files->devices.get()), processes, true);
  };
}

void LiveWorkspace::drop_machine() {
  const std::lock_guard lock(mutex_);
  commands_.clear();
  machine_.reset();
}

void LiveWorkspace::suspend() {
  const std::lock_guard lock(states_mutex_);
  finish_saving();
  save_and_end(kSuspended, true)();
}

void LiveWorkspace::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  const auto commands = running_commands();
  for (const auto& command : commands) command->stop(SIGTERM);
  wait_for_ends(commands);
  const std::lock_guard lock(states_mutex_);
  finish_saving();
  if (const auto machine = running_machine()) {
    try {
      machine->sync();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): it has ended by itself.
    }
    machine->stop(kStopped);
  }
  current_state().forget_machine();
  end_all_records(workspace_.descriptor());
}

}  // namespace pyro

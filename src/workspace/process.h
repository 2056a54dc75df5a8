// A process of a workspace, as long as it runs: its command goes on without a client, and what it
// writes is kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "machine/held_machine.h"
#include "workspace/process_log.h"

namespace pyro {

/// The streams of a client that waits for a process; those that are missing are empty.
struct ClientStreams {
  Fd input = {};
  Fd output = {};
  Fd error_output = {};
  Fd window = {};
};

class WorkspaceCommand {
 public:
  /// Starts it. `command` has no streams.
  WorkspaceCommand(std::shared_ptr<HeldMachine> machine, CommandOptions command,
                   ClientStreams streams, ProcessRecord record);
  /// Follows one that ran in the machine when it was saved, in this session.
  WorkspaceCommand(std::shared_ptr<HeldMachine> machine, std::uint16_t saved_session,
                   ProcessRecord record);
  /// Waits for its end.
  ~WorkspaceCommand();
  WorkspaceCommand(const WorkspaceCommand&) = delete;
  WorkspaceCommand& operator=(const WorkspaceCommand&) = delete;

  [[nodiscard]] unsigned number() const noexcept { return record_.number(); }
  [[nodiscard]] std::uint16_t session() const noexcept { return session_->number(); }
  [[nodiscard]] const std::vector<std::string>& command() const noexcept {
    return record_.command();
  }
  /// Readable when it has ended, and its client has its output.
  [[nodiscard]] int end_event() const noexcept { return end_event_.get(); }
  [[nodiscard]] bool has_ended() const noexcept { return has_ended_; }

  /// How it ended.
  /// @throws Error, as Machine::run(), where it could not be run to its end
  [[nodiscard]] CommandReport report() const;

  void signal(int number);
  /// Sends a signal, and SIGKILL if that does not end it.
  void stop(int signal);
  /// It is saved with its machine: the end of that is not its end.
  void note_saved(bool is_saved) noexcept { is_saved_ = is_saved; }
  /// When it has ended here: whether it goes on when its machine does.
  [[nodiscard]] bool goes_on() const noexcept;
  /// Its client is gone: from now on its input is empty, and its output is only kept.
  void release_client();

 private:
  void start(CommandOptions command, bool is_new);
  void run(const CommandOptions& command, bool is_new);
  void close_streams();
  void pass_output_on();
  void pass_on(Fd& from, OutputLog& log, const Fd& to);
  [[nodiscard]] bool write_to_client(const Fd& to, std::string_view bytes) const;

  const std::shared_ptr<HeldMachine> machine_;
  std::mutex streams_mutex_;  ///< For closing and replacing them.
  ClientStreams streams_;
  ProcessRecord record_;
  Pipe output_;
  Pipe error_output_;
  const Pipe signals_;
  const Fd end_event_;
  const Fd client_is_gone_;  ///< An eventfd, never read.
  std::stop_source stop_;
  std::atomic<int> stop_signal_{0};
  std::unique_ptr<GuestSession> session_;
  std::atomic<bool> is_saved_ = false;
  std::atomic<bool> has_ended_ = false;
  CommandReport report_;
  std::exception_ptr failure_;
  std::thread output_thread_;
  std::thread thread_;
};

}  // namespace pyro

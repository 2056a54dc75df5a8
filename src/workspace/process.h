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

/// Where the input of a process comes from.
enum class ProcessInput {
  client,       ///< That of the client that starts it; without one it is empty.
  attachments,  ///< Those of clients that attach to it.
};

class WorkspaceCommand {
 public:
  /// Starts it. `command` has no streams.
  WorkspaceCommand(std::shared_ptr<HeldMachine> machine, CommandOptions command,
                   ClientStreams streams, ProcessInput input, ProcessRecord record);
  /// Follows one that ran in the machine when it was saved, in this session.
  WorkspaceCommand(std::shared_ptr<HeldMachine> machine, std::uint16_t saved_session,
                   ProcessInput input, ProcessRecord record);
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

  /// Returns when the signal is on its way.
  void signal(int number);
  /// Sends a signal, and SIGKILL if that does not end it.
  void stop(int signal);
  /// It is saved with its machine: the end of that is not its end.
  void note_saved(bool is_saved) noexcept { is_saved_ = is_saved; }
  /// When it has ended here: whether it goes on when its machine does.
  [[nodiscard]] bool goes_on() const noexcept;
  /// Its client is gone: from now on its output is only kept, and an input of the client is empty.
  void release_client();
  /// Passes its output on to another client from now on. Of `streams` the input is not used.
  /// @return where that client's input goes; empty where the process has another input
  /// @throws Error(busy) when it has a client
  [[nodiscard]] Fd attach(ClientStreams streams);
  /// There will be no more input from any client.
  void end_input();
  [[nodiscard]] ProcessInput input() const noexcept { return input_kind_; }

 private:
  /// Who gets its output.
  struct Client {
    Fd output;
    Fd error_output;
    Fd is_gone;  ///< An eventfd, never read.
    bool is_attached = false;
  };

  void take_streams(ClientStreams streams, bool has_terminal);
  void start(CommandOptions command, bool is_new);
  void run(const CommandOptions& command, bool is_new);
  void close_streams();
  void pass_output_on();
  void pass_on(Fd& from, OutputLog& log, Fd Client::*to);
  [[nodiscard]] static bool write_to(const Client& client, int to, std::string_view bytes);
  [[nodiscard]] std::shared_ptr<Client> client();

  const std::shared_ptr<HeldMachine> machine_;
  const ProcessInput input_kind_;
  std::mutex streams_mutex_;  ///< For closing and replacing them.
  Fd input_;
  Fd input_writer_;  ///< Of a pipe, for who attaches.
  Fd window_;
  std::shared_ptr<Client> client_;
  ProcessRecord record_;
  Pipe output_;
  Pipe error_output_;
  const Pipe signals_;
  const Fd end_event_;
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

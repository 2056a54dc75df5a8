// The connection to the guest of a machine: carries the frames of all its sessions over one port.
// Everything from a guest is untrusted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "base/files.h"
#include "guest/protocol.h"
#include "machine/monitor.h"

namespace pyro {

/// The message of a MachineLost after a deadline.
inline constexpr const char* kNoSign = "the guest gave no sign in time";

/// What a session of a connection has received and wants to send.
struct SessionQueues {
  SessionQueues();
  std::uint16_t number = guest::kControlSession;
  Fd wake_up;       ///< An eventfd: frames have arrived or were sent, or the machine has ended.
  std::string in;   ///< Frames with their headers.
  std::string out;  ///< The same.
};

/// Reads and writes the port on a thread of its own, which also starts the machine: a monitor ends
/// with the thread that started it. Unread frames of a session are bounded by its window, and do
/// not stop the other sessions.
///
/// Thread-safe.
class GuestConnection {
 public:
  using StartMachine = std::function<std::unique_ptr<VirtualMachine>()>;

  /// @throws what `start` throws
  explicit GuestConnection(const StartMachine& start);
  /// To a machine that outlives it, for tests.
  explicit GuestConnection(VirtualMachine& machine);
  /// Kills the machine.
  ~GuestConnection();
  GuestConnection(const GuestConnection&) = delete;
  GuestConnection& operator=(const GuestConnection&) = delete;

  /// For save() and go_on().
  [[nodiscard]] VirtualMachine& machine() noexcept { return *machine_; }

  /// Kills the machine. Its sessions fail from then on, with `why`.
  void kill(const char* why = "the machine was stopped") noexcept;
  /// Whether its sessions fail.
  [[nodiscard]] bool has_ended();

  /// That of the machine, which is there from the start; its frames are kept.
  [[nodiscard]] std::shared_ptr<SessionQueues> control() const noexcept { return control_; }
  /// A new session.
  /// @throws Error(failed) when there are too many
  [[nodiscard]] std::shared_ptr<SessionQueues> open_session();
  /// Keeps one that the guest has from an earlier host. Before the handshake.
  void adopt_session(std::uint16_t number);
  /// That session.
  /// @throws Error(failed) for one that was not adopted
  [[nodiscard]] std::shared_ptr<SessionQueues> adopted_session(std::uint16_t number);
  /// Frames for it are dropped from then on. `abandons`: the guest is told to end it.
  void close_session(const SessionQueues& session, bool abandons);

  /// Sends as much of `bytes`, whole frames, as the port takes; the rest follows.
  void send(const std::shared_ptr<SessionQueues>& session, std::string bytes);
  /// From then on only the control session sends, until proceed().
  void hold();
  void proceed();
  /// Bytes of it that the port has not taken.
  [[nodiscard]] std::size_t unsent(const SessionQueues& session);

  /// Moves the frames that have arrived to the empty `frames`. False when there are none.
  /// @throws MachineLost if the machine has ended; Error(failed) for an invalid frame or a fatal
  /// error of the guest
  bool receive(SessionQueues& session, std::string& frames);

  /// The error for a guest that does not answer.
  [[nodiscard]] MachineLost describe_silence();

 private:
  void serve();
  void wait();
  void read_port();
  void deliver();
  void deliver(std::uint16_t number, guest::FrameType type, std::string_view frame);
  void flush();
  [[nodiscard]] bool has_more_to_send() const noexcept;
  void note_end();
  void fail(const Error& error);
  void throw_failure() const;
  void wake_all();
  /// Queues a frame without payload.
  void send_frame(const std::shared_ptr<SessionQueues>& session, guest::FrameType type);
  [[nodiscard]] MachineLost describe_loss(const std::string& what, const MachineEnd& end);

  std::unique_ptr<VirtualMachine> owned_machine_;
  VirtualMachine* machine_ = nullptr;
  const Fd wake_up_;  ///< Of the thread.
  const std::shared_ptr<SessionQueues> control_;

  std::mutex mutex_;  ///< Of all below, and of the output of the machine.
  std::map<std::uint16_t, std::shared_ptr<SessionQueues>> sessions_;
  std::set<std::uint16_t> abandoned_;  ///< Numbers that the guest may still use.
  std::uint16_t last_number_ = guest::kControlSession;
  std::deque<std::shared_ptr<SessionQueues>> turns_;  ///< Those with something to send.
  std::string wire_;                                  ///< Being sent, of `wire_owner_`.
  std::size_t wire_sent_ = 0;
  std::shared_ptr<SessionQueues> wire_owner_;
  bool is_held_ = false;
  bool waits_to_send_ = false;  ///< The thread looks after it.
  bool is_ending_ = false;
  const char* why_ = "";  ///< Then.
  bool machine_ended_ = false;
  std::optional<MachineLost> loss_;
  std::optional<Error> violation_;

  // Of the thread alone.
  std::unique_ptr<char[]> in_;
  std::size_t received_ = 0;
  bool port_ended_ = false;

  std::once_flag joined_;
  std::thread thread_;  ///< The last: it uses all others.
};

/// Reports a violation of the protocol.
/// @throws Error(failed)
[[noreturn]] void refuse_frame(std::string_view what = {});

/// A path or a text of the guest for messages: of a long one the beginning and the end.
[[nodiscard]] std::string shortened(std::string_view text);

}  // namespace pyro

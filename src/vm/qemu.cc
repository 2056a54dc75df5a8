// QEMU as the monitor.
#include "vm/qemu.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/process_handle.h"
#include "pyro/error.h"
#include "vm/monitor_process.h"
#include "vm/qemu_arguments.h"
#include "vm/words.h"

namespace pyro {
namespace {

constexpr std::string_view kSubject = "the machine monitor";
constexpr std::uint64_t kLargestDeviceState = std::uint64_t{64} << 20;

SocketPair socket_pair(int flags) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_error("cannot make a socket", errno);
  }
  ::fcntl(ends[0], F_SETFL, flags);
  return {Fd(ends[0]), Fd(ends[1])};
}

/// QEMU's machine protocol, as far as saving takes it: one JSON document a line.
class Control {
 public:
  explicit Control(Fd socket) : socket_(std::move(socket)) {}

  void send(std::string_view commands) { write_all(socket_.get(), commands, kSubject); }

  /// With a descriptor beside it, for getfd.
  nlohmann::json call(const nlohmann::json& command, int descriptor = -1) {
    const std::string text = command.dump();
    iovec content{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &content;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> attachment{};
    if (descriptor >= 0) attach(message, attachment, descriptor);
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) fail("it does not listen");
    return answer();
  }

 private:
  template <typename Attachment>
  static void attach(msghdr& message, Attachment& attachment, int descriptor) {
    message.msg_control = attachment.data();
    message.msg_controllen = attachment.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }

  // Events and the greeting are passed over.
  nlohmann::json answer() {
    while (true) {
      const auto document = nlohmann::json::parse(line(), nullptr, false);
      if (document.contains("error")) fail(document["error"].value("desc", "it refuses"));
      if (document.contains("return")) return document["return"];
    }
  }

  std::string line() {
    constexpr std::size_t kLongest = 1 << 20;
    std::size_t end = 0;
    while ((end = buffer_.find('\n')) == buffer_.npos) {
      std::array<char, 4096> piece;
      const ssize_t got = ::read(socket_.get(), piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || buffer_.size() > kLongest) fail("it does not answer");
      buffer_.append(piece.data(), static_cast<std::size_t>(got));
    }
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return text;
  }

  [[noreturn]] static void fail(const std::string& why) {
    throw Error(ErrorCode::failed, std::string(kSubject) + ": " + why);
  }

  Fd socket_;
  std::string buffer_;
};

class QemuMachine : public Machine {
 public:
  QemuMachine(const std::filesystem::path& program, const MachineShape& shape, QemuStart start,
              const MachineFiles& files, const StateFiles& state)
      : QemuMachine(program, shape, start, files, state, socket_pair(O_NONBLOCK),
                    socket_pair(O_NONBLOCK), socket_pair(0), make_pipe()) {}

  [[nodiscard]] int channel() const noexcept override { return channel_.get(); }
  [[nodiscard]] int console() const noexcept override { return console_.descriptor(); }
  [[nodiscard]] int complaints() const noexcept override { return complaints_.descriptor(); }
  [[nodiscard]] int process() const noexcept override { return process_.descriptor(); }

  void note_words() override {
    console_.take_in();
    complaints_.take_in();
  }

  [[nodiscard]] std::string last_words() const override {
    return complaints_.last().empty() ? telling_line(console_.last())
                                      : first_line(complaints_.last());
  }

  void save(int devices) override {
    control_.call({{"execute", "qmp_capabilities"}});
    control_.call({{"execute", "migrate-set-capabilities"},
                   {"arguments",
                    {{"capabilities", {{{"capability", "x-ignore-shared"}, {"state", true}}}}}}});
    control_.call({{"execute", "getfd"}, {"arguments", {{"fdname", "devices"}}}}, devices);
    control_.call({{"execute", "migrate"}, {"arguments", {{"uri", "fd:devices"}}}});
    wait_until_saved();
  }

  void kill() noexcept override { process_.kill(); }

 private:
  QemuMachine(const std::filesystem::path& program, const MachineShape& shape, QemuStart start,
              const MachineFiles& files, const StateFiles& state, SocketPair channel,
              SocketPair console, SocketPair control, SocketPair complaints)
      : channel_(std::move(channel.ours)),
        console_(std::move(console.ours)),
        complaints_(std::move(complaints.ours)),
        control_(std::move(control.ours)),
        process_(start_monitor({.program = program,
                                .arguments = qemu_arguments(shape, start),
                                .descriptors = {channel.theirs.get(), console.theirs.get(),
                                                control.theirs.get(), files.kernel, files.initramfs,
                                                files.rootfs, state.memory, state.devices},
                                .complaints = complaints.theirs.get(),
                                .limits = limits(shape, start)}),
                 std::string(kSubject)) {
    // What is said before QEMU listens waits in the socket.
    if (start == QemuStart::resume) control_.send(qemu_resume_commands());
  }

  static MonitorLimits limits(const MachineShape& shape, QemuStart start) {
    const bool writes = start == QemuStart::boot_to_save;
    return {.address_space = shape.memory_bytes() + kMonitorOverhead,
            .largest_file = writes ? std::max(shape.memory_bytes(), kLargestDeviceState) : 0};
  }

  void wait_until_saved() {
    while (true) {
      const auto answer = control_.call({{"execute", "query-migrate"}});
      const std::string status = answer.value("status", "");
      if (status == "completed") return;
      if (status == "failed" || status == "cancelled") {
        throw Error(ErrorCode::failed, "the machine's state could not be saved: " +
                                           answer.value("error-desc", status));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  Fd channel_;
  Words console_;
  Words complaints_;
  Control control_;
  ProcessHandle process_;
};

}  // namespace

std::unique_ptr<Machine> Qemu::boot(const MachineShape& shape, const MachineFiles& files,
                                    std::optional<int> memory) {
  const QemuStart start = memory ? QemuStart::boot_to_save : QemuStart::boot;
  return std::make_unique<QemuMachine>(program_, shape, start, files,
                                       StateFiles{.memory = memory.value_or(-1)});
}

std::unique_ptr<Machine> Qemu::resume(const MachineShape& shape, const MachineFiles& files,
                                      const StateFiles& state) {
  return std::make_unique<QemuMachine>(program_, shape, QemuStart::resume, files, state);
}

std::string qemu_version(const std::filesystem::path& program) {
  constexpr std::chrono::seconds kPatience{5};
  const MonitorAnswer answer = ask_monitor(program, {"--version"}, {}, kPatience);
  return answer.end && answer.end->exit_code == 0 ? answer.first_line : "";
}

}  // namespace pyro

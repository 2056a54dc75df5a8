// QEMU's machine protocol, as far as saving takes it.
#include "vm/qemu_control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/strict_json.h"
#include "base/whole_calls.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr const char* kSubject = "the machine monitor";

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorCode::failed, std::string(kSubject) + ": " + why);
}

void check(const ControlPatience& patience) {
  if (patience.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  if (patience.deadline && Clock::now() >= *patience.deadline) fail("it does not answer in time");
}

// A stop is looked at now and then: this is no place where many wait.
void wait_for_bytes(int socket, const ControlPatience& patience) {
  constexpr std::chrono::milliseconds kMoment{20};
  do {
    check(patience);
  } while (!wait_to_read(socket, Clock::now() + kMoment));
}

template <typename Attachment>
void attach(msghdr& message, Attachment& attachment, int descriptor) {
  message.msg_control = attachment.data();
  message.msg_controllen = attachment.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptor);
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
}

}  // namespace

void QemuControl::send(std::string_view commands) {
  write_all(socket_.get(), commands, kSubject);
}

nlohmann::json QemuControl::call(const nlohmann::json& command, const ControlPatience& patience,
                                 int descriptor) {
  const std::string text = command.dump();
  iovec content{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> attachment{};
  if (descriptor >= 0) attach(message, attachment, descriptor);
  const ssize_t sent =
      uninterrupted([&] { return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL); });
  if (sent < 0) fail("it does not listen");
  return answer(patience);
}

void QemuControl::save(int devices, const ControlPatience& patience) {
  call({{"execute", "qmp_capabilities"}}, patience);
  call({{"execute", "migrate-set-capabilities"},
        {"arguments", {{"capabilities", {{{"capability", "x-ignore-shared"}, {"state", true}}}}}}},
       patience);
  call({{"execute", "getfd"}, {"arguments", {{"fdname", "devices"}}}}, patience, devices);
  call({{"execute", "migrate"}, {"arguments", {{"uri", "fd:devices"}}}}, patience);
  wait_until_saved(patience);
}

// Events and the greeting are passed over.
nlohmann::json QemuControl::answer(const ControlPatience& patience) {
  while (true) {
    const auto document = parse_strict_json_or_null(line(patience));
    if (document.contains("error")) fail(document["error"].value("desc", "it refuses"));
    if (document.contains("return")) return document["return"];
  }
}

std::string QemuControl::line(const ControlPatience& patience) {
  constexpr std::size_t kLongest = 1 << 20;
  std::size_t end = 0;
  while ((end = buffer_.find('\n')) == buffer_.npos) {
    wait_for_bytes(socket_.get(), patience);
    std::array<char, 4096> piece;
    const ssize_t got = ::read(socket_.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || buffer_.size() > kLongest) fail("it does not answer");
    buffer_.append(piece.data(), static_cast<std::size_t>(got));
  }
  check(patience);  // events without end are no answer
  std::string text = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return text;
}

void QemuControl::wait_until_saved(const ControlPatience& patience) {
  while (true) {
    const auto answer = call({{"execute", "query-migrate"}}, patience);
    const std::string status = answer.value("status", "");
    if (status == "completed") return;
    if (status == "failed" || status == "cancelled") {
      throw Error(ErrorCode::failed,
                  "the machine's state could not be saved: " + answer.value("error-desc", status));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace pyro

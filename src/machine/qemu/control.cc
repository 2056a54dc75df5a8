// The machine protocol of QEMU (QMP).
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/strict_json.h"
#include "machine/qemu/qemu.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr const char* kMonitorName = "the machine monitor";

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorCode::failed, std::string(kMonitorName) + ": " + why);
}

void check(const ControlTimeout& timeout) {
  if (timeout.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  if (timeout.deadline && Clock::now() >= *timeout.deadline) fail("it does not answer in time");
}

// Polls for a stop request.
void wait_for_bytes(int socket, const ControlTimeout& timeout) {
  constexpr std::chrono::milliseconds kPollInterval{20};
  do {
    check(timeout);
  } while (!wait_to_read(socket, Clock::now() + kPollInterval));
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

/// The text of `key`, shortened for a message; empty when there is none.
std::string text_in(const nlohmann::json& object, const char* key) {
  constexpr std::size_t kMaxText = 400;
  const auto found = object.find(key);  // end() if it is not an object
  if (found == object.end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>().substr(0, kMaxText);
}

std::string text_or(std::string text, const char* otherwise) {
  if (text.empty()) return otherwise;
  return text;
}

}  // namespace

std::optional<std::string> QemuAnswers::next_line() {
  constexpr std::size_t kMaxLine = 1 << 20;
  const std::size_t end = bytes_.find('\n', searched_);
  if (end == bytes_.npos) {
    bytes_.erase(0, std::exchange(taken_, 0));
    searched_ = bytes_.size();
    if (bytes_.size() > kMaxLine) fail("its answer has no end");
    return std::nullopt;
  }
  if (end - taken_ > kMaxLine) fail("its answer has no end");
  std::string line = bytes_.substr(taken_, end - taken_);
  taken_ = searched_ = end + 1;
  return line;
}

std::optional<nlohmann::json> QemuAnswers::next() {
  while (const auto line = next_line()) {
    const auto document = parse_strict_json(*line, ErrorCode::failed);
    if (!document.is_object()) fail("its answer is no JSON object");
    if (const auto error = document.find("error"); error != document.end()) {
      fail(text_or(text_in(*error, "desc"), "it refuses"));
    }
    if (const auto result = document.find("return"); result != document.end()) return *result;
  }
  return std::nullopt;
}

bool says_saved(const nlohmann::json& answer) {
  const std::string status = text_in(answer, "status");
  if (status == "failed" || status == "cancelled") {
    throw Error(ErrorCode::failed, "the machine's state could not be saved: " +
                                       text_or(text_in(answer, "error-desc"), status.c_str()));
  }
  return status == "completed";
}

nlohmann::json QemuControl::call(const nlohmann::json& command, const ControlTimeout& timeout,
                                 int descriptor) {
  send(command.dump(), descriptor);
  return answer(timeout);
}

void QemuControl::send(const std::string& commands, int descriptor) {
  iovec content{const_cast<char*>(commands.data()), commands.size()};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> attachment{};
  if (descriptor >= 0) attach(message, attachment, descriptor);
  const ssize_t sent =
      uninterrupted([&] { return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL); });
  if (sent < 0) fail("it does not listen");
}

// The memory, which is in a file, is left out of the stream.
void QemuControl::negotiate(const ControlTimeout& timeout) {
  if (std::exchange(is_negotiated_, true)) return;
  call({{"execute", "qmp_capabilities"}}, timeout);
  call({{"execute", "migrate-set-capabilities"},
        {"arguments", {{"capabilities", {{{"capability", "x-ignore-shared"}, {"state", true}}}}}}},
       timeout);
}

void QemuControl::save(int devices, const ControlTimeout& timeout) {
  negotiate(timeout);
  call({{"execute", "getfd"}, {"arguments", {{"fdname", "devices"}}}}, timeout, devices);
  call({{"execute", "migrate"}, {"arguments", {{"uri", "fd:devices"}}}}, timeout);
  wait_until_saved(timeout);
}

void QemuControl::go_on(const ControlTimeout& timeout) {
  call({{"execute", "cont"}}, timeout);
}

void QemuControl::resume(const ControlTimeout& timeout) {
  send(qemu_resume_commands());  // they wait in the socket until QEMU reads
  for (int i = 0; i < kQemuResumeCommands; ++i) answer(timeout);
  is_negotiated_ = true;
}

nlohmann::json QemuControl::answer(const ControlTimeout& timeout) {
  while (true) {
    check(timeout);  // also while events arrive
    if (auto found = answers_.next()) return std::move(*found);
    wait_for_bytes(socket_.get(), timeout);
    std::array<char, 4096> piece;
    const ssize_t got = ::read(socket_.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail("it does not answer");
    answers_.add({piece.data(), static_cast<std::size_t>(got)});
  }
}

void QemuControl::wait_until_saved(const ControlTimeout& timeout) {
  while (!says_saved(call({{"execute", "query-migrate"}}, timeout))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace pyro

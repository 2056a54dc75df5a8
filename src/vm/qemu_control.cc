// QEMU's machine protocol, as far as saving and going on take it.
#include "vm/qemu_control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/strict_json.h"
#include "base/whole_calls.h"
#include "pyro/error.h"
#include "vm/qemu_arguments.h"

namespace pyro {
namespace {

constexpr const char* kMonitorName = "the machine monitor";

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorCode::failed, std::string(kMonitorName) + ": " + why);
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

/// The text of `key`, shortened for a message; empty when there is none.
std::string text_in(const nlohmann::json& object, const char* key) {
  constexpr std::size_t kLongest = 400;
  const auto found = object.find(key);  // of what is no object: its end
  if (found == object.end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>().substr(0, kLongest);
}

std::string first_of(std::string text, const char* otherwise) {
  return text.empty() ? otherwise : text;
}

}  // namespace

std::optional<std::string> QemuAnswers::next_line() {
  constexpr std::size_t kLongest = 1 << 20;
  const std::size_t end = bytes_.find('\n', searched_);
  if (end == bytes_.npos) {
    bytes_.erase(0, std::exchange(taken_, 0));
    searched_ = bytes_.size();
    if (bytes_.size() > kLongest) fail("its answer has no end");
    return std::nullopt;
  }
  if (end - taken_ > kLongest) fail("its answer has no end");
  std::string line = bytes_.substr(taken_, end - taken_);
  taken_ = searched_ = end + 1;
  return line;
}

std::optional<nlohmann::json> QemuAnswers::next() {
  while (const auto line = next_line()) {
    const auto document = parse_strict_json(*line, ErrorCode::failed);
    if (!document.is_object()) fail("its answer is no JSON object");
    if (const auto error = document.find("error"); error != document.end()) {
      fail(first_of(text_in(*error, "desc"), "it refuses"));
    }
    if (const auto result = document.find("return"); result != document.end()) return *result;
  }
  return std::nullopt;
}

bool says_saved(const nlohmann::json& answer) {
  const std::string status = text_in(answer, "status");
  if (status == "failed" || status == "cancelled") {
    throw Error(ErrorCode::failed, "the machine's state could not be saved: " +
                                       first_of(text_in(answer, "error-desc"), status.c_str()));
  }
  return status == "completed";
}

nlohmann::json QemuControl::call(const nlohmann::json& command, const ControlPatience& patience,
                                 int descriptor) {
  send(command.dump(), descriptor);
  return answer(patience);
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

void QemuControl::save(int devices, const ControlPatience& patience) {
  call({{"execute", "qmp_capabilities"}}, patience);
  call({{"execute", "migrate-set-capabilities"},
        {"arguments", {{"capabilities", {{{"capability", "x-ignore-shared"}, {"state", true}}}}}}},
       patience);
  call({{"execute", "getfd"}, {"arguments", {{"fdname", "devices"}}}}, patience, devices);
  call({{"execute", "migrate"}, {"arguments", {{"uri", "fd:devices"}}}}, patience);
  wait_until_saved(patience);
}

void QemuControl::resume(const ControlPatience& patience) {
  send(qemu_resume_commands());  // which wait in the socket until QEMU listens
  for (int i = 0; i < kQemuResumeCommands; ++i) answer(patience);
}

nlohmann::json QemuControl::answer(const ControlPatience& patience) {
  while (true) {
    check(patience);  // events without end are no answer
    if (auto found = answers_.next()) return std::move(*found);
    wait_for_bytes(socket_.get(), patience);
    std::array<char, 4096> piece;
    const ssize_t got = ::read(socket_.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail("it does not answer");
    answers_.add({piece.data(), static_cast<std::size_t>(got)});
  }
}

void QemuControl::wait_until_saved(const ControlPatience& patience) {
  while (!says_saved(call({{"execute", "query-migrate"}}, patience))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace pyro

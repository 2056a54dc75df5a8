// Documents over a Unix socket: a header of two numbers, with which the descriptors come, then
// JSON.
#include "workspace/link.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/strict_json.h"

namespace pyro {
namespace {

using nlohmann::json;

struct Header {
  std::uint32_t size = 0;
  std::uint32_t descriptors = 0;
};

/// Room for the longest command line that Linux starts.
constexpr std::size_t kMaxDocument = std::size_t{16} << 20;
constexpr std::size_t kMaxDescriptors = 8;
constexpr std::chrono::milliseconds kBetweenReports{100};

constexpr const char* kEvent = "progress";
constexpr const char* kValue = "value";

bool receive_all(int socket, char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t got = uninterrupted([&] { return ::recv(socket, bytes, size, 0); });
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

struct ControlBuffer {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> bytes{};
};

std::vector<Fd> take_descriptors(msghdr& message) {
  std::vector<Fd> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

bool Link::send_bytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = uninterrupted(
        [&] { return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    if (put <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

bool Link::send(const json& content, const std::vector<int>& descriptors) {
  const std::string text = content.dump(-1, ' ', false, json::error_handler_t::replace);
  Header header{static_cast<std::uint32_t>(text.size()),
                static_cast<std::uint32_t>(descriptors.size())};
  iovec bytes{&header, sizeof header};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  ControlBuffer control;
  if (!descriptors.empty()) {
    const std::size_t size = descriptors.size() * sizeof(int);
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  const std::lock_guard lock(sending_);
  const ssize_t put =
      uninterrupted([&] { return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL); });
  return put == static_cast<ssize_t>(sizeof header) && send_bytes(text);
}

std::optional<Packet> Link::receive() {
  Header header;
  iovec bytes{&header, sizeof header};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const ssize_t got =
      uninterrupted([&] { return ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC); });
  Packet packet{.content = {}, .descriptors = take_descriptors(message)};
  if (got <= 0) return std::nullopt;
  auto* const rest = reinterpret_cast<char*>(&header) + got;
  const bool is_whole =
      receive_all(socket_.get(), rest, sizeof header - static_cast<std::size_t>(got));
  if (!is_whole || header.size > kMaxDocument || header.descriptors != packet.descriptors.size()) {
    return std::nullopt;
  }
  std::string text(header.size, '\0');
  if (!receive_all(socket_.get(), text.data(), text.size())) return std::nullopt;
  packet.content = parse_strict_json_or_null(text);
  if (!packet.content.is_object()) return std::nullopt;
  return packet;
}

std::pair<Fd, Fd> make_link_ends() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_error("cannot make a socket", errno);
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

json document_of(const Error& error) {
  return {{"code", static_cast<int>(error.code())},
          {"message", error.message()},
          {"causes", error.causes()},
          {"hint", error.hint()}};
}

Error error_of(const json& document) {
  std::vector<std::string> texts{document.value("message", "the supervisor failed")};
  for (const json& cause : document.value("causes", json::array())) texts.push_back(cause);
  const int last = static_cast<int>(ErrorCode::interrupted);
  const int code = std::clamp(document.value("code", 0), 0, last);
  Error error(static_cast<ErrorCode>(code), texts.back());
  for (auto text = std::next(texts.rbegin()); text != texts.rend(); ++text) {
    error.add_context(*text);
  }
  if (const std::string hint = document.value("hint", ""); !hint.empty()) error.add_hint(hint);
  return error;
}

// A listener throws nothing. Without memory an event is lost.
void LinkedProgress::send(const char* event, json value) noexcept {
  try {
    link_.send({{kEvent, event}, {kValue, std::move(value)}});
  } catch (...) {  // NOLINT(bugprone-empty-catch): as said.
  }
}

void LinkedProgress::operation_started(const Operation& operation) noexcept {
  next_report_ = {};
  send("operation_started", {{"name", operation.name},
                             {"subject", operation.subject},
                             {"detail", operation.detail},
                             {"bytes", operation.unit == ProgressUnit::bytes},
                             {"total", operation.total ? json(*operation.total) : json()}});
}

void LinkedProgress::operation_detail(std::string_view detail) noexcept {
  send("operation_detail", detail);
}

void LinkedProgress::operation_advanced(std::uint64_t done) noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_report_) return;
  next_report_ = now + kBetweenReports;
  send("operation_advanced", done);
}

void LinkedProgress::operation_finished() noexcept {
  send("operation_finished", nullptr);
}

void LinkedProgress::prepared(std::string_view environment) noexcept {
  send("prepared", environment);
}

void LinkedProgress::warning(std::string_view text) noexcept {
  send("warning", text);
}

void LinkedProgress::note(std::string_view text) noexcept {
  send("note", text);
}

void LinkedProgress::detail(std::string_view text) noexcept {
  send("detail", text);
}

bool replay_progress(const json& document, ProgressListener* listener) {
  const auto event = document.find(kEvent);
  if (event == document.end()) return false;
  if (listener == nullptr) return true;
  const json value = document.value(kValue, json());
  const auto text = [&] { return value.get<std::string>(); };
  if (*event == "operation_started") {
    const std::string name = value.at("name");
    const std::string subject = value.at("subject");
    const std::string detail = value.at("detail");
    const json& total = value.at("total");
    listener->operation_started(
        {.name = name,
         .subject = subject,
         .detail = detail,
         .unit = value.at("bytes") ? ProgressUnit::bytes : ProgressUnit::steps,
         .total = total.is_null() ? std::nullopt : std::optional<std::uint64_t>(total)});
  }
  if (*event == "operation_detail") listener->operation_detail(text());
  if (*event == "operation_advanced") listener->operation_advanced(value);
  if (*event == "operation_finished") listener->operation_finished();
  if (*event == "prepared") listener->prepared(text());
  if (*event == "warning") listener->warning(text());
  if (*event == "note") listener->note(text());
  if (*event == "detail") listener->detail(text());
  return true;
}

}  // namespace pyro

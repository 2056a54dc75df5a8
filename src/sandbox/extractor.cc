// The process that untrusted bytes are unpacked in.
#include "sandbox/extractor.h"

#include <fcntl.h>
#include <iconv.h>
#include <langinfo.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "base/caught.h"
#include "base/sha256.h"
#include "sandbox/messages.h"
#include "sandbox/shared_pipe.h"
#include "stream/merged_view.h"

namespace pyro {
namespace {

constexpr std::size_t kDescriptors = 1 + MergedView::kFiles;
constexpr int kNotStartedByPyro = 2;
constexpr int kForbiddenCall = 3;

/// Room for a message of ancillary data: the descriptors (unix(7)).
struct Attachment {
  static constexpr std::size_t kSize = kDescriptors * sizeof(int);
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kSize)> bytes{};
};

msghdr message_of(iovec& content, Attachment& attachment) {
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = attachment.bytes.data();
  message.msg_controllen = attachment.bytes.size();
  return message;
}

using Descriptors = std::array<int, kDescriptors>;

std::optional<Descriptors> attached(const msghdr& message) {
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(Attachment::kSize)) {
    return std::nullopt;
  }
  Descriptors descriptors;
  std::memcpy(descriptors.data(), CMSG_DATA(header), Attachment::kSize);
  return descriptors;
}

/// They get the numbers that follow the socket's.
std::optional<Descriptors> receive_hello(Hello& hello) {
  Attachment attachment;
  iovec content{&hello, sizeof hello};
  msghdr message = message_of(content, attachment);
  if (::recvmsg(kSocketOfChild, &message, 0) < static_cast<ssize_t>(sizeof hello.protocol)) {
    return std::nullopt;
  }
  return attached(message);
}

/// Whatever opens a file when it is first used does so now.
void open_what_libraries_want() {
  // OpenSSL reads its configuration.
  static_cast<void>(sha256(std::string_view()));
  // libarchive has names in pax headers converted, and the C library a list of conversions.
  const iconv_t conversion = ::iconv_open(::nl_langinfo(CODESET), "UTF-8");
  const auto none = reinterpret_cast<iconv_t>(-1);  // NOLINT(performance-no-int-to-ptr): POSIX
  if (conversion != none) ::iconv_close(conversion);
}

/// Tells which system call it was, and ends.
void report_forbidden_call(int, siginfo_t* info, void*) {
  const auto bytes = encode(ForbiddenCall{static_cast<std::uint32_t>(info->si_syscall)});
  static_cast<void>(!::write(kSocketOfChild, bytes.data(), bytes.size()));
  ::_exit(kForbiddenCall);
}

void handle_forbidden_calls() {
  struct sigaction action {};
  action.sa_sigaction = report_forbidden_call;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
}

Confinement shut_in(const Hello& hello, const Descriptors& descriptors) {
  ::prctl(PR_SET_NAME, "pyro-extractor");
  ::prctl(PR_SET_DUMPABLE, 0);
  open_what_libraries_want();
  handle_forbidden_calls();
  const PreparedPolicy policy(
      extractor_policy(hello.limits, *std::ranges::max_element(descriptors)));
  if (!policy.apply()) throw system_error("cannot shut the extractor in", errno);
  return policy.confinement();
}

/// No layer is read before the last thread that this takes was started.
class FirstLayer final : public LayerStream {
 public:
  FirstLayer(LayerStream& layers, bool filtered) : layers_(layers), filtered_(filtered) {}

  [[nodiscard]] std::optional<LayerForm> next_layer() override {
    if (std::exchange(filtered_, false)) forbid_threads();
    return layers_.next_layer();
  }
  [[nodiscard]] std::span<const std::byte> next() override { return layers_.next(); }

 private:
  static void forbid_threads() {
    if (!filter_all_threads(no_more_threads())) {
      throw system_error("cannot keep the extractor from starting threads", errno);
    }
  }

  LayerStream& layers_;
  bool filtered_;  // as far as the first filter is concerned
};

// What cannot be told has no listener any more.
void tell(const Message& message) {
  const auto bytes = encode(message);
  static_cast<void>(!::write(kSocketOfChild, bytes.data(), bytes.size()));
}

Message outcome_of(SharedPipeReader& pipe, const Hello& hello, const Descriptors& descriptors,
                   const Confinement& confinement) {
  FirstLayer layers(pipe, confinement.seccomp);
  try {
    return Success{
        extract_layers(layers, {descriptors.begin() + 1, descriptors.end()}, hello.limits)};
  } catch (...) {
    return Failure{caught_error(), pipe.layer()};
  }
}

int serve() {
  Hello hello;
  const auto descriptors = receive_hello(hello);
  if (!descriptors) return kNotStartedByPyro;
  if (hello.protocol != kProtocol) {
    tell(Ready{});
    return kNotStartedByPyro;
  }
  SharedPipeReader pipe(kSocketOfChild, descriptors->front(), [] { tell(Taken{}); });
  const Confinement confinement = shut_in(hello, *descriptors);
  tell(Ready{.confinement = confinement});
  tell(outcome_of(pipe, hello, *descriptors, confinement));
  // Without taking down what the kernel takes down faster.
  ::_exit(0);
}

}  // namespace

void send_hello(int socket, const Hello& hello, const std::vector<int>& descriptors) {
  Attachment attachment;
  iovec content{const_cast<Hello*>(&hello), sizeof hello};
  const msghdr message = message_of(content, attachment);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(Attachment::kSize);
  std::memcpy(CMSG_DATA(header), descriptors.data(), Attachment::kSize);
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

int run_extractor() noexcept try { return serve(); } catch (...) {
  return kNotStartedByPyro;
}

}  // namespace pyro

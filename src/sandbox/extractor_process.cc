// The process that unpacks untrusted bytes.
#include "sandbox/extractor_process.h"

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

#include "base/errors.h"
#include "base/files.h"
#include "base/hash.h"
#include "image/flatten.h"
#include "sandbox/messages.h"
#include "sandbox/shared_pipe.h"
#include "stream/merged_view.h"

namespace pyro {
namespace {

constexpr std::size_t kDescriptors = 1 + MergedView::kFiles;
constexpr int kNotStartedByPyro = 2;
constexpr int kForbiddenCall = 3;

/// The ancillary data of a message: the descriptors (unix(7)).
struct Attachment {
  static constexpr std::size_t kSize = kDescriptors * sizeof(int);
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kSize)> bytes{};
};

msghdr message_of(std::span<iovec> content, Attachment& attachment) {
  msghdr message{};
  message.msg_iov = content.data();
  message.msg_iovlen = content.size();
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

/// The first message, with its attachments.
struct Order {
  Hello hello;
  std::vector<LinkTarget> targets = {};
  Descriptors descriptors{};  // their numbers follow the socket's
};

std::optional<Order> receive_order() {
  Order order;
  Attachment attachment;
  std::vector<std::byte> targets(kMaxMessage);
  std::array content = {iovec{&order.hello, sizeof order.hello},
                        iovec{targets.data(), targets.size()}};
  msghdr message = message_of(content, attachment);
  const ssize_t size = uninterrupted([&] { return ::recvmsg(kSocketOfChild, &message, 0); });
  if (size < static_cast<ssize_t>(sizeof order.hello.protocol)) return std::nullopt;
  if (order.hello.protocol != kProtocol) return order;
  const auto descriptors = attached(message);
  if (!descriptors || size < static_cast<ssize_t>(sizeof order.hello)) return std::nullopt;
  targets.resize(static_cast<std::size_t>(size) - sizeof order.hello);
  auto decoded = decode_targets(targets);
  if (!decoded) return std::nullopt;
  order.descriptors = *descriptors;
  order.targets = std::move(*decoded);
  return order;
}

/// Lets libraries open the files that they open on first use.
void warm_up_libraries() {
  // OpenSSL reads its configuration.
  static_cast<void>(sha256(std::string_view()));
  // libarchive converts names of pax headers; the C library loads its list of conversions.
  const iconv_t conversion = ::iconv_open(::nl_langinfo(CODESET), "UTF-8");
  const auto none = reinterpret_cast<iconv_t>(-1);  // NOLINT(performance-no-int-to-ptr): POSIX
  if (conversion != none) ::iconv_close(conversion);
}

/// Reports the number of the system call, and exits.
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

Confinement confine(const Hello& hello, const Descriptors& descriptors) {
  ::prctl(PR_SET_NAME, "pyro-extractor");
  ::prctl(PR_SET_DUMPABLE, 0);
  warm_up_libraries();
  handle_forbidden_calls();
  const PreparedPolicy policy(
      extractor_policy(hello.limits, *std::ranges::max_element(descriptors)));
  if (!policy.apply()) throw system_error("cannot confine the extractor", errno);
  return policy.confinement();
}

/// Forbids new threads before the first layer is read: all threads have been started by then.
class FirstLayer final : public LayerStream {
 public:
  FirstLayer(LayerStream& layers, bool filtered) : layers_(layers), filtered_(filtered) {}

  [[nodiscard]] std::optional<LayerForm> next_layer() override {
    if (std::exchange(filtered_, false)) forbid_threads();
    return peeked_ ? *std::exchange(peeked_, std::nullopt) : layers_.next_layer();
  }
  /// What next_layer() will return.
  [[nodiscard]] std::optional<LayerForm> peek() {
    if (!peeked_) peeked_ = layers_.next_layer();
    return *peeked_;
  }
  [[nodiscard]] std::span<const std::byte> next() override { return layers_.next(); }

 private:
  static void forbid_threads() {
    if (!filter_all_threads(no_more_threads())) {
      throw system_error("cannot keep the extractor from starting threads", errno);
    }
  }

  LayerStream& layers_;
  std::optional<std::optional<LayerForm>> peeked_ = {};
  bool filtered_;  // by the first filter; false once the second one is in force
};

// Fails when the reader is gone.
void send_message(const Message& message) {
  const auto bytes = encode(message);
  uninterrupted([&] { return ::write(kSocketOfChild, bytes.data(), bytes.size()); });
}

bool is_archive(const std::optional<LayerForm>& form) {
  return form && form->shape == LayerForm::Shape::archive;
}

Message outcome_of(SharedPipeReader& pipe, const Order& order, const Confinement& confinement) {
  FirstLayer layers(pipe, confinement.seccomp);
  try {
    const ExtractionLimits& limits = order.hello.limits;
    std::vector<int> files(order.descriptors.begin() + 1, order.descriptors.end());
    const bool makes_file_system = order.hello.product == ExtractionProduct::file_system;
    if (makes_file_system && !is_archive(layers.peek())) {
      const auto [size, digest] = image::flatten_layers(layers, files[kArchiveFile], limits);
      return Unpacked{size, digest};
    }
    if (order.hello.product == ExtractionProduct::distribution) {
      return Success{image::flatten_distribution(layers, files, limits, order.hello.size)};
    }
    Extracted extracted = extract_layers(layers, std::move(files), limits, order.targets);
    if (const auto& archive = extracted.archive) return Unpacked{archive->size, archive->digest};
    if (!extracted.missing.empty()) return Incomplete{std::move(extracted.missing)};
    return Success{std::move(extracted.artifacts)};
  } catch (...) {
    return Failure{caught_error(), pipe.layer()};
  }
}

int serve() {
  const auto order = receive_order();
  if (!order) return kNotStartedByPyro;
  if (order->hello.protocol != kProtocol) {
    send_message(Ready{});
    return kNotStartedByPyro;
  }
  SharedPipeReader pipe(kSocketOfChild, order->descriptors.front(),
                        [] { send_message(ChunkAck{}); });
  const Confinement confinement = confine(order->hello, order->descriptors);
  send_message(Ready{.confinement = confinement});
  send_message(outcome_of(pipe, *order, confinement));
  // The kernel frees everything faster than destructors do.
  ::_exit(0);
}

}  // namespace

void send_hello(int socket, const Hello& hello, const std::vector<LinkTarget>& targets,
                const std::vector<int>& descriptors) {
  Attachment attachment;
  std::vector<std::byte> encoded = encode_targets(targets);
  std::array content = {iovec{const_cast<Hello*>(&hello), sizeof hello},
                        iovec{encoded.data(), encoded.size()}};
  const msghdr message = message_of(content, attachment);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(Attachment::kSize);
  std::memcpy(CMSG_DATA(header), descriptors.data(), Attachment::kSize);
  uninterrupted([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); });
}

int run_extractor() noexcept try { return serve(); } catch (...) {
  return kNotStartedByPyro;
}

}  // namespace pyro

// The right-hand side of a pull, as seen from its left-hand side.
#include "sandbox/extraction.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "base/mib.h"
#include "base/whole_calls.h"
#include "pyro/error.h"
#include "sandbox/extractor.h"
#include "stream/extract.h"
#include "stream/layer_reader.h"

namespace pyro {
namespace {

using Clock = std::chrono::steady_clock;

// How much is still taken, and thrown away, once extracting failed.
constexpr std::uint64_t kMostDiscarded = 64U << 20;

constexpr char kWrongExecutable[] = "it must be the pyro executable of this version";

/// The two ends of a socket for datagrams, which say when the other end is gone.
std::pair<Fd, Fd> make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_error("cannot make a socket for the extractor", errno);
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

/// Variables may hold secrets, so there is none but the one without which an executable may not
/// find its libraries.
std::vector<std::string> variables_of_child() {
  const char* const libraries = std::getenv("LD_LIBRARY_PATH");  // NOLINT(concurrency-mt-unsafe)
  if (libraries == nullptr) return {};
  return {std::string("LD_LIBRARY_PATH=") + libraries};
}

/// Signals that a terminal or a supervisor sends to all processes are for this one to answer; and
/// where a limit or a closed socket is met, a call fails instead.
ProcessStart start_of(const std::filesystem::path& extractor, int socket) {
#ifdef PYRO_SANITIZED
  constexpr int kReports = STDERR_FILENO;
#else
  constexpr int kReports = -1;
#endif
  static_assert(kSocketOfChild == 3);
  return {.program = extractor,
          .arguments = {"pyro", kExtractorWord},
          .variables = variables_of_child(),
          .descriptors = {-1, -1, kReports, socket},
          .signals = ProcessStart::Signals::blocked};
}

int milliseconds_until(Clock::time_point time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

std::string name_of_signal(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return std::to_string(signal) + (name == nullptr ? "" : ", SIG" + std::string(name));
}

bool is_as_told(const WrittenArtifact& artifact, int file, const ExtractionLimits& limits) {
  struct stat status {};
  return artifact.size <= limit_of(limits, artifact.kind) && ::fstat(file, &status) == 0 &&
         static_cast<std::uint64_t>(status.st_size) == artifact.size;
}

}  // namespace

TargetsMissing::TargetsMissing(std::vector<LinkTarget> targets)
    : Error(ErrorCode::integrity, "too many of its links lead on to other links"),
      targets_(std::move(targets)) {}

Extraction::Extraction(const std::filesystem::path& extractor, std::vector<int> files,
                       const ExtractionLimits& limits, Note note,
                       const std::vector<LinkTarget>& targets, const Patience& patience)
    : Extraction(make_sockets(), extractor, std::move(files), limits, std::move(note), targets,
                 patience) {}

// The extractor's end of the socket must be open nowhere else, or its death would go unnoticed: it
// is closed with `sockets`.
Extraction::Extraction(std::pair<Fd, Fd> sockets, const std::filesystem::path& extractor,
                       std::vector<int> files, const ExtractionLimits& limits, Note note,
                       const std::vector<LinkTarget>& targets, const Patience& patience)
    : extractor_(extractor),
      files_(std::move(files)),
      limits_(limits),
      note_(std::move(note)),
      message_(kLargestMessage),
      socket_(std::move(sockets.first)),
      pipe_(socket_.get()),
      child_(start_of(extractor_, sockets.second.get()), "the extractor " + extractor_.string()),
      patience_(patience),
      watch_(child_.number(), patience.steps) {
  std::vector<int> descriptors{pipe_.file()};
  descriptors.insert(descriptors.end(), files_.begin(), files_.end());
  send_hello(socket_.get(), {kProtocol, 0, limits_}, targets, descriptors);
}

void Extraction::abort() noexcept {
  aborted_ = true;
  child_.kill();
}

void Extraction::begin_layer(std::string label, const LayerForm& form) {
  layers_.push_back({std::move(label), pipe_.produced()});
  is_archive_ = form.shape == LayerForm::Shape::archive;
  pipe_.begin_layer(form);
}

void Extraction::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (written_ > limits_.compressed_bytes) {
    throw Error(ErrorCode::integrity,
                "more than " + mib(limits_.compressed_bytes) + " of compressed data");
  }
  const std::size_t size = bytes.size();
  while (!bytes.empty() && wait_for_room()) bytes = bytes.subspan(pipe_.fill(bytes));
  if (bytes.empty()) return;
  discarded_ += size;
  if (discarded_ > kMostDiscarded) rethrow_failure();
}

void Extraction::end_layer() {
  if (wait_for_room()) pipe_.end_layer();
  rethrow_failure();
}

std::vector<WrittenArtifact> Extraction::finish() {
  pipe_.end();
  all_given_ = true;
  while (hear(Wait::yes)) {
  }
  if (aborted_) throw Error(ErrorCode::interrupted, "interrupted");
  rethrow_failure();
  return std::move(*artifacts_);
}

// False once the extractor is no more. Looks for news with every chunk.
bool Extraction::wait_for_room() {
  if (pipe_.at_chunk()) {
    while (hear(Wait::no)) {
    }
  }
  while (!failure_ && !pipe_.has_room()) static_cast<void>(hear(Wait::yes));
  return !failure_;
}

// Takes the next message. False when there is none, or none any more.
bool Extraction::hear(Wait wait) {
  if (failure_ || artifacts_) return false;
  const auto size = receive(wait);
  if (!size) return false;
  if (*size == 0) {
    take_end();
  } else if (const auto message = decode(std::span(message_).first(*size))) {
    take(*message);
  } else {
    refuse("it says what makes no sense");
  }
  return true;
}

// The size of the next message; 0 when there will be no other. Nothing: none yet.
std::optional<std::size_t> Extraction::receive(Wait wait) {
  while (true) {
    const ssize_t n = uninterrupted([&] {
      return ::recv(socket_.get(), message_.data(), message_.size(), MSG_DONTWAIT | MSG_TRUNC);
    });
    // One that was cut makes no sense, whatever is left of it.
    if (n >= 0) return std::min(static_cast<std::size_t>(n), message_.size());
    // It ended with something unread; what it sent before is still to come.
    if (errno == ECONNRESET) continue;
    if (errno != EAGAIN) return 0;
    if (wait == Wait::no) return std::nullopt;
    if (wait_for_message()) continue;
    return failure_ ? std::nullopt : std::optional<std::size_t>(0);
  }
}

// Not for the socket's end alone: a host program may have forked and so have it open, too.
bool Extraction::wait_for_message() {
  std::array<pollfd, 2> waiting = {{{socket_.get(), POLLIN, 0}, {child_.descriptor(), POLLIN, 0}}};
  auto next_look = Clock::now() + patience_.step;
  while (::poll(waiting.data(), waiting.size(), milliseconds_until(next_look)) <= 0) {
    if (Clock::now() < next_look) continue;  // a signal
    look_after();
    if (failure_) return false;
    next_look = Clock::now() + patience_.step;
  }
  watch_.progress();
  return waiting[0].revents != 0;
}

// When nothing was heard of it for a while.
void Extraction::look_after() {
  check_total_size();
  if (failure_ || !watch_.has_stalled()) return;
  fail(Error(ErrorCode::failed,
             "the extractor did nothing for " + std::to_string(patience_.whole().count()) + " s",
             "it may have been stopped by a signal: try again"),
       layer_in_work());
}

// A limit on the size of files holds for each of them only.
void Extraction::check_total_size() {
  if (total_size(files_) > most_in_all_files(limits_)) {
    refuse("it writes more than " + mib(most_in_all_files(limits_)));
  }
}

void Extraction::take(const Message& message) {
  if (const auto* ready = std::get_if<Ready>(&message)) return take_ready(*ready);
  // The policy is in force a moment before the extractor says so.
  if (const auto* call = std::get_if<ForbiddenCall>(&message)) return take_forbidden_call(*call);
  if (!ready_) return refuse("it works before it is shut in");
  if (std::holds_alternative<Taken>(message)) {
    if (!pipe_.taken()) refuse("it takes what was not given");
    check_total_size();
  } else if (const auto* success = std::get_if<Success>(&message)) {
    take_success(*success);
  } else if (const auto* unpacked = std::get_if<Unpacked>(&message)) {
    take_unpacked(*unpacked);
  } else if (const auto* incomplete = std::get_if<Incomplete>(&message)) {
    take_incomplete(*incomplete);
  } else {
    take_failure(std::get<Failure>(message));
  }
}

void Extraction::take_ready(const Ready& ready) {
  if (ready.protocol != kProtocol) {
    return fail(
        Error(ErrorCode::failed, "the extractor " + extractor_.string() + " is of another version",
              kWrongExecutable),
        0);
  }
  if (std::exchange(ready_, true)) return refuse("it is ready twice");
  static std::atomic<bool> told = false;
  const std::string gaps = gaps_in(ready.confinement);
  if (gaps.empty() || !note_ || told.exchange(true)) return;
  note_("the extractor runs without " + gaps + ", which this system does not have");
}

bool Extraction::may_be_done() const {
  return all_given_ && pipe_.consumed() == pipe_.produced();
}

void Extraction::take_incomplete(const Incomplete& incomplete) {
  if (!may_be_done()) return refuse("it is done before it was given all");
  child_.kill();
  failure_ = std::make_exception_ptr(TargetsMissing(incomplete.targets));
}

void Extraction::take_unpacked(const Unpacked& unpacked) {
  if (!may_be_done()) return refuse("it is done before it was given all");
  child_.kill();
  child_.wait();
  const WrittenArtifact archive{.kind = kRootfs, .size = unpacked.size, .digest = Digest({})};
  if (!is_archive_ || !is_as_told(archive, files_[kArchiveFile], limits_)) {
    return refuse("it wrote something else than it says");
  }
  artifacts_.emplace();
}

void Extraction::take_success(const Success& success) {
  if (!may_be_done()) return refuse("it is done before it was given all");
  if (is_archive_) return refuse("it looked for artifacts where there are none");
  // Nothing that it might still do to the files may happen after they were looked at.
  child_.kill();
  child_.wait();
  for (const WrittenArtifact& artifact : success.artifacts) {
    if (!is_as_told(artifact, files_[artifact.file], limits_)) {
      return refuse("it wrote something else than it says");
    }
  }
  artifacts_ = success.artifacts;
}

void Extraction::take_failure(const Failure& failure) {
  if (failure.layer > layers_.size()) return refuse("it fails in a layer that is not there");
  fail(failure.error, failure.layer);
}

// By a library that is new here as likely as by an attack.
void Extraction::take_forbidden_call(const ForbiddenCall& call) {
  fail(Error(ErrorCode::failed,
             "the extractor made the system call " + name_of_call(call.number) +
                 ", which its sandbox does not have",
             "report it, with the output of -v: a library may need it, and an attack may try it"),
       layer_in_work());
}

// It ended without having said how it went.
void Extraction::take_end() {
  child_.kill();
  const ProcessEnd end = child_.wait();
  if (aborted_) return fail(Error(ErrorCode::interrupted, "interrupted"), 0);
  fail(error_of(end), layer_in_work());
}

Error Extraction::error_of(const ProcessEnd& end) const {
  if (end.is_crash()) {
    return {ErrorCode::integrity, "the extractor died (signal " + name_of_signal(end.signal) + ")",
            "the archive may be made to attack the program that unpacks it"};
  }
  if (end.signal != 0) {
    return {ErrorCode::failed,
            "the extractor was killed (signal " + name_of_signal(end.signal) + ")",
            end.signal == SIGKILL ? "the system may have run out of memory" : ""};
  }
  const std::string code =
      end.exit_code < 0 ? "" : " (exit code " + std::to_string(end.exit_code) + ")";
  if (ready_) return {ErrorCode::failed, "the extractor ended in the middle of its work" + code};
  return {ErrorCode::failed, "the extractor " + extractor_.string() + " did not start" + code,
          kWrongExecutable};
}

// An extractor says that only after an attack took it over.
void Extraction::refuse(std::string_view why) {
  fail(Error(ErrorCode::integrity, "the extractor is not to be trusted: " + std::string(why),
             "the archive may be made to attack the program that unpacks it"),
       layer_in_work());
}

// `layer` is counted from 1; 0 is none.
void Extraction::fail(Error error, std::size_t layer) {
  child_.kill();
  // Other bytes would have made no difference.
  if (error.code() == ErrorCode::failed || error.code() == ErrorCode::interrupted) {
    discarded_ = kMostDiscarded;
  }
  if (layer > 0) error.add_context(layers_[layer - 1].label);
  failure_ = std::make_exception_ptr(std::move(error));
}

// That of the oldest chunk that was not given back.
std::size_t Extraction::layer_in_work() const {
  std::size_t layer = layers_.size();
  while (layer > 1 && layers_[layer - 1].first_chunk > pipe_.consumed()) --layer;
  return layer;
}

void Extraction::rethrow_failure() const {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace pyro

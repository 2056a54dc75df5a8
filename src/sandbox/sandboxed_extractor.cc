// Runs the extractor, sends it layers and checks its messages.
#include "sandbox/sandboxed_extractor.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "base/text.h"
#include "sandbox/extractor_process.h"
#include "stream/extract.h"

namespace pyro {
namespace {

using Clock = std::chrono::steady_clock;

// The number of bytes still accepted, and thrown away, after extracting failed.
constexpr std::uint64_t kMaxDiscarded = 64U << 20;

constexpr char kWrongExecutable[] = "it must be the pyro executable of this version";

/// The two ends of a datagram socket with end of file.
std::pair<Fd, Fd> make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_error("cannot make a socket for the extractor", errno);
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

/// Variables may hold secrets; only the one is passed on that an executable may need to find its
/// libraries.
std::vector<std::string> variables_of_child() {
  const char* const libraries = std::getenv("LD_LIBRARY_PATH");  // NOLINT(concurrency-mt-unsafe)
  if (libraries == nullptr) return {};
  return {std::string("LD_LIBRARY_PATH=") + libraries};
}

/// Signals are blocked: those of a terminal or a supervisor are for this process to handle, and at
/// a limit or on a closed socket a call fails instead.
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

bool is_as_reported(const WrittenArtifact& artifact, int file, const ExtractionLimits& limits) {
  struct stat status {};
  return artifact.size <= limit_of(limits, artifact.kind) && ::fstat(file, &status) == 0 &&
         static_cast<std::uint64_t>(status.st_size) == artifact.size;
}

/// The sizes of all `files` together. They bound the disk space of the files: allocating behind the
/// end of a file takes a system call that the extractor does not have.
std::uint64_t total_size(std::span<const int> files) noexcept {
  std::uint64_t total = 0;
  for (const int file : files) {
    struct stat status {};
    if (::fstat(file, &status) == 0) total += static_cast<std::uint64_t>(status.st_size);  // < 2^63
  }
  return total;
}

// --- the state of the extractor, from outside ---

std::chrono::nanoseconds processor_time(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return {};
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// Whether a signal stopped it. Does not reap it.
bool is_stopped(pid_t process) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(process), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == process;
}

/// From proc(5): "PID (NAME) STATE ...", where the name may hold anything.
char state_of_thread(const std::filesystem::path& thread) {
  std::ifstream file(thread / "stat");
  std::string line;
  std::getline(file, line);
  const std::size_t end_of_name = line.rfind(") ");
  return end_of_name == std::string::npos ? '?' : line[end_of_name + 2];
}

/// Whether one of its threads runs, or waits for a processor, a disk or a debugger. True where that
/// is hidden (hidepid).
bool wants_to_run(pid_t process) {
  std::error_code hidden;
  std::filesystem::directory_iterator thread("/proc/" + std::to_string(process) + "/task", hidden);
  for (; !hidden && thread != std::filesystem::directory_iterator(); thread.increment(hidden)) {
    const char state = state_of_thread(thread->path());
    if (state == 'R' || state == 'D' || state == 't') return true;
  }
  return static_cast<bool>(hidden);
}

}  // namespace

bool StallWatch::has_stalled() {
  const auto used = processor_time(process_);
  const bool works = used != used_ || (!is_stopped(process_) && wants_to_run(process_));
  used_ = used;
  idle_checks_ = works ? 0 : idle_checks_ + 1;
  return idle_checks_ >= max_checks_;
}

// The text is shown after the last pass over the layers only.
TargetsMissing::TargetsMissing(std::vector<LinkTarget> targets)
    : Error(ErrorCode::integrity, "too many of its links lead on to other links"),
      targets_(std::move(targets)) {}

SandboxedExtractor::SandboxedExtractor(const std::filesystem::path& extractor,
                                       std::vector<int> files, const ExtractionLimits& limits,
                                       Note note, const ExtractionRequest& request,
                                       const StallLimit& stall_limit)
    : SandboxedExtractor(make_sockets(), extractor, std::move(files), limits, std::move(note),
                         request, stall_limit) {}

// The extractor's end of the socket must be open nowhere else, or its death would go unnoticed: it
// is closed with `sockets`.
SandboxedExtractor::SandboxedExtractor(std::pair<Fd, Fd> sockets,
                                       const std::filesystem::path& extractor,
                                       std::vector<int> files, const ExtractionLimits& limits,
                                       Note note, const ExtractionRequest& request,
                                       const StallLimit& stall_limit)
    : extractor_(extractor),
      files_(std::move(files)),
      limits_(limits),
      note_(std::move(note)),
      message_(kMaxMessage),
      product_(request.product),
      socket_(std::move(sockets.first)),
      pipe_(socket_.get()),
      child_(start_of(extractor_, sockets.second.get()), "the extractor " + extractor_.string()),
      stall_limit_(stall_limit),
      watch_(child_.number(), stall_limit.checks) {
  std::vector<int> descriptors{pipe_.file()};
  descriptors.insert(descriptors.end(), files_.begin(), files_.end());
  send_hello(socket_.get(), {kProtocol, product_, limits_, request.size}, request.targets,
             descriptors);
}

void SandboxedExtractor::abort() noexcept {
  aborted_ = true;
  child_.kill();
}

void SandboxedExtractor::begin_layer(std::string label, const LayerForm& form) {
  layers_.push_back({std::move(label), pipe_.produced()});
  is_archive_ = form.shape == LayerForm::Shape::archive;
  pipe_.begin_layer(form);
}

void SandboxedExtractor::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (written_ > limits_.compressed_bytes) {
    throw Error(ErrorCode::integrity,
                "more than " + mib(limits_.compressed_bytes) + " of compressed data");
  }
  const std::size_t size = bytes.size();
  while (!bytes.empty() && wait_for_space()) bytes = bytes.subspan(pipe_.fill(bytes));
  if (bytes.empty()) return;
  discarded_ += size;
  if (discarded_ > kMaxDiscarded) rethrow_failure();
}

void SandboxedExtractor::end_layer() {
  if (wait_for_space()) pipe_.end_layer();
  rethrow_failure();
}

std::vector<WrittenArtifact> SandboxedExtractor::finish() {
  pipe_.end();
  all_given_ = true;
  while (receive_message(Wait::yes)) {
  }
  if (aborted_) throw Error(ErrorCode::interrupted, "interrupted");
  rethrow_failure();
  return std::move(*artifacts_);
}

// False once the extractor has ended. Reads its messages with every chunk.
bool SandboxedExtractor::wait_for_space() {
  if (pipe_.at_chunk()) {
    while (receive_message(Wait::no)) {
    }
  }
  while (!failure_ && !pipe_.has_space()) static_cast<void>(receive_message(Wait::yes));
  return !failure_;
}

// Handles the next message. False when there is none.
bool SandboxedExtractor::receive_message(Wait wait) {
  if (failure_ || artifacts_) return false;
  const auto size = receive_datagram(wait);
  if (!size) return false;
  if (*size == 0) {
    on_end();
  } else if (const auto message = decode(std::span(message_).first(*size))) {
    on_message(*message);
  } else {
    protocol_error("it sent an invalid message");
  }
  return true;
}

// The size of the next message; 0 at the end. Nothing when there is none yet.
std::optional<std::size_t> SandboxedExtractor::receive_datagram(Wait wait) {
  while (true) {
    const ssize_t n = uninterrupted([&] {
      return ::recv(socket_.get(), message_.data(), message_.size(), MSG_DONTWAIT | MSG_TRUNC);
    });
    // A message that was cut is invalid.
    if (n >= 0) return std::min(static_cast<std::size_t>(n), message_.size());
    // It ended without reading all; its last messages are still to come.
    if (errno == ECONNRESET) continue;
    if (errno != EAGAIN) return 0;
    if (wait == Wait::no) return std::nullopt;
    if (wait_for_message()) continue;
    return failure_ ? std::nullopt : std::optional<std::size_t>(0);
  }
}

// Also waits for the end of the process: a forked host program may keep the socket open.
bool SandboxedExtractor::wait_for_message() {
  std::array<pollfd, 2> waiting = {{{socket_.get(), POLLIN, 0}, {child_.descriptor(), POLLIN, 0}}};
  auto next_look = Clock::now() + stall_limit_.interval;
  while (::poll(waiting.data(), waiting.size(), milliseconds_until(next_look)) <= 0) {
    if (Clock::now() < next_look) continue;  // a signal
    check_progress();
    if (failure_) return false;
    next_look = Clock::now() + stall_limit_.interval;
  }
  watch_.progress();
  return waiting[0].revents != 0;
}

// Called after each interval without a message.
void SandboxedExtractor::check_progress() {
  check_total_size();
  if (failure_ || !watch_.has_stalled()) return;
  fail(Error(ErrorCode::failed,
             "the extractor did nothing for " + std::to_string(stall_limit_.total().count()) + " s",
             "it may have been stopped by a signal: try again"),
       current_layer());
}

// RLIMIT_FSIZE holds for each file only.
void SandboxedExtractor::check_total_size() {
  if (total_size(files_) > max_total_size(limits_)) {
    protocol_error("it wrote more than " + mib(max_total_size(limits_)));
  }
}

void SandboxedExtractor::on_message(const Message& message) {
  if (const auto* ready = std::get_if<Ready>(&message)) return on_ready(*ready);
  // The policy is in force a moment before the extractor says so.
  if (const auto* call = std::get_if<ForbiddenCall>(&message)) return on_forbidden_call(*call);
  if (!ready_) return protocol_error("it worked before it was confined");
  if (std::holds_alternative<ChunkAck>(message)) {
    if (!pipe_.acknowledge()) protocol_error("it acknowledged a chunk that was not sent");
    check_total_size();
  } else if (const auto* success = std::get_if<Success>(&message)) {
    on_success(*success);
  } else if (const auto* unpacked = std::get_if<Unpacked>(&message)) {
    on_unpacked(*unpacked);
  } else if (const auto* incomplete = std::get_if<Incomplete>(&message)) {
    on_incomplete(*incomplete);
  } else {
    on_failure(std::get<Failure>(message));
  }
}

void SandboxedExtractor::on_ready(const Ready& ready) {
  if (ready.protocol != kProtocol) {
    return fail(
        Error(ErrorCode::failed, "the extractor " + extractor_.string() + " is of another version",
              kWrongExecutable),
        0);
  }
  if (std::exchange(ready_, true)) return protocol_error("it was ready twice");
  static std::atomic<bool> told = false;
  const std::string gaps = gaps_in(ready.confinement);
  if (gaps.empty() || !note_ || told.exchange(true)) return;
  note_("the extractor runs without " + gaps + ", which this system does not have");
}

bool SandboxedExtractor::may_be_done() const {
  return all_given_ && pipe_.consumed() == pipe_.produced();
}

void SandboxedExtractor::on_incomplete(const Incomplete& incomplete) {
  if (!may_be_done()) return protocol_error("it finished before all layers were sent");
  if (product_ != ExtractionProduct::artifacts) {
    return protocol_error("it looked for artifacts where there are none");
  }
  child_.kill();
  failure_ = std::make_exception_ptr(TargetsMissing(incomplete.targets));
}

void SandboxedExtractor::on_unpacked(const Unpacked& unpacked) {
  if (!may_be_done()) return protocol_error("it finished before all layers were sent");
  child_.kill();
  child_.wait();
  const WrittenArtifact written{
      .kind = kRootfs, .file = kArchiveFile, .size = unpacked.size, .digest = unpacked.digest};
  const bool makes_file_system = product_ == ExtractionProduct::file_system;
  if ((!is_archive_ && !makes_file_system) ||
      !is_as_reported(written, files_[kArchiveFile], limits_)) {
    return protocol_error("it wrote something else than it reported");
  }
  artifacts_.emplace();
  if (makes_file_system) artifacts_->push_back(written);
}

void SandboxedExtractor::on_success(const Success& success) {
  if (!may_be_done()) return protocol_error("it finished before all layers were sent");
  if (is_archive_ || product_ == ExtractionProduct::file_system) {
    return protocol_error("it looked for artifacts where there are none");
  }
  // It must not change the files after they were checked.
  child_.kill();
  child_.wait();
  for (const WrittenArtifact& artifact : success.artifacts) {
    if (!is_as_reported(artifact, files_[artifact.file], limits_)) {
      return protocol_error("it wrote something else than it reported");
    }
  }
  artifacts_ = success.artifacts;
}

void SandboxedExtractor::on_failure(const Failure& failure) {
  if (failure.layer > layers_.size())
    return protocol_error("it failed in a layer that does not exist");
  fail(failure.error, failure.layer);
}

// A new version of a library is as likely as an attack.
void SandboxedExtractor::on_forbidden_call(const ForbiddenCall& call) {
  fail(Error(ErrorCode::failed,
             "the extractor made the system call " + name_of_call(call.number) +
                 ", which its sandbox does not have",
             "report it, with the output of -v: a library may need it, and an attack may try it"),
       current_layer());
}

// It ended without a last message.
void SandboxedExtractor::on_end() {
  child_.kill();
  const ProcessEnd end = child_.wait();
  if (aborted_) return fail(Error(ErrorCode::interrupted, "interrupted"), 0);
  fail(error_of(end), current_layer());
}

Error SandboxedExtractor::error_of(const ProcessEnd& end) const {
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

// Only an extractor that an attack took over sends that.
void SandboxedExtractor::protocol_error(std::string_view why) {
  fail(Error(ErrorCode::integrity, "the extractor is not to be trusted: " + std::string(why),
             "the archive may be made to attack the program that unpacks it"),
       current_layer());
}

// `layer` is counted from 1; 0 is none.
void SandboxedExtractor::fail(Error error, std::size_t layer) {
  child_.kill();
  // The layer is not to blame: the caller need not wait for its digest.
  if (error.code() == ErrorCode::failed || error.code() == ErrorCode::interrupted) {
    discarded_ = kMaxDiscarded;
  }
  if (layer > 0) error.add_context(layers_[layer - 1].label);
  failure_ = std::make_exception_ptr(std::move(error));
}

// The layer of the oldest chunk that was not acknowledged.
std::size_t SandboxedExtractor::current_layer() const {
  std::size_t layer = layers_.size();
  while (layer > 1 && layers_[layer - 1].first_chunk > pipe_.consumed()) --layer;
  return layer;
}

void SandboxedExtractor::rethrow_failure() const {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace pyro

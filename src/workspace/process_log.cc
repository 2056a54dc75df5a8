// The processes of a workspace as their files tell.
#include "workspace/process_log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <span>

#include "base/directories.h"
#include "base/output_file.h"
#include "base/strict_json.h"
#include "base/text.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr const char* kProcesses = "processes";
constexpr const char* kRecord = "process.json";
constexpr const char* kOutput = "output";
constexpr const char* kErrorOutput = "error_output";
constexpr const char* kSubject = "the output of a process";
constexpr std::size_t kMaxRecord = std::size_t{16} << 20;
constexpr std::size_t kMostKept = 64;
constexpr std::size_t kMostRead = std::size_t{1} << 20;

/// The file begins with the size of the stream; its two halves follow.
constexpr std::uint64_t kBegin = 4096;

using Seconds = std::chrono::duration<std::int64_t>;

std::string subject_of(unsigned number) {
  return std::string(kProcesses) + '/' + std::to_string(number);
}

std::vector<unsigned> numbers_in(int processes) {
  std::vector<unsigned> numbers;
  for (const std::string& name : directory_names(processes, kProcesses)) {
    if (const auto number = number_in<unsigned>(name)) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

Fd open_processes(int workspace) {
  return try_open_directory(workspace, kProcesses);
}

std::optional<WorkspaceProcess> read_record(int directory, unsigned number) try {
  const auto text = read_small_file_at(directory, kRecord, kMaxRecord);
  if (!text) return std::nullopt;
  const json document = parse_strict_json(*text, ErrorCode::failed);
  WorkspaceProcess process{.number = number,
                           .command = document.at("command"),
                           .started = std::chrono::system_clock::time_point(
                               std::chrono::seconds(document.at("started").get<std::int64_t>()))};
  if (!document.at("end").is_null()) process.end = report_of(document["end"]);
  return process;
} catch (const std::exception&) {  // of a process that was killed while it was written
  return std::nullopt;
}

}  // namespace

json document_of(const CommandReport& report) {
  return {{"exit_code", report.exit_code},
          {"signal", report.signal},
          {"timed_out", report.timed_out},
          {"interrupted", report.interrupted},
          {"is_stuck", report.is_stuck},
          {"refusal", report.refusal},
          {"microseconds", report.command_time.count()}};
}

CommandReport report_of(const json& document) {
  return {
      .exit_code = document.at("exit_code"),
      .signal = document.at("signal"),
      .timed_out = document.at("timed_out"),
      .interrupted = document.at("interrupted"),
      .is_stuck = document.at("is_stuck"),
      .refusal = document.at("refusal"),
      .command_time = std::chrono::microseconds(document.at("microseconds").get<std::int64_t>())};
}

OutputLog OutputLog::make(int directory, const std::string& name) {
  return OutputLog(open_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, name));
}

std::optional<OutputLog> OutputLog::open(int directory, const std::string& name) {
  Fd file(try_open(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return std::nullopt;
  return OutputLog(std::move(file));
}

OutputLog OutputLog::reopen(int directory, const std::string& name) {
  OutputLog log(open_at(directory, name, O_RDWR | O_NOFOLLOW, 0, name));
  log.size_ = log.read_size();
  return log;
}

std::uint64_t OutputLog::read_size() const {
  std::uint64_t size = 0;
  const auto bytes = std::as_writable_bytes(std::span(&size, 1));
  return pread_full(file_.get(), bytes, 0, kSubject) < sizeof size ? 0 : size;
}

void OutputLog::append(std::string_view bytes) {
  const auto write = [this](std::string_view piece, std::uint64_t offset) {
    pwrite_all(file_.get(), std::as_bytes(std::span(piece)), offset, kSubject);
  };
  while (!bytes.empty()) {
    const bool is_begin = size_ < kHalf;
    const std::uint64_t at = is_begin ? size_ : kHalf + (size_ - kHalf) % kHalf;
    const std::uint64_t end = is_begin ? kHalf : 2 * kHalf;
    const std::string_view piece = bytes.substr(0, end - at);
    write(piece, kBegin + at);
    size_ += piece.size();
    bytes.remove_prefix(piece.size());
  }
  write({reinterpret_cast<const char*>(&size_), sizeof size_}, 0);
}

ProcessOutput OutputLog::read(std::uint64_t offset, std::size_t most) const {
  ProcessOutput output{.next = offset};
  const std::uint64_t size = read_size();
  if (offset >= size) return output;
  // Of much output the middle is not kept.
  const std::uint64_t end_begins = size > 2 * kHalf ? size - kHalf : kHalf;
  if (offset >= kHalf && offset < end_begins) {
    output.skipped = end_begins - offset;
    offset = end_begins;
  }
  const std::uint64_t at = offset < kHalf ? offset : kHalf + (offset - kHalf) % kHalf;
  const std::uint64_t room = (offset < kHalf ? kHalf : 2 * kHalf) - at;
  output.text.resize(std::min({std::uint64_t{most}, size - offset, room}));
  output.text.resize(pread_full(file_.get(), std::as_writable_bytes(std::span(output.text)),
                                kBegin + at, kSubject));
  output.next = offset + output.text.size();
  return output;
}

ProcessRecord ProcessRecord::make(int workspace, const std::vector<std::string>& command) {
  if (::mkdirat(workspace, kProcesses, 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot make the directory of processes", errno);
  }
  const Fd processes = open_processes(workspace);
  const auto numbers = numbers_in(processes.get());
  for (std::size_t i = 0; i + kMostKept < numbers.size(); ++i) {
    const std::string name = std::to_string(numbers[i]);
    const Fd directory = try_open_directory(processes.get(), name);
    const auto process = read_record(directory.get(), numbers[i]);
    if (process && !process->end) continue;
    remove_tree_at(processes.get(), name, subject_of(numbers[i]));
  }
  WorkspaceProcess process{.number = numbers.empty() ? 1 : numbers.back() + 1,
                           .command = command,
                           .started = std::chrono::system_clock::now()};
  const std::string name = std::to_string(process.number);
  if (::mkdirat(processes.get(), name.c_str(), 0700) != 0) {
    throw system_error("cannot make " + subject_of(process.number), errno);
  }
  Fd directory = try_open_directory(processes.get(), name);
  OutputLog output = OutputLog::make(directory.get(), kOutput);
  OutputLog error_output = OutputLog::make(directory.get(), kErrorOutput);
  ProcessRecord record(std::move(directory), std::move(process), std::move(output),
                       std::move(error_output));
  record.write();
  return record;
}

std::optional<ProcessRecord> ProcessRecord::reopen(int workspace, unsigned number) {
  const Fd processes = open_processes(workspace);
  Fd directory = try_open_directory(processes.get(), std::to_string(number));
  auto process = read_record(directory.get(), number);
  if (!process || process->end) return std::nullopt;
  OutputLog output = OutputLog::reopen(directory.get(), kOutput);
  OutputLog error_output = OutputLog::reopen(directory.get(), kErrorOutput);
  return ProcessRecord(std::move(directory), std::move(*process), std::move(output),
                       std::move(error_output));
}

void ProcessRecord::note_end(const CommandReport& report) {
  process_.end = report;
  write();
}

void ProcessRecord::write() const {
  const json document = {{"command", process_.command},
                         {"started", std::chrono::duration_cast<std::chrono::seconds>(
                                         process_.started.time_since_epoch())
                                         .count()},
                         {"end", process_.end ? document_of(*process_.end) : json()}};
  NewFile file(duplicate(directory_.get()), kRecord, 0600, subject_of(process_.number));
  write_all(file.descriptor(), document.dump(-1, ' ', false, json::error_handler_t::replace),
            kRecord);
  file.commit();
}

void end_all_records(int workspace) {
  for (const WorkspaceProcess& process : read_processes(workspace, true)) {
    if (process.end) continue;
    if (auto record = ProcessRecord::reopen(workspace, process.number)) {
      record->note_end({.exit_code = kMachineEnded});
    }
  }
}

std::vector<WorkspaceProcess> read_processes(int workspace, bool is_alive) {
  const Fd processes = open_processes(workspace);
  std::vector<WorkspaceProcess> found;
  if (!processes) return found;
  for (const unsigned number : numbers_in(processes.get())) {
    const Fd directory = try_open_directory(processes.get(), std::to_string(number));
    auto process = read_record(directory.get(), number);
    if (!process) continue;
    if (!process->end && !is_alive) process->end = {.exit_code = kMachineEnded};
    found.push_back(std::move(*process));
  }
  return found;
}

ProcessOutput read_output(int workspace, unsigned process, bool is_error, std::uint64_t offset,
                          bool is_alive) {
  const Fd processes = open_processes(workspace);
  const Fd directory = try_open_directory(processes.get(), std::to_string(process));
  // Before its output: what it wrote until then is there.
  const auto record = read_record(directory.get(), process);
  const auto log = OutputLog::open(directory.get(), is_error ? kErrorOutput : kOutput);
  if (!record || !log) {
    throw Error(ErrorCode::not_found, "there is no process " + std::to_string(process),
                "'pyro workspace ps' lists them");
  }
  ProcessOutput output = log->read(offset, kMostRead);
  output.has_ended = output.text.empty() && (record->end.has_value() || !is_alive);
  return output;
}

}  // namespace pyro

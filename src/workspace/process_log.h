// The processes of a workspace as their files tell, which stay when its machine and its supervisor
// are gone:
//
//   processes/N/process.json    its command, its start, and how it ended
//               output          what it wrote: the beginning and the end
//               error_output
#pragma once

#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "pyro/workspace.h"

namespace pyro {

/// A report as a document, and back.
[[nodiscard]] nlohmann::json document_of(const CommandReport& report);
[[nodiscard]] CommandReport report_of(const nlohmann::json& document);

/// The exit code of a process whose machine ended before it.
inline constexpr int kMachineEnded = 255;

/// A file with the first and the last bytes of a stream. One thread or process appends, others
/// read.
class OutputLog {
 public:
  static constexpr std::uint64_t kHalf = std::uint64_t{4} << 20;  ///< Of what is kept.

  /// An empty one.
  /// @throws Error(filesystem)
  [[nodiscard]] static OutputLog make(int directory, const std::string& name);
  /// Nothing when it cannot be read.
  [[nodiscard]] static std::optional<OutputLog> open(int directory, const std::string& name);
  /// For appending to it.
  /// @throws Error(filesystem)
  [[nodiscard]] static OutputLog reopen(int directory, const std::string& name);

  void append(std::string_view bytes);
  /// At most `most` bytes from `offset` on.
  [[nodiscard]] ProcessOutput read(std::uint64_t offset, std::size_t most) const;

 private:
  explicit OutputLog(Fd file) : file_(std::move(file)) {}
  [[nodiscard]] std::uint64_t read_size() const;

  Fd file_;
  std::uint64_t size_ = 0;  ///< Of the stream: of the writer alone.
};

/// The files of one process, for who runs it.
class ProcessRecord {
 public:
  /// Those of a new process, with the next number. Of ended ones the oldest are removed.
  /// @throws Error(filesystem)
  [[nodiscard]] static ProcessRecord make(int workspace, const std::vector<std::string>& command);

  /// Those of a process that goes on with its machine. Nothing when it has ended.
  /// @throws Error(filesystem)
  [[nodiscard]] static std::optional<ProcessRecord> reopen(int workspace, unsigned number);

  [[nodiscard]] unsigned number() const noexcept { return process_.number; }
  [[nodiscard]] const std::vector<std::string>& command() const noexcept {
    return process_.command;
  }
  [[nodiscard]] OutputLog& output() noexcept { return output_; }
  [[nodiscard]] OutputLog& error_output() noexcept { return error_output_; }

  void note_end(const CommandReport& report);

 private:
  ProcessRecord(Fd directory, WorkspaceProcess process, OutputLog output, OutputLog error_output)
      : directory_(std::move(directory)),
        process_(std::move(process)),
        output_(std::move(output)),
        error_output_(std::move(error_output)) {}
  void write() const;

  Fd directory_;
  WorkspaceProcess process_;
  OutputLog output_;
  OutputLog error_output_;
};

/// Notes the end of all processes whose machine has ended.
void end_all_records(int workspace);

/// By their numbers. `is_alive`: the machine runs or is suspended; otherwise none of them runs any
/// more.
[[nodiscard]] std::vector<WorkspaceProcess> read_processes(int workspace, bool is_alive);

/// What a process wrote.
/// @throws Error(not_found)
[[nodiscard]] ProcessOutput read_output(int workspace, unsigned process, bool is_error,
                                        std::uint64_t offset, bool is_alive);

}  // namespace pyro

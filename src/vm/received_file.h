// A file of a copy: a new one that has its name when it is whole, or a stream.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/new_file.h"
#include "stream/hole_finder.h"

namespace pyro {

/// Without commit() nothing is left of a file. Blocks of zeros become holes.
class ReceivedFile : private DataSink {
 public:
  /// A new file, as NewFile says; one that it replaces keeps its permissions.
  ReceivedFile(Fd directory, std::string name, mode_t mode, std::string shown);
  /// What is written into as it comes: a device or a pipe. It has no time of its own.
  ReceivedFile(Fd stream, std::string shown);
  ReceivedFile(const ReceivedFile&) = delete;
  ReceivedFile& operator=(const ReceivedFile&) = delete;

  void write(std::string_view bytes);

  void commit(const timespec& modified);

 private:
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;

  std::string shown_;
  Fd stream_;
  std::optional<NewFile> file_;
  HoleFinder holes_;
};

}  // namespace pyro

// A file of a copy in the making: it has its name when it is whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"
#include "stream/hole_finder.h"

namespace pyro {

/// Written under another name in the same directory; without commit() it goes again. Blocks of
/// zeros become holes.
class ReceivedFile : private DataSink {
 public:
  /// `mode` as for open(2): the umask counts. `shown` is what errors call it.
  /// @throws Error(filesystem) when it cannot be made, or a directory has that name
  ReceivedFile(Fd directory, std::string name, mode_t mode, std::string shown);
  ~ReceivedFile() override;
  ReceivedFile(const ReceivedFile&) = delete;
  ReceivedFile& operator=(const ReceivedFile&) = delete;

  void write(std::string_view bytes);

  /// What had its name before is replaced in one step: a link or a pipe, too.
  void commit(std::int64_t modified);

 private:
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;

  Fd directory_;
  std::string name_;
  std::string shown_;
  std::string temporary_name_;
  Fd file_;
  HoleFinder holes_;
};

}  // namespace pyro

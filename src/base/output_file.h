// A file in the making: complete under its name, or not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/files.h"

namespace pyro {

/// Written under another name in the same directory. Without commit() it goes again.
class OutputFile {
 public:
  /// @throws Error(filesystem) when it cannot be made, or `path` is something else than a file
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

  void write(std::span<const std::byte> bytes, std::uint64_t offset);

  /// Ends it at `size`, makes it durable and gives it its name; one that was there before is
  /// replaced in one step.
  void commit(std::uint64_t size);

 private:
  [[noreturn]] void fail(int error_number) const;

  std::filesystem::path path_;
  std::string name_;  // in the meantime
  Fd directory_;
  Fd file_;
};

}  // namespace pyro

// A file in the making that is written at any place: complete under its name, or not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/new_file.h"

namespace pyro {

/// Without commit() nothing is left of it.
class OutputFile {
 public:
  /// @throws Error(filesystem) when it cannot be made, or `path` is something else than a file
  explicit OutputFile(std::filesystem::path path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] int descriptor() const noexcept { return file_.descriptor(); }

  void write(std::span<const std::byte> bytes, std::uint64_t offset);

  /// Ends it at `size`, makes it durable and gives it its name; one that was there before is
  /// replaced in one step, and its permissions stay.
  void commit(std::uint64_t size);

 private:
  [[noreturn]] void fail(int error_number) const;

  std::filesystem::path path_;
  NewFile file_;
};

}  // namespace pyro

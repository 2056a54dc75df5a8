// What a command says, kept in memory for one JSON document.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"
#include "cli/json_output.h"

namespace pyro::cli {

class Capture {
 public:
  /// So much is kept.
  static constexpr std::uint64_t kMost = 64 << 20;
  /// What to pass on to it: by one byte more it shows that there was more.
  static constexpr std::uint64_t kLimit = kMost + 1;

  /// A file to write to.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

  /// As text, or in base64 under another key where it is no UTF-8.
  void add_to(Json& document, const std::string& key) const;

 private:
  Fd file_ = make_memory_file("the output of the command");
};

}  // namespace pyro::cli

// The variables that the command in a guest is to have.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace pyro::cli {

class GuestVariables {
 public:
  /// "NAME=VALUE", or "NAME" for the value that it has here.
  /// @throws Error(usage)
  void add(const std::string& text);

  /// Lines like that; empty ones and those that begin with '#' are passed over, as are blanks in
  /// front of a name, a byte order mark, and a carriage return at the end of a line.
  /// @throws Error(usage) naming file and line; Error(filesystem)
  void add_file(const std::string& path);

  /// "NAME=VALUE", of which the last of a name counts: what was given by itself stands behind what
  /// comes from files. A name that has no value here is left out.
  [[nodiscard]] std::vector<std::string> with_values_of(const Variables& ours) const;

 private:
  std::vector<std::string> from_files_;
  std::vector<std::string> given_;
};

}  // namespace pyro::cli

// A file in the making: it has its name when it is whole.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/files.h"

namespace pyro {

/// Everything that replaces a file by another goes through here: what had the name before stays
/// until commit(), and without it nothing is left. Where the file system can, the file has no name
/// at all in the meantime, so that even a killed process leaves nothing.
class NewFile {
 public:
  /// `mode` as for open(2): the umask counts. `shown` is what errors call it. A symbolic link of
  /// that name is replaced like a file; for what it leads to there is open_destination().
  /// @throws Error(filesystem) when it cannot be made, or what has that name is something else: a
  ///         directory, a device, a pipe or a socket is never replaced
  NewFile(Fd directory, std::string name, mode_t mode, std::string shown);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// For reading and writing.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }
  [[nodiscard]] int directory() const noexcept { return directory_.get(); }
  [[nodiscard]] const std::string& shown() const noexcept { return shown_; }

  /// Gives it the permissions of the file that it replaces, where there is one.
  void take_over_permissions();
  /// Root leaves a file to its owner.
  /// @throws Error(filesystem)
  void take_over_owner();

  /// Gives it its name, in one step.
  void commit();

 private:
  void require_replaceable() const;
  bool open_without_name(mode_t mode);
  bool give_name(const std::string& name);
  [[noreturn]] void fail(int error_number) const;

  Fd directory_;
  std::string name_;
  std::string shown_;
  std::string temporary_name_;  ///< Empty while it has none.
  Fd file_;
};

}  // namespace pyro

// Who may write what is used of a cache: its user and root, and none else (spec section 4).
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace pyro {

class Rights {
 public:
  /// What becomes of rights to write that the group or others have.
  enum class Excess {
    taken_away,  ///< And told; refused where that fails.
    refused,     ///< Of what is only read: a store.
    tolerated,   ///< For doctor, which leaves all as it is.
  };
  enum class Owner {
    user_or_root,
    any_for_root,  ///< Root believes the files of every user: containers are handed those of
                   ///< others.
  };
  using Warn = std::function<void(std::string_view)>;

  explicit Rights(Excess excess, Warn warn = {}) : excess_(excess), warn_(std::move(warn)) {}

  /// Whether the group or others may write it: what it holds proves nothing then.
  [[nodiscard]] static bool has_excess(const struct stat& status) noexcept {
    return (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  }
  [[nodiscard]] bool mends() const noexcept { return excess_ == Excess::taken_away; }

  /// Judges what is open as `fd`; `path` is what messages call it.
  /// @throws Error(filesystem) where it is another user's, or others may write it still
  void guard(int fd, const std::filesystem::path& path, Owner owner = Owner::user_or_root) const;

  /// The same of what is called `name` in a directory that was judged, so that no others exchange
  /// it meanwhile; through a link, as out of a runtime bundle. What is not there is no matter.
  void guard_at(int directory, const std::string& name, const std::filesystem::path& path) const;

  void warn(std::string_view text) const {
    if (warn_) warn_(text);
  }

 private:
  void judge(const struct stat& status, const std::filesystem::path& path, Owner owner,
             const std::function<int(mode_t)>& set_mode) const;

  Excess excess_;
  Warn warn_;
};

}  // namespace pyro

// Takes an install out of the cache.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/file_lock.h"
#include "store/layout.h"
#include "store/use_lock.h"

namespace pyro {

/// Whether the install in the directory of that name, open as `directory`, is used or being pulled.
[[nodiscard]] bool is_in_use(const CacheLayout& layout, const std::string& name, int directory);

/// An install on its way out: until it is gone, or this is, no process pulls or uses it.
class InstallRemoval {
 public:
  /// Of what is called `name` in the platform folder, open as `platform`, if that still is what is
  /// open as `directory`. Nothing when it is in use or was replaced meanwhile.
  /// @throws Error(filesystem)
  [[nodiscard]] static std::optional<InstallRemoval> begin(const CacheLayout& layout, int platform,
                                                           const std::string& name, int directory);

  /// Out of its place in one step, so that nobody sees half an install.
  /// @throws Error(filesystem)
  void commit();

 private:
  InstallRemoval(const CacheLayout& layout, int platform, std::string name, FileLock lock,
                 UseLock use)
      : layout_(&layout),
        platform_(platform),
        name_(std::move(name)),
        lock_(std::move(lock)),
        use_(std::move(use)) {}

  const CacheLayout* layout_;
  int platform_;
  std::string name_;
  FileLock lock_;
  UseLock use_;
};

}  // namespace pyro

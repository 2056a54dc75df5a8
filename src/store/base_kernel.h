// The base of a container image: where the kernel that it boots comes from.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "base/files.h"
#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "store/install_record.h"
#include "store/installation.h"

namespace pyro {

/// An environment, or a directory with a kernel and no root file system.
struct Base {
  const Environment* environment = nullptr;  ///< Null for a directory.
  std::filesystem::path directory = {};
  // The open files of a directory; those of an environment are in a lease of it.
  Fd kernel = {};
  Fd initrd = {};  ///< Empty where there is none.

  /// The name of the environment, or the path.
  [[nodiscard]] std::string name() const;
};

/// There is no base: nothing is named, and nothing with a kernel is installed.
class NoKernel : public Error {
 public:
  explicit NoKernel(const std::string& container);
};

/// Chooses bases by the options of a store and by what is installed now. No network.
class Bases {
 public:
  /// Both must outlive this.
  Bases(const StoreOptions& options, const Stores& stores) : options_(options), stores_(stores) {}

  /// The base of a machine of `container`: the first one of `asked`, the base of the entry, that of
  /// the options, the kernel that was installed with pyro, and the installed environment with an
  /// initrd that was used last. A named one need not be installed.
  /// @throws NoKernel, with the ways to one; Error(not_found) for an unknown name; (failed) for the
  /// name of a container image; (filesystem) for files that others may write
  [[nodiscard]] Base choose(const Environment& container,
                            const std::optional<std::string>& asked = {});

  /// The name() of the base without `asked`; nothing if there is none that can be used.
  [[nodiscard]] std::optional<std::string> name_for(const Environment& container);

 private:
  const Environment* last_used();

  const StoreOptions& options_;
  const Stores& stores_;
  std::optional<const Environment*> last_used_ = {};  ///< Once it was looked for.
};

/// The lease of a container with the kernel of its base, which stays in use as long.
[[nodiscard]] InstallLease with_kernel(InstallLease container, InstallLease base);
[[nodiscard]] InstallLease with_kernel(InstallLease container, Base directory);

/// What an install record says of the base of `container`; nothing if there is none, or it is not
/// installed. The files of a directory are read for their digests.
/// @throws Error(filesystem), (interrupted)
[[nodiscard]] std::optional<BaseRecord> record_of_base(const Environment& container,
                                                       const StoreOptions& options,
                                                       const Stores& stores,
                                                       const std::stop_token& stop);

}  // namespace pyro

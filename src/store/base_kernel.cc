// The base of a container image.
#include "store/base_kernel.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

#include "base/directories.h"
#include "base/errors.h"
#include "base/fs_verity.h"
#include "store/installer.h"
#include "store/layout.h"
#include "store/locks.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

/// Of the package pyro-kernel: beside the directory of the executable.
fs::path kernel_directory(const StoreOptions& options) {
  if (!options.kernel_dir.empty()) return options.kernel_dir;
  const fs::path executable = executable_of(options);
  std::error_code error;
  const fs::path real = fs::canonical(executable, error);
  return (error ? executable : real).parent_path().parent_path() / "lib/pyro/kernel";
}

bool is_there(int directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

const Environment& named(const Catalog& catalog, const std::string& name,
                         const Environment& container) {
  try {
    const Environment& base = catalog.require(name);
    if (base.kind == EnvironmentKind::environment) return base;
    throw Error(ErrorCode::failed, "'" + name + "' is a container image, and has no kernel");
  } catch (Error& error) {
    error.add_context("there is no base for '" + container.name + "'");
    error.add_hint("'--base NAME' names another");
    throw;
  }
}

/// Nothing without a kernel in it.
std::optional<Base> base_in(const fs::path& path) {
  const Fd directory = try_open_directory(AT_FDCWD, path.native());
  const std::string kernel(kArtifactKinds[kKernel].name);
  const std::string initrd(kArtifactKinds[kInitrd].name);
  if (!directory || !is_there(directory.get(), kernel)) return std::nullopt;
  const Rights rights(Rights::Excess::refused);
  rights.guard(directory.get(), path);
  Base base{.directory = path, .kernel = rights.open_file(directory.get(), path / kernel)};
  if (is_there(directory.get(), initrd)) {
    base.initrd = rights.open_file(directory.get(), path / initrd);
  }
  return base;
}

Digest digest_of(const Fd& file, const std::string& name, const std::stop_token& stop) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw system_error("cannot look at " + name, errno);
  return file_verity(file.get(), static_cast<std::uint64_t>(status.st_size), name, stop);
}

/// The recorded digests of the files that a machine boots.
BaseRecord record_of(const InstallRecord& environment) {
  BaseRecord record{.name = environment.name};
  for (const std::size_t kind : {kKernel, kInitrd}) {
    const auto artifact = environment.artifacts.find(std::string(kArtifactKinds[kind].name));
    if (artifact == environment.artifacts.end()) continue;
    record.digests.emplace(artifact->first, artifact->second.digest);
  }
  return record;
}

}  // namespace

NoKernel::NoKernel(const std::string& container)
    : Error(ErrorCode::not_found,
            "'" + container + "' is a container image, and there is no kernel to boot it with",
            "install the package pyro-kernel, or an environment, which has one: 'pyro env pull "
            "debian:12-base'; '--base NAME' names another, and so does PYRO_BASE") {}

std::string Base::name() const {
  return environment != nullptr ? environment->name : directory.string();
}

Base Bases::choose(const Environment& container, const std::optional<std::string>& asked) {
  const Catalog& catalog = options_.catalog;
  for (const auto* const name : {&asked, &container.base, &options_.base}) {
    if (*name) return {.environment = &named(catalog, **name, container)};
  }
  if (auto base = base_in(kernel_directory(options_))) return std::move(*base);
  if (const Environment* const base = last_used()) return {.environment = base};
  throw NoKernel(container.name);
}

std::optional<std::string> Bases::name_for(const Environment& container) try {
  return choose(container).name();
} catch (const Error&) {
  return std::nullopt;
}

const Environment* Bases::last_used() {
  if (last_used_) return *last_used_;
  const Environment* found = nullptr;
  std::chrono::system_clock::time_point time;
  for (const Environment& environment : options_.catalog.environments()) {
    if (environment.kind != EnvironmentKind::environment) continue;
    const auto install = stores_.find(environment);
    if (!install || !install->installation.has_initrd) continue;
    const auto used = last_use(install->layout, install->installation.directory.filename().string(),
                               install->installation.record);
    if (found != nullptr && used <= time) continue;
    found = &environment;
    time = used;
  }
  return *(last_used_ = found);
}

InstallLease with_kernel(InstallLease container, InstallLease base) {
  container.kernel = std::move(base.kernel);
  container.initrd = std::move(base.initrd);
  container.use_of_base = std::move(base.use);
  container.base = record_of(base.installation.record);
  return container;
}

InstallLease with_kernel(InstallLease container, Base directory) {
  container.kernel = std::move(directory.kernel);
  container.initrd = std::move(directory.initrd);
  container.base = BaseRecord{.name = directory.name()};
  return container;
}

std::optional<BaseRecord> record_of_base(const Environment& container, const StoreOptions& options,
                                         const Stores& stores, const std::stop_token& stop) {
  Base base;
  try {
    base = Bases(options, stores).choose(container);
    if (base.environment != nullptr) {
      const auto found = stores.find(*base.environment);
      return found ? std::optional(record_of(found->installation.record)) : std::nullopt;
    }
  } catch (const Error&) {
    return std::nullopt;  // a run needs one
  }
  BaseRecord record{.name = base.name()};
  const std::pair<std::size_t, const Fd&> files[] = {{kKernel, base.kernel},
                                                     {kInitrd, base.initrd}};
  for (const auto& [kind, file] : files) {
    const std::string name(kArtifactKinds[kind].name);
    if (file) record.digests.emplace(name, digest_of(file, name, stop));
  }
  return record;
}

}  // namespace pyro

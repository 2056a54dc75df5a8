// The order of system calls that makes an install safe against power loss.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "crash/system_call.h"

namespace pyro::testing {

/// The paths and files of a published install.
struct Publication {
  std::filesystem::path platform;
  std::filesystem::path staging;
  std::filesystem::path destination;  ///< In `platform`.
  std::filesystem::path output;       ///< Where success is reported.
  std::map<std::string, FileId> files;
};

/// The violations in the order of `calls`; none if everything is durable in time:
///  - only the publishing rename changes anything below the platform folder;
///  - before it, every file is fsynced after its last change, then its directory is;
///  - after it, both directories that it changed are, and only then is anything reported;
///  - the parent of every directory that was made is fsynced before that, too.
std::vector<std::string> order_violations(const std::vector<SystemCall>& calls,
                                          const Publication& publication);

}  // namespace pyro::testing

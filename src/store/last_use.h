// When an install was last of use, so that what nobody needs can go first.
//
// The time of access that file systems keep is of no help: most of them do not. A pull of what is
// installed writes nothing, so installing and booting are what counts.
#pragma once

#include <chrono>
#include <string>

#include "store/install_record.h"
#include "store/layout.h"

namespace pyro {

/// Writes down that what is installed in the directory of that name is used now. Costs two system
/// calls, and no failure is worth telling: a cache may be read-only.
void note_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept;

/// Forgets it.
void forget_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept;

/// When it was installed or last used, to the second; what lies in the future is now.
[[nodiscard]] std::chrono::system_clock::time_point last_use(
    const CacheLayout& layout, const std::string& install_directory_name,
    const InstallRecord& record);

}  // namespace pyro

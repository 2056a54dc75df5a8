// What is asked of a guest, in whole requests.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "vm/guest_link.h"

namespace pyro {

/// How a command ended.
struct CommandEnd {
  int code = 0;
  int signal = 0;
  bool timed_out = false;
  bool interrupted = false;  ///< A stop was requested while it ran.
  bool cut_off = false;      ///< It did not end when it was killed: nothing can be asked any more.
  int refused = 0;           ///< The error number of what kept it from starting.
  std::string refusal;
};

/// Wakes the guest up: clock, random numbers, host name. Every machine is told so first.
void begin_conversation(GuestLink& link, std::string_view host_name, Deadline deadline);

/// How long a guest may take over killing a command.
inline constexpr std::chrono::seconds kKillPatience{5};

/// Runs the command of `options` to its end, which a stop brings about as a timeout does; the link
/// then knows of no stop, and what the command left can be asked for.
[[nodiscard]] CommandEnd run_command(GuestLink& link, const RunOptions& options,
                                     std::chrono::milliseconds kill_patience = kKillPatience);

/// What a copy of `path` is called in a directory. Empty when the path does not say, or ends with
/// "/.": then what is copied is the content of that directory.
[[nodiscard]] std::string copied_name(const std::string& path);

/// How long a guest may keep still in the middle of a copy before it is given up.
inline constexpr std::chrono::seconds kStillnessOfACopy{60};

/// Hears of what is left out.
using Note = std::function<void(std::string_view)>;

/// Passes on the first notes, and drops the others of very many. `note` must outlive it.
[[nodiscard]] Note first_of(const Note& note);

/// Copies from the host to the guest, and hears of what cannot be read, or is not copied at all.
/// @return how many entries of a tree could not be read
/// @throws Error naming the path that failed.
std::size_t copy_in(GuestLink& link, const Copy& copy, const Note& note,
                    const Patience& patience = {kStillnessOfACopy});

/// Copies from the guest to the host: nothing is written outside of `copy.to`, whatever the guest
/// says.
void copy_out(GuestLink& link, const Copy& copy, const Note& note,
              const Patience& patience = {kStillnessOfACopy});

/// Has the guest connect to the host's loopback port over the user network, and say `words`.
void reach_host(GuestLink& link, std::uint16_t port, std::string_view words, Deadline deadline);

}  // namespace pyro

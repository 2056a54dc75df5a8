// The policy of a sandboxed process, as a value that can be applied.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

namespace pyro {

struct ResourceLimit {
  int resource = 0;  ///< RLIMIT_CORE ...
  std::uint64_t most = 0;
};

/// A path with all below it, or the file of an open descriptor, that may be opened.
struct PathRule {
  enum class Rights { read, read_and_execute, read_and_write };
  Rights rights = Rights::read;
  std::filesystem::path path = {};  ///< Ignored when it does not exist.
  int descriptor = -1;              ///< In place of a path.
};

/// (argument & mask) == value, for the lower half of an argument.
struct CallCondition {
  unsigned argument = 0;
  std::uint32_t mask = ~0U;
  std::uint32_t value = 0;
};

struct CallRule {
  enum class Action {
    allow,
    refuse,       ///< EPERM
    refuse_path,  ///< EACCES, as Landlock answers
    unknown,      ///< ENOSYS: the C library then takes another call
    trap,         ///< SIGSYS with the number of the call, which kills unless handled.
  };
  std::uint32_t number = 0;
  Action action = Action::allow;
  std::vector<CallCondition> conditions = {};  ///< All of them.
};

/// The first rule that matches a call decides.
struct SystemCalls {
  std::vector<CallRule> rules = {};
  CallRule::Action otherwise = CallRule::Action::trap;
};

/// Under every policy no capability is kept and none can be gained and, where the kernel has
/// Landlock's scopes, no signal and no abstract socket reaches a process outside of it.
struct Policy {
  /// Nothing else can be opened, made, removed, renamed or truncated.
  std::vector<PathRule> paths = {};
  bool tcp = false;
  std::optional<SystemCalls> calls = {};
  std::vector<ResourceLimit> limits = {};
};

/// The mechanisms in force: those that the kernel has.
struct Confinement {
  bool no_new_privileges = false;
  std::uint8_t landlock = 0;  ///< The version of its interface; 0 is none.
  bool seccomp = false;

  friend bool operator==(const Confinement&, const Confinement&) = default;
};

/// The missing mechanisms: "Landlock, seccomp"; empty when all are there.
[[nodiscard]] std::string gaps_in(const Confinement& confinement);

/// A policy that a child can apply between fork and exec: applying takes system calls only. A
/// process applies it once.
class PreparedPolicy {
 public:
  explicit PreparedPolicy(const Policy& policy);

  /// The mechanisms that apply() puts into force.
  [[nodiscard]] const Confinement& confinement() const noexcept { return confinement_; }

  /// Confines this thread and everything that it starts or executes, for ever. False with errno set
  /// when not all of confinement() is in force.
  [[nodiscard]] bool apply() const noexcept;

 private:
  Confinement confinement_;
  Fd ruleset_;
  std::vector<sock_filter> filter_;
  std::vector<ResourceLimit> limits_;
};

// --- its parts ---

/// Lowers limits; limits that are lower already stay.
[[nodiscard]] bool lower_limits(std::span<const ResourceLimit> limits) noexcept;

/// Whether the kernel has seccomp filters and pyro knows its system calls.
[[nodiscard]] bool can_filter() noexcept;

[[nodiscard]] std::vector<sock_filter> make_filter(const SystemCalls& calls);

/// Adds a filter for all threads of this process. Requires can_filter() and a policy that allows
/// SYS_seccomp.
[[nodiscard]] bool filter_all_threads(const SystemCalls& calls);

/// "openat (257)"
[[nodiscard]] std::string name_of_call(std::uint32_t number);

}  // namespace pyro

// What a process may do from now on, as a value, and how it comes into force.
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

/// What may be opened: a path with all below it, or the file that is open as a descriptor.
struct PathRule {
  enum class Rights { read, read_and_execute, read_and_write };
  Rights rights = Rights::read;
  std::filesystem::path path = {};  ///< Passed over where there is none.
  int descriptor = -1;              ///< In place of a path.
};

/// That (argument & mask) == value, of the lower half of an argument.
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
    trap,         ///< SIGSYS, with the number of the call: kills, where nothing handles it.
  };
  std::uint32_t number = 0;
  Action action = Action::allow;
  std::vector<CallCondition> conditions = {};  ///< All of them.
};

/// The first rule that fits a call decides.
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

/// Which of the kernel's mechanisms are in force: those that it has.
struct Confinement {
  bool no_new_privileges = false;
  std::uint8_t landlock = 0;  ///< The version of its interface; 0 is none.
  bool seccomp = false;

  friend bool operator==(const Confinement&, const Confinement&) = default;
};

/// What is missing: "Landlock, seccomp"; empty when all is there.
[[nodiscard]] std::string gaps_in(const Confinement& confinement);

/// A policy that is made ready: applying it takes system calls only, so that a child can do it
/// between fork and exec. It is applied once in a process.
class PreparedPolicy {
 public:
  explicit PreparedPolicy(const Policy& policy);

  /// What will be in force.
  [[nodiscard]] const Confinement& confinement() const noexcept { return confinement_; }

  /// For ever: for this thread, what it starts and what it executes. False, with errno set, when
  /// not all of confinement() is in force.
  [[nodiscard]] bool apply() const noexcept;

 private:
  Confinement confinement_;
  Fd ruleset_;
  std::vector<sock_filter> filter_;
  std::vector<ResourceLimit> limits_;
};

// --- its parts ---

/// Lowers limits; those that are lower stay.
[[nodiscard]] bool lower_limits(std::span<const ResourceLimit> limits) noexcept;

/// A set of Landlock's rules, with the version of the interface that it needs; empty where the
/// kernel has none.
[[nodiscard]] std::pair<Fd, std::uint8_t> make_ruleset(const Policy& policy);

/// Whether the kernel filters, and the numbers of its calls are known here.
[[nodiscard]] bool can_filter() noexcept;

[[nodiscard]] std::vector<sock_filter> make_filter(const SystemCalls& calls);

/// Tightens the policy in force, for all threads of this process. It takes a kernel that filters,
/// and a policy that allows SYS_seccomp.
[[nodiscard]] bool filter_all_threads(const SystemCalls& calls);

/// "openat (257)"
[[nodiscard]] std::string name_of_call(std::uint32_t number);

}  // namespace pyro

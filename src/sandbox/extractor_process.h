// The process that unpacks untrusted bytes.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/files.h"
#include "pyro/limits.h"
#include "sandbox/messages.h"
#include "sandbox/policy.h"
#include "stream/merged_view.h"

namespace pyro {

/// The argument that starts the executable as an extractor. It is internal, and not in --help.
inline constexpr char kExtractorWord[] = "__extract";

/// The socket to the process that started it; beside it, only /dev/null is open.
inline constexpr int kSocketOfChild = 3;

/// The first message to an extractor, with the ring's descriptor and the artifacts' attached.
struct Hello {
  std::uint32_t protocol = 0;
  ExtractionProduct product = ExtractionProduct::artifacts;
  ExtractionLimits limits;
  std::uint64_t size = 0;  ///< Of a distribution's file system (image/flatten.h).
};
// Padding would send bytes of the sender's memory.
static_assert(std::has_unique_object_representations_v<Hello>);

/// Sends the first message, with the targets that earlier passes missed (stream/merged_view.h).
/// Fails silently when the extractor is gone: the caller notices at its own end.
void send_hello(int socket, const Hello& hello, const std::vector<LinkTarget>& targets,
                const std::vector<int>& descriptors);

/// The policy while it reads untrusted bytes: it may use its open files, and memory. `otherwise` is
/// the action for system calls that neither it nor a library needs.
[[nodiscard]] Policy extractor_policy(const ExtractionLimits& limits, int last_descriptor,
                                      CallRule::Action otherwise = CallRule::Action::trap);

/// For filter_all_threads(), after the last thread was started.
[[nodiscard]] SystemCalls no_more_threads();

/// The extractor's main(): confines itself, reads layers, writes artifacts, reports the outcome.
/// Returns the exit code.
[[nodiscard]] int run_extractor() noexcept;

}  // namespace pyro

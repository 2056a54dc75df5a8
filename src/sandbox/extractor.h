// The process that untrusted bytes are unpacked in.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/files.h"
#include "pyro/limits.h"
#include "sandbox/policy.h"
#include "stream/merged_view.h"

namespace pyro {

/// The first argument that makes an extractor of the executable. Only pyro uses it, so it is in no
/// help.
inline constexpr char kExtractorWord[] = "extract-in-box";

/// What it has open beside /dev/null: the socket to the process that started it.
inline constexpr int kSocketOfChild = 3;

/// What an extractor is told first, with the ring's descriptor and the artifacts' attached.
struct Hello {
  std::uint32_t protocol = 0;
  std::uint32_t reserved = 0;
  ExtractionLimits limits;
};
// No padding, in which bytes of the sender's memory would go along.
static_assert(std::has_unique_object_representations_v<Hello>);

/// Over a socket, with what earlier passes found (stream/merged_view.h). What cannot be sent has no
/// reader any more, of which the caller will hear.
void send_hello(int socket, const Hello& hello, const std::vector<LinkTarget>& targets,
                const std::vector<int>& descriptors);

/// What it may do once it reads what came from outside: use up what is open, and memory.
/// `otherwise` is what becomes of a system call that neither it nor a library has a use for.
[[nodiscard]] Policy extractor_policy(const ExtractionLimits& limits, int last_descriptor,
                                      CallRule::Action otherwise = CallRule::Action::trap);

/// For filter_all_threads(), once it has started its own.
[[nodiscard]] SystemCalls no_more_threads();

/// Serves the process that started this one: shuts itself in, reads layers, writes artifacts, tells
/// how it went. Returns the exit code.
[[nodiscard]] int run_extractor() noexcept;

}  // namespace pyro

// What the extractor tells the process that started it, as bytes and back.
//
// Each message is one datagram. The extractor handles hostile bytes, so what it says is hostile,
// too: nothing is taken from a message that was not checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "pyro/error.h"
#include "sandbox/policy.h"
#include "stream/artifacts.h"
#include "stream/merged_view.h"

namespace pyro {

/// Raised with every change to what is said between the two: the executable that is started may be
/// another version's.
inline constexpr std::uint32_t kProtocol = 5;

/// Of any message.
inline constexpr std::size_t kLargestMessage = std::size_t{64} << 10;

/// The first one: the box is closed. In every protocol it begins as it does now.
struct Ready {
  std::uint32_t protocol = kProtocol;
  Confinement confinement = {};
};

/// A chunk of the ring is free again.
struct Taken {};

/// The last one, when all went well.
struct Success {
  std::vector<WrittenArtifact> artifacts;
};

/// The last one, when an archive was unpacked as a whole.
struct Unpacked {
  std::uint64_t size = 0;
};

/// The last one, when the layers have to be read once more, with these known.
struct Incomplete {
  std::vector<LinkTarget> targets;
};

/// The last one, when it did not.
struct Failure {
  Error error;
  /// The layer it is about, counted from 1; 0 when it is about all of them.
  std::uint32_t layer = 0;
};

/// The last one, when a system call was made that the policy does not have.
struct ForbiddenCall {
  std::uint32_t number = 0;
};

using Message = std::variant<Ready, Taken, Success, Unpacked, Incomplete, Failure, ForbiddenCall>;

/// In one message, either way: links with artifacts' names lead to one member or two.
inline constexpr std::size_t kMostTargets = 12;

/// Texts of errors are cut, so that every message is small enough.
[[nodiscard]] std::vector<std::byte> encode(const Message& message);

/// The same without allocating, for a signal handler.
[[nodiscard]] std::array<std::byte, 5> encode(const ForbiddenCall& call) noexcept;

/// Nothing unless it is what encode() could have made. Of artifacts: every required kind is there,
/// none twice, and each in one of its own files. Paths of targets are as members' are.
[[nodiscard]] std::optional<Message> decode(std::span<const std::byte> bytes);

/// What an extractor is told of earlier passes, which is from one as well.
[[nodiscard]] std::vector<std::byte> encode_targets(const std::vector<LinkTarget>& targets);
[[nodiscard]] std::optional<std::vector<LinkTarget>> decode_targets(
    std::span<const std::byte> bytes);

}  // namespace pyro

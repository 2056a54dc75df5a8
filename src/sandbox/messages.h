// The extractor's messages to the process that started it, as bytes and back.
//
// Each message is one datagram. The extractor handles hostile bytes, so its messages are hostile,
// too: every field is checked.
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

/// Raised with every change to the messages in either direction: the executable that is started may
/// be another version's.
inline constexpr std::uint32_t kProtocol = 7;

/// The largest message, in bytes.
inline constexpr std::size_t kMaxMessage = std::size_t{64} << 10;

/// What an extractor makes of layers.
enum class ExtractionProduct : std::uint32_t {
  artifacts,  ///< Those that the layers hold; or an archive, unpacked as a whole.
  /// A file system with everything in the layers of a container image, in kArchiveFile. If the only
  /// layer is an archive to be unpacked as a whole, its content is that file system.
  file_system,
  distribution,  ///< Kernel, initrd and root file system, of the tree of a distribution.
};

/// The first message: the sandbox is in force. Its beginning is the same in every protocol.
struct Ready {
  std::uint32_t protocol = kProtocol;
  Confinement confinement = {};
};

/// A chunk of the ring is free again.
struct ChunkAck {};

/// The last message after success.
struct Success {
  std::vector<WrittenArtifact> artifacts;
};

/// The last message after unpacking an archive as a whole, or making a file system.
struct Unpacked {
  std::uint64_t size = 0;
  Digest digest = Digest({});  ///< fs-verity.
};

/// The last message when the layers have to be read again with these targets.
struct Incomplete {
  std::vector<LinkTarget> targets;
};

/// The last message after a failure.
struct Failure {
  Error error;
  /// The layer that failed, counted from 1; 0 for all of them.
  std::uint32_t layer = 0;
};

/// The last message after a system call that the policy traps.
struct ForbiddenCall {
  std::uint32_t number = 0;
};

using Message =
    std::variant<Ready, ChunkAck, Success, Unpacked, Incomplete, Failure, ForbiddenCall>;

/// The limit of targets in a message, in either direction. Links with artifacts' names lead to one
/// member or two.
inline constexpr std::size_t kMaxTargets = 12;

/// Texts of errors are cut to keep every message below kMaxMessage.
[[nodiscard]] std::vector<std::byte> encode(const Message& message);

/// The same without allocating, for a signal handler.
[[nodiscard]] std::array<std::byte, 5> encode(const ForbiddenCall& call) noexcept;

/// Nothing unless encode() could have made it. Every required kind of artifact is there, none
/// twice, and each in one of its own files. Paths of targets are normal_member_path()s.
[[nodiscard]] std::optional<Message> decode(std::span<const std::byte> bytes);

/// Targets of earlier passes, sent to an extractor. They come from an extractor, so they are
/// hostile, too.
[[nodiscard]] std::vector<std::byte> encode_targets(const std::vector<LinkTarget>& targets);
[[nodiscard]] std::optional<std::vector<LinkTarget>> decode_targets(
    std::span<const std::byte> bytes);

}  // namespace pyro

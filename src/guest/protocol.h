// The protocol between pyro and the program in the guest, over one virtio-serial port.
//
// Both send frames: a header of eight bytes, then `size` bytes of payload. Numbers are little
// endian, texts are bytes without a terminator. Whatever comes from the guest is untrusted.
//
// A machine that has booted says `waiting` before it touches its disk, and goes on when it gets
// `root`. What is saved in between is the state of a kernel, which fits any disk.
//
// The frames of session 0 are about the machine: `waiting` and `root`, then `start` and `ready`,
// also after each resume from a state that was saved later. A machine whose commands are to survive
// that is saved between `held` and `proceed`: it sends nothing then, so that no frame is cut in
// two. Its next host sends `keep` in the session of each command that it follows, and then `start`.
//
// Any other session is one request, in a number that the host chose, and any number of them go on
// at the same time:
//
//   host                                          guest
//   argument..., variable..., directory, user,    output..., error_output..., taken...,
//     run, and meanwhile input, closed, resize,     then exited; or refused if it cannot run
//     signal
//   put, then a tree                              done or refused; refused is sent at once, and the
//                                                 rest of the tree is ignored
//   get                                           a tree, then done, or refused
//   user, seed, then a tree                       as put: the tree is that of a new workspace
//   argument..., changes                          a tree of the changed files, then done
//   argument..., files                            a tree of these files, then done, or refused
//   argument..., replace, then a tree             done, or refused
//   archive                                       data..., then done, or refused
//   sync                                          done, when all that was written is on the disks
//   reach                                         done or refused
//   connect, and meanwhile input                  output..., taken..., then done; or refused
//   argument..., variable..., user, probe         done
//
// exited, done and refused end a session. After `abandon` the guest kills its command, and ends it
// with done. Frames for a session that has ended are ignored.
//
// A tree is entry, data or hole..., entry, data or hole..., and last an empty frame `tree_end`.
//
// Flow control: in each session at most kInputWindow bytes of `input` may be sent beyond those that
// the guest has reported as `taken`, and the guest may send kOutputWindow bytes of output and
// trees, with their headers, beyond those that the host has `granted`. So unread frames
// of one session do not stop the others. What the host sends else relies on the flow control of the
// port.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyro::guest {

inline constexpr std::uint32_t kProtocolVersion = 8;
/// The name of the port in QEMU's arguments and in /sys/class/virtio-ports of the guest.
inline constexpr const char* kPortName = "pyro.guest";

/// The serial numbers of the disks: with two drivers their order is not fixed.
inline constexpr const char* kRootSerial = "root";
inline constexpr const char* kScratchSerial = "scratch";

/// The directory of a workspace's files. Its seed and the changes to it are layers on the scratch
/// disk; a machine that boots from such a disk has it from the start.
inline constexpr const char* kWorkspace = "/workspace";

/// Addresses of every guest with a network, and of what it sees there.
inline constexpr const char* kGuestAddress = "10.0.2.15";
inline constexpr const char* kGatewayAddress = "10.0.2.2";
inline constexpr const char* kNameServerAddress = "10.0.2.3";

/// Room for the longest word that a Linux command may have (MAX_ARG_STRLEN).
inline constexpr std::uint32_t kMaxPayload = 128 << 10;
/// Bytes of a stream in one frame. With its header it fills one of the buffers of the port.
inline constexpr std::size_t kStreamPiece = (32 << 10) - 8;
inline constexpr std::uint32_t kInputWindow = 256 << 10;
inline constexpr std::uint32_t kOutputWindow = 1 << 20;
inline constexpr std::size_t kSeedBytes = 64;

enum class FrameType : std::uint8_t {
  // From the host.
  start = 1,  ///< StartPayload, then the host name.
  argument,   ///< An argument of the command.
  variable,   ///< "NAME=value", on top of a few that every command has.
  directory,  ///< The working directory; by default the home directory.
  run,        ///< RunPayload.
  input,      ///< Bytes for standard input, or for a connection; empty at its end.
  closed,     ///< StreamPayload: its reader is gone.
  resize,     ///< WindowPayload.
  signal,     ///< NumberPayload: for the command's process group.
  put,        ///< The destination of the tree that follows.
  get,        ///< The path of a tree.
  reach,      ///< ReachPayload, then what to send to that address.
  user,       ///< "NAME[:GROUP]" of the command, or who owns the workspace, names or numbers; by
              ///< default root.
  root,       ///< RootPayload: mount the disk.
  probe,      ///< Whether the guest answers; each argument is a program to read into memory.
  granted,    ///< NumberPayload: further bytes that the guest may send.
  abandon,    ///< The host has closed this session.
  connect,    ///< ConnectPayload: to a port of the guest's loopback interface.
  seed,       ///< The content of kWorkspace follows. Changes to it are kept apart.
  sync,
  changes,  ///< ChangesPayload: the files that were changed; each argument is a path.
  files,    ///< Those of kWorkspace that exist; each argument is a path.
  replace,  ///< Files of kWorkspace follow, each argument is the path of one that goes. When all
            ///< have arrived, they take their places.
  archive,  ///< The whole system as a tar.
  hold,     ///< NumberPayload, of this request: the machine is about to be saved.
  proceed,  ///< It goes on with the same host.
  keep,     ///< The command of this session goes on; its window is full again.

  // From either.
  entry =
      64,  ///< EntryPayload, then its path below the tree's root; of a link also NUL and target.
  data,    ///< Bytes of the file that the last entry is.
  tree_end,
  hole,  ///< HolePayload: zeros of that file.

  // From the guest.
  ready = 128,   ///< NumberPayload: kProtocolVersion.
  output,        ///< Of the command's standard output, or of its terminal. Of a connection, where
                 ///< it is empty at the end.
  error_output,  ///< Of its standard error.
  taken,         ///< NumberPayload: further bytes of input that were consumed.
  exited,        ///< ExitPayload.
  refused,       ///< RefusalPayload, then the operation that failed.
  left_out,      ///< The path of a file that is not copied: a device, a socket.
  done,
  waiting,      ///< WaitingPayload: the kernel has booted.
  held,         ///< NumberPayload, of `hold`: the last frame until `proceed` or `start`.
  fatal_error,  ///< Why the machine cannot be used; it ends.
};

struct FrameHeader {
  std::uint32_t size = 0;
  FrameType type{};
  std::uint8_t reserved = 0;
  std::uint16_t session = 0;
};
static_assert(sizeof(FrameHeader) == 8);
inline constexpr std::size_t kHeaderSize = sizeof(FrameHeader);

/// The session whose frames are about the machine.
inline constexpr std::uint16_t kControlSession = 0;

/// Whether frames of this type from the guest take from its window.
inline constexpr bool takes_window(FrameType type) {
  return type == FrameType::output || type == FrameType::error_output || type == FrameType::entry ||
         type == FrameType::data || type == FrameType::hole || type == FrameType::left_out;
}

/// Whether it is the last frame of the guest in its session.
inline constexpr bool ends_session(FrameType type) {
  return type == FrameType::exited || type == FrameType::done || type == FrameType::refused;
}

struct WaitingPayload {
  std::uint32_t version = 0;      ///< kProtocolVersion
  std::uint8_t disk_is_free = 0;  ///< No driver has looked at the disk yet.
  std::uint8_t reserved[3] = {};
};

struct RootPayload {
  std::uint8_t is_container = 0;      ///< Whether the root file system is a container image's.
  std::uint8_t has_scratch_disk = 0;  ///< What is written goes there, and not into memory.
  std::uint8_t reserved[2] = {};
};

struct StartPayload {
  std::int64_t nanoseconds_since_1970 = 0;
  std::uint8_t seed[kSeedBytes] = {};
};

struct WindowPayload {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
};

struct RunPayload {
  WindowPayload window;
  std::uint8_t terminal = 0;        ///< Standard streams are a terminal.
  std::uint8_t input = 0;           ///< Standard input will be sent; otherwise it is /dev/null.
  std::uint8_t make_directory = 0;  ///< The working directory, where it is missing.
  std::uint8_t ends_all = 0;        ///< All other processes are killed when it ends.
};

/// The error number of a user or group that the image does not have.
inline constexpr int kNoSuchUser = 87;  // EUSERS

enum class Stream : std::uint32_t { output = 1, error_output = 2 };

struct StreamPayload {
  Stream stream{};
};

struct NumberPayload {
  std::uint32_t number = 0;
};

struct ReachPayload {
  std::uint32_t address = 0;  ///< IPv4, in network byte order.
  std::uint16_t port = 0;     ///< In network byte order.
  std::uint16_t reserved = 0;
};

struct ChangesPayload {
  std::uint8_t are_before = 0;  ///< As they were, and not as they are.
  std::uint8_t of_system = 0;   ///< Around kWorkspace: paths are then below /.
  std::uint8_t reserved[2] = {};
};

struct ConnectPayload {
  std::uint16_t port = 0;
  std::uint16_t reserved = 0;
};

struct ExitPayload {
  std::uint32_t code = 0;
  std::uint32_t signal = 0;  ///< 0 when it exited by itself.
};

/// The exit code of a command that a host follows and the machine does not have.
inline constexpr std::uint32_t kLostCommand = 255;

struct RefusalPayload {
  std::int32_t error_number = 0;
};

/// A larger hole is several frames.
inline constexpr std::uint64_t kMaxHole = std::uint64_t{1} << 30;

struct HolePayload {
  std::uint64_t size = 0;  ///< In bytes, at most kMaxHole.
};

enum class EntryKind : std::uint8_t { file = 1, directory, link };

struct EntryPayload {
  std::int64_t modified = 0;  ///< Modification time: seconds since 1970.
  std::uint16_t mode = 0;     ///< The permission bits.
  EntryKind kind{};
  std::uint8_t reserved = 0;
  std::uint32_t nanoseconds = 0;  ///< Modification time: nanoseconds.
};
static_assert(sizeof(EntryPayload) == 16 && sizeof(StartPayload) == 72 && sizeof(RunPayload) == 8);

}  // namespace pyro::guest

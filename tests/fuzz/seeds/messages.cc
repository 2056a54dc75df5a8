// Seeds of what other processes say.
#include "sandbox/messages.h"

#include <utility>

#include "machine/fake_guest.h"
#include "seeds/corpus.h"

namespace pyro::testing {
namespace {

void qemu_answers(const std::filesystem::path& root) {
  const Corpus corpus(root, "qemu_answers");
  const std::string greeting =
      R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}})"
      "\r\n";
  const std::string done = "{\"return\": {}}\r\n";
  const std::string event = R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"})"
                            "\r\n";
  corpus.add_stream("resume", greeting + done + event + done + done);
  corpus.add_stream("save", greeting + done + done + done + done +
                                R"({"return": {"status": "active", "ram": {"total": 1.5e9}}})"
                                "\n" +
                                R"({"return": {"status": "completed"}})"
                                "\n");
  corpus.add_stream("failed", done + R"({"return": {"status": "failed", "error-desc": "full"}})"
                                     "\n");
  corpus.add_stream("refusal", greeting +
                                   R"({"error": {"class": "GenericError", "desc": "not now"}})"
                                   "\n" +
                                   done);
  corpus.add_stream("odd-errors", "{\"error\": 7}\n{\"error\": {\"desc\": [1]}}\n");
  corpus.add_stream("no-objects", done + "7\n[]\nnull\n\n");
  corpus.add_stream("no-json", greeting + "qemu-system-x86_64: terminating\n");
  corpus.add_stream("twice", "{\"return\": 1, \"return\": 2}\n");
  corpus.add_stream("deep", "{\"return\": " + std::string(65, '[') + std::string(65, ']') + "}\n");
  corpus.add_stream("no-end", done + std::string(3000, ' '));
}

std::string bytes_of(const Message& message) {
  const auto bytes = encode(message);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void extractor_messages(const std::filesystem::path& root) {
  const Corpus corpus(root, "extractor_message");
  corpus.add("ready", bytes_of(Ready{.confinement = {true, 4, true}}));
  corpus.add("ready-of-another-version", bytes_of(Ready{.protocol = kProtocol + 1}) + "more");
  corpus.add("taken", bytes_of(ChunkAck{}));
  const std::size_t second_kernel = kKernel * MergedView::kMaxCandidates + 1;
  const std::size_t rootfs = kRootfs * MergedView::kMaxCandidates;
  const WrittenArtifact kernel{kKernel, second_kernel, 1 << 20, Digest({})};
  corpus.add("success", bytes_of(Success{{kernel, {kRootfs, rootfs, 1, Digest({})}}}));
  corpus.add("unpacked", bytes_of(Unpacked{std::uint64_t{1} << 33}));
  corpus.add("success-without-rootfs", bytes_of(Success{{kernel}}));
  corpus.add("success-with-two-kernels", bytes_of(Success{{kernel, kernel}}));
  const auto incomplete = [](const char* path) {
    return bytes_of(Incomplete{{{kKernel, "boot/vmlinuz-6.1"}, {kRootfs, path}}});
  };
  corpus.add("incomplete", incomplete("a/b"));
  corpus.add("incomplete-upwards", incomplete("../a"));
  corpus.add("incomplete-absolute", incomplete("/a"));
  Error error(ErrorCode::integrity, "the archive is damaged", "pull it again");
  error.add_context("cannot read layer 2");
  corpus.add("failure", bytes_of(Failure{std::move(error), 2}));
  corpus.add("forbidden-call", bytes_of(ForbiddenCall{59}));
}

std::string tree_entry(guest::EntryKind kind, std::uint16_t mode, std::string_view text) {
  guest::EntryPayload entry;
  entry.modified = 1'600'000'000;
  entry.nanoseconds = 123'456'789;
  entry.mode = mode;
  entry.kind = kind;
  return frame_bytes(guest::FrameType::entry, payload_bytes(entry, text));
}

/// The first byte says what the guest was asked for.
constexpr char kCopyOut = 0;
constexpr char kCopyIn = 1;
constexpr char kRun = 2;
constexpr char kBegin = 3;
constexpr char kSessions = 4;

void guest_trees(const Corpus& corpus) {
  using guest::EntryKind;
  using guest::FrameType;
  const std::string root = tree_entry(EntryKind::directory, 0755, "");
  const std::string data = frame_bytes(FrameType::data, "content");
  const std::string end = data + frame_bytes(FrameType::tree_end) + frame_bytes(FrameType::done);
  const auto add = [&](const char* name, const std::string& frames) {
    corpus.add(name, kCopyOut + frames + end);
  };
  const auto link = [](std::string_view path, std::string_view target) {
    return tree_entry(EntryKind::link, 0777, std::string(path) + '\0' + std::string(target));
  };
  add("file", tree_entry(EntryKind::file, 0644, ""));
  add("tree", root + tree_entry(EntryKind::directory, 0500, "d") +
                  tree_entry(EntryKind::file, 0751, "d/f") + data + link("d/l", "../d/f") +
                  link("l", "d") + tree_entry(EntryKind::file, 0600, "z"));
  add("set-id", root + tree_entry(EntryKind::file, 06755, "f") +
                    tree_entry(EntryKind::directory, 07777, "d"));
  add("upwards", root + tree_entry(EntryKind::file, 0644, "../beside/canary"));
  add("absolute", root + link("l", "/etc") + tree_entry(EntryKind::file, 0644, "l/f"));
  add("link-out", root + link("l", "../../beside") + tree_entry(EntryKind::file, 0644, "l/canary"));
  add("link-chain", root + tree_entry(EntryKind::directory, 0755, "p") + link("p/up", "..") +
                        link("l", "p/up/../../beside"));
  add("link-zero-byte",
      root + link("l", std::string_view("..\0/x", 5)) + link("k", std::string_view("l/..\0/x", 7)));
  add("name-zero-byte", root + tree_entry(EntryKind::file, 0644, std::string_view("a\0b", 3)));
  add("replaced", root + link("a", "b") + tree_entry(EntryKind::file, 0644, "a") +
                      tree_entry(EntryKind::directory, 0755, "a"));
  add("left-out", frame_bytes(FrameType::left_out, "/dev/null") + root);
}

/// Session 1 copies out, 2 runs a command, 3 copies in.
void guest_sessions(const Corpus& corpus) {
  using guest::FrameType;
  const std::string output = frame_bytes(FrameType::output, "out", 2);
  const std::string tree = frame_bytes(
      FrameType::entry,
      payload_bytes(guest::EntryPayload{.mode = 0644, .kind = guest::EntryKind::file}), 1);
  const std::string data = frame_bytes(FrameType::data, "content", 1);
  const std::string tree_end =
      frame_bytes(FrameType::tree_end, {}, 1) + frame_bytes(FrameType::done, {}, 1);
  const std::string exited = frame_bytes(FrameType::exited, payload_bytes(guest::ExitPayload{}), 2);
  const std::string put = frame_bytes(FrameType::done, {}, 3);
  corpus.add("sessions", kSessions + tree + output + data + put + output + tree_end + exited);
  corpus.add("sessions-after-end", kSessions + exited + output + put + put + tree + exited);
  corpus.add("sessions-unknown", kSessions + frame_bytes(FrameType::output, "out", 4) +
                                     frame_bytes(FrameType::done, {}, 0xffff) + exited);
  corpus.add("sessions-start",
             kSessions +
                 frame_bytes(FrameType::ready,
                             payload_bytes(guest::NumberPayload{guest::kProtocolVersion})) +
                 output + put);
}

void guest_frames(const std::filesystem::path& root) {
  using guest::FrameType;
  const Corpus corpus(root, "guest");
  guest_trees(corpus);
  guest_sessions(corpus);
  const std::string refused =
      frame_bytes(FrameType::refused, payload_bytes(guest::RefusalPayload{2}, "/in/guest"));
  const std::string exited =
      frame_bytes(FrameType::exited, payload_bytes(guest::ExitPayload{3, 0}));
  corpus.add("out-refused", kCopyOut + refused);
  corpus.add("in", kCopyIn + frame_bytes(FrameType::done));
  corpus.add("in-refused", kCopyIn + refused);
  corpus.add("run", kRun + frame_bytes(FrameType::output, "out") +
                        frame_bytes(FrameType::error_output, "error") +
                        frame_bytes(FrameType::taken, payload_bytes(guest::NumberPayload{7})) +
                        exited);
  corpus.add("run-refused", kRun + refused);
  corpus.add("trouble", kRun + frame_bytes(FrameType::fatal_error, "no disk"));
  corpus.add("begin",
             kBegin + frame_bytes(FrameType::output, "late") +
                 frame_bytes(FrameType::ready,
                             payload_bytes(guest::NumberPayload{guest::kProtocolVersion})));
}

}  // namespace

void write_messages(const std::filesystem::path& root) {
  qemu_answers(root);
  extractor_messages(root);
  guest_frames(root);
}

}  // namespace pyro::testing

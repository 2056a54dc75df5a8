// Tests of copies to and from a guest that is the test itself. Trees are tested in
// tree_receiver_test.cc.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <thread>

#include "base/directories.h"
#include "base/files.h"
#include "machine/fake_guest.h"
#include "machine/guest_requests.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using guest::EntryKind;
using guest::FrameType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr const char* kProtocolError = "does not keep to the protocol";

std::string entry_bytes(const std::string& path, EntryKind kind, const std::string& target = {}) {
  guest::EntryPayload entry;
  entry.kind = kind;
  entry.mode = 0755;
  return frame_bytes(FrameType::entry,
                     payload_bytes(entry, kind == EntryKind::link ? path + '\0' + target : path));
}

const std::string kFile = entry_bytes("", EntryKind::file);
const std::string kData = frame_bytes(FrameType::data, "content");
const std::string kEnd = frame_bytes(FrameType::tree_end);
const std::string kDone = frame_bytes(FrameType::done);

/// Modes count for this thread, even root's.
class NoOverride {
 public:
  NoOverride() {
    ::syscall(SYS_capget, &header_, before_.data());
    auto without = before_;
    without[0].effective &= ~(1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH);
    ::syscall(SYS_capset, &header_, without.data());
  }
  ~NoOverride() { ::syscall(SYS_capset, &header_, before_.data()); }
  NoOverride(const NoOverride&) = delete;
  NoOverride& operator=(const NoOverride&) = delete;

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> before_{};
};

class CopiesTest : public ::testing::Test {
 protected:
  /// The error; empty on success.
  std::string failure(const std::function<void(GuestSession&)>& copy) {
    FakeHost host(guest_, stop_.get_token());
    try {
      copy(host.session);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  std::string copy_out() {
    return failure([&](GuestSession& session) {
      pyro::copy_out(session, {"/in/guest", to().string()}, hear_);
    });
  }
  std::string copy_in() {
    testing::write_file(dir_ / "from", "content");
    return failure([&](GuestSession& session) {
      pyro::copy_in(session, {(dir_ / "from").string(), "/in/guest"}, hear_);
    });
  }

  [[nodiscard]] std::filesystem::path to() const { return dir_ / "to"; }

  testing::TempDir dir_;
  FakeGuest guest_;
  std::stop_source stop_;
  std::vector<std::string> notes_;
  const Note hear_ = [this](std::string_view note) { notes_.emplace_back(note); };
};

// --- trees of any depth ---

/// `depth` directories below each other, each called "d".
void make_deep(const std::filesystem::path& root, int depth) {
  std::filesystem::create_directory(root);
  Fd at = open_directory(root);
  for (int i = 0; i < depth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), "d", 0755), 0);
    at = Fd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
  }
}

// Stack and descriptors do not grow with the depth. The guest cannot name entries that are deeper
// than the paths of its system calls are long.
TEST_F(CopiesTest, CopyInOf3000LevelsLeavesOutTooLongPaths) {
  const std::filesystem::path deep = dir_ / "deep";
  make_deep(deep, 3'000);
  std::jthread guest([&] {
    static_cast<void>(guest_.hear_of(FrameType::tree_end));
    guest_.say(FrameType::done);
  });
  EXPECT_EQ(failure([&](GuestSession& session) {
              EXPECT_EQ(pyro::copy_in(session, {deep.string(), "/in/guest"}, hear_), 1U);
            }),
            "");
  ASSERT_THAT(notes_, SizeIs(1));
  EXPECT_THAT(notes_.front(), HasSubstr("File name too long: left out"));
  EXPECT_LT(notes_.front().size(), 1000U);
  remove_tree_at(AT_FDCWD, deep.string(), deep);
}

// --- out of the guest ---

TEST_F(CopiesTest, CopiesFileOut) {
  guest_.say_bytes(kFile + kData + kData + kEnd + kDone);
  EXPECT_EQ(copy_out(), "");
  EXPECT_EQ(testing::read_file(to()), "contentcontent");
}

TEST_F(CopiesTest, RefusalNamesPath) {
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{ENOENT}, "/in/guest");
  EXPECT_THAT(copy_out(), HasSubstr("the guest cannot read /in/guest: No such file"));
}

TEST_F(CopiesTest, FailsIfGuestCannotReadFileToItsEnd) {
  guest_.say_bytes(kFile + kData + kEnd);
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{EIO}, "/in/guest");
  EXPECT_THAT(copy_out(), HasSubstr("the guest cannot read /in/guest: Input/output error"));
}

struct InvalidCopyOut {
  const char* name;
  std::string bytes;

  friend void PrintTo(const InvalidCopyOut& self, std::ostream* out) { *out << self.name; }
};

class InvalidCopyOutTest : public CopiesTest,
                           public ::testing::WithParamInterface<InvalidCopyOut> {};

TEST_P(InvalidCopyOutTest, IsRejected) {
  guest_.say_bytes(GetParam().bytes);
  EXPECT_THAT(copy_out(), HasSubstr(kProtocolError));
}

INSTANTIATE_TEST_SUITE_P(
    Guests, InvalidCopyOutTest,
    ::testing::Values(
        InvalidCopyOut{"UnexpectedFrame", frame_bytes(FrameType::output, "x")},
        InvalidCopyOut{"UnknownFrame", kFile + frame_bytes(FrameType{77})},
        InvalidCopyOut{"HostFrame", frame_bytes(FrameType::get, "/etc")},
        InvalidCopyOut{"ExitOfCommand",
                       frame_bytes(FrameType::exited, payload_bytes(guest::ExitPayload{}))},
        InvalidCopyOut{"DataWithoutEntry", kData + kEnd + kDone}, InvalidCopyOut{"NoTree", kDone},
        InvalidCopyOut{"TreeWithoutEnd", kFile + kData + kDone},
        InvalidCopyOut{"DataAfterEnd", kFile + kEnd + kData},
        InvalidCopyOut{"EntryAfterEnd", kFile + kEnd + entry_bytes("x", EntryKind::file)},
        InvalidCopyOut{"TwoEnds", kFile + kEnd + kEnd},
        InvalidCopyOut{"TruncatedEntry", frame_bytes(FrameType::entry, "abc")},
        InvalidCopyOut{"TruncatedRefusal", frame_bytes(FrameType::refused, "x")}),
    [](const auto& row) { return row.param.name; });

TEST_F(CopiesTest, NotesLeftOutFiles) {
  guest_.say(FrameType::left_out, "/in/guest/socket");
  guest_.say_bytes(kEnd + kDone);
  EXPECT_EQ(copy_out(), "");
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("/in/guest/socket")));
}

TEST_F(CopiesTest, PrintsAtMostTwentyNotes) {
  guest_.say_bytes(entry_bytes("", EntryKind::directory));
  for (int i = 0; i < 30; ++i) {
    guest_.say(FrameType::left_out, "/in/guest/socket");
    guest_.say_bytes(entry_bytes("link", EntryKind::link, "/etc"));
  }
  guest_.say_bytes(kEnd + kDone);
  EXPECT_EQ(copy_out(), "");
  EXPECT_THAT(notes_, SizeIs(20));
}

TEST_F(CopiesTest, TruncatesLongNames) {
  guest_.say(FrameType::left_out, std::string(100'000, 'x'));
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{EIO}, std::string(100'000, 'x'));
  EXPECT_LT(copy_out().size(), 1'000u);
  EXPECT_LT(notes_.at(0).size(), 1'000u);
}

TEST_F(CopiesTest, FloodDuringCopyEndsOnStop) {
  std::jthread guest([&](const std::stop_token& over) {
    guest_.flood(frame_bytes(FrameType::left_out, "x"), over);
  });
  std::jthread user([&] {
    std::this_thread::sleep_for(50ms);
    stop_.request_stop();
  });
  EXPECT_THAT(copy_out(), HasSubstr("interrupted"));
}

TEST_F(CopiesTest, StopEndsCopyWithSilentGuest) {
  std::jthread user([&] {
    std::this_thread::sleep_for(20ms);
    stop_.request_stop();
  });
  EXPECT_THAT(copy_out(), HasSubstr("interrupted"));
  EXPECT_THAT(copy_in(), HasSubstr("interrupted"));
}

TEST_F(CopiesTest, SilentGuestTimesOut) {
  const Copy out{"/in/guest", to().string()};
  EXPECT_THAT(failure([&](GuestSession& session) { pyro::copy_out(session, out, hear_, {20ms}); }),
              HasSubstr(kNoSign));
  for (const std::size_t size : {std::size_t{1}, std::size_t{4} << 20}) {
    testing::write_file(dir_ / "from", std::string(size, 'x'));
    const Copy in{(dir_ / "from").string(), "/in/guest"};
    EXPECT_THAT(failure([&](GuestSession& session) { pyro::copy_in(session, in, hear_, {20ms}); }),
                HasSubstr(kNoSign));
  }
}

TEST_F(CopiesTest, SlowGuestFailsAtTotalTimeout) {
  std::jthread guest([&](const std::stop_token& over) {
    for (int i = 0; i < 200 && !over.stop_requested(); ++i) {
      guest_.say_what_fits(frame_bytes(FrameType::left_out, "x"));
      std::this_thread::sleep_for(5ms);
    }
    if (!over.stop_requested()) guest_.say_bytes(kEnd + kDone);
  });
  const Copy out{"/in/guest", to().string()};
  EXPECT_THAT(failure([&](GuestSession& session) {
                pyro::copy_out(session, out, hear_, {10s, Clock::now() + 100ms});
              }),
              HasSubstr(kNoSign));
}

TEST_F(CopiesTest, EndOfMachineDuringCopyIsReported) {
  guest_.say_bytes(kFile + kData);
  guest_.end("Kernel panic - not syncing");
  EXPECT_THAT(copy_out(), HasSubstr("Kernel panic"));
}

// --- into the guest ---

TEST_F(CopiesTest, SendsFileAsTree) {
  std::jthread guest([&] {
    EXPECT_EQ(guest_.hear()->payload, std::string("/in/guest\0from", 14));
    EXPECT_EQ(guest_.hear()->type, FrameType::entry);
    EXPECT_EQ(guest_.hear()->payload, "content");
    EXPECT_EQ(guest_.hear()->type, FrameType::tree_end);
    guest_.say(FrameType::done);
  });
  EXPECT_EQ(copy_in(), "");
}

TEST_F(CopiesTest, WriteRefusalNamesPath) {
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{ENOSPC}, "/in/guest");
  EXPECT_THAT(copy_in(), HasSubstr("the guest cannot write /in/guest: No space left"));
}

TEST_F(CopiesTest, StopsSendingOnRefusal) {
  testing::write_file(dir_ / "from", std::string(4 << 20, 'x'));
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{ENOSPC}, "/in/guest");
  const Copy in{(dir_ / "from").string(), "/in/guest"};
  // The guest reads nothing: sending all of the file first would block.
  EXPECT_THAT(
      failure([&](GuestSession& session) { pyro::copy_in(session, in, hear_, {testing::kHang}); }),
      HasSubstr("No space left"));
}

TEST_F(CopiesTest, NotesFilesLeftOutOfCopyIn) {
  std::filesystem::create_directory(dir_ / "tree");
  ASSERT_EQ(::mkfifo((dir_ / "tree/pipe").c_str(), 0600), 0);
  std::jthread guest([&] {
    static_cast<void>(guest_.hear_of(FrameType::tree_end));
    guest_.say(FrameType::done);
  });
  const Copy in{(dir_ / "tree").string(), "/in/guest"};
  EXPECT_EQ(failure([&](GuestSession& session) { pyro::copy_in(session, in, hear_); }), "");
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("tree/pipe is no file, directory or link: left out")));
}

TEST_F(CopiesTest, RejectsPathsWithZeroBytes) {
  const std::string path("/a\0b", 4);
  for (const Copy& copy : {Copy{path, "/to"}, Copy{"/from", path}}) {
    EXPECT_THAT(failure([&](GuestSession& session) { pyro::copy_in(session, copy, hear_); }),
                HasSubstr("a zero byte"));
    EXPECT_THAT(failure([&](GuestSession& session) { pyro::copy_out(session, copy, hear_); }),
                HasSubstr("a zero byte"));
  }
}

TEST_F(CopiesTest, LeavesOutUnreadableEntries) {
  const std::filesystem::path tree = dir_ / "tree";
  testing::write_file(tree / "a", "a");
  testing::write_file(tree / "c", "c");
  ASSERT_EQ(::mknod((tree / "b").c_str(), S_IFREG | 0000, 0), 0);
  std::size_t unreadable = 0;
  std::jthread guest([&] {
    EXPECT_EQ(guest_.hear_of(FrameType::data)->payload, "a");
    EXPECT_EQ(guest_.hear_of(FrameType::data)->payload, "c");
    EXPECT_TRUE(guest_.hear_of(FrameType::tree_end));  // before it, an answer is a failure
    guest_.say(FrameType::done);
  });
  const Copy in{tree.string(), "/in/guest"};
  const NoOverride no_override;
  EXPECT_EQ(failure([&](GuestSession& session) { unreadable = pyro::copy_in(session, in, hear_); }),
            "");
  EXPECT_EQ(unreadable, 1u);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("tree/b: Permission denied: left out")));
}

TEST_F(CopiesTest, CopiesPipeToItsEnd) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  std::jthread guest([&] {
    EXPECT_EQ(guest_.hear()->payload, std::string("/x\0", 3) + std::to_string(ends[0]));
    // It is sent as it comes.
    write_all(writer.get(), "one", "pipe");
    EXPECT_EQ(guest_.hear()->type, FrameType::entry);
    EXPECT_EQ(guest_.hear()->payload, "one");
    write_all(writer.get(), "two", "pipe");
    writer.reset();
    EXPECT_EQ(guest_.hear()->payload, "two");
    EXPECT_EQ(guest_.hear()->type, FrameType::tree_end);
    guest_.say(FrameType::done);
  });
  const Copy in{"/dev/fd/" + std::to_string(ends[0]), "/x"};
  EXPECT_EQ(failure([&](GuestSession& session) { pyro::copy_in(session, in, hear_); }), "");
}

TEST_F(CopiesTest, StopEndsWaitForPipe) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  stop_.request_stop();
  const Copy in{"/dev/fd/" + std::to_string(ends[0]), "/x"};
  EXPECT_THAT(failure([&](GuestSession& session) { pyro::copy_in(session, in, hear_); }),
              HasSubstr("interrupted"));
}

TEST_F(CopiesTest, RejectsInvalidAnswerToCopyIn) {
  for (const std::string& bytes :
       {frame_bytes(FrameType::exited, payload_bytes(guest::ExitPayload{})),
        frame_bytes(FrameType{77}), frame_bytes(FrameType::refused, "x"), kData}) {
    guest_.say_bytes(bytes);
    EXPECT_THAT(copy_in(), HasSubstr(kProtocolError));
  }
}

// --- requests of workspaces ---

TEST_F(CopiesTest, ArchiveIsPassedOnAsItComes) {
  guest_.say_bytes(kData + kData + kDone);
  const Fd file = make_memory_file("an archive");
  EXPECT_EQ(failure([&](GuestSession& session) { archive_system(session, file.get()); }), "");
  std::array<std::byte, 32> bytes;
  EXPECT_EQ(pread_full(file.get(), bytes, 0, "an archive"), 14U);
}

TEST_F(CopiesTest, RejectsInvalidAnswersToRequestsOfWorkspaces) {
  const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  for (const std::string& bytes :
       {kFile, kEnd, frame_bytes(FrameType::exited, payload_bytes(guest::ExitPayload{})),
        frame_bytes(FrameType{77}), frame_bytes(FrameType::refused, "x")}) {
    guest_.say_bytes(bytes);
    EXPECT_THAT(failure([&](GuestSession& session) { archive_system(session, null.get()); }),
                HasSubstr(kProtocolError));
  }
  for (const std::string& bytes : {kData, kEnd + kEnd, frame_bytes(FrameType::refused, "x")}) {
    guest_.say_bytes(bytes);
    EXPECT_THAT(
        failure([&](GuestSession& session) { copy_files(session, {"a"}, to().string(), hear_); }),
        HasSubstr(kProtocolError));
  }
}

TEST_F(CopiesTest, RefusalOfPathThroughLinkNamesIt) {
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{ELOOP}, "link/file");
  EXPECT_THAT(failure([&](GuestSession& session) {
                copy_files(session, {"link/file"}, to().string(), hear_);
              }),
              HasSubstr("the guest cannot read link/file: Too many levels of symbolic links"));
}

struct CopiedName {
  const char* path;
  const char* name;
};

TEST(CopiedNameTest, IsLastComponentOfPath) {
  for (const auto& [path, name] : {CopiedName{"a", "a"},
                                   {"/a/b", "b"},
                                   {"a/b/", "b"},
                                   {"a//", "a"},
                                   {"a/.", ""},
                                   {"a/./", ""},
                                   {"a/b/..", ""},
                                   {".a", ".a"},
                                   {".", ""},
                                   {"..", ""},
                                   {"/", ""},
                                   {"", ""},
                                   {"a/..", ""},
                                   {"../..", ""}}) {
    EXPECT_EQ(copied_name(path), name) << path;
  }
}

}  // namespace
}  // namespace pyro

// Tests of trees that a guest sends: nothing is written outside of DST.
#include "machine/tree_receiver.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "machine/fake_guest.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using guest::EntryKind;
using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::read_file;
using testing::write_file;

constexpr auto kFile = EntryKind::file;
constexpr auto kDirectory = EntryKind::directory;
constexpr auto kLink = EntryKind::link;
constexpr std::int64_t kTime = 1'600'000'000;

/// One entry, with what comes after it.
struct Sent {
  std::string path;
  EntryKind kind = kFile;
  std::string content = {};  ///< Of a link: its target.
  std::uint16_t mode = 0755;

  [[nodiscard]] std::string payload() const {
    guest::EntryPayload entry;
    entry.modified = kTime;
    entry.mode = mode;
    entry.kind = kind;
    return payload_bytes(entry, kind == kLink ? path + '\0' + content : path);
  }
};

const Sent kRoot{"", kDirectory};

class TreeReceiverTest : public ::testing::Test {
 protected:
  TreeReceiverTest() {
    ::umask(022);
    write_file(outside() / "secret", "untouched");
    fs::create_directory(host());
  }

  [[nodiscard]] fs::path outside() const { return dir_ / "outside"; }
  [[nodiscard]] fs::path host() const { return dir_ / "host"; }
  [[nodiscard]] fs::path to() const { return host() / "dst"; }

  /// The error; empty if the tree was accepted.
  std::string receive(const std::vector<Sent>& tree, std::string to = {},
                      TreeRules* rules = nullptr) {
    if (to.empty()) to = this->to().string();
    try {
      TreeReceiver receiver(
          to, "name", [&](std::string_view note) { notes_.emplace_back(note); },
          TreeReceiver::Links::within, rules);
      for (const Sent& sent : tree) {
        receiver.entry(sent.payload());
        if (sent.kind == kFile && !sent.content.empty()) receiver.data(sent.content);
      }
      receiver.finish();
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  static struct stat status_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status;
  }

  testing::TempDir dir_;
  std::vector<std::string> notes_;
};

// --- rules ---

/// Wants nothing that is called "unwanted".
class NoUnwanted : public TreeRules {
 public:
  void begin(const fs::path& root) override { root_ = root; }
  bool wants(const std::string& path, EntryKind /*kind*/) override {
    return fs::path(path).filename() != "unwanted";
  }
  void note_written(const std::string& path) override { written_.push_back(path); }

  fs::path root_;
  std::vector<std::string> written_;
};

TEST_F(TreeReceiverTest, RulesLeaveOutEntriesAndWhatIsBelow) {
  NoUnwanted rules;
  EXPECT_EQ(receive({kRoot,
                     {"a", kFile, "a"},
                     {"d", kDirectory},
                     {"d/unwanted", kFile, "x"},
                     {"d/kept", kLink, "unwanted"},
                     {"unwanted", kDirectory},
                     {"unwanted/deep", kDirectory},
                     {"unwanted/deep/file", kFile, "x"},
                     {"unwanted2", kFile, "2"}},
                    {}, &rules),
            "");
  EXPECT_EQ(rules.root_, to());
  EXPECT_THAT(rules.written_, ElementsAre("a", "d/kept", "unwanted2"));
  EXPECT_FALSE(fs::exists(to() / "d/unwanted"));
  EXPECT_FALSE(fs::exists(to() / "unwanted"));
  EXPECT_EQ(read_file(to() / "unwanted2"), "2");
}

TEST_F(TreeReceiverTest, DataOfNoFileIsRejectedBesideRules) {
  NoUnwanted rules;
  TreeReceiver receiver(
      to().string(), "name", [](std::string_view) {}, TreeReceiver::Links::within, &rules);
  receiver.entry(kRoot.payload());
  receiver.entry(Sent{"unwanted", kDirectory}.payload());
  EXPECT_THROW(receiver.data("x"), Error);
}

// --- hostile trees ---

struct Hostile {
  const char* name;
  std::vector<Sent> tree;
  const char* refusal;
  std::function<void(const fs::path& dst, const fs::path& outside)> before = nullptr;

  friend void PrintTo(const Hostile& self, std::ostream* out) { *out << self.name; }
};

class HostileTreeTest : public TreeReceiverTest, public ::testing::WithParamInterface<Hostile> {};

TEST_P(HostileTreeTest, WritesNothingOutside) {
  const fs::path name = host() / "name";
  if (GetParam().before) GetParam().before(name, outside());
  const auto before = testing::snapshot(outside());
  EXPECT_THAT(receive(GetParam().tree, host().string()), HasSubstr(GetParam().refusal));
  EXPECT_EQ(testing::snapshot(outside()), before);
  for (const auto& entry : fs::directory_iterator(host())) EXPECT_EQ(entry.path(), name);
  EXPECT_FALSE(fs::exists(dir_ / "evil"));
  EXPECT_FALSE(fs::is_symlink(name));
}

const auto kLinkedDirectory = [](const fs::path& dst, const fs::path& outside) {
  fs::create_directories(dst);
  fs::create_directory_symlink(outside, dst / "d");
};

INSTANTIATE_TEST_SUITE_P(
    Guests, HostileTreeTest,
    ::testing::Values(
        Hostile{"Absolute", {kRoot, {"/evil"}}, "a path that leads elsewhere"},
        Hostile{"Upwards", {kRoot, {"../evil"}}, "a path that leads elsewhere"},
        Hostile{"UpwardsInTheMiddle",
                {kRoot, {"a", kDirectory}, {"a/../../evil"}},
                "a path that leads elsewhere"},
        Hostile{"UpwardsAtTheEnd", {kRoot, {"a/..", kDirectory}}, "a path that leads elsewhere"},
        Hostile{"Dot", {kRoot, {"./evil"}}, "a path that leads elsewhere"},
        Hostile{"EmptyPart", {kRoot, {"a", kDirectory}, {"a//evil"}}, "a path that leads"},
        Hostile{"SlashAtTheEnd", {kRoot, {"a/", kDirectory}}, "a path that leads elsewhere"},
        Hostile{"BelowAFile", {{""}, {"evil"}}, "below a file that is not a directory"},
        Hostile{"BelowAFileOfTheTree", {kRoot, {"a"}, {"a/evil"}}, "Not a directory"},
        Hostile{"BelowNothing", {kRoot, {"a/evil"}}, "No such file"},
        Hostile{"SecondRoot", {kRoot, kRoot}, "a tree without a beginning"},
        Hostile{"NoRoot", {{"evil"}}, "a tree without a beginning"},
        Hostile{"UnknownKind", {kRoot, {"a", EntryKind{9}}}, "a file of an unknown kind"},
        Hostile{"NoKind", {{"", EntryKind{0}}}, "a file of an unknown kind"},
        Hostile{"ThroughExistingLink", {kRoot, {"d/evil"}}, "cannot open", kLinkedDirectory},
        Hostile{"OntoExistingLink", {kRoot, {"d", kDirectory}}, "cannot open", kLinkedDirectory},
        Hostile{"ThroughSentLink",
                {kRoot, {"a", kDirectory}, {"d", kLink, "a"}, {"d/evil"}},
                "cannot open"},
        Hostile{"OntoSentLink",
                {kRoot, {"a", kDirectory}, {"d", kLink, "a"}, {"d", kDirectory}},
                "cannot open"},
        Hostile{"FileInPlaceOfDirectory",
                {kRoot, {"d"}},
                "Is a directory",
                [](const fs::path& dst, const fs::path&) { write_file(dst / "d/mine", "x"); }},
        Hostile{"LinkInPlaceOfDirectory",
                {kRoot, {"d", kLink, "x"}},
                "File exists",
                [](const fs::path& dst, const fs::path&) { write_file(dst / "d/mine", "x"); }},
        Hostile{"LinkAsRoot", {{"", kLink, "secret"}}, "a tree that is a link"},
        Hostile{"NameWithAZeroByte", {kRoot, {"a\0b"s}}, "a zero byte"},
        Hostile{"DirectoryWithAZeroByte", {kRoot, {"a\0/../evil"s, kDirectory}}, "a zero byte"},
        Hostile{"RootWithAZeroByte", {{"\0evil"s, kDirectory}}, "a zero byte"},
        Hostile{"LinkTargetWithAZeroByte", {kRoot, {"l", kLink, "..\0/x"s}}, "a zero byte"},
        Hostile{"LinkTargetWithATrailingZeroByte", {kRoot, {"l", kLink, "a\0"s}}, "a zero byte"},
        Hostile{"TooLong", {kRoot, {std::string(100'000, 'a')}}, "too long"}),
    [](const auto& row) { return row.param.name; });

TEST_F(TreeReceiverTest, RejectsPathsThatAreTooLong) {
  std::vector<Sent> tree{kRoot};
  const std::string name(250, 'd');
  for (std::string path = name; path.size() < 5000; path += '/' + name) {
    tree.push_back({path, kDirectory});
  }
  const std::string refusal = receive(tree);
  EXPECT_THAT(refusal, HasSubstr("File name too long"));
  EXPECT_LT(refusal.size(), 1'000u);
  // rm does not use the whole path.
  testing::run({.argv = {"rm", "-rf", to().string()}});
  EXPECT_FALSE(fs::exists(to()));
}

TEST_F(TreeReceiverTest, RejectsTruncatedEntry) {
  TreeReceiver receiver(to().string(), "name", nullptr);
  EXPECT_THROW(receiver.entry("abc"), Error);
}

TEST_F(TreeReceiverTest, RejectsDataWithoutFile) {
  TreeReceiver receiver(to().string(), "name", nullptr);
  EXPECT_THROW(receiver.data("abc"), Error);
  receiver.entry(kRoot.payload());
  EXPECT_THROW(receiver.data("abc"), Error) << "a directory has none";
}

TEST_F(TreeReceiverTest, RejectsDataAfterEndOfTree) {
  TreeReceiver receiver(to().string(), "name", nullptr);
  receiver.entry(Sent{""}.payload());
  receiver.finish();
  EXPECT_THROW(receiver.data("abc"), Error);
}

// --- links ---

struct Link {
  const char* name;
  std::vector<Sent> links;  ///< Of which the last is it.
  bool stays;

  friend void PrintTo(const Link& self, std::ostream* out) { *out << self.name; }
};

class LinkTest : public TreeReceiverTest, public ::testing::WithParamInterface<Link> {};

TEST_P(LinkTest, IsCreatedOnlyIfTargetIsWithinTree) {
  std::vector<Sent> tree{kRoot, {"p", kDirectory}, {"p/q", kDirectory}};
  tree.insert(tree.end(), GetParam().links.begin(), GetParam().links.end());
  EXPECT_EQ(receive(tree), "");
  EXPECT_EQ(fs::is_symlink(to() / GetParam().links.back().path), GetParam().stays);
  EXPECT_EQ(notes_.size(), GetParam().stays ? 0u : 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Targets, LinkTest,
    ::testing::Values(
        Link{"Sibling", {{"l", kLink, "p"}}, true}, Link{"Dangling", {{"l", kLink, "no"}}, true},
        Link{"UpAndDown", {{"p/q/l", kLink, "../q"}}, true},
        Link{"TheRoot", {{"p/q/l", kLink, "../.."}}, true},
        Link{"Dots", {{"p/l", kLink, ".././p/q"}}, true}, Link{"Itself", {{"l", kLink, "."}}, true},
        Link{"Absolute", {{"l", kLink, "/etc/passwd"}}, false},
        Link{"Empty", {{"l", kLink, ""}}, false}, Link{"Above", {{"l", kLink, ".."}}, false},
        Link{"AboveFromWithin", {{"p/l", kLink, "../../x"}}, false},
        Link{"DownAndAbove", {{"l", kLink, "p/../../x"}}, false},
        // ".." behind a link leads up from the link's target.
        Link{"AboveThroughAnother",
             {{"p/q/up", kLink, "../.."}, {"l", kLink, "p/q/up/../../secret"}},
             false},
        Link{"AboveThroughAnotherFromWithin",
             {{"p/q/up", kLink, "../.."}, {"p/q/l", kLink, "up/../../secret"}},
             false}),
    [](const auto& row) { return row.param.name; });

// --- honest trees ---

TEST_F(TreeReceiverTest, KeepsModesAndTimes) {
  const std::vector<Sent> tree{kRoot,
                               {"a", kDirectory, "", 0500},
                               {"a/program", kFile, std::string("\0\xff\n", 3), 0751},
                               {"a/empty", kFile, "", 0600},
                               {"link", kLink, "a/program"}};
  EXPECT_EQ(receive(tree), "");
  EXPECT_EQ(read_file(to() / "a/program"), std::string("\0\xff\n", 3));
  EXPECT_EQ(fs::read_symlink(to() / "link"), "a/program");
  EXPECT_EQ(status_of(to() / "a/program").st_mode, S_IFREG | 0751u);
  EXPECT_EQ(status_of(to() / "a/empty").st_size, 0);
  EXPECT_EQ(status_of(to() / "a").st_mode, S_IFDIR | 0500u);
  for (const char* path : {"", "a", "a/program", "a/empty"}) {
    EXPECT_EQ(status_of(to() / path).st_mtime, kTime) << path;
  }
  EXPECT_THAT(notes_, IsEmpty());
  fs::permissions(to() / "a", fs::perms::owner_all);  // so that it can be removed
}

TEST_F(TreeReceiverTest, SetsDirectoryTimesAfterTheirContent) {
  EXPECT_EQ(receive({kRoot,
                     {"a", kDirectory},
                     {"a/b", kDirectory},
                     {"a/b/c", kDirectory},
                     {"a/b/c/file"},
                     {"a/bc", kDirectory},
                     {"a/bc/file"},
                     {"a/late"},
                     {"late"}}),
            "");
  for (const char* path : {"", "a", "a/b", "a/b/c", "a/bc", "a/late"}) {
    EXPECT_EQ(status_of(to() / path).st_mtime, kTime) << path;
  }
}

TEST_F(TreeReceiverTest, KeepsControlCharactersInNames) {
  const std::string name = "\x1b[2J\nrm";
  EXPECT_EQ(receive({kRoot, {name, kFile, "x"}}), "");
  EXPECT_EQ(read_file(to() / name), "x");
}

TEST_F(TreeReceiverTest, RejectsEndlessEntries) {
  TreeReceiver receiver(to().string(), "name", [](std::string_view) {});
  receiver.entry(kRoot.payload());
  // The cheapest there are: nothing is made of them.
  const std::string link = Sent{"l", kLink, "/"}.payload();
  const auto flood = [&] {
    for (int i = 0; i < 4'000'000; ++i) receiver.entry(link);
  };
  EXPECT_THROW(flood(), Error);
}

TEST_F(TreeReceiverTest, DropsSetuidSetgidAndStickyBits) {
  EXPECT_EQ(receive({kRoot, {"program", kFile, "x", 06755}, {"d", kDirectory, "", 07777}}), "");
  EXPECT_EQ(status_of(to() / "program").st_mode, S_IFREG | 0755u);
  EXPECT_EQ(status_of(to() / "d").st_mode, S_IFDIR | 0755u);
}

TEST_F(TreeReceiverTest, AppliesUmask) {
  ::umask(027);
  EXPECT_EQ(receive({kRoot,
                     {"d", kDirectory, "", 0777},
                     {"d/open", kFile, "x", 0666},
                     {"d/closed", kFile, "x", 0400},
                     {"narrow", kDirectory, "", 0577}}),
            "");
  EXPECT_EQ(status_of(to() / "d").st_mode, S_IFDIR | 0750u);
  EXPECT_EQ(status_of(to() / "d/open").st_mode, S_IFREG | 0640u);
  EXPECT_EQ(status_of(to() / "d/closed").st_mode, S_IFREG | 0400u);
  EXPECT_EQ(status_of(to() / "narrow").st_mode, S_IFDIR | 0550u);
}

TEST_F(TreeReceiverTest, KeepsModeOfExistingDirectories) {
  const fs::path there = host() / "name";
  fs::create_directories(there / "d");
  ASSERT_EQ(::chmod(there.c_str(), 0700), 0);
  ASSERT_EQ(::chmod((there / "d").c_str(), 0710), 0);
  EXPECT_EQ(receive({kRoot, {"d", kDirectory, "", 0777}, {"d/file"}}, host().string()), "");
  EXPECT_EQ(status_of(there).st_mode, S_IFDIR | 0700u);
  EXPECT_EQ(status_of(there / "d").st_mode, S_IFDIR | 0710u);
  EXPECT_GT(status_of(there / "d").st_mtime, kTime) << "something new is in it";
}

TEST_F(TreeReceiverTest, WritesZerosAsHoles) {
  std::string content(3 << 20, '\0');
  content[1] = 'a';
  content[(2 << 20) - 1] = 'b';
  TreeReceiver receiver(to().string(), "name", nullptr);
  receiver.entry(Sent{""}.payload());
  for (std::size_t at = 0; at < content.size(); at += guest::kStreamPiece) {
    receiver.data(std::string_view(content).substr(at, guest::kStreamPiece));
  }
  receiver.finish();
  EXPECT_TRUE(read_file(to()) == content);
  EXPECT_LE(status_of(to()).st_blocks * 512, 16 << 10);
}

TEST_F(TreeReceiverTest, KeepsHolesWithinAndAtTheEnd) {
  TreeReceiver receiver(to().string(), "name", {});
  receiver.entry(Sent{"", kFile}.payload());
  receiver.hole(payload_bytes(guest::HolePayload{guest::kMaxHole}));
  receiver.data("middle");
  receiver.hole(payload_bytes(guest::HolePayload{3}));
  receiver.finish();
  const struct stat status = status_of(to());
  EXPECT_EQ(status.st_size, static_cast<off_t>(guest::kMaxHole) + 9);
  EXPECT_LE(status.st_blocks, 16);
  const Fd file(::open(to().c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 9> end{};
  EXPECT_EQ(::pread(file.get(), end.data(), end.size(), guest::kMaxHole), 9);
  EXPECT_EQ(std::string_view(end.data(), end.size()), "middle\0\0\0"s);
}

TEST_F(TreeReceiverTest, RejectsHolesBeyondBounds) {
  TreeReceiver without_file(to().string(), "name", {});
  EXPECT_THROW(without_file.hole(payload_bytes(guest::HolePayload{1})), Error);
  TreeReceiver receiver(to().string(), "name", {});
  receiver.entry(Sent{"", kFile}.payload());
  EXPECT_THROW(receiver.hole(payload_bytes(guest::HolePayload{guest::kMaxHole + 1})), Error);
  EXPECT_THROW(receiver.hole("short"), Error);
}

TEST_F(TreeReceiverTest, WritesHoleIntoPipeAsZeros) {
  ASSERT_EQ(::mkfifo(to().c_str(), 0600), 0);
  const Fd reader(::open(to().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  TreeReceiver receiver(to().string(), "name", {});
  receiver.entry(Sent{"", kFile}.payload());
  receiver.hole(payload_bytes(guest::HolePayload{3}));
  receiver.data("x");
  receiver.finish();
  std::array<char, 8> got{};
  EXPECT_EQ(::read(reader.get(), got.data(), got.size()), 4);
  EXPECT_EQ(std::string_view(got.data(), 4), "\0\0\0x"s);
}

TEST_F(TreeReceiverTest, KeepsOldFileUntilNewOneIsComplete) {
  write_file(to(), "old");
  {
    TreeReceiver receiver(to().string(), "name", nullptr);
    receiver.entry(Sent{""}.payload());
    receiver.data("new");
    EXPECT_EQ(read_file(to()), "old");
  }
  EXPECT_EQ(read_file(to()), "old");
  EXPECT_EQ(testing::snapshot(host()).size(), 1u) << "nothing is left of what was begun";
}

TEST_F(TreeReceiverTest, RejectsDestinationBelowFileOrTooLong) {
  // Not even root can look below a file.
  write_file(host() / "file", "x");
  EXPECT_THAT(receive({kRoot}, (host() / "file/d").string()), HasSubstr("Not a directory"));
  EXPECT_THAT(receive({kRoot}, std::string(300, 'x')), HasSubstr("File name too long"));
}

// --- kinds of DST, as with cp ---

TEST_F(TreeReceiverTest, FollowsLinkNamedAsDestination) {
  fs::create_symlink("other", to());
  fs::create_symlink(host() / "file", host() / "other");
  write_file(host() / "file", "old");
  EXPECT_EQ(receive({{"", kFile, "new"}}), "");
  EXPECT_TRUE(fs::is_symlink(to()));
  EXPECT_TRUE(fs::is_symlink(host() / "other"));
  EXPECT_EQ(read_file(host() / "file"), "new");
}

TEST_F(TreeReceiverTest, FollowsLinkToDirectoryNamedAsDestination) {
  fs::create_directory(host() / "real");
  fs::create_directory_symlink("real", to());
  EXPECT_EQ(receive({kRoot, {"a", kFile, "x"}}), "");
  EXPECT_EQ(read_file(host() / "real/name/a"), "x");
}

TEST_F(TreeReceiverTest, RejectsLoopOfLinksAsDestination) {
  fs::create_symlink("dst", to());
  EXPECT_THAT(receive({{"", kFile, "new"}}), HasSubstr("Too many levels of symbolic links"));
}

TEST_F(TreeReceiverTest, WritesIntoPipe) {
  ASSERT_EQ(::mkfifo(to().c_str(), 0600), 0);
  EXPECT_THAT(receive({{"", kFile, "new"}}), HasSubstr("the pipe has no reader"));
  const Fd reader(::open(to().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(receive({{"", kFile, "new"}}), "");
  std::array<char, 8> got{};
  EXPECT_EQ(::read(reader.get(), got.data(), got.size()), 3);
  EXPECT_STREQ(got.data(), "new");
  EXPECT_TRUE(fs::is_fifo(to()));
}

TEST_F(TreeReceiverTest, WritesIntoDevice) {
  // One of its own, with the numbers of /dev/null.
  if (::mknod(to().c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) GTEST_SKIP() << "not root";
  const Fd probe(::open(to().c_str(), O_WRONLY | O_CLOEXEC));
  if (!probe) GTEST_SKIP() << "no devices in " << host();
  EXPECT_EQ(receive({{"", kFile, "new"}}), "");
  EXPECT_TRUE(fs::is_character_file(to()));
  EXPECT_THAT(receive({kRoot}), HasSubstr("cannot write"));
  EXPECT_TRUE(fs::is_character_file(to()));
}

TEST_F(TreeReceiverTest, WritesIntoDescriptorOfThisProcess) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  EXPECT_EQ(receive({{"", kFile, "new"}}, "/dev/fd/" + std::to_string(ends[1])), "");
  std::array<char, 8> got{};
  EXPECT_EQ(::read(reader.get(), got.data(), got.size()), 3);
  EXPECT_STREQ(got.data(), "new");
}

TEST_F(TreeReceiverTest, RejectsSocketAsDestination) {
  ASSERT_EQ(::mknod(to().c_str(), S_IFSOCK | 0600, 0), 0);
  EXPECT_THAT(receive({{"", kFile, "new"}}), HasSubstr("cannot write"));
  EXPECT_TRUE(fs::is_socket(to()));
}

TEST_F(TreeReceiverTest, CopiesContentIntoDirectory) {
  fs::create_directory(to());
  TreeReceiver receiver(to().string(), "", nullptr);
  for (const Sent& sent : {kRoot, Sent{"a"}}) receiver.entry(sent.payload());
  receiver.finish();
  EXPECT_TRUE(fs::is_regular_file(to() / "a"));
  TreeReceiver below((host() / "new/.").string(), "name", nullptr);
  below.entry(kRoot.payload());
  EXPECT_TRUE(fs::is_directory(host() / "new/name"));
}

TEST_F(TreeReceiverTest, FileReplacesLinkOfSameName) {
  const fs::path there = host() / "name";
  fs::create_directory(there);
  fs::create_symlink(outside() / "secret", there / "a");
  EXPECT_EQ(receive({kRoot, {"a", kFile, "new"}}, host().string()), "");
  EXPECT_EQ(read_file(there / "a"), "new");
  EXPECT_EQ(read_file(outside() / "secret"), "untouched");
}

TEST_F(TreeReceiverTest, DoesNotReplacePipeWithinTree) {
  const fs::path pipe = host() / "name/pipe";
  fs::create_directory(pipe.parent_path());
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const Sent& sent : {Sent{"pipe", kFile, "new"}, Sent{"pipe", kLink, "a"}}) {
    EXPECT_THAT(receive({kRoot, sent}, host().string()), HasSubstr("cannot "));
    EXPECT_TRUE(fs::is_fifo(pipe));
  }
}

TEST_F(TreeReceiverTest, KeepsModeOfExistingFile) {
  write_file(to(), "old");
  ASSERT_EQ(::chmod(to().c_str(), 0600), 0);
  EXPECT_EQ(receive({{"", kFile, "new", 0755}}), "");
  EXPECT_EQ(read_file(to()), "new");
  EXPECT_EQ(status_of(to()).st_mode, S_IFREG | 0600u);
}

TEST_F(TreeReceiverTest, KeepsTimesToNanosecond) {
  guest::EntryPayload entry;
  entry.modified = kTime;
  entry.nanoseconds = 123'456'789;
  entry.mode = 0755;
  const auto receive_entries = [&] {
    TreeReceiver receiver(to().string(), "name", nullptr);
    entry.kind = kDirectory;
    receiver.entry(payload_bytes(entry, ""));
    entry.kind = kFile;
    receiver.entry(payload_bytes(entry, "a"));
    receiver.finish();
  };
  receive_entries();
  EXPECT_EQ(status_of(to()).st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(status_of(to() / "a").st_mtim.tv_nsec, 123'456'789);
  entry.nanoseconds = UTIME_NOW;
  EXPECT_THROW(receive_entries(), Error) << "what is no time means something else to the kernel";
}

TEST_F(TreeReceiverTest, KeepsFilesOfOtherNames) {
  write_file(host() / "name/mine", "mine");
  EXPECT_EQ(receive({kRoot, {"theirs", kFile, "theirs"}}, host().string()), "");
  EXPECT_EQ(read_file(host() / "name/mine"), "mine");
  EXPECT_EQ(read_file(host() / "name/theirs"), "theirs");
}

TEST_F(TreeReceiverTest, CreatesMissingDirectoriesOfDestination) {
  EXPECT_EQ(receive({{"", kFile, "x"}}, (host() / "a/b/c").string()), "");
  EXPECT_EQ(read_file(host() / "a/b/c"), "x");
}

}  // namespace
}  // namespace pyro

// File systems as e2fsck and libext2fs see them.
#include "image/ext4_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

#include "image/posix_acl.h"
#include "image/test_image.h"
#include "support/temp_dir.h"

namespace pyro::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;

std::uint64_t bytes_on_disk(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

/// A file of one layer whose content is written by `write`.
void add_file(TestImage& image, const std::string& path, std::uint64_t size,
              const std::function<void(Ext4Writer&)>& write) {
  EXPECT_TRUE(image.layers.add(file(path).entry));
  write(image.writer);
  image.writer.end(size);
}

void write_text(Ext4Writer& writer, std::uint64_t offset, std::string_view text) {
  writer.data(offset, std::as_bytes(std::span(text)));
}

// --- attributes ---

TEST(Ext4Attributes, ModeOwnerAndTimeAreKept) {
  Member a = file("a", "x", 04755);
  a.entry.uid = 70'000;
  a.entry.gid = UINT32_MAX;
  a.entry.modified = {.seconds = 1'600'000'000, .nanoseconds = 123'456'789};
  const testing::Ext4File kept = files_of({{a}}).at("a");
  EXPECT_EQ(kept.permissions, 04755U);
  EXPECT_EQ(kept.uid, 70'000U);
  EXPECT_EQ(kept.gid, UINT32_MAX);
  EXPECT_EQ(kept.seconds, 1'600'000'000);
  EXPECT_EQ(kept.nanoseconds, 123'456'789U);
}

TEST(Ext4Attributes, TimesOutside1901To2446BecomeTheNearest) {
  constexpr std::int64_t kFirst = -(std::int64_t{1} << 31);
  constexpr std::int64_t kLast = (std::int64_t{1} << 34) - (std::int64_t{1} << 31) - 1;
  for (const auto& [given, kept] :
       {std::pair{kFirst, kFirst}, std::pair{kFirst - 1, kFirst},
        std::pair{std::int64_t{-1}, std::int64_t{-1}},
        std::pair{std::int64_t{1} << 31, std::int64_t{1} << 31},
        std::pair{std::int64_t{1} << 32, std::int64_t{1} << 32}, std::pair{kLast, kLast},
        std::pair{kLast + 1, kLast}, std::pair{INT64_MAX, kLast}, std::pair{INT64_MIN, kFirst}}) {
    Member a = file("a");
    a.entry.modified = {.seconds = given, .nanoseconds = 999'999'999};
    EXPECT_EQ(files_of({{a}}).at("a").seconds, kept) << given;
  }
}

TEST(Ext4Attributes, DevicesAndFifosAreKept) {
  Member block = device("block", 259, 65'537);
  block.entry.type = LayerEntry::Type::block_device;
  Member fifo = file("fifo", "", 0622);
  fifo.entry.type = LayerEntry::Type::fifo;
  const Files files = files_of(
      {{device("null", 1, 3), device("zero", 0, 5), device("high", 4095, 1'048'575), block, fifo}});
  EXPECT_THAT(listing(files), ElementsAre("b block", "p fifo", "c high", "c null", "c zero"));
  const auto number = [&](const char* name) {
    return std::pair(files.at(name).device_major, files.at(name).device_minor);
  };
  EXPECT_EQ(number("null"), std::pair(1U, 3U));
  EXPECT_EQ(number("zero"), std::pair(0U, 5U));
  EXPECT_EQ(number("high"), std::pair(4095U, 1'048'575U));
  EXPECT_EQ(number("block"), std::pair(259U, 65'537U));
  EXPECT_EQ(files.at("fifo").permissions, 0622U);
}

TEST(Ext4Attributes, LinkTargetsOfEachLengthAreKept) {
  for (const std::size_t size : {1, 59, 60, 201, 4095}) {
    const Files files = files_of({{symlink("a", std::string(size, 't'))}});
    EXPECT_EQ(files.at("a").target, std::string(size, 't'));
    EXPECT_EQ(files.at("a").blocks, size < 60 ? 0U : 1U);
    EXPECT_EQ(files.at("a").permissions, 0777U);
  }
}

// --- extended attributes ---

std::map<std::string, std::string> kept_xattrs_of(const std::vector<Xattr>& xattrs) {
  Member a = file("a", "x");
  a.entry.xattrs = xattrs;
  return files_of({{a}}).at("a").xattrs;
}

std::string refusal_of_xattrs(const std::vector<Xattr>& xattrs) {
  Member a = file("b/a");
  a.entry.xattrs = xattrs;
  return refusal_of({{a}});
}

TEST(Ext4Xattrs, CapabilitiesTakeNoBlock) {
  const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  Member a = file("a");
  a.entry.xattrs = {{"security.capability", capability}};
  const testing::Ext4File kept = files_of({{a}}).at("a");
  EXPECT_EQ(kept.xattrs.at("security.capability"), capability);
  EXPECT_EQ(kept.blocks, 0U);
}

TEST(Ext4Xattrs, OfEachKindAndSizeAreKept) {
  std::vector<Xattr> xattrs{{"security.capability", std::string(20, 'c')},
                            {"trusted.x", "y"},
                            {"user.empty", ""},
                            {"user.large", std::string(2999, 'l')}};
  for (int i = 0; i < 20; ++i)
    xattrs.push_back({"user.n" + std::to_string(i), std::string(i, 'v')});
  const auto kept = kept_xattrs_of(xattrs);
  EXPECT_THAT(kept, SizeIs(xattrs.size()));
  for (const auto& [name, value] : xattrs) EXPECT_EQ(kept.at(name), value);
}

TEST(Ext4Xattrs, AnyBytesOfANameAreKept) {
  EXPECT_THAT(kept_xattrs_of({{"user.\xff\xc3\xa4", std::string("\0\xff", 2)}}), SizeIs(1));
}

TEST(Ext4Xattrs, OfDirectoriesSymlinksAndDevicesAreKept) {
  Member a = directory("a");
  Member b = symlink("b", std::string(100, 't'));
  Member c = device("c", 1, 3);
  for (Member* member : {&a, &b, &c}) {
    member->entry.xattrs = {{"trusted.x", std::string(200, 'x')}};
  }
  const Files files = files_of({{a, b, c}});
  for (const char* path : {"a", "b", "c"}) {
    EXPECT_EQ(files.at(path).xattrs.at("trusted.x"), std::string(200, 'x'));
  }
  EXPECT_EQ(files.at("b").target, std::string(100, 't'));
}

TEST(Ext4Xattrs, RejectsMoreThanABlock) {
  constexpr std::size_t kMost = 4096 - 32 - 4 - 16 - 4;
  EXPECT_THAT(kept_xattrs_of({{"user.xyz", std::string(kMost, 'x')}}), SizeIs(1));
  EXPECT_THAT(refusal_of_xattrs({{"user.xyz", std::string(kMost + 1, 'x')}}),
              HasSubstr("cannot unpack '/b/a': ext4 cannot keep more than 4 KiB"));
}

TEST(Ext4Xattrs, RejectsUnknownKinds) {
  for (const char* name : {"system.data", "btrfs.compression", "user.", "x"}) {
    EXPECT_THAT(refusal_of_xattrs({{name, "1"}}),
                HasSubstr("cannot unpack '/b/a': ext4 cannot keep the attribute"))
        << name;
  }
}

TEST(Ext4Xattrs, AccessControlListsAreThoseOfLinux) {
  Member a = directory("a");
  a.entry.access_acl = "user::rwx,user:joe:r-x:1000,group::r-x,mask::rwx,other::---";
  a.entry.default_acl = "user::rwx\ngroup::r-x\nother::r-x\n";
  const auto kept = files_of({{a}}).at("a").xattrs;
  EXPECT_EQ(parse_acl_xattr(kept.at("system.posix_acl_access")),
            parse_acl_text(a.entry.access_acl));
  EXPECT_EQ(parse_acl_xattr(kept.at("system.posix_acl_default")),
            parse_acl_text(a.entry.default_acl));
}

// --- contents ---

TEST(Ext4Contents, OfEachSizeAreKept) {
  std::vector<Member> members;
  for (const std::size_t size : {0, 1, 4095, 4096, 4097, 65'536, 300'000}) {
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 31 + i / 251 + size);
    members.push_back(file(std::to_string(size), content));
  }
  const Files files = files_of({members});
  for (const Member& member : members) {
    EXPECT_EQ(files.at(member.entry.path).content, member.content);
    EXPECT_EQ(files.at(member.entry.path).blocks, (member.content.size() + 4095) / 4096);
  }
}

TEST(Ext4Contents, AnyPiecesGiveTheSameBytes) {
  std::string content(200'000, 'x');
  for (std::size_t i = 0; i < content.size(); i += 97) content[i] = static_cast<char>(i);
  std::vector<std::string> images;
  for (const std::size_t piece : {content.size(), std::size_t{1}, std::size_t{4095},
                                  std::size_t{4096}, std::size_t{70'000}}) {
    TestImage image;
    image.layers.begin_layer();
    add_file(image, "a", content.size(), [&](Ext4Writer& writer) {
      for (std::size_t at = 0; at < content.size(); at += piece) {
        write_text(writer, at, std::string_view(content).substr(at, piece));
      }
    });
    image.layers.end_layer();
    EXPECT_EQ(image.finish().at("a").content, content);
    images.push_back(testing::read_file(image.path()));
  }
  for (const std::string& image : images) EXPECT_TRUE(image == images[0]);
}

TEST(Ext4Contents, HolesAreGapsBetweenExtents) {
  TestImage image;
  image.layers.begin_layer();
  add_file(image, "a", 513 * kMiB, [](Ext4Writer& writer) {
    write_text(writer, 0, "first");
    write_text(writer, 100 * kMiB + 5, "second");
    write_text(writer, 512 * kMiB, "third");
  });
  const testing::Ext4File a = image.finish().at("a");
  EXPECT_EQ(a.size, 513 * kMiB);
  EXPECT_EQ(a.blocks, 3U);
  const testing::Ext4Image read(image.path());
  EXPECT_THAT(read.extents(a),
              ElementsAre(testing::Ext4Extent{0, 5, 1}, testing::Ext4Extent{25'600, 6, 1},
                          testing::Ext4Extent{131'072, 7, 1}));
  EXPECT_EQ(read.read(a, 100 * kMiB, 12), std::string("\0\0\0\0\0second\0", 12));
  EXPECT_EQ(read.read(a, 512 * kMiB, 6), std::string("third\0", 6));
  EXPECT_LT(image.size, kMiB);
}

TEST(Ext4Contents, ShortGapsAreBlocksThatTakeNoRoomOnTheHost) {
  TestImage image;
  image.layers.begin_layer();
  constexpr std::uint64_t kStep = Ext4Writer::kMinHole;  // of which a block is data
  constexpr std::uint64_t kSize = 156 * kMiB;
  add_file(image, "a", kSize, [](Ext4Writer& writer) {
    for (std::uint64_t at = 0; at < kSize; at += kStep) write_text(writer, at, "x");
  });
  const testing::Ext4File a = image.finish().at("a");
  const testing::Ext4Image read(image.path());
  EXPECT_THAT(read.extents(a), SizeIs(2));  // of at most 128 MiB
  EXPECT_EQ(read.read(a, kSize - kStep, 2), std::string("x\0", 2));
  EXPECT_LT(bytes_on_disk(image.path()), 12 * kMiB);
}

TEST(Ext4Contents, FileOf43GiBOfHolesIsKept) {
  TestImage image;
  image.layers.begin_layer();
  add_file(image, "a", 43 * kGiB,
           [](Ext4Writer& writer) { write_text(writer, 43 * kGiB - 3, "end"); });
  add_file(image, "b", 43 * kGiB, [](Ext4Writer&) {});
  const Files files = image.finish();
  const testing::Ext4Image read(image.path());
  EXPECT_EQ(files.at("a").size, 43 * kGiB);
  EXPECT_EQ(read.read(files.at("a"), 43 * kGiB - 5, 5), std::string("\0\0end", 5));
  EXPECT_EQ(files.at("b").size, 43 * kGiB);
  EXPECT_EQ(files.at("b").blocks, 0U);
}

TEST(Ext4Contents, FileOf43GiBOfBlocksTakesTwoLeaves) {
  TestImage image;
  image.layers.begin_layer();
  constexpr std::uint64_t kHoles = 288;  // after which shorter gaps than 4 MiB are blocks
  constexpr std::uint64_t kHole = 2 * kMiB;
  constexpr std::uint64_t kBlocksFrom = kHoles * (4096 + kHole);
  constexpr std::uint64_t kStep = 4 * kMiB;
  constexpr std::uint64_t kSize = kBlocksFrom + 43 * kGiB;
  add_file(image, "a", kSize, [](Ext4Writer& writer) {
    for (std::uint64_t at = 0; at < kBlocksFrom; at += 4096 + kHole) write_text(writer, at, "x");
    for (std::uint64_t at = kBlocksFrom; at < kSize; at += kStep) write_text(writer, at, "y");
    write_text(writer, kSize - 1, "z");
  });
  const testing::Ext4File a = image.finish().at("a");
  EXPECT_GT(image.size, 43 * kGiB);
  EXPECT_EQ(a.blocks, kHoles + 43 * kGiB / 4096 + 2);
  const testing::Ext4Image read(image.path());
  EXPECT_THAT(read.extents(a), SizeIs(kHoles + 43 * kGiB / (128 * kMiB)));
  EXPECT_EQ(read.read(a, kSize - kStep, 1), "y");
  EXPECT_EQ(read.read(a, kSize - 2, 2), std::string("\0z", 2));
}

TEST(Ext4Contents, MostScatteredFileFitsInItsExtentTree) {
  TestImage image;
  image.layers.begin_layer();
  std::uint64_t pieces = 0;
  add_file(image, "a", 64 * kGiB, [&](Ext4Writer& writer) {
    // The shortest holes that there may be, in a file of the greatest size.
    std::uint64_t hole = Ext4Writer::kMinHole;
    for (std::uint64_t at = 0; at < 64 * kGiB; at += 4096 + hole) {
      write_text(writer, at, std::to_string(at));
      if (++pieces % 48 == 0 && hole < kGiB) hole *= 2;
    }
  });
  const testing::Ext4File a = image.finish().at("a");
  const testing::Ext4Image read(image.path());
  EXPECT_THAT(read.extents(a), SizeIs(pieces));
  EXPECT_GT(pieces, 680U);
}

TEST(Ext4Contents, RejectsFilesAbove64GiBAndContentThatRunsBackwards) {
  TestImage image;
  image.layers.begin_layer();
  add_file(image, "a", 64 * kGiB, [&](Ext4Writer& writer) {
    EXPECT_THROW(write_text(writer, 64 * kGiB, "x"), Error);
    EXPECT_THROW(write_text(writer, UINT64_MAX, "x"), Error);
    write_text(writer, 10, "x");
    EXPECT_THROW(write_text(writer, 10, "y"), Error);
    EXPECT_THROW(writer.end(64 * kGiB + 1), Error);
    EXPECT_THROW(writer.end(10), Error);
  });
  EXPECT_EQ(image.finish().at("a").size, 64 * kGiB);
}

// --- dropped files ---

TEST(Ext4Drop, BlocksOfHiddenFilesAreFreeAndZero) {
  TestImage image;
  const std::string content(64 * kKiB, 'x');
  std::vector<Member> members;
  for (int i = 0; i < 16; ++i) members.push_back(file("a/" + std::to_string(i), content));
  image.add_layer(members);
  image.add_layer({whiteout("a"), file("b", "kept")});
  EXPECT_LT(bytes_on_disk(image.path()), 64 * kKiB);
  EXPECT_THAT(listing(image.finish()), ElementsAre("b = kept"));
  EXPECT_GE(testing::Ext4Image(image.path()).free_blocks(), 16 * 16U);
  EXPECT_EQ(testing::read_file(image.path()).find("xx"), std::string::npos);
}

TEST(Ext4Drop, ContentOfAnotherNameStays) {
  const Files files = files_of(
      {{file("a", "x"), file("b", "y"), hard_link("c", "b")}, {whiteout("a"), whiteout("b")}});
  EXPECT_THAT(listing(files), ElementsAre("c = y"));
}

TEST(Ext4Drop, FileReplacedInItsOwnLayerIsDropped) {
  TestImage image;
  image.add_layer({file("a", std::string(10'000, 'x')), file("a", "y")});
  EXPECT_THAT(listing(image.finish()), ElementsAre("a = y"));
  EXPECT_EQ(testing::read_file(image.path()).find("xx"), std::string::npos);
}

// --- directories ---

TEST(Ext4Directories, OfManyBlocksKeepAllNames) {
  std::vector<Member> members;
  for (int i = 0; i < 20'000; ++i)
    members.push_back(file("a/" + std::string(i % 200, 'n') + std::to_string(i)));
  EXPECT_THAT(files_of({members}), SizeIs(20'000 + 3));
}

TEST(Ext4Directories, Of200LevelsAreKept) {
  std::string path;
  for (int i = 0; i < 200; ++i) path += "level/";
  EXPECT_EQ(files_of({{file(path + "a", "x")}}).at(path + "a").content, "x");
}

TEST(Ext4Directories, LinksCountSubdirectoriesUpTo65000) {
  TestImage image;
  image.layers.begin_layer();
  for (int i = 0; i < 64'999; ++i) image.add(directory("a/" + std::to_string(i)));
  image.add(directory("b/c"));
  const Files files = image.finish();
  EXPECT_EQ(files.at("a").links, 1U);
  EXPECT_EQ(files.at("b").links, 3U);
  EXPECT_EQ(files.at("").links, 5U);  // and lost+found
}

TEST(Ext4Directories, LostAndFoundOfTheImageIsKept) {
  const Files files = files_of({{directory("lost+found", 0711), file("lost+found/a", "x")}});
  EXPECT_EQ(files.at("lost+found").permissions, 0711U);
  EXPECT_EQ(files.at("lost+found/a").content, "x");
  EXPECT_EQ(files_of({{}}).at("lost+found").permissions, 0700U);
}

// --- sizes ---

TEST(Ext4Size, EmptyImageIsAFileSystem) {
  TestImage image;
  EXPECT_THAT(image.finish(), SizeIs(2));
  EXPECT_LT(image.size, 64 * kKiB);
}

TEST(Ext4Size, WithoutAMinimumNoBlockIsFree) {
  TestImage image;
  image.add_layer({file("a", std::string(100'000, 'x')), directory("b")});
  static_cast<void>(image.finish());
  // But for three of the four that are kept for descriptors.
  EXPECT_EQ(testing::Ext4Image(image.path()).free_blocks(), 3U);
}

TEST(Ext4Size, MinimumGivesFreeBlocksAndInodesInProportion) {
  for (const std::uint64_t size : {10 * kMiB, 128 * kMiB, 128 * kMiB + 4096, 3 * kGiB + 1}) {
    TestImage image;
    image.add_layer({file("a", "x")});
    EXPECT_EQ(image.finish({.min_size = size}).at("a").content, "x");
    EXPECT_EQ(image.size, (size + 4095) / 4096 * 4096);
    const testing::Ext4Image read(image.path());
    EXPECT_GT(read.free_blocks() * 4096, size * 9 / 10);
    EXPECT_GE(read.free_inodes(), size / (16 * kKiB) - 16);
    EXPECT_LT(bytes_on_disk(image.path()), kMiB);
  }
}

TEST(Ext4Size, MoreInodesThanAGroupHasTakeMoreGroups) {
  TestImage image;
  image.layers.begin_layer();
  for (int i = 0; i < 70'000; ++i) image.add(symlink("a/" + std::to_string(i), "x"));
  EXPECT_THAT(image.finish(), SizeIs(70'000 + 3));
}

TEST(Ext4Size, RejectsMoreThanTheLimit) {
  const Fd image = make_memory_file("rootfs.ext4");
  Ext4Writer writer(image.get(), kMiB);
  const std::string content(kMiB, 'x');
  EXPECT_EQ(writer.begin(), 0U);
  try {
    write_text(writer, 0, content);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_THAT(error.what(), HasSubstr("more than 1 MiB"));
    EXPECT_THAT(error.hint(), HasSubstr("--max-size"));
  }
  EXPECT_THROW(static_cast<void>(writer.finish(Tree(), {.min_size = 2 * kMiB})), Error);
}

TEST(Ext4Size, LimitAbove64GiBHasRoomForItsDescriptors) {
  const Fd image = make_memory_file("rootfs.ext4");
  Ext4Writer writer(image.get(), 200 * kGiB);
  EXPECT_EQ(writer.finish(Tree(), {.min_size = 100 * kGiB}).size, 100 * kGiB);
  const testing::Ext4Image read("/proc/self/fd/" + std::to_string(image.get()));
  EXPECT_THAT(read.files(), SizeIs(2));
}

// --- the same calls give the same bytes ---

TEST(Ext4Writer, TwoRunsGiveEqualBytes) {
  std::vector<std::string> images;
  for (int run = 0; run < 2; ++run) {
    TestImage image({static_cast<std::uint64_t>(run), 77});
    Member a = file("usr/a", std::string(20'000, 'a'), 0755);
    a.entry.xattrs = {{"user.large", std::string(3000, 'x')}};
    image.add_layer({directory("usr"), a, symlink("lib", "usr/lib"), file("lib/b", "b")});
    image.add_layer(
        {whiteout("usr/a"), file("lib/c", "c"), hard_link("d", "lib/b"), device("e", 1, 3)});
    static_cast<void>(image.finish());
    images.push_back(testing::read_file(image.path()));
  }
  EXPECT_TRUE(images[0] == images[1]);
}

}  // namespace
}  // namespace pyro::image

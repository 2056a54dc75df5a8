// The rules of layers, judged by the file systems that come of them.
#include "image/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "image/test_image.h"
#include "support/temp_dir.h"

namespace pyro::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> merged(const std::vector<std::vector<Member>>& layers) {
  return listing(files_of(layers));
}

// --- replacement ---

TEST(Layers, FileReplacesFileOfLowerLayer) {
  EXPECT_THAT(merged({{file("a", "old")}, {file("a", "new")}}), ElementsAre("a = new"));
}

TEST(Layers, LastOfTwoEntriesInALayerWins) {
  EXPECT_THAT(merged({{file("a", "1"), file("a", "2"), symlink("b", "a"), directory("b")}}),
              ElementsAre("a = 2", "b/"));
}

TEST(Layers, FileReplacesDirectoryWithItsContent) {
  EXPECT_THAT(merged({{directory("a"), file("a/b/c", "x")}, {file("a", "y")}}),
              ElementsAre("a = y"));
}

TEST(Layers, DirectoryReplacesFile) {
  EXPECT_THAT(merged({{file("a", "x")}, {directory("a"), file("a/b", "y")}}),
              ElementsAre("a/", "a/b = y"));
}

TEST(Layers, DirectoryReplacesSymlinkToDirectory) {
  EXPECT_THAT(merged({{directory("a"), symlink("b", "a")}, {directory("b"), file("b/c", "x")}}),
              ElementsAre("a/", "b/", "b/c = x"));
}

TEST(Layers, DirectoryOverDirectoryReplacesAttributesAndKeepsEntries) {
  Member upper = directory("a", 01777);
  upper.entry.uid = 7;
  upper.entry.modified = {.seconds = 99};
  const Files files = files_of({{directory("a", 0700), file("a/b", "x")}, {upper}});
  EXPECT_THAT(listing(files), ElementsAre("a/", "a/b = x"));
  EXPECT_EQ(files.at("a").permissions, 01777U);
  EXPECT_EQ(files.at("a").uid, 7U);
  EXPECT_EQ(files.at("a").seconds, 99);
}

TEST(Layers, DirectoryOverDirectoryReplacesXattrs) {
  Member lower = directory("a");
  lower.entry.xattrs = {{"user.x", "1"}};
  EXPECT_THAT(files_of({{lower}, {directory("a")}}).at("a").xattrs, IsEmpty());
}

TEST(Layers, EntryOfTheRootSetsItsAttributes) {
  for (const char* path : {"./", "/", ".", "", "//./"}) {
    EXPECT_EQ(files_of({{directory(path, 0711)}}).at("").permissions, 0711U) << path;
  }
}

TEST(Layers, RejectsRootThatIsNoDirectory) {
  EXPECT_THAT(refusal_of({{symlink("./", "a")}}), HasSubstr("the root is not a directory"));
}

TEST(Layers, PathsMayBeginWithDotOrSlashAndEndWithSlash) {
  EXPECT_THAT(merged({{directory("./a/"), file("/a//b", "1"), file("./a/./c", "2")}}),
              ElementsAre("a/", "a/b = 1", "a/c = 2"));
}

// --- whiteouts ---

TEST(Whiteouts, HideFilesAndDirectoriesOfLowerLayers) {
  EXPECT_THAT(merged({{file("a"), file("b/c"), file("d")}, {whiteout("a"), whiteout("b")}}),
              ElementsAre("d = "));
}

TEST(Whiteouts, KeepFileOfTheirLayerWhereverTheyStand) {
  EXPECT_THAT(merged({{file("a", "old"), file("b", "old")},
                      {whiteout("a"), file("a", "new"), file("b", "new"), whiteout("b")}}),
              ElementsAre("a = new", "b = new"));
}

TEST(Whiteouts, KeepEntriesOfTheirLayerInDirectory) {
  EXPECT_THAT(merged({{directory("a"), file("a/old"), file("a/b/old")},
                      {directory("a"), file("a/b/new", "x"), whiteout("a")}}),
              ElementsAre("a/", "a/b/", "a/b/new = x"));
}

TEST(Whiteouts, OfMissingFilesDoNothing) {
  EXPECT_THAT(merged({{whiteout("a"), whiteout("b/c"), file("d"), whiteout("d/e"), opaque("f")}}),
              ElementsAre("d = "));
}

TEST(Whiteouts, OfASymlinkHideTheLinkAndNotItsTarget) {
  EXPECT_THAT(merged({{file("a", "x"), symlink("b", "a")}, {whiteout("b")}}), ElementsAre("a = x"));
}

TEST(Whiteouts, OfOneOfTwoHardLinksKeepTheOther) {
  const Files files = files_of({{file("a", "x"), hard_link("b", "a")}, {whiteout("a")}});
  EXPECT_THAT(listing(files), ElementsAre("b = x"));
  EXPECT_EQ(files.at("b").links, 1U);
}

TEST(Whiteouts, BehindSymlinkedParentHideInItsTarget) {
  EXPECT_THAT(merged({{file("usr/lib/a"), symlink("lib", "usr/lib")}, {whiteout("lib/a")}}),
              ElementsAre("lib -> usr/lib", "usr/", "usr/lib/"));
}

TEST(OpaqueDirectory, HidesLowerEntriesAndKeepsThoseOfItsLayer) {
  for (const bool is_first : {true, false}) {
    const std::vector<Member> upper = is_first ? std::vector{opaque("a"), file("a/new", "x")}
                                               : std::vector{file("a/new", "x"), opaque("a")};
    EXPECT_THAT(merged({{directory("a"), file("a/old"), file("a/b/old"), file("c")}, upper}),
                ElementsAre("a/", "a/new = x", "c = "));
  }
}

TEST(OpaqueDirectory, AtTheRootHidesAllLowerLayers) {
  EXPECT_THAT(merged({{file("a"), file("b/c")}, {file("d"), file(".wh..wh..opq")}}),
              ElementsAre("d = "));
}

TEST(Whiteouts, RejectsMarkersWithoutAName) {
  for (const char* path : {".wh.", "a/.wh.", ".wh..", ".wh..."}) {
    EXPECT_THAT(refusal_of({{file(path)}}), HasSubstr("names no file")) << path;
  }
}

TEST(Whiteouts, RejectsMarkersThatAreNoRegularFiles) {
  EXPECT_THAT(refusal_of({{directory(".wh.a")}}), HasSubstr("has to be a regular file"));
  EXPECT_THAT(refusal_of({{symlink("a/.wh.b", "c")}}), HasSubstr("has to be a regular file"));
  EXPECT_THAT(refusal_of({{file("a"), hard_link(".wh.b", "a")}}),
              HasSubstr("has to be a regular file"));
  EXPECT_THAT(refusal_of({{file(".wh.a/b")}}), HasSubstr("has the name of a whiteout"));
}

TEST(Whiteouts, MarkersOfAufsAreLeftOut) {
  EXPECT_THAT(merged({{file(".wh..wh.aufs"), directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"),
                       directory("a/.wh..wh.orph")}}),
              IsEmpty());
}

// --- parents ---

TEST(Parents, MissingOnesAreMadeOfRoot) {
  const Files files = files_of({{file("a/b/c", "x")}});
  for (const char* path : {"a", "a/b"}) {
    EXPECT_EQ(files.at(path).permissions, 0755U);
    EXPECT_EQ(files.at(path).uid, 0U);
    EXPECT_EQ(files.at(path).seconds, 0);
  }
}

TEST(Parents, SymlinksAreFollowedWithinTheImage) {
  EXPECT_THAT(merged({{directory("usr/lib"), symlink("lib", "usr/lib"), symlink("abs", "/usr/lib"),
                       symlink("usr/up", "../../../lib")},
                      {file("lib/a", "1"), file("abs/b", "2"), file("usr/up/c", "3")}}),
              ElementsAre("abs -> /usr/lib", "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/a = 1",
                          "usr/lib/b = 2", "usr/lib/c = 3", "usr/up -> ../../../lib"));
}

TEST(Parents, DanglingSymlinkGetsItsTarget) {
  EXPECT_THAT(merged({{symlink("run", "/var/run")}, {file("run/lock", "x")}}),
              ElementsAre("run -> /var/run", "var/", "var/run/", "var/run/lock = x"));
}

TEST(Parents, LastComponentIsNotFollowed) {
  EXPECT_THAT(merged({{file("a", "x"), symlink("b", "a")}, {file("b", "y")}}),
              ElementsAre("a = x", "b = y"));
}

TEST(Parents, FileOfLowerLayerBecomesADirectory) {
  EXPECT_THAT(merged({{file("a", "x")}, {file("a/b", "y")}}), ElementsAre("a/", "a/b = y"));
}

TEST(Parents, RejectsFileOfTheSameLayer) {
  EXPECT_THAT(refusal_of({{file("a"), file("a/b")}}),
              HasSubstr("cannot unpack 'a/b': '/a' is not a directory"));
}

TEST(Parents, FollowsFortySymlinksAndRejectsMore) {
  for (const int links : {40, 41}) {
    std::vector<Member> members{directory("d0")};
    for (int i = 1; i <= links; ++i) {
      members.push_back(symlink("d" + std::to_string(i), "d" + std::to_string(i - 1)));
    }
    members.push_back(file("d" + std::to_string(links) + "/x"));
    EXPECT_THAT(refusal_of({members}), HasSubstr(links == 40 ? "" : "more than 40 symbolic links"));
    EXPECT_EQ(refusal_of({members}).empty(), links == 40);
  }
}

TEST(Parents, RejectsSymlinkLoops) {
  EXPECT_THAT(refusal_of({{symlink("a", "b"), symlink("b", "a"), file("a/x")}}),
              HasSubstr("more than 40 symbolic links"));
}

// --- hard links ---

TEST(HardLinks, ShareTheInodeWithinALayerAndAcross) {
  const Files files = files_of(
      {{file("a", "x"), hard_link("b", "a")}, {hard_link("c", "./b"), hard_link("d", "/a")}});
  EXPECT_EQ(files.at("a").links, 4U);
  for (const char* path : {"b", "c", "d"}) EXPECT_EQ(files.at(path).inode, files.at("a").inode);
}

TEST(HardLinks, ToLowerLayerOutliveAWhiteoutOfTheirTarget) {
  EXPECT_THAT(merged({{file("a", "x")}, {hard_link("b", "a"), whiteout("a")}}),
              ElementsAre("b = x"));
}

TEST(HardLinks, KeepTheirContentWhenAnotherNameIsReplaced) {
  const Files files = files_of({{file("a", "x"), hard_link("b", "a")}, {file("a", "y")}});
  EXPECT_THAT(listing(files), ElementsAre("a = y", "b = x"));
  EXPECT_EQ(files.at("b").links, 1U);
}

TEST(HardLinks, TargetIsFoundThroughSymlinkedParents) {
  EXPECT_THAT(
      merged({{file("usr/lib/a", "x"), symlink("lib", "usr/lib")}, {hard_link("b", "lib/a")}}),
      ElementsAre("b = x", "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/a = x"));
}

TEST(HardLinks, ToSymlinkIsOneToTheLink) {
  const Files files = files_of({{symlink("a", "nowhere"), hard_link("b", "a")}});
  EXPECT_THAT(listing(files), ElementsAre("a -> nowhere", "b -> nowhere"));
  EXPECT_EQ(files.at("a").links, 2U);
}

TEST(HardLinks, MayReplaceTheDirectoryThatHoldsTheTarget) {
  EXPECT_THAT(merged({{file("a/b", "x")}, {hard_link("a", "a/b")}}), ElementsAre("a = x"));
}

TEST(HardLinks, ToThemselvesChangeNothing) {
  EXPECT_THAT(merged({{file("a", "x")}, {hard_link("a", "a"), whiteout("a")}}),
              ElementsAre("a = x"));
}

TEST(HardLinks, RejectsMissingTargets) {
  EXPECT_THAT(refusal_of({{hard_link("a", "b/c")}}),
              HasSubstr("cannot unpack 'a': it is a hard link to 'b/c', which is missing"));
  EXPECT_THAT(refusal_of({{file("b")}, {whiteout("b"), hard_link("a", "b")}}),
              HasSubstr("missing"));
}

TEST(HardLinks, RejectsATargetThatBecameTheirParent) {
  EXPECT_THAT(refusal_of({{file("a", "x")}, {hard_link("a/b", "a")}}),
              HasSubstr("hard link to a directory"));
}

TEST(HardLinks, RejectsDirectories) {
  EXPECT_THAT(refusal_of({{directory("b"), hard_link("a", "b")}}), HasSubstr("a directory, 'b'"));
}

TEST(HardLinks, RejectsMoreThan65000NamesOfAFile) {
  TestImage image;
  image.layers.begin_layer();
  image.add(file("0"));
  for (int i = 1; i < 65'000; ++i) image.add(hard_link(std::to_string(i), "0"));
  EXPECT_THROW(image.add(hard_link("more", "0")), Error);
}

// --- limits of names ---

TEST(Paths, AcceptsNamesOf255BytesAndRejectsLongerOnes) {
  EXPECT_THAT(merged({{file(std::string(255, 'n'))}}), ElementsAre(std::string(255, 'n') + " = "));
  EXPECT_THAT(refusal_of({{file(std::string(256, 'n'))}}), HasSubstr("more than 255 bytes"));
  EXPECT_THAT(refusal_of({{symlink("a", std::string(256, 'n')), file("a/b")}}),
              HasSubstr("more than 255 bytes"));
}

TEST(Paths, RejectsPathsLongerThan4096Bytes) {
  std::string path(4096, '/');
  path.back() = 'a';
  EXPECT_EQ(refusal_of({{file(path)}}), "");
  EXPECT_THAT(refusal_of({{file("/" + path)}}), HasSubstr("more than 4096 bytes"));
}

TEST(Paths, RejectsDotDot) {
  for (const char* path : {"..", "../a", "a/../b", "a/.."}) {
    EXPECT_THAT(refusal_of({{file(path)}}), HasSubstr("has '..'")) << path;
    EXPECT_THAT(refusal_of({{hard_link("a", path)}}), HasSubstr("has '..'")) << path;
  }
}

TEST(Paths, RejectsZeroBytes) {
  EXPECT_THAT(refusal_of({{file(std::string("a\0b", 3))}}), HasSubstr("zero byte"));
}

TEST(Paths, AnyOtherBytesAreKept) {
  const std::string name = "\xff\n '\x01";
  EXPECT_THAT(merged({{file(name), file("A"), file("a")}}),
              ElementsAre("A = ", "a = ", name + " = "));
}

TEST(Paths, AcceptsADepthOf512AndRejectsMoreThroughSymlinks) {
  std::string deep;
  for (int i = 0; i < 510; ++i) deep += "d/";
  EXPECT_EQ(refusal_of({{directory(deep + "e"), file(deep + "e/f")}}), "");
  EXPECT_THAT(refusal_of({{directory(deep + "e"), symlink("s", deep + "e"), file("s/f/g")}}),
              HasSubstr("more than 512 directories deep"));
}

TEST(Symlinks, RejectsTargetsThatLinuxDoesNotAccept) {
  EXPECT_EQ(refusal_of({{symlink("a", std::string(4095, 't'))}}), "");
  EXPECT_THAT(refusal_of({{symlink("a", std::string(4096, 't'))}}), HasSubstr("link target"));
  EXPECT_THAT(refusal_of({{symlink("a", "")}}), HasSubstr("link target"));
}

// --- left out, and refused ---

TEST(LeftOut, DeviceZeroHidesWhatWasThere) {
  EXPECT_THAT(merged({{file("a"), file("b")}, {device("a", 0, 0), device("c", 0, 1)}}),
              ElementsAre("b = ", "c c"));
}

TEST(LeftOut, IndexFilesOfEStargzAtTheRoot) {
  EXPECT_THAT(merged({{file("stargz.index.json"), file("./.prefetch.landmark"),
                       file(".no.prefetch.landmark"), file("a/stargz.index.json", "x")}}),
              ElementsAre("a/", "a/stargz.index.json = x"));
}

TEST(LeftOut, AttributesOfOverlayfsAndOfOtherSystems) {
  Member a = file("a");
  a.entry.xattrs = {{"trusted.overlay.opaque", "y"}, {"user.overlay.redirect", "/"},
                    {"security.selinux", "label"},   {"security.ima", "1"},
                    {"security.evm", "2"},           {"user.kept", "yes"}};
  const std::map<std::string, std::string> kept{{"user.kept", "yes"}};
  EXPECT_EQ(files_of({{a}}).at("a").xattrs, kept);
}

TEST(Refused, UnknownTypesAndNumbersOutOfRange) {
  Member member = file("a");
  member.entry.type = LayerEntry::Type::other;
  EXPECT_THAT(refusal_of({{member}}), HasSubstr("cannot unpack 'a': it is of an unknown type"));
  member = file("a");
  member.entry.uid = std::uint64_t{1} << 32;
  EXPECT_THAT(refusal_of({{member}}), HasSubstr("owner is out of range"));
  EXPECT_THAT(refusal_of({{device("a", 4096, 1)}}), HasSubstr("device number is out of range"));
  EXPECT_THAT(refusal_of({{device("a", 1, 1U << 20)}}), HasSubstr("device number is out of range"));
}

TEST(Refused, MoreThan64KiBOfAttributes) {
  Member a = file("a");
  a.entry.xattrs = {{"user.x", std::string(1 << 16, 'x')}};
  EXPECT_THAT(refusal_of({{a}}), HasSubstr("more than 64 KiB"));
  a.entry.xattrs.assign(5000, {"u", ""});
  EXPECT_THAT(refusal_of({{a}}), HasSubstr("more than 64 KiB"));
}

TEST(Refused, MoreThan127Layers) {
  TestImage image;
  for (int i = 0; i < 127; ++i) image.add_layer({});
  EXPECT_THROW(image.layers.begin_layer(), Error);
}

TEST(Refused, MoreThanTwoMillionEntriesEvenIfTheyLeaveNothing) {
  TestImage image;
  image.layers.begin_layer();
  const LayerEntry entry = whiteout("a").entry;
  for (std::size_t i = 0; i < Tree::kMaxEntries; ++i) EXPECT_FALSE(image.layers.add(entry));
  EXPECT_THROW(static_cast<void>(image.layers.add(entry)), Error);
}

TEST(Whiteouts, CountEachEntryThatTheyVisit) {
  TestImage image;
  image.layers.begin_layer();
  for (int i = 0; i < 100; ++i) image.add(file("a/" + std::to_string(i)));
  const std::uint64_t before = image.layers.tree().steps();
  image.add(whiteout("a"));
  EXPECT_EQ(image.layers.tree().steps(), before + 101);
}

TEST(Layers, NamesOfADirectoryKeepTheirOrderWithAnyKey) {
  std::vector<std::string> images;
  for (const SipKey key : {SipKey{0, 0}, SipKey{0x123456789abcdef, 42}}) {
    TestImage image(key);
    std::vector<Member> members;
    for (int i = 0; i < 3000; ++i) members.push_back(file("a/" + std::to_string(i * 7919 % 3000)));
    image.add_layer(members);
    image.add_layer({whiteout("a/17"), file("a/b/c", "x")});
    image.finish();
    images.push_back(pyro::testing::read_file(image.path()));
  }
  EXPECT_EQ(images[0], images[1]);
}

}  // namespace
}  // namespace pyro::image

// The tree by itself: its limits, and the hash of its names.
#include "image/tree.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "image/sip_hash.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

constexpr Inode kEmptyDirectory{.type = InodeType::directory, .first_child = kNone};

EntryId no_directory(EntryId, std::string_view, EntryId) {
  return kNone;
}

// The vectors of the reference implementation: bytes 0, 1, 2, ... under the key 0, 1, ..., 15.
TEST(SipHash, GivesTheValuesOfItsReference) {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string text;
  for (char c = 0; c < 15; ++c) text += c;
  EXPECT_EQ(SipHash(key).of(""), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(SipHash(key).of(text.substr(0, 8)), 0x93f5f5799a932462U);
  EXPECT_EQ(SipHash(key).of(text), 0xa129ca6149be45e5U);
}

TEST(Tree, FindsNamesInTheirDirectoryOnly) {
  Tree tree;
  const EntryId a = tree.add(Tree::kRoot, "a", tree.add_inode(kEmptyDirectory), 1);
  const EntryId b = tree.add(a, "b", tree.add_inode({}), 1);
  EXPECT_EQ(tree.find(Tree::kRoot, "a"), a);
  EXPECT_EQ(tree.find(a, "b"), b);
  EXPECT_EQ(tree.find(Tree::kRoot, "b"), kNone);
  EXPECT_EQ(tree.find(a, "a"), kNone);
  EXPECT_EQ(tree.find(Tree::kRoot, ""), kNone);
  EXPECT_EQ(tree.path(b), "/a/b");
}

TEST(Tree, RemovedNamesAreGoneAndSiblingsStayInOrder) {
  Tree tree;
  std::vector<EntryId> entries;
  for (int i = 0; i < 5000; ++i) {
    entries.push_back(tree.add(Tree::kRoot, std::to_string(i), tree.add_inode({}), 1));
  }
  for (int i = 0; i < 5000; i += 2) EXPECT_EQ(tree.inode(tree.remove(entries[i])).names, 0U);
  int expected = 1;
  EntryId child = tree.first_child(Tree::kRoot);
  for (; child != kNone; child = tree.next(child), expected += 2) {
    EXPECT_EQ(tree.name(child), std::to_string(expected));
    EXPECT_EQ(tree.find(Tree::kRoot, std::to_string(expected - 1)), kNone);
    EXPECT_EQ(tree.find(Tree::kRoot, std::to_string(expected)), child);
  }
  EXPECT_EQ(expected, 5001);
}

TEST(Tree, KeepsXattrsAndTargets) {
  Tree tree;
  const std::vector<Xattr> xattrs{{"user.a", std::string("\0b", 2)}, {"user.c", ""}};
  const Inode inode{.xattrs = tree.add_xattrs(xattrs),
                    .type = InodeType::symlink,
                    .target = tree.add_target("somewhere")};
  EXPECT_EQ(tree.xattrs(inode), xattrs);
  EXPECT_EQ(tree.target(inode), "somewhere");
  EXPECT_EQ(tree.add_xattrs({}), kNone);
}

TEST(Tree, WalkStopsAtTheRootAndEndsAtMissingDirectories) {
  Tree tree;
  const EntryId a = tree.add(Tree::kRoot, "a", tree.add_inode(kEmptyDirectory), 1);
  EXPECT_EQ(tree.walk("", no_directory), Tree::kRoot);
  EXPECT_EQ(tree.walk("../../a/../a//./", no_directory), a);
  EXPECT_EQ(tree.walk("a/b/..", no_directory), kNone);
}

TEST(Tree, RejectsMoreStepsThanItsBudget) {
  Tree tree;
  tree.count_steps(Tree::kMaxSteps - 3);
  EXPECT_EQ(tree.walk("./.", no_directory), Tree::kRoot);
  EXPECT_THROW(static_cast<void>(tree.walk("//", no_directory)), Error);
}

TEST(Tree, RejectsMoreThan512MiBOfMemory) {
  Tree tree;
  const std::string text(TextPool::kChunk / 2 + 1, 'x');  // a chunk each
  const std::size_t chunks = Tree::kMaxMemory / TextPool::kChunk;
  const auto fill = [&] {
    for (std::size_t i = 0; i < chunks; ++i) static_cast<void>(tree.add_target(text));
  };
  EXPECT_THROW(fill(), Error);
  EXPECT_LE(tree.memory(), Tree::kMaxMemory + TextPool::kChunk);
  EXPECT_THROW(static_cast<void>(tree.add_target(std::string(TextPool::kChunk, 'x'))), Error);
}

TEST(Tree, RejectsMoreThanTwoMillionEntries) {
  Tree tree;
  const InodeId inode = tree.add_inode({});
  for (std::size_t i = 1; i < Tree::kMaxEntries; ++i) tree.add(Tree::kRoot, "a", inode, 1);
  EXPECT_THROW(tree.add(Tree::kRoot, "b", inode, 1), Error);
}

TEST(Tree, AnEntryTakesAtMost120BytesWithAShortName) {
  Tree tree;
  const std::size_t before = tree.memory();
  constexpr std::size_t kEntries = 300'000;
  for (std::size_t i = 0; i < kEntries; ++i) {
    tree.add(Tree::kRoot, "a-name-of-20-b" + std::to_string(100'000 + i), tree.add_inode({}), 1);
  }
  EXPECT_LE((tree.memory() - before) / kEntries, 120U);
}

}  // namespace
}  // namespace pyro::image

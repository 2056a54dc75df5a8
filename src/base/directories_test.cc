// Tests of directories.
#include "base/directories.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <limits>

#include "base/files.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

/// As many descriptors as a busy process may have left.
class FewDescriptors {
 public:
  FewDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{.rlim_cur = 64, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

class TreeWalk : public ::testing::Test {
 protected:
  TreeWalk() {
    std::string name = fs::temp_directory_path() / "pyro-tree-XXXXXX";
    root_ = ::mkdtemp(name.data());
    directory_ = open_directory(root_);
  }
  ~TreeWalk() override { fs::remove_all(root_); }

  void make_file(const fs::path& path) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << "content";
  }

  /// A directory in a directory, `depth` times, with a file beside each.
  void make_chain(int depth) const {
    Fd at = open_directory(root_);
    ASSERT_EQ(::mkdirat(at.get(), "tree", 0755), 0);
    at = try_open_directory(at.get(), "tree");
    for (int i = 0; i < depth; ++i) {
      ASSERT_EQ(::mkdirat(at.get(), "d", 0755), 0);
      write_all(open_at(at.get(), "f", O_WRONLY | O_CREAT, 0644, "f").get(), "content", "f");
      at = try_open_directory(at.get(), "d");
      ASSERT_TRUE(at);
    }
  }

  void remove(const std::string& name) const {
    remove_tree_at(directory_.get(), name, root_ / name);
  }

  fs::path root_;
  Fd directory_;
};

TEST_F(TreeWalk, RemovesTreeWithoutFollowingLinks) {
  make_file("tree/a/b/file");
  make_file("tree/file");
  fs::create_directory(root_ / "tree/empty");
  make_file("beside");
  fs::create_symlink(root_ / "beside", root_ / "tree/a/link");
  fs::create_directory_symlink(root_, root_ / "tree/a/up");
  remove("tree");
  EXPECT_FALSE(fs::exists(root_ / "tree"));
  EXPECT_TRUE(fs::exists(root_ / "beside"));
  remove("tree");
  remove("beside");
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(TreeWalk, RemovesDeepTreeWithFewDescriptors) {
  constexpr int kDepth = 1000;
  make_chain(kDepth);
  {
    const FewDescriptors few;
    EXPECT_GT(allocated_bytes_at(directory_.get(), "tree"), kDepth * 512U);
    remove("tree");
  }
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(TreeWalk, VisitsEverythingInDeepTree) {
  constexpr int kDepth = 300;
  make_chain(kDepth);
  int visited = 0;
  int left = 0;
  walk_tree(directory_.get(), "tree", root_ / "tree",
            {.visit =
                 [&](const TreePlace& place) {
                   ++visited;
                   return place.name != "f";
                 },
             .leave = [&](const TreePlace& place) { left += place.name != "f" ? 1 : 0; }});
  EXPECT_EQ(visited, 2 * kDepth + 1);
  EXPECT_EQ(left, kDepth + 1);
}

TEST_F(TreeWalk, FailsWithoutLeavingTreeThatIsMovedMeanwhile) {
  make_chain(40);
  make_file("other/precious");
  Fd deepest;
  const auto move_away = [&](const TreePlace& place) {
    if (place.name != "d") return place.name == "tree";
    struct stat status {};
    // At the bottom, a directory above is moved elsewhere: ".." leads there now.
    if (::fstatat(place.directory, "d/d", &status, 0) != 0 && !deepest) {
      deepest = open_at(place.directory, ".", O_RDONLY | O_DIRECTORY, 0, "here");
      fs::path way = root_ / "tree";
      for (int i = 0; i < 10; ++i) way /= "d";
      fs::rename(way, root_ / "other/moved");
    }
    return true;
  };
  EXPECT_THROW(walk_tree(directory_.get(), "tree", root_ / "tree", {.visit = move_away}), Error);
  EXPECT_TRUE(fs::exists(root_ / "other/precious"));
}

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

TEST(FreeSpace, ErrorNamesMissingSpace) {
  ASSERT_TRUE(free_space("/tmp"));
  EXPECT_NO_THROW(require_free_space("/tmp", 0));
  try {
    require_free_space("/tmp", kAll);
    ADD_FAILURE() << "there is room for all";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_TRUE(error.message().starts_with("need at least 17592186044416.0 MiB, "));
    EXPECT_NE(error.message().find(" MiB free on /tmp: "), std::string::npos);
    EXPECT_TRUE(error.message().ends_with(" MiB missing"));
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(FreeSpace, AllowsAnySizeIfFreeSpaceIsUnknown) {
  EXPECT_EQ(free_space("/proc"), std::nullopt);
  EXPECT_EQ(free_space("/does/not/exist"), std::nullopt);
  EXPECT_NO_THROW(require_free_space("/proc", kAll));
}

TEST(FreeSpace, OnlyFullDiskCountsAsOutOfSpace) {
  Error full = system_error("cannot write x", ENOSPC);
  EXPECT_TRUE(is_out_of_space(full));
  EXPECT_TRUE(is_out_of_space(full.add_context("cannot install it")));
  EXPECT_FALSE(is_out_of_space(system_error("cannot write x", EDQUOT)));
  EXPECT_FALSE(is_out_of_space(Error(ErrorCode::integrity, "No space left on device")));
  // There is enough, so that it was something else that ran out.
  EXPECT_EQ(disk_full_details("/proc", 1, 1), "");
}

}  // namespace
}  // namespace pyro

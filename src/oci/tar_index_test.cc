// Tests of the index of a tar.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "base/files.h"
#include "oci/layout_files.h"
#include "pyro/error.h"
#include "support/compress.h"
#include "support/process.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using testing::HeaderTweaks;
using testing::TarBuilder;

class Tar {
 public:
  explicit Tar(const std::string& bytes) {
    testing::write_file(path_, bytes);
    file_ = open_at(AT_FDCWD, path_.string(), O_RDONLY, 0, path_);
  }

  [[nodiscard]] TarIndex index() const { return TarIndex(file_.get(), "x.tar"); }

  [[nodiscard]] std::string content(const std::string& name) const {
    const TarIndex all = index();
    const TarIndex::Entry* const entry = all.find(name);
    if (entry == nullptr) return "(missing)";
    if (!entry->regular) return "(no file)";
    return testing::read_file(path_).substr(entry->offset, entry->size);
  }

 private:
  testing::TempDir dir_;
  std::filesystem::path path_ = dir_ / "x.tar";
  Fd file_;
};

std::string refusal(const std::string& bytes) {
  const Tar tar(bytes);
  try {
    static_cast<void>(tar.index());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.what();
  }
  return "no error";
}

TEST(TarIndex, FindsFilesByNormalizedName) {
  const Tar tar(TarBuilder()
                    .directory("./")
                    .file("./index.json", "index")
                    .directory("blobs/sha256/")
                    .file("blobs/sha256/aa", std::string(512, 'a'))
                    .file("blobs//sha256/./bb", "")
                    .file("oci-layout", "layout")
                    .finish());
  EXPECT_EQ(tar.content("index.json"), "index");
  EXPECT_EQ(tar.content("blobs/sha256/aa"), std::string(512, 'a'));
  EXPECT_EQ(tar.content("blobs/sha256/bb"), "");
  EXPECT_EQ(tar.content("oci-layout"), "layout");
  EXPECT_EQ(tar.content("blobs"), "(missing)");
  EXPECT_EQ(tar.content("./index.json"), "(missing)");
}

TEST(TarIndex, ReadsLongNamesAndExtendedSizes) {
  const std::string name = std::string(150, 'n') + "/file";
  const Tar tar(TarBuilder()
                    .gnu_long_name(name)
                    .file("cut", "gnu")
                    .pax({{"path", "of/pax"}, {"size", "3"}, {"comment", "x"}})
                    .tweak({.claimed_size = 0})
                    .file("short", "pax")
                    .pax_global({{"path", "nobody"}})
                    .tweak({.base256_size = true})
                    .file("binary", "256")
                    .tweak({.magic = testing::TarMagic::gnu})
                    .file("gnu-magic", "g")
                    .tweak({.prefix = "folder"})
                    .file("prefixed", "p")
                    .finish(10240));
  EXPECT_EQ(tar.content(name), "gnu");
  EXPECT_EQ(tar.content("of/pax"), "pax");
  EXPECT_EQ(tar.content("binary"), "256");
  EXPECT_EQ(tar.content("gnu-magic"), "g");
  EXPECT_EQ(tar.content("folder/prefixed"), "p");
}

TEST(TarIndex, MarksLinksDevicesAndSparseFilesAsNotRegular) {
  const Tar tar(TarBuilder()
                    .symlink("link", "file")
                    .hardlink("hard", "file")
                    .fifo("pipe")
                    .char_device("device")
                    .sparse(testing::SparseFormat::gnu_old, "sparse",
                            testing::sparse_file(std::string(9000, '\0') + "x"))
                    .pax({{"GNU.sparse.major", "1"}})
                    .file("pax-sparse", "x")
                    .file("file", "x")
                    .finish());
  for (const char* name : {"link", "hard", "pipe", "device", "sparse", "pax-sparse"}) {
    EXPECT_EQ(tar.content(name), "(no file)") << name;
  }
  EXPECT_EQ(tar.content("file"), "x");
}

TEST(TarIndex, ResolvesLinksWithinArchiveOnly) {
  const std::string deep = std::string(150, 'd') + "/x";
  const Tar tar(TarBuilder()
                    .symlink("a/link", "../b/./file")
                    .symlink("top", "b/file")
                    .hardlink("a/hard", "b/file")
                    .gnu_long_link(deep)
                    .symlink("gnu", "cut")
                    .pax({{"linkpath", deep}})
                    .symlink("pax", "cut")
                    .symlink("out", "../file")
                    .symlink("a/out", "../../etc/passwd")
                    .symlink("host", "/etc/passwd")
                    .symlink("up", "..")
                    .pax({{"linkpath", std::string(600, 'l')}})
                    .symlink("long", "cut")
                    .file("b/file", "x")
                    .finish());
  const TarIndex index = tar.index();
  for (const char* name : {"a/link", "top", "a/hard"}) {
    EXPECT_EQ(index.find(name)->link, "b/file") << name;
  }
  for (const char* name : {"gnu", "pax"}) EXPECT_EQ(index.find(name)->link, deep) << name;
  for (const char* name : {"out", "a/out", "host", "up", "long", "b/file"}) {
    EXPECT_EQ(index.find(name)->link, "") << name;
  }
}

TEST(TarIndex, ReadsAllFormatsOfTar) {
  const testing::TempDir dir;
  testing::write_file(dir / "in/blobs/sha256/aa", std::string(70'000, 'a'));
  testing::write_file(dir / "in/index.json", "{}");
  for (const char* format : {"gnu", "ustar", "posix", "v7"}) {
    const auto file = (dir / "x.tar").string();
    testing::run_checked({.argv = {"tar", std::string("--format=") + format, "-cf", file, "-C",
                                   (dir / "in").string(), "."}});
    const Tar tar(testing::read_file(file));
    EXPECT_EQ(tar.content("blobs/sha256/aa"), std::string(70'000, 'a')) << format;
    EXPECT_EQ(tar.content("index.json"), "{}");
  }
}

TEST(TarIndex, RejectsMalformedArchives) {
  const std::string start = "x.tar is not what it should be: ";
  const auto sound = TarBuilder().file("a", "a");
  EXPECT_EQ(refusal(""), "x.tar is empty");
  EXPECT_EQ(refusal(std::string(700, 'x')), "x.tar is not a tar archive");
  EXPECT_EQ(refusal(testing::compress(std::string(9000, 'x') + sound.finish(),
                                      testing::Compression::gzip) +
                    std::string(600, '\0')),
            "x.tar is not a tar archive, it is gzip data");
  EXPECT_EQ(refusal(TarBuilder().file("/a", "").finish()), start + "a member has an absolute name");
  for (const char* name : {"../a", "a/../b", ".."}) {
    EXPECT_EQ(refusal(TarBuilder().file(name, "").finish()),
              start + "a member has '..' in its name");
  }
  EXPECT_EQ(refusal(TarBuilder().file("a", "").file("./a", "").finish()),
            start + "'a' is in it twice");
  EXPECT_EQ(refusal(TarBuilder(sound).tweak({.wrong_checksum = true}).file("b", "").finish()),
            start + "a header in it is damaged");
  EXPECT_EQ(refusal(TarBuilder().tweak({.patches = {{124, "99999999999"}}}).file("b", "").finish()),
            start + "a header in it has no size");
  EXPECT_EQ(refusal(TarBuilder().pax_raw("5 path=x\n").file("b", "").finish()),
            start + "a pax header in it is damaged");
  EXPECT_EQ(refusal(TarBuilder().pax({{"size", "-1"}}).file("b", "").finish()),
            start + "a pax header in it is damaged");
  EXPECT_EQ(refusal(TarBuilder().pax({{"comment", std::string(70'000, 'x')}}).finish()),
            start + "a header in it is too long");
  EXPECT_EQ(refusal(sound.finish() + "x"), start + "there is something behind its end");
  EXPECT_EQ(refusal(sound.finish() + std::string(2U << 20, '\0')),
            start + "there is something behind its end");
  std::string padded = sound.finish();
  padded[512 + 5] = 'x';
  EXPECT_EQ(refusal(padded), start + "there is something between its members");
}

TEST(TarIndex, RejectsSizesBeyondEndOfFile) {
  for (const std::uint64_t size :
       {std::uint64_t{5000}, std::uint64_t{1} << 40, (std::uint64_t{1} << 62) + 3}) {
    HeaderTweaks tweaks{.claimed_size = size, .base256_size = size > 1'000'000};
    EXPECT_EQ(refusal(TarBuilder().tweak(tweaks).file("a", "a").finish()), "x.tar is cut short");
  }
  EXPECT_EQ(refusal(TarBuilder().pax({{"size", "18446744073709551615"}}).file("a", "a").finish()),
            "x.tar is cut short");
}

TEST(TarIndex, RejectsArchivesTruncatedAnywhere) {
  const std::string tar = TarBuilder().file("a", "a").file("b", std::string(600, 'b')).finish();
  for (std::size_t size = 1; size < tar.size(); size += 7) {
    EXPECT_EQ(refusal(tar.substr(0, size)), "x.tar is cut short") << size;
  }
  EXPECT_EQ(refusal(tar.substr(0, tar.size() - 1)), "x.tar is cut short");
  EXPECT_EQ(refusal(tar), "no error");
}

TEST(TarIndex, RejectsMoreThan10000Members) {
  TarBuilder builder;
  for (std::size_t i = 0; i <= TarIndex::kMaxMembers; ++i) builder.file(std::to_string(i), "");
  EXPECT_EQ(refusal(builder.finish()),
            "x.tar is not what it should be: it has more than 10000 members");
}

std::string long_name(std::size_t size, int number) {
  std::string name = std::to_string(number) + "/";
  return name + std::string(size - name.size(), 'n');
}

TEST(TarIndex, SkipsMembersWithNamesAboveLimit) {
  TarBuilder builder;
  const std::size_t kMax = TarIndex::kMaxName;
  builder.gnu_long_name(long_name(kMax, 1)).file("x", "kept");
  for (int i = 2; i < 300; ++i) builder.gnu_long_name(long_name(64'000, i)).file("x", "");
  const Tar tar(builder.finish());
  EXPECT_EQ(tar.content(long_name(kMax, 1)), "kept");
  EXPECT_EQ(tar.content(long_name(64'000, 2)), "(missing)");
}

TEST(TarIndex, RejectsNamesAbove2MiBInTotal) {
  TarBuilder builder;
  for (int i = 0; i < 5'000; ++i) {
    builder.gnu_long_name(long_name(TarIndex::kMaxName, i)).file("x", "");
  }
  EXPECT_EQ(refusal(builder.finish()),
            "x.tar is not what it should be: the names in it take more than 2 MiB");
}

}  // namespace
}  // namespace pyro

// Hashing behind a writer, against hashing the whole file.
#include "stream/verity_hasher.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/fs_verity.h"
#include "pyro/error.h"
#include "support/hash.h"

namespace pyro {
namespace {

constexpr std::size_t kMiB = 1 << 20;

Fd memory_file(const std::string& content) {
  Fd file = make_memory_file("a file");
  write_all(file.get(), content, "a file");
  return file;
}

Digest digest_of(const std::string& content) {
  FsVerity verity;
  verity.add_blocks(std::as_bytes(std::span(content)));
  return verity.finish(content.size());
}

TEST(VerityHasher, HashesWrittenBlocksAndHoles) {
  std::string content = testing::noise(9 * kMiB + 1234);
  content.replace(3 * kMiB, 2 * kMiB, 2 * kMiB, '\0');
  const Fd file = memory_file(content);
  VerityHasher hasher;
  for (int time = 0; time < 3; ++time) {
    hasher.begin(file.get(), "a file");
    hasher.written(0, kMiB);
    hasher.written(kMiB, 2 * kMiB);
    hasher.written(5 * kMiB, kMiB);
    hasher.written(6 * kMiB, content.size() - 6 * kMiB);
    EXPECT_EQ(hasher.end(content.size()), digest_of(content));
  }
}

TEST(VerityHasher, HashesFilesOfAnySize) {
  std::vector<Fd> files;
  VerityHasher hasher;
  for (const std::size_t size : {0U, 1U, 4096U, 4097U, 512U << 10U, (512U << 10U) + 1, 5U << 20U}) {
    const std::string content = testing::noise(size);
    const Fd& file = files.emplace_back(memory_file(content));
    hasher.begin(file.get(), "a file");
    hasher.written(0, size);
    EXPECT_EQ(hasher.end(size), digest_of(content)) << size;
    hasher.begin(file.get(), "a file");
    EXPECT_EQ(hasher.end(size), digest_of(std::string(size, '\0'))) << size;
  }
}

TEST(VerityHasher, HashesRewrittenAndFreedRangesAgain) {
  std::string content = testing::noise(8 * kMiB);
  for (int time = 0; time < 50; ++time) {
    const Fd file = memory_file(content);
    VerityHasher hasher;
    hasher.begin(file.get(), "a file");
    hasher.written(0, content.size());
    std::string changed = content;
    const auto overwrite = [&](std::size_t offset, const std::string& bytes) {
      changed.replace(offset, bytes.size(), bytes);
      pwrite_all(file.get(), std::as_bytes(std::span(bytes)), offset, "a file");
    };
    for (std::size_t offset = 0; offset < content.size(); offset += kMiB) {
      overwrite(offset + 17, "changed");
      hasher.written(offset + 17, 7);
      overwrite(offset + kMiB / 2, std::string(8192, '\0'));
      hasher.freed(offset + kMiB / 2, 8192);
    }
    EXPECT_EQ(hasher.end(content.size()), digest_of(changed));
  }
}

TEST(VerityHasher, DoesNotReadFreedRanges) {
  const Fd file = memory_file(std::string(kMiB, 'x'));
  VerityHasher hasher;
  hasher.begin(file.get(), "a file");
  hasher.written(0, 4 * kMiB);
  hasher.freed(kMiB, 3 * kMiB);
  EXPECT_EQ(hasher.end(4 * kMiB), digest_of(std::string(kMiB, 'x') + std::string(3 * kMiB, '\0')));
}

TEST(VerityHasher, RejectsFileShorterThanWrittenRanges) {
  const Fd file = memory_file(std::string(kMiB, 'x'));
  VerityHasher hasher;
  hasher.begin(file.get(), "vmlinux");
  hasher.written(0, 2 * kMiB);
  EXPECT_THROW(static_cast<void>(hasher.end(2 * kMiB)), Error);
}

TEST(VerityHasher, CanBeDestroyedWhileHashing) {
  const Fd file = memory_file(testing::noise(4 * kMiB));
  for (int time = 0; time < 20; ++time) {
    VerityHasher hasher;
    hasher.begin(file.get(), "a file");
    hasher.written(0, 4 * kMiB);
  }
}

}  // namespace
}  // namespace pyro

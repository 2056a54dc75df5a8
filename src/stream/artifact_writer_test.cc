// Hashing behind a writer, against hashing the whole file.
#include "stream/artifact_writer.h"

#include <gtest/gtest.h>

#include <span>
#include <string>

#include "base/files.h"
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
  VerityHasher hasher({file.get()});
  for (int time = 0; time < 3; ++time) {
    hasher.begin(0, "a file");
    hasher.written({{0, kMiB}, {kMiB, 2 * kMiB}});
    hasher.written({{5 * kMiB, kMiB}});
    hasher.written({{6 * kMiB, content.size() - 6 * kMiB}});
    hasher.end(content.size());
    EXPECT_EQ(hasher.finish().at(0), digest_of(content));
  }
}

TEST(VerityHasher, RejectsFileShorterThanWrittenRanges) {
  const Fd file = memory_file(std::string(kMiB, 'x'));
  VerityHasher hasher({file.get()});
  hasher.begin(0, "vmlinux");
  hasher.written({{0, 2 * kMiB}});
  EXPECT_THROW(hasher.end(2 * kMiB), Error);
}

TEST(VerityHasher, CanBeDestroyedWhileHashing) {
  const Fd file = memory_file(testing::noise(4 * kMiB));
  for (int time = 0; time < 20; ++time) {
    VerityHasher hasher({file.get()});
    hasher.begin(0, "a file");
    hasher.written({{0, 4 * kMiB}});
  }
}

}  // namespace
}  // namespace pyro

// Tests of tar streams.
#include "stream/tar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "pyro/error.h"
#include "support/tar_builder.h"

namespace pyro {
namespace {

using testing::TarBuilder;

// The names of its members, or why it is refused.
std::string read_in_blocks(const std::string& archive, std::size_t size) {
  std::string names;
  try {
    TarReader reader([&, at = std::size_t{0}]() mutable {
      const auto rest = std::as_bytes(std::span(archive)).subspan(at);
      const auto block = rest.first(std::min(rest.size(), size));
      at += block.size();
      return block;
    });
    while (const auto member = reader.next()) names += member->path + ";";
    reader.finish();
    return names;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.message();
  }
}

TEST(TarReader, RejectsMemberBetweenEndBlocks) {
  const std::string hidden = TarBuilder().file("vmlinux", "kernel").unfinished() +
                             std::string(512, '\0') + TarBuilder().file("hidden", "").finish();
  for (const std::size_t size : {1, 100, 256, 511, 512, 1000, 1024, 100'000}) {
    EXPECT_EQ(read_in_blocks(hidden, size), "damaged tar archive: something follows its end")
        << "in blocks of " << size;
  }
}

TEST(TarReader, ReadsBlocksOfAnySize) {
  const std::string archive = TarBuilder().file("a", "kernel").directory("b").finish();
  for (const std::size_t size : {1, 100, 511, 512, 100'000}) {
    EXPECT_EQ(read_in_blocks(archive, size), "a;b;") << "in blocks of " << size;
  }
}

}  // namespace
}  // namespace pyro

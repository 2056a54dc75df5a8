#include "machine/saved_machine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "base/fs_verity.h"

namespace pyro {
namespace {

constexpr std::size_t kPage = 4096;

Fd memory_with(const std::string& content, std::uint64_t at, std::uint64_t size) {
  Fd file = make_memory_file("a file");
  EXPECT_TRUE(set_size(file.get(), size));
  pwrite_all(file.get(), std::as_bytes(std::span(content)), at, "a file");
  return file;
}

std::uint64_t allocated_bytes(const Fd& file) {
  struct stat status {};
  EXPECT_EQ(::fstat(file.get(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST(CopyPages, ZerosBecomeHoles) {
  // More than what is read in one piece.
  const std::string content =
      std::string(600 * kPage, 'a') + std::string(64 * kPage, '\0') + std::string(kPage, 'b');
  const Fd from = memory_with(content, 0, 1000 * kPage);
  const Fd to = make_memory_file("a file");
  const std::uint64_t checksum = copy_pages(from.get(), to.get(), "a file", {});
  EXPECT_EQ(allocated_bytes(to), 601 * kPage);
  std::string copied(content.size(), 'x');
  EXPECT_EQ(pread_full(to.get(), std::as_writable_bytes(std::span(copied)), 0, "a file"),
            copied.size());
  EXPECT_EQ(copied, content);
  EXPECT_EQ(checksum_of_pages(from.get(), "a file"), checksum) << "whatever is a hole";
  EXPECT_EQ(checksum_of_pages(memory_with(content.substr(0, 600 * kPage), 0, 1000 * kPage).get(),
                              "a file"),
            checksum_of_pages(memory_with(content.substr(0, 600 * kPage), 0, 600 * kPage).get(),
                              "a file"));
  EXPECT_EQ(checksum_of_pages(to.get(), "a file"), checksum);
}

TEST(CopyPages, ChecksumTellsPlaceAndContent) {
  const auto checksum = [](const std::string& content, std::uint64_t at) {
    return checksum_of_pages(memory_with(content, at, 8 * kPage).get(), "a file");
  };
  const std::uint64_t first = checksum("a", 0);
  EXPECT_EQ(first, checksum("a", 0));
  EXPECT_NE(first, checksum("b", 0));
  EXPECT_NE(first, checksum("a", kPage));
}

}  // namespace
}  // namespace pyro

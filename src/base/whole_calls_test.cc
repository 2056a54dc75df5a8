// Tests of system calls that do all of what they are asked for.
#include "base/whole_calls.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "base/files.h"

namespace pyro {
namespace {

TEST(WholeCalls, AreMadeAgainWhenInterrupted) {
  int calls = 0;
  const int result = uninterrupted([&] {
    errno = EINTR;
    return ++calls < 3 ? -1 : 7;
  });
  EXPECT_EQ(result, 7);
  EXPECT_EQ(calls, 3);
}

TEST(WholeCalls, AreNotMadeAgainWhenTheyFail) {
  int calls = 0;
  const int result = uninterrupted([&] {
    ++calls;
    errno = EIO;
    return -1;
  });
  EXPECT_EQ(result, -1);
  EXPECT_EQ(calls, 1);
}

TEST(WholeCalls, SetSize) {
  const Fd file = make_memory_file("a file");
  ASSERT_TRUE(set_size(file.get(), 5000));
  struct stat status {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_size, 5000);
  EXPECT_FALSE(set_size(-1, 0));
  EXPECT_EQ(errno, EBADF);
}

TEST(WholeCalls, RefuseFileThatEndsBefore) {
  const Fd file = make_memory_file("a file");
  write_all(file.get(), "content", "a file");
  std::array<char, 4> bytes{};
  pread_all(file.get(), std::as_writable_bytes(std::span(bytes)), 3, "a file");
  EXPECT_EQ(std::string_view(bytes.data(), bytes.size()), "tent");
  try {
    pread_all(file.get(), std::as_writable_bytes(std::span(bytes)), 4, "a file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.message(), "a file changes while it is read");
  }
}

}  // namespace
}  // namespace pyro

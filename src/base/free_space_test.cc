// Tests of how much room there is.
#include "base/free_space.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/files.h"

namespace pyro {
namespace {

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

TEST(FreeSpace, WhatIsMissingIsTold) {
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

TEST(FreeSpace, NobodyIsRefusedWhereItIsNotKnown) {
  EXPECT_EQ(free_space("/proc"), std::nullopt);
  EXPECT_EQ(free_space("/does/not/exist"), std::nullopt);
  EXPECT_NO_THROW(require_free_space("/proc", kAll));
}

TEST(FreeSpace, ItsLackIsToldFromOtherFailures) {
  Error full = system_error("cannot write x", ENOSPC);
  EXPECT_TRUE(is_out_of_space(full));
  EXPECT_TRUE(is_out_of_space(full.add_context("cannot install it")));
  EXPECT_FALSE(is_out_of_space(system_error("cannot write x", EDQUOT)));
  EXPECT_FALSE(is_out_of_space(Error(ErrorCode::integrity, "No space left on device")));
  // There is enough, so that it was something else that ran out.
  EXPECT_EQ(explain_lack_of_space("/proc", 1, 1), "");
}

}  // namespace
}  // namespace pyro

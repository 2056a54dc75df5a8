// Tests of errors.
#include "base/errors.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace pyro {
namespace {

template <typename Thrown>
Error caught(const Thrown& thrown) {
  try {
    throw thrown;
  } catch (...) {
    return caught_error();
  }
}

TEST(CaughtError, KeepsCodeContextAndHintOfError) {
  Error thrown(ErrorCode::busy, "held", "wait");
  thrown.add_context("cannot lock");
  const Error error = caught(thrown);
  EXPECT_EQ(error.code(), ErrorCode::busy);
  EXPECT_STREQ(error.what(), "cannot lock: held");
  EXPECT_EQ(error.hint(), "wait");
}

TEST(CaughtError, ConvertsOtherExceptions) {
  EXPECT_STREQ(caught(std::bad_alloc()).what(), "out of memory");
  EXPECT_STREQ(caught(std::runtime_error("why")).what(), "unexpected failure: why");
  EXPECT_STREQ(caught(1).what(), "unexpected failure");
  EXPECT_EQ(caught(1).code(), ErrorCode::failed);
}

}  // namespace
}  // namespace pyro

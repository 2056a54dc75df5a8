// Tests of the variables that the command in a guest is to have.
#include "cli/guest_variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pyro/error.h"
#include "support/temp_dir.h"

namespace pyro::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Variables kOurs = [](const char* name) -> std::optional<std::string> {
  return std::string_view(name) == "OURS" ? std::optional<std::string>("here=x") : std::nullopt;
};

template <typename Function>
std::string failure(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(GuestVariables, AreGivenOrOurs) {
  GuestVariables variables;
  for (const char* const text : {"A=1=2", "OURS", "NONE", "B="}) variables.add(text);
  EXPECT_THAT(variables.with_values_of(kOurs), ElementsAre("A=1=2", "OURS=here=x", "B="));
}

TEST(GuestVariables, OfAFileComeBeforeThoseThatAreGiven) {
  const testing::TempDir dir;
  testing::write_file(dir / "file", "# a comment\n\nA=of the file  \nOURS\nQ=\"as it stands\"");
  GuestVariables variables;
  variables.add("A=given");
  variables.add_file((dir / "file").string());
  EXPECT_THAT(variables.with_values_of(kOurs),
              ElementsAre("A=of the file  ", "OURS=here=x", "Q=\"as it stands\"", "A=given"));
}

TEST(GuestVariables, WhatIsNoneIsRefused) {
  GuestVariables variables;
  for (const char* const text : {"", "=x", "="}) {
    EXPECT_THAT(failure([&] { variables.add(text); }), HasSubstr("--env")) << text;
  }
  const testing::TempDir dir;
  testing::write_file(dir / "file", "A=1\n\n=2\n");
  EXPECT_THAT(failure([&] { variables.add_file((dir / "file").string()); }),
              HasSubstr("file, line 3: not of the form"));
  EXPECT_THAT(failure([&] { variables.add_file((dir / "no").string()); }),
              HasSubstr("No such file"));
  EXPECT_THAT(failure([&] { variables.add_file(dir.path().string()); }),
              HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace pyro::cli

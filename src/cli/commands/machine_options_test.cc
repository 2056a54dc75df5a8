// Tests of variables and captured output, which all commands that boot machines share.
#include "cli/commands/machine_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

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

TEST(GuestVariables, TakesValuesFromOptionOrHost) {
  GuestVariables variables;
  for (const char* const text : {"A=1=2", "OURS", "NONE", "B="}) variables.add(text);
  EXPECT_THAT(variables.with_values_of(kOurs), ElementsAre("A=1=2", "OURS=here=x", "B="));
}

TEST(GuestVariables, FileVariablesPrecedeOptions) {
  const testing::TempDir dir;
  testing::write_file(dir / "file", "# a comment\n\nA=of the file  \nOURS\nQ=\"as it stands\"");
  GuestVariables variables;
  variables.add("A=given");
  variables.add_file((dir / "file").string());
  EXPECT_THAT(variables.with_values_of(kOurs),
              ElementsAre("A=of the file  ", "OURS=here=x", "Q=\"as it stands\"", "A=given"));
}

struct EnvFileLine {
  const char* name;
  std::string_view line;
  const char* variable;  ///< Or the error, if the line is rejected.
  bool is_refused = false;
};

class EnvFileLineTest : public ::testing::TestWithParam<EnvFileLine> {};

TEST_P(EnvFileLineTest, IsParsedOrRejected) {
  const testing::TempDir dir;
  testing::write_file(dir / "file", GetParam().line);
  GuestVariables variables;
  const std::string failed = failure([&] { variables.add_file((dir / "file").string()); });
  if (GetParam().is_refused)
    EXPECT_THAT(failed, HasSubstr(GetParam().variable));
  else
    EXPECT_THAT(variables.with_values_of(kOurs), ElementsAre(GetParam().variable)) << failed;
}

INSTANTIATE_TEST_SUITE_P(
    Lines, EnvFileLineTest,
    ::testing::Values(
        EnvFileLine{"LeadingBlanks", " \t A=1\n", "A=1"},
        EnvFileLine{"LeadingBlanksOfAComment", "A=1\n  # comment\n", "A=1"},
        EnvFileLine{"LineOfBlanks", "A=1\n \t\n\r\n", "A=1"},
        EnvFileLine{"CarriageReturn", "A=1\r\n", "A=1"},
        EnvFileLine{"ByteOrderMark",
                    "\xef\xbb\xbf"
                    "A=1\n",
                    "A=1"},
        EnvFileLine{"BlanksBehindABareName", "OURS \r\n", "OURS=here=x"},
        EnvFileLine{"BlanksInAValue", "A= 1 2 \n", "A= 1 2 "},
        EnvFileLine{"MarkInAValue", "A=\xef\xbb\xbf\n", "A=\xef\xbb\xbf"},
        EnvFileLine{"Export", "A=1\nexport D=4\n", "line 2: a name has no blanks", true},
        EnvFileLine{"BlankBehindTheName", "A =1\n", "line 1: a name has no blanks", true},
        EnvFileLine{"TwoBareNames", "A B\n", "line 1: a name has no blanks", true},
        EnvFileLine{"Nul", std::string_view("A=1\0B=2\n", 8), "line 1: a variable has no NUL",
                    true}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(GuestVariables, RejectsInvalidVariablesAndFiles) {
  GuestVariables variables;
  for (const char* const text : {"", "=x", "=", "A B=x", " A=x", "A\t"}) {
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

Json document_of(const std::string& said, std::uint64_t zeros_before = 0) {
  const Capture capture;
  ::ftruncate(capture.descriptor(), static_cast<off_t>(zeros_before));
  ::lseek(capture.descriptor(), 0, SEEK_END);
  write_all(capture.descriptor(), said, "a test");
  Json document;
  capture.add_to(document, "stdout");
  return document;
}

TEST(Capture, StoresUtf8AsText) {
  EXPECT_EQ(document_of("a\n\xc3\xa4").dump(), "{\"stdout\":\"a\\n\xc3\xa4\"}");
  EXPECT_EQ(document_of("").dump(), R"({"stdout":""})");
}

TEST(Capture, StoresOtherBytesAsBase64) {
  EXPECT_EQ(document_of("\xff").dump(), R"({"stdout_base64":"/w=="})");
  EXPECT_EQ(document_of("a\xc3").dump(), R"({"stdout_base64":"YcM="})") << "nothing was cut";
}

TEST(Capture, TruncatesBeforeIncompleteCharacter) {
  const Json document = document_of("\xe2\x82\xac", Capture::kMaxBytes - 2);
  EXPECT_EQ(document["stdout_truncated"], true);
  EXPECT_EQ(document["stdout"].get_ref<const std::string&>().size(), Capture::kMaxBytes - 2);
}

TEST(Capture, KeepsOutputOfMaximalSize) {
  const Json document = document_of("\xe2\x82\xac", Capture::kMaxBytes - 3);
  EXPECT_FALSE(document.contains("stdout_truncated"));
  EXPECT_EQ(document["stdout"].get_ref<const std::string&>().size(), Capture::kMaxBytes);
}

}  // namespace
}  // namespace pyro::cli

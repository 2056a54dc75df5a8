// Tests of what a command says, as a document has it.
#include "cli/capture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace pyro::cli {
namespace {

Json document_of(const std::string& said, std::uint64_t zeros_before = 0) {
  const Capture capture;
  ::ftruncate(capture.descriptor(), static_cast<off_t>(zeros_before));
  ::lseek(capture.descriptor(), 0, SEEK_END);
  write_all(capture.descriptor(), said, "a test");
  Json document;
  capture.add_to(document, "stdout");
  return document;
}

TEST(Capture, TextIsText) {
  EXPECT_EQ(document_of("a\n\xc3\xa4").dump(), "{\"stdout\":\"a\\n\xc3\xa4\"}");
  EXPECT_EQ(document_of("").dump(), R"({"stdout":""})");
}

TEST(Capture, BytesAreBase64) {
  EXPECT_EQ(document_of("\xff").dump(), R"({"stdout_base64":"/w=="})");
  EXPECT_EQ(document_of("a\xc3").dump(), R"({"stdout_base64":"YcM="})") << "nothing was cut";
}

TEST(Capture, WhatIsCutInTheMiddleOfACharacterIsText) {
  const Json document = document_of("\xe2\x82\xac", Capture::kMost - 2);
  EXPECT_EQ(document["stdout_truncated"], true);
  EXPECT_EQ(document["stdout"].get_ref<const std::string&>().size(), Capture::kMost - 2);
}

TEST(Capture, WhatFitsIsNotCut) {
  const Json document = document_of("\xe2\x82\xac", Capture::kMost - 3);
  EXPECT_FALSE(document.contains("stdout_truncated"));
  EXPECT_EQ(document["stdout"].get_ref<const std::string&>().size(), Capture::kMost);
}

}  // namespace
}  // namespace pyro::cli

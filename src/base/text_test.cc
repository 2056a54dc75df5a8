// Tests of text in protocols.
#include "base/text.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(Base64Test, EncodesAndDecodesRfc4648Vectors) {
  // RFC 4648 section 10, and bytes that need the last two letters of the alphabet.
  const struct {
    std::string bytes;
    std::string text;
  } cases[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foobar", "Zm9vYmFy"},
               {"\xfb\xff", "+/8="},
               {"u:p:w", "dTpwOnc="}};
  for (const auto& c : cases) {
    EXPECT_EQ(base64_encode(c.bytes), c.text);
    EXPECT_EQ(base64_decode(c.text), c.bytes);
  }
}

TEST(Base64Test, AcceptsMissingPaddingAndRejectsInvalidText) {
  EXPECT_EQ(base64_decode("Zg"), "f");
  for (const char* text : {"Z", "Zg=", "Zg===", "Z g=", "Zm9v\n", "-_8=", "====", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(InQuotesTest, CutsAt400BytesAndAtZeroByte) {
  EXPECT_EQ(in_quotes("a name"), "'a name'");
  EXPECT_EQ(in_quotes(""), "''");
  EXPECT_EQ(in_quotes(std::string(400, 'x')), "'" + std::string(400, 'x') + "'");
  EXPECT_EQ(in_quotes(std::string(401, 'x')), "'" + std::string(400, 'x') + "...'");
  EXPECT_EQ(in_quotes(std::string_view("a\0b", 3)), "'a...'");
}

}  // namespace
}  // namespace pyro

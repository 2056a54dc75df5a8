// Tests of the grammar of challenges.
#include "oci/challenge.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

std::string render(const std::vector<Challenge>& challenges) {
  std::string text;
  for (const Challenge& challenge : challenges) {
    text += "[" + challenge.scheme;
    if (!challenge.token68.empty()) text += " " + challenge.token68;
    for (const auto& [name, value] : challenge.parameters) text += " " + name + "=<" + value + ">";
    text += "]";
  }
  return text;
}

TEST(ChallengeTest, ParsesChallengeGrammar) {
  const struct {
    std::string field;
    const char* challenges;
  } cases[] = {
      {R"(Bearer realm="https://h/token",service="h",scope="repository:a/b:pull")",
       "[bearer realm=<https://h/token> scope=<repository:a/b:pull> service=<h>]"},
      {R"(bearer REALM = "x" , Scope="repository:a:pull,push repository:b:pull")",
       "[bearer realm=<x> scope=<repository:a:pull,push repository:b:pull>]"},
      {R"(Basic realm="x")", "[basic realm=<x>]"},
      {R"(Basic realm=x)", "[basic realm=<x>]"},
      {"Negotiate", "[negotiate]"},
      {"Negotiate YWJj==, Basic realm=\"x\"", "[negotiate YWJj==][basic realm=<x>]"},
      {"Negotiate, Bearer realm=\"x\", Basic", "[negotiate][bearer realm=<x>][basic]"},
      {R"(Bearer realm="a",scope="b", Basic realm="c",charset="UTF-8")",
       "[bearer realm=<a> scope=<b>][basic charset=<UTF-8> realm=<c>]"},
      {R"(Bearer realm="a\"b\\c\q,d=e")", R"([bearer realm=<a"b\cq,d=e>])"},
      {R"(Bearer realm="",scope="")", "[bearer realm=<> scope=<>]"},
      {R"(Bearer realm="x",service=,a=b)", "[bearer a=<b> realm=<x> service=<>]"},
      {R"(,, Bearer ,realm="x",, ,scope=y,)", "[bearer realm=<x> scope=<y>]"},
      {"Bearer\trealm=\"x\"", ""},
      {"", ""},
      {" , ,", ""},
  };
  for (const auto& c : cases)
    EXPECT_EQ(render(parse_challenges({c.field})), c.challenges) << c.field;
}

TEST(ChallengeTest, SkipsMalformedChallenges) {
  const struct {
    std::string field;
    const char* challenges;
  } cases[] = {
      {R"(Bearer realm="x)", ""},
      {R"(Bearer realm="x\)", ""},
      {R"(Bearer realm="x" scope="y")", ""},
      {R"(Bearer realm="x",realm="y")", ""},
      {R"(Bearer realm=a b)", ""},
      {R"(Basic realm="x", Bearer realm="y)", "[basic realm=<x>]"},
      {R"("Bearer" realm="x")", ""},
      {R"(=x)", ""},
      {"Bearer realm=\"x\", \x01", ""},
  };
  for (const auto& c : cases)
    EXPECT_EQ(render(parse_challenges({c.field})), c.challenges) << c.field;
}

TEST(ChallengeTest, ParsesAllFields) {
  EXPECT_EQ(render(parse_challenges({"Negotiate", "Bearer realm=\"", R"(Basic realm="x")"})),
            "[negotiate][basic realm=<x>]");
}

TEST(ChallengeTest, ParsesVeryLongFields) {
  EXPECT_EQ(parse_challenges({std::string(200'000, ',')}).size(), 0U);
  std::string many;
  for (int i = 0; i < 50'000; ++i) many += "a,";
  EXPECT_EQ(parse_challenges({many}).size(), 50'000U);
}

}  // namespace
}  // namespace pyro

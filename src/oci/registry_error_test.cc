// Tests of error responses and challenges of a registry.
#include "oci/registry_error.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

HttpResponse response(int status, const std::string& body, const char* type = "application/json") {
  HttpResponse result{status, {}, body, "https://user:pw@r.example/v2/a?sig=secret"};
  result.headers.add("Content-Type", type);
  return result;
}

TEST(RegistryErrorTest, ShowsCodesAndMessagesOfRegistry) {
  const struct {
    const char* body;
    const char* shown;
  } cases[] = {
      {R"({"errors": [{"code": "DENIED", "message": "no access", "detail": {}}]})",
       "403 DENIED: no access"},
      {R"({"errors": [{"code": "A"}, {"message": "b"}, 1, {}]})", "403 A; b"},
      {R"({"errors": [{"code": 1, "message": null}]})", "403"},
      {R"({"errors": {}})", "403"},
      {R"({"details": "rate limited"})", "403 rate limited"},
      {R"([])", "403"},
      {"Forbidden", "403"},
      {"", "403"},
  };
  for (const auto& c : cases) EXPECT_EQ(describe_answer(response(403, c.body)), c.shown) << c.body;
  EXPECT_EQ(describe_answer(response(403, "<html>", "text/html; charset=utf-8")),
            "403 with a web page");
}

TEST(RegistryErrorTest, ShowsAtMost8KiB) {
  const std::string body =
      R"({"errors": [{"code": "A", "message": ")" + std::string(20'000, 'x') + R"("}]})";
  EXPECT_EQ(describe_answer(response(403, body)).size(), 4U + 8192U);
}

TEST(RegistryErrorTest, NamesUrlWithoutSecrets) {
  const Error error = registry_refusal("the registry", response(429, ""));
  EXPECT_EQ(error.code(), ErrorCode::network);
  EXPECT_STREQ(error.what(),
               "the registry answered 429: the request was for https://r.example/v2/a");
  EXPECT_EQ(error.hint(), "it limits how often it answers: wait, or log in for a higher limit");
}

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

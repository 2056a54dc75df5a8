// Tests of error responses of a registry.
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

}  // namespace

}  // namespace pyro

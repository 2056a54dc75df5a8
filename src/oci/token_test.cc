#include "oci/token.h"

#include <gtest/gtest.h>

#include "net/fake_http_client.h"

namespace pyro {
namespace {

const std::string kRealm = "https://auth.example/token";

/// The token, or the error's text.
std::string token_from(const std::string& body, int status = 200) {
  FakeHttpClient http;
  http.on(kRealm, {.status = status, .body = body});
  try {
    return fetch_token(http, {.realm = *Url::parse(kRealm)});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
    EXPECT_EQ(error.message(), "cannot get a token from auth.example");
    return error.causes().at(0);
  }
}

TEST(TokenTest, AsksForEachScopeAndKeepsTheRealmsQuery) {
  const struct {
    const char* realm;
    const char* service;
    const char* scope;
    const char* url;
  } cases[] = {
      {"https://h/t", "", "", "https://h/t"},
      {"https://h", "r.example", "", "https://h/?service=r.example"},
      {"https://h/t?a=b", "s", "repository:a/b:pull",
       "https://h/t?a=b&service=s&scope=repository%3Aa%2Fb%3Apull"},
      {"https://h/t", "", " x:1  y:2,3 ", "https://h/t?scope=x%3A1&scope=y%3A2%2C3"},
      {"https://h/t", "a&b=c d", "aws", "https://h/t?service=a%26b%3Dc%20d&scope=aws"},
  };
  for (const auto& c : cases) {
    const TokenRequest request{
        .realm = *Url::parse(c.realm), .service = c.service, .scope = c.scope};
    EXPECT_EQ(token_url(request), c.url);
  }
}

TEST(TokenTest, FindsTheTokenUnderBothNames) {
  EXPECT_EQ(token_from(R"({"token": "a.b-c_d~e+f/g="})"), "a.b-c_d~e+f/g=");
  EXPECT_EQ(token_from(R"({"access_token": "x", "expires_in": 60})"), "x");
  EXPECT_EQ(token_from(R"({"token": "x", "access_token": "y"})"), "x");
  EXPECT_EQ(token_from(R"({"token": "", "access_token": "y"})"), "y");
  EXPECT_EQ(token_from(R"({"token": null, "access_token": "y"})"), "y");
}

TEST(TokenTest, RefusesAnswersWithoutAUsableToken) {
  for (const char* body : {"{}", "[]", "\"x\"", R"({"token": 1})", R"({"token": ""})"}) {
    EXPECT_EQ(token_from(body), "the answer has no token") << body;
  }
  for (const char* body :
       {R"({"token": "a\r\nX: y"})", R"({"token": "a\u0000b"})", R"({"token": "a b"})",
        R"({"token": "\u00e9"})", R"({"token": "\u007f"})"}) {
    EXPECT_EQ(token_from(body), "the token has characters that no token may have") << body;
  }
  EXPECT_TRUE(token_from("").starts_with("line 1, column 1: not valid JSON"));
  EXPECT_TRUE(token_from("", 204).starts_with("line 1, column 1: not valid JSON"));
  EXPECT_EQ(token_from(R"({"details": "incorrect username or password"})", 401),
            "it answered 401 incorrect username or password");
  EXPECT_EQ(token_from(R"({"token": ")" + std::string(128 << 10, 'a') + R"("})"),
            "the answer is longer than 131072 bytes");
}

TEST(TokenTest, SendsCredentialsToTheRealmButNotOn) {
  FakeHttpClient http;
  http.on(kRealm, {.status = 307, .headers = {{"Location", "https://other/t"}}})
      .on("https://other/t", {.body = R"({"token": "x"})"});
  EXPECT_EQ(fetch_token(http, {.realm = *Url::parse(kRealm), .credentials = Credentials{"u", "p"}}),
            "x");
  EXPECT_EQ(http.requests.at(0).headers.get("Authorization"), "Basic dTpw");
  EXPECT_FALSE(http.requests.at(1).headers.get("Authorization"));
}

TokenRequest with_identity() {
  return {.realm = *Url::parse(kRealm),
          .service = "s",
          .scope = " x:1  y:2 ",
          .credentials = Credentials{.identity_token = "secret&="}};
}

TEST(TokenTest, AWebPageIsNoToken) {
  for (const auto& credentials : {std::optional<Credentials>(), with_identity().credentials}) {
    FakeHttpClient http;
    http.on(kRealm, {.headers = {{"Content-Type", "text/html; charset=utf-8"}}, .body = "<html>"});
    try {
      static_cast<void>(
          fetch_token(http, {.realm = *Url::parse(kRealm), .credentials = credentials}));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::network);
      EXPECT_NE(std::string(error.what()).find("not as a token server"), std::string::npos);
    }
  }
}

TEST(TokenTest, AnIdentityTokenGoesIntoAForm) {
  EXPECT_EQ(token_form(with_identity()),
            "grant_type=refresh_token&service=s&client_id=pyro&scope=x%3A1%20y%3A2"
            "&refresh_token=secret%26%3D");
  FakeHttpClient http;
  http.on(kRealm, {.body = R"({"access_token": "x"})"});
  EXPECT_EQ(fetch_token(http, with_identity()), "x");
  EXPECT_EQ(http.requests.at(0).form, token_form(with_identity()));
}

TEST(TokenTest, AnIdentityTokenIsSentOnceAndNowhereElse) {
  const struct {
    FakeHttpClient::Answer answer;
    const char* cause;
    bool refused;
  } cases[] = {
      {{.status = 307, .headers = {{"Location", kRealm}}},
       "auth.example redirects what is for itself alone",
       false},
      {{.status = 303, .headers = {{"Location", "https://other/t"}}},
       "auth.example redirects what is for itself alone",
       false},
      {{.status = 400}, "it answered 400", true},
      {{.status = 401}, "it answered 401", true},
      {{.status = 404}, "it answered 404", false},
      {{.broken = true}, "the connection broke", false},
  };
  for (const auto& c : cases) {
    FakeHttpClient http;
    http.on(kRealm, c.answer);
    try {
      static_cast<void>(fetch_token(http, with_identity()));
      ADD_FAILURE() << c.cause;
    } catch (const TransientError&) {
      ADD_FAILURE() << "would be tried again: " << c.cause;
    } catch (const Error& error) {
      EXPECT_EQ(error.causes().at(0), c.cause);
      EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
      EXPECT_EQ(dynamic_cast<const LoginRefused*>(&error) != nullptr, c.refused) << c.cause;
    }
    EXPECT_EQ(http.requests.size(), 1U);
  }
}

}  // namespace
}  // namespace pyro

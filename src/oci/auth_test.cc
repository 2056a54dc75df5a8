// Authentication at one registry: realms, tokens, credentials.
#include "oci/auth.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "support/fake_http_client.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

const std::string kScope = "scope=repository%3Ateam%2Fenv%3Apull";

class AuthTest : public ::testing::Test {
 protected:
  AuthTest() {
    std::string name = (fs::temp_directory_path() / "pyro-auth-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~AuthTest() override { fs::remove_all(directory_); }

  /// "user:password" for `registry`.
  void log_in(const std::string& registry) {
    keep("{\"" + registry + R"(": {"username": "user", "password": "password"}})");
  }

  void keep(const std::string& auths) {
    const fs::path file = directory_ / "config.json";
    std::ofstream(file) << R"({"auths": )" << auths << "}";
    fs::permissions(file, fs::perms(0600));
    options_.credential_files = {file};
  }

  /// The Authorization field that answers `challenge`, or the error.
  std::string answer(const std::string& challenge, const std::string& registry = "r.example",
                     const std::string& scheme = "https") {
    Authenticator auth(http_, {registry, "team/env"}, options_,
                       credential_sources(options_, {}, [this](std::string_view text) {
                         warnings_.emplace_back(text);
                       }));
    HttpResponse response{401, {}, {}};
    if (!challenge.empty()) response.headers.add("WWW-Authenticate", challenge);
    try {
      auth.respond_to_challenge(response, *Url::parse(scheme + "://" + registry));
    } catch (const Error& error) {
      hint_ = error.hint();
      return error.what();
    }
    HttpRequest request;
    auth.add_authorization(request);
    return request.headers.get("Authorization").value_or("nothing");
  }

  void serve_token(const std::string& url) { http_.on(url, {.body = R"({"token": "T"})"}); }

  std::optional<std::string> sent(std::size_t request) const {
    return http_.requests.at(request).headers.get("Authorization");
  }

  fs::path directory_;
  NetworkOptions options_;
  FakeHttpClient http_;
  std::string hint_;
  std::vector<std::string> warnings_;
};

constexpr const char* kUser = "Basic dXNlcjpwYXNzd29yZA==";

TEST(RealmTest, AllowsCredentialsForOwnKnownAndTrustedHosts) {
  const struct {
    const char* registry;
    const char* realm;
    std::vector<std::string> trusted;
    bool allowed;
  } cases[] = {
      {"https://r.example", "https://r.example/token", {}, true},
      {"https://r.example:5000", "https://r.example:5001/token", {}, true},
      {"https://r.example", "https://auth.r.example/token", {}, false},
      {"https://r.example", "https://evil.test/token", {}, false},
      {"https://r.example", "http://r.example/token", {}, false},
      {"http://localhost:5000", "https://localhost:5001/token", {}, false},
      {"https://registry-1.docker.io", "https://auth.docker.io/token", {}, true},
      {"https://registry.gitlab.com", "https://gitlab.com/jwt/auth", {}, true},
      {"https://ghcr.io", "https://ghcr.io/token", {}, true},
      {"https://quay.io", "https://quay.io/v2/auth", {}, true},
      {"https://r.example", "https://auth.docker.io/token", {}, false},
      {"https://auth.docker.io", "https://registry-1.docker.io/", {}, false},
      {"https://r.example", "https://auth.test/token", {"Auth.Test"}, true},
      {"https://r.example", "https://auth.test:99/token", {"auth.test:99"}, true},
      {"https://r.example", "https://sub.auth.test/token", {"auth.test"}, false},
      {"https://r.example", "http://auth.test/token", {"auth.test"}, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(may_receive_credentials(*Url::parse(c.realm), *Url::parse(c.registry), c.trusted),
              c.allowed)
        << c.registry << " " << c.realm;
  }
}

TEST_F(AuthTest, FetchesAnonymousTokenFromAnyTlsRealm) {
  serve_token("https://auth.test/t?service=s&" + kScope);
  EXPECT_EQ(answer(R"(Bearer realm="https://auth.test/t",service="s",scope="x")"), "Bearer T");
  EXPECT_FALSE(sent(0));
}

TEST_F(AuthTest, RequestsPullScopeOfRepositoryForAnyChallenge) {
  serve_token("https://auth.test/t?" + kScope);
  for (const char* scope : {"", R"(,scope="")", R"(,scope="repository:team/env:pull,push")",
                            R"(,scope="repository:other/private:pull registry:catalog:*")"}) {
    EXPECT_EQ(answer(R"(bearer realm="https://auth.test/t")" + std::string(scope)), "Bearer T");
  }
}

TEST_F(AuthTest, SendsCredentialsToRealmOnRegistryHost) {
  log_in("r.example");
  serve_token("https://r.example:99/t?" + kScope);
  EXPECT_EQ(answer(R"(Bearer realm="https://r.example:99/t",scope="x")"), "Bearer T");
  EXPECT_EQ(sent(0), kUser);
}

TEST_F(AuthTest, RejectsRealmOnAnotherHostUnlessTrusted) {
  log_in("r.example");
  EXPECT_EQ(answer(R"(Bearer realm="https://evil.test/t",scope="x")"),
            "the registry r.example wants its credentials to be sent to evil.test");
  EXPECT_EQ(hint_, "if you trust that host with them, add --trust-realm evil.test");
  EXPECT_TRUE(http_.requests.empty());

  options_.trusted_realms = {"evil.test"};
  serve_token("https://evil.test/t?" + kScope);
  EXPECT_EQ(answer(R"(Bearer realm="https://evil.test/t",scope="x")"), "Bearer T");
  EXPECT_EQ(sent(0), kUser);
}

TEST_F(AuthTest, DoesNotSendCredentialsOfAnotherHost) {
  log_in("other.example");
  serve_token("https://evil.test/t?" + kScope);
  EXPECT_EQ(answer(R"(Bearer realm="https://evil.test/t",scope="x")"), "Bearer T");
  EXPECT_FALSE(sent(0));
}

TEST_F(AuthTest, RejectsInvalidRealmsWithoutRequest) {
  const struct {
    const char* realm;
    const char* message;
  } cases[] = {
      {"", "the registry names a token server that is not a URL"},
      {"/token", "the registry names a token server that is not a URL"},
      {"file:///etc/shadow", "the registry names a token server that is not a URL"},
      {"http://r.example/t", "the registry names a token server without TLS, r.example"},
      {"http://localhost/t", "the registry names a token server without TLS, localhost"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(answer(std::string("Bearer realm=\"") + c.realm + "\""), c.message) << c.realm;
  }
  EXPECT_TRUE(http_.requests.empty());
}

TEST_F(AuthTest, BasicChallengeNeedsCredentialsOfRegistry) {
  EXPECT_EQ(answer("Basic realm=\"x\""), "the registry asks for a login");
  EXPECT_EQ(hint_,
            "no file with credentials was found; `pyro registry login r.example` stores some");
  log_in("other.example");
  EXPECT_EQ(answer("Basic realm=\"x\""), "the registry asks for a login");
  EXPECT_EQ(hint_, "there are no credentials for r.example in " +
                       options_.credential_files[0].string() +
                       "; `pyro registry login r.example` stores some");
  log_in("r.example");
  EXPECT_EQ(answer("Basic realm=\"x\""), kUser);
}

TEST_F(AuthTest, PrefersBearerOverBasic) {
  log_in("r.example");
  serve_token("https://r.example/t?" + kScope);
  EXPECT_EQ(answer(R"(Negotiate, Basic realm="b", Bearer realm="https://r.example/t",scope="x")"),
            "Bearer T");
}

TEST_F(AuthTest, SendsNoCredentialsOverPlainHttp) {
  log_in("localhost:5000");
  serve_token("http://localhost:5001/t?" + kScope);
  serve_token("https://auth.test/t?" + kScope);
  EXPECT_EQ(answer(R"(Bearer realm="http://localhost:5001/t",scope="x")", "localhost:5000", "http"),
            "Bearer T");
  EXPECT_EQ(answer(R"(Bearer realm="https://auth.test/t",scope="x")", "localhost:5000", "http"),
            "Bearer T");
  EXPECT_FALSE(sent(0));
  EXPECT_FALSE(sent(1));
  EXPECT_EQ(answer(R"(Bearer realm="http://auth.test/t",scope="x")", "localhost:5000", "http"),
            "the registry names a token server without TLS, auth.test");
  EXPECT_EQ(answer("Basic realm=\"x\"", "localhost:5000", "http"),
            "the registry asks for a password over plain http, where none is ever sent");
}

TEST_F(AuthTest, RejectsMissingAndUnsupportedChallenges) {
  EXPECT_EQ(answer(""), "the registry answered 401 without saying how to log in");
  EXPECT_EQ(answer("Bearer realm=\"unterminated"),
            "the registry answered 401 without saying how to log in");
  EXPECT_EQ(answer("Negotiate, NTLM"),
            "the registry offers no supported way to log in: negotiate ntlm");
}

TEST_F(AuthTest, TokenServer401AsksForLogin) {
  http_.on("https://auth.test/t?" + kScope, {.status = 401});
  EXPECT_EQ(answer(R"(Bearer realm="https://auth.test/t",scope="x")"),
            "login needed, or there is no team/env in r.example: "
            "cannot get a token from auth.test: it answered 401");
  EXPECT_EQ(hint_,
            "no file with credentials was found; `pyro registry login r.example` stores some");
}

TEST_F(AuthTest, TokenServer500DoesNotAskForLogin) {
  http_.on("https://auth.test/t?" + kScope, {.status = 500});
  EXPECT_EQ(answer(R"(Bearer realm="https://auth.test/t",scope="x")"),
            "cannot get a token from auth.test: it answered 500");
  EXPECT_EQ(hint_, "");
}

TEST_F(AuthTest, PostsIdentityTokenToOwnRealmOnly) {
  keep(R"({"r.example": {"auth": "dXNlcjo=", "identitytoken": "id+tok/en="}})");
  serve_token("https://r.example/t?a=b");
  EXPECT_EQ(answer(R"(Bearer realm="https://r.example/t?a=b",service="s",scope="x:y z")"),
            "Bearer T");
  EXPECT_EQ(http_.requests.at(0).form,
            "grant_type=refresh_token&service=s&client_id=pyro&scope=repository%3Ateam%2Fenv%3Apull"
            "&refresh_token=id%2Btok%2Fen%3D");
  EXPECT_FALSE(sent(0));

  EXPECT_EQ(answer(R"(Bearer realm="https://evil.test/t",scope="x")"),
            "the registry r.example wants its credentials to be sent to evil.test");
  EXPECT_EQ(answer("Basic realm=\"x\""),
            "the registry asks for a password, and there is an identity token for it");
  EXPECT_EQ(http_.requests.size(), 1U);
}

TEST_F(AuthTest, UsesCredentialsOfLongestRepositoryPrefix) {
  keep(R"({"r.example": {"username": "host", "password": "p"},
           "r.example/team": {"username": "user", "password": "password"},
           "r.example/te": {"username": "other", "password": "p"}})");
  EXPECT_EQ(answer("Basic realm=\"x\""), kUser);
}

TEST_F(AuthTest, WarnsOnceOfFileReadableByOthers) {
  log_in("r.example");
  fs::permissions(options_.credential_files[0], fs::perms(0644));
  EXPECT_EQ(answer("Basic realm=\"x\""), kUser);
  EXPECT_EQ(warnings_, std::vector{"the credentials in " + options_.credential_files[0].string() +
                                   ": others may read it; chmod 600 it"});
}

TEST_F(AuthTest, UsesGivenCredentialsInsteadOfFiles) {
  log_in("r.example");
  serve_token("https://r.example/t?service=s");
  const NetworkOptions& options = options_;
  Authenticator auth(http_, {.registry = "r.example", .repository = {}}, options,
                     Credentials{"me", "mine"});
  HttpResponse response{401, {}, {}};
  response.headers.add("WWW-Authenticate", R"(Bearer realm="https://r.example/t",service="s")");
  EXPECT_FALSE(auth.sent_credentials());
  auth.respond_to_challenge(response, *Url::parse("https://r.example"));
  EXPECT_TRUE(auth.sent_credentials());
  EXPECT_EQ(sent(0), basic_authorization({"me", "mine"}));
  const Error refusal = auth.refusal(response);
  EXPECT_STREQ(refusal.what(), "the registry refused the credentials: the registry answered 401");
  EXPECT_EQ(refusal.hint(), "check the user name and the password");
}

TEST_F(AuthTest, RefusedPasswordErrorNamesItsFile) {
  log_in("r.example");
  http_.on("https://r.example/t?" + kScope, {.status = 401});
  EXPECT_EQ(
      answer(R"(Bearer realm="https://r.example/t",scope="x")"),
      "the registry refused the credentials: cannot get a token from r.example: it answered 401");
  EXPECT_EQ(hint_, "the credentials came from " + options_.credential_files[0].string());
}

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

TEST(TokenTest, UrlHasEachScopeAndKeepsQueryOfRealm) {
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

TEST(TokenTest, ReadsTokenAndAccessTokenFields) {
  EXPECT_EQ(token_from(R"({"token": "a.b-c_d~e+f/g="})"), "a.b-c_d~e+f/g=");
  EXPECT_EQ(token_from(R"({"access_token": "x", "expires_in": 60})"), "x");
  EXPECT_EQ(token_from(R"({"token": "x", "access_token": "y"})"), "x");
  EXPECT_EQ(token_from(R"({"token": "", "access_token": "y"})"), "y");
  EXPECT_EQ(token_from(R"({"token": null, "access_token": "y"})"), "y");
}

TEST(TokenTest, RejectsAnswersWithoutUsableToken) {
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

TEST(TokenTest, SendsCredentialsToRealmButNotToRedirectTarget) {
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

TEST(TokenTest, RejectsWebPage) {
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

TEST(TokenTest, SendsIdentityTokenInForm) {
  EXPECT_EQ(token_form(with_identity()),
            "grant_type=refresh_token&service=s&client_id=pyro&scope=x%3A1%20y%3A2"
            "&refresh_token=secret%26%3D");
  FakeHttpClient http;
  http.on(kRealm, {.body = R"({"access_token": "x"})"});
  EXPECT_EQ(fetch_token(http, with_identity()), "x");
  EXPECT_EQ(http.requests.at(0).form, token_form(with_identity()));
}

TEST(TokenTest, SendsIdentityTokenOnceWithoutRedirectOrRetry) {
  const struct {
    FakeHttpClient::Answer answer;
    const char* cause;
    bool refused;
  } cases[] = {
      {{.status = 307, .headers = {{"Location", kRealm}}},
       "auth.example redirects a login, which may go to no other host",
       false},
      {{.status = 303, .headers = {{"Location", "https://other/t"}}},
       "auth.example redirects a login, which may go to no other host",
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

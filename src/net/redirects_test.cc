#include "net/redirects.h"

#include <gtest/gtest.h>

#include "support/fake_http_client.h"

namespace pyro {
namespace {

using Answer = FakeHttpClient::Answer;

Answer redirect_to(const std::string& location, int status = 307) {
  return {.status = status, .headers = {{"Location", location}}};
}

HttpRequest secret_request(const std::string& url) {
  HttpRequest request{url};
  request.headers.add("Authorization", "Bearer secret");
  request.headers.add("Cookie", "secret");
  request.headers.add("Accept", "x");
  return request;
}

std::string error_of(FakeHttpClient& client, const std::string& url) {
  try {
    static_cast<void>(follow_small(client, {url}, 100));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
    return error.what();
  }
  return "no error";
}

TEST(RedirectsTest, FollowsAllRedirectStatuses) {
  for (const int status : {301, 302, 303, 307, 308}) {
    FakeHttpClient client;
    client.on("https://h/a", redirect_to("b", status)).on("https://h/b", {.body = "body"});
    const HttpResponse response = follow_small(client, {"https://h/a"}, 100);
    EXPECT_EQ(response.body, "body") << status;
    EXPECT_EQ(response.url, "https://h/b") << status;
  }
}

TEST(RedirectsTest, ReturnsStatus300Unfollowed) {
  FakeHttpClient client;
  client.on("https://h/a", redirect_to("/b", 300));
  EXPECT_EQ(follow_small(client, {"https://h/a"}, 100).status, 300);
}

TEST(RedirectsTest, SendsCredentialsToSameOriginOnly) {
  const struct {
    const char* target;
    bool kept;
  } cases[] = {
      {"https://h/b", true},      {"https://H:443/b", true},  {"https://h:5000/b", false},
      {"https://cdn.h/b", false}, {"https://other/b", false},
  };
  for (const auto& c : cases) {
    FakeHttpClient client;
    client.on("https://h/a", redirect_to(c.target));
    static_cast<void>(follow_small(client, secret_request("https://h/a"), 100));
    const HttpHeaders& sent = client.requests.at(1).headers;
    EXPECT_EQ(sent.get("Authorization").has_value(), c.kept) << c.target;
    EXPECT_EQ(sent.get("Cookie").has_value(), c.kept) << c.target;
    EXPECT_EQ(sent.get("Accept"), "x") << c.target;
  }
}

TEST(RedirectsTest, InsecureModeEndsAtAnotherOrigin) {
  FakeHttpClient client;
  client.on("https://h/a", redirect_to("/b"))
      .on("https://h/b", redirect_to("https://h:5000/c"))
      .on("https://h:5000/c", redirect_to("https://h/d"));
  HttpRequest request{"https://h/a"};
  request.insecure = true;
  static_cast<void>(follow_small(client, request, 100));
  ASSERT_EQ(client.requests.size(), 4U);
  EXPECT_TRUE(client.requests[0].insecure && client.requests[1].insecure);
  EXPECT_FALSE(client.requests[2].insecure || client.requests[3].insecure);
}

TEST(RedirectsTest, SendsNoCredentialsAfterReturnToOrigin) {
  FakeHttpClient client;
  client.on("https://h/a", redirect_to("https://other/b"))
      .on("https://other/b", redirect_to("https://h/c"))
      .on("https://h/c", {.body = "x"});
  static_cast<void>(follow_small(client, secret_request("https://h/a"), 100));
  ASSERT_EQ(client.requests.size(), 3U);
  EXPECT_FALSE(client.requests[2].headers.get("Authorization"));
}

TEST(RedirectsTest, FollowsUpgradesToTlsButNoDowngrades) {
  const struct {
    const char* from;
    const char* to;
    bool followed;
  } cases[] = {
      {"https://h/a", "http://h/b", false},
      {"https://localhost/a", "http://localhost/b", false},
      {"http://h/a", "https://h/b", true},
      {"http://h/a", "http://other/b", true},
      {"http://127.0.0.1:5000/a", "http://localhost:5001/b", true},
      {"http://127.0.0.1:5000/a", "http://other/b", false},
  };
  for (const auto& c : cases) {
    FakeHttpClient client;
    client.on(c.from, redirect_to(c.to)).on(c.to, {.body = "x"});
    EXPECT_EQ(error_of(client, c.from) == "no error", c.followed) << c.from << " " << c.to;
    EXPECT_EQ(client.count(c.to), c.followed ? 1U : 0U) << c.from << " " << c.to;
  }
}

TEST(RedirectsTest, DropsCredentialsOnUpgradeToTls) {
  FakeHttpClient client;
  client.on("http://h/a", redirect_to("https://h/a"));
  static_cast<void>(follow_small(client, secret_request("http://h/a"), 100));
  EXPECT_FALSE(client.requests.at(1).headers.get("Authorization"));
}

TEST(RedirectsTest, RejectsLoopsAndInvalidTargets) {
  const struct {
    Answer answer;
    const char* message;
  } cases[] = {
      {redirect_to("/a"), "h redirects without end"},
      {{.status = 302}, "h answered 302 without a Location"},
      {redirect_to("file:///etc/passwd"),
       "h redirects to something other than an http or https URL"},
      {redirect_to("https://"), "h redirects to something other than an http or https URL"},
  };
  for (const auto& c : cases) {
    FakeHttpClient client;
    client.on("https://h/a", c.answer);
    EXPECT_EQ(error_of(client, "https://h/a"), c.message);
    EXPECT_LE(client.requests.size(), 11U);
  }
}

TEST(RedirectsTest, FollowsAtMostTenRedirects) {
  for (const int hops : {10, 11}) {
    FakeHttpClient client;
    for (int i = 0; i < hops; ++i) {
      client.on("https://h/" + std::to_string(i), redirect_to("/" + std::to_string(i + 1)));
    }
    client.on("https://h/" + std::to_string(hops), {.body = "x"});
    EXPECT_EQ(error_of(client, "https://h/0") == "no error", hops == 10);
  }
}

TEST(RedirectsTest, SendsUserInfoToSameOriginOnly) {
  FakeHttpClient client;
  client.on("https://h/a", redirect_to("https://user:pw@other/b"));
  static_cast<void>(follow_small(client, {"https://us%20er:p:w@h/a"}, 100));
  EXPECT_EQ(client.requests.at(0).url, "https://h/a");
  EXPECT_EQ(client.requests[0].headers.get("Authorization"), "Basic dXMgZXI6cDp3");
  EXPECT_EQ(client.requests.at(1).url, "https://other/b");
  EXPECT_FALSE(client.requests[1].headers.get("Authorization"));
  EXPECT_EQ(error_of(client, "http://user:pw@h/a"), "h is not sent a password over plain http");
}

TEST(RedirectsTest, ReportsMissingTlsOfFirstHostOnly) {
  FakeHttpClient client;
  client.on("https://h/a", redirect_to("https://localhost:1/b"))
      .on("https://localhost:1/b", {.not_tls = true});
  EXPECT_THROW(static_cast<void>(follow_small(client, {"https://localhost:1/b"}, 1)), NotTlsError);
  try {
    static_cast<void>(follow_small(client, {"https://h/a"}, 1));
    FAIL();
  } catch (const NotTlsError&) {
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
  }
}

TEST(RedirectsTest, RejectsRedirectOfForm) {
  FakeHttpClient client;
  client.on("https://h/a", redirect_to("https://h/b"));
  try {
    static_cast<void>(follow_small(client, {.url = "https://h/a", .form = "secret"}, 1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "h redirects a login, which may go to no other host");
  }
  EXPECT_EQ(client.requests.size(), 1U);
}

TEST(RedirectsTest, PublicHostRedirectsToPublicPeersOnly) {
  for (const bool is_public : {true, false}) {
    FakeHttpClient client;
    FakeHttpClient::Answer first = redirect_to("https://h/b");
    first.from_public_peer = is_public;
    client.on("https://h/a", first).on("https://h/b", redirect_to("https://other/c"));
    static_cast<void>(follow_small(client, {"https://h/a"}, 1));
    ASSERT_EQ(client.requests.size(), 3U);
    EXPECT_FALSE(client.requests[1].public_peers_only) << "the same origin may be anywhere";
    EXPECT_EQ(client.requests[2].public_peers_only, is_public);
  }
}

}  // namespace
}  // namespace pyro

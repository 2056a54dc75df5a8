#include "net/http.h"

#include <gtest/gtest.h>

#include "support/fake_http_client.h"

namespace pyro {
namespace {

TEST(HttpHeadersTest, ComparesNamesWithoutCase) {
  HttpHeaders headers;
  headers.add("WWW-Authenticate", "Basic");
  headers.add("www-authenticate", "Bearer");
  EXPECT_EQ(headers.get("Www-Authenticate"), "Basic");
  EXPECT_EQ(headers.get_all("WWW-AUTHENTICATE"), (std::vector<std::string>{"Basic", "Bearer"}));
  headers.remove("wWW-authenticate");
  EXPECT_FALSE(headers.get("WWW-Authenticate"));
}

TEST(HttpResponseTest, MediaTypeOmitsParameters) {
  for (const char* value : {"text/html", "Text/HTML; charset=utf-8", " text/html ;x"}) {
    HttpResponse response;
    response.headers.add("content-type", value);
    EXPECT_EQ(response.media_type(), "text/html") << value;
  }
  EXPECT_EQ(HttpResponse{}.media_type(), "");
}

TEST(HttpResponseTest, LongContentEncodingGivesShortHint) {
  HttpResponse response;
  response.headers.add("Content-Encoding", std::string(100'000, 'x'));
  EXPECT_LT(response.encoding_hint().size(), 300U);
}

TEST(GetSmallTest, RejectsBodyLargerThanLimit) {
  FakeHttpClient client;
  client.on("https://h/ok", {.body = "12345"}).on("https://h/no", {.status = 500, .body = "why"});
  EXPECT_EQ(get_small(client, {"https://h/ok"}, 5).body, "12345");
  EXPECT_EQ(get_small(client, {"https://h/no"}, 1).body, "why");
  try {
    static_cast<void>(get_small(client, {"https://h/ok"}, 4));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
  }
}

}  // namespace
}  // namespace pyro

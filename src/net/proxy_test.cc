#include "net/proxy.h"

#include <gtest/gtest.h>

#include "pyro/error.h"

namespace pyro {
namespace {

TEST(ProxyTest, ReadsWhatPeopleWrite) {
  struct Case {
    const char* text;
    const char* url;
    const char* username = "";
    const char* password = "";
  };
  const Case cases[] = {
      {"http://proxy.example:3128", "http://proxy.example:3128"},
      {"http://proxy.example:3128/", "http://proxy.example:3128"},
      {"HTTP://Proxy.Example:3128", "http://proxy.example:3128"},
      {"proxy:3128", "http://proxy:3128"},
      {"proxy", "http://proxy:80"},
      {"http://proxy:80", "http://proxy:80"},
      {"https://proxy", "https://proxy:443"},
      {"https://proxy:80", "https://proxy:80"},
      {"socks5h://10.0.0.1", "socks5h://10.0.0.1:1080"},
      {"http://[fd00::1]:8080", "http://[fd00::1]:8080"},
      {"http://robin:s3cret@proxy:1", "http://proxy:1", "robin", "s3cret"},
      {"robin:a%3Ab%40c:d@proxy:1", "http://proxy:1", "robin", "a:b@c:d"},
      {"http://robin@proxy:1", "http://proxy:1", "robin", ""},
  };
  for (const Case& c : cases) {
    const auto proxy = Proxy::parse(c.text);
    ASSERT_TRUE(proxy) << c.text;
    EXPECT_EQ(proxy->url(), c.url);
    EXPECT_EQ(proxy->username, c.username) << c.text;
    EXPECT_EQ(proxy->password, c.password) << c.text;
  }
}

TEST(ProxyTest, RefusesWhatIsNone) {
  for (const char* text : {"", "ftp://proxy", "http://", "http://proxy:0", "http://proxy:99999",
                           "http://proxy/path", "http://proxy?x", "http://a b", "://proxy"}) {
    EXPECT_FALSE(Proxy::parse(text)) << text;
  }
}

TEST(ProxyTest, ExceptionsAreNamesAddressesBlocksAndPorts) {
  struct Case {
    const char* list;
    const char* url;
    bool excepted;
  };
  const Case cases[] = {
      {"", "https://a.example", false},
      {"*", "https://a.example", true},
      {"example", "https://a.example", true},
      {"a.example", "https://a.example", true},
      {"A.EXAMPLE.", "https://a.example", true},
      {".a.example", "https://a.example", true},
      {".example", "https://a.example", true},
      {"*.example", "https://a.example", true},
      {"ample", "https://a.example", false},
      {".", "https://a.example", false},
      {"x.example", "https://a.example", false},
      {"x, a.example", "https://a.example", true},
      {"x a.example", "https://a.example", true},
      {",,a.example,", "https://a.example", true},
      {"a.example:443", "https://a.example", true},
      {"a.example:5000", "https://a.example", false},
      {"a.example:5000", "https://a.example:5000", true},
      {"10.1.2.3", "https://10.1.2.3", true},
      {"10.1.2.3:5000", "https://10.1.2.3:5000", true},
      {"10.1.2.3:5000", "https://10.1.2.3", false},
      {"10.0.0.0/8", "https://10.1.2.3", true},
      {"10.0.0.0/8", "https://11.1.2.3", false},
      {"10.1.2.2/31", "https://10.1.2.3", true},
      {"10.1.2.4/31", "https://10.1.2.3", false},
      {"0.0.0.0/0", "https://10.1.2.3", true},
      {"0.0.0.0/0", "https://a.example", false},
      {"10.0.0.0/33", "https://10.1.2.3", false},
      {"10.0.0.0/", "https://10.1.2.3", false},
      {"10.0.0.0/x", "https://10.1.2.3", false},
      {"10", "https://10.1.2.3", false},
      {"3", "https://10.1.2.3", false},
      {"fd00::/8", "https://[fd00::1]", true},
      {"fd00::/8", "https://[fe80::1]", false},
      {"::/0", "https://10.1.2.3", false},
      {"fd00::1", "https://[fd00:0::1]", true},
      {"[fd00::1]", "https://[fd00::1]:5000", true},
      {"[fd00::1]:5000", "https://[fd00::1]:5000", true},
      {"[fd00::1]:5001", "https://[fd00::1]:5000", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(is_excepted(c.list, *Url::parse(c.url)), c.excepted) << c.list << " " << c.url;
  }
}

std::string chosen(const NetworkOptions& options, const char* url) {
  const auto proxy = choose_proxy(options, *Url::parse(url));
  return proxy ? proxy->authority() : "none";
}

TEST(ProxyTest, EachSchemeHasItsOwn) {
  NetworkOptions options;
  EXPECT_EQ(chosen(options, "https://a.example"), "none");
  options.all_proxy = "all:1";
  EXPECT_EQ(chosen(options, "https://a.example"), "all:1");
  EXPECT_EQ(chosen(options, "http://a.example"), "all:1");
  options.https_proxy = "secure:2";
  EXPECT_EQ(chosen(options, "https://a.example"), "secure:2");
  EXPECT_EQ(chosen(options, "http://a.example"), "all:1");
  options.http_proxy = "plain:3";
  EXPECT_EQ(chosen(options, "http://a.example"), "plain:3");
  options.no_proxy = "a.example";
  EXPECT_EQ(chosen(options, "http://a.example"), "none");
}

TEST(ProxyTest, ThisMachineIsNeverProxied) {
  NetworkOptions options;
  options.all_proxy = "all:1";
  for (const char* url : {"http://localhost:5000", "https://127.0.0.1", "https://[::1]:1",
                          "http://registry.localhost"}) {
    EXPECT_EQ(chosen(options, url), "none") << url;
  }
}

TEST(ProxyTest, NamesABadSettingWithoutItsPassword) {
  for (const char* text : {"gopher://robin:s3cret@proxy:70", "robin:s3cret@proxy:70000"}) {
    NetworkOptions options;
    options.https_proxy = text;
    try {
      static_cast<void>(choose_proxy(options, *Url::parse("https://a.example")));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      const std::string what = error.what();
      EXPECT_TRUE(what.starts_with("the proxy for https, ")) << what;
      EXPECT_NE(what.find("//proxy:70"), what.npos) << what;
      EXPECT_EQ(what.find("s3cret"), what.npos) << what;
    }
  }
}

}  // namespace
}  // namespace pyro

// Proxies, certificates and addresses of a connection.
#include "net/transport.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "pyro/error.h"

namespace pyro {
namespace {

TEST(ProxyTest, ParsesCommonSpellings) {
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

TEST(ProxyTest, RejectsInvalidProxies) {
  for (const char* text : {"", "ftp://proxy", "http://", "http://proxy:0", "http://proxy:99999",
                           "http://proxy/path", "http://proxy?x", "http://a b", "://proxy"}) {
    EXPECT_FALSE(Proxy::parse(text)) << text;
  }
}

TEST(ProxyTest, MatchesExceptionsByNameAddressBlockAndPort) {
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

TEST(ProxyTest, SchemeProxyOverridesAllProxy) {
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

TEST(ProxyTest, NeverProxiesLoopbackHosts) {
  NetworkOptions options;
  options.all_proxy = "all:1";
  for (const char* url : {"http://localhost:5000", "https://127.0.0.1", "https://[::1]:1",
                          "http://registry.localhost"}) {
    EXPECT_EQ(chosen(options, url), "none") << url;
  }
}

TEST(ProxyTest, ErrorNamesInvalidProxyWithoutPassword) {
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

namespace fs = std::filesystem;

std::string pem(const std::string& content) {
  return "-----BEGIN CERTIFICATE-----\n" + content + "\n-----END CERTIFICATE-----\n";
}

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() {
    char name[] = "/tmp/pyro-certificates-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
  }
  ~CertificatesTest() override { fs::remove_all(root_); }

  fs::path write(const fs::path& name, const std::string& content) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << content;
    return root_ / name;
  }

  [[nodiscard]] HostCertificates find(const std::string& url) const {
    return find_host_certificates({root_ / "none", root_ / "a", root_ / "b"}, *Url::parse(url));
  }

  [[nodiscard]] std::string error_of(const std::string& url) const {
    try {
      static_cast<void>(find(url));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      return error.what();
    }
    return "no error";
  }

  fs::path root_;
};

TEST_F(CertificatesTest, FindsAuthoritiesOfHostAndPortOnly) {
  write("a/registry.example:5000/2.crt", pem("two"));
  write("a/registry.example:5000/1.crt", pem("one"));
  write("b/registry.example:5000/x.crt", pem("three"));
  write("b/registry.example:5000/.hidden.crt", pem("hidden"));
  write("b/registry.example:5000/note.txt", "no certificate");
  write("a/registry.example/ca.crt", pem("default port"));
  write("b/registry.example:443/ca.crt", pem("named port"));
  write("a/[::1]:5000/ca.crt", pem("six"));
  EXPECT_EQ(find("https://registry.example:5000/v2/").authorities,
            pem("one") + "\n" + pem("two") + "\n" + pem("three") + "\n");
  EXPECT_EQ(find("https://Registry.Example/").authorities,
            pem("default port") + "\n" + pem("named port") + "\n");
  EXPECT_EQ(find("https://[::1]:5000").authorities, pem("six") + "\n");
  EXPECT_EQ(find("https://other.example").authorities, "");
  write("a/above.crt", pem("of nobody"));
  write("above.crt", pem("of nobody"));
  EXPECT_EQ(find("https://./").authorities + find("https://../").authorities, "");
  EXPECT_FALSE(find("https://registry.example:5000").client_certificate);
}

TEST_F(CertificatesTest, FindsDockerHubAuthoritiesUnderBothNames) {
  write("a/docker.io/ca.crt", pem("name"));
  write("b/registry-1.docker.io/ca.crt", pem("host"));
  EXPECT_EQ(find("https://registry-1.docker.io/v2/").authorities,
            pem("name") + "\n" + pem("host") + "\n");
  EXPECT_EQ(find("https://auth.docker.io").authorities, "");
}

TEST_F(CertificatesTest, FindsFirstClientCertificateAndKey) {
  const fs::path certificate = write("a/r.example/client.cert", pem("me"));
  const fs::path key = write("a/r.example/client.key", "key");
  write("b/r.example/another.cert", pem("me too"));
  write("b/r.example/another.key", "key");
  const HostCertificates found = find("https://r.example");
  EXPECT_EQ(found.client_certificate, certificate);
  EXPECT_EQ(found.client_key, key);
  EXPECT_EQ(found.authorities, "");
}

TEST_F(CertificatesTest, RejectsClientCertificateOrKeyAlone) {
  const fs::path certificate = write("a/one.example/client.cert", pem("me"));
  EXPECT_EQ(error_of("https://one.example"), "cannot use the certificates in " +
                                                 certificate.string() +
                                                 ": its key, client.key, is not beside it");
  const fs::path key = write("a/two.example/client.key", "key");
  EXPECT_EQ(error_of("https://two.example"),
            "cannot use the certificates in " + key.string() +
                ": its certificate, client.cert, is not beside it");
}

TEST_F(CertificatesTest, ErrorNamesUnusableFile) {
  const std::string about = "cannot use the certificates in ";
  const fs::path empty = write("a/r.example/ca.crt", "");
  EXPECT_EQ(error_of("https://r.example"), about + empty.string() + ": it is empty");
  write("a/r.example/ca.crt", "MIIB...");
  EXPECT_EQ(error_of("https://r.example"),
            about + empty.string() + ": it contains no certificate in PEM format");
  fs::remove(empty);
  fs::create_directory(empty);
  EXPECT_EQ(error_of("https://r.example"), about + empty.string() + ": it is not a regular file");
  EXPECT_THROW(static_cast<void>(read_certificates(root_ / "nothing")), Error);
}

/// Switches to the user nobody for its lifetime, because root ignores file modes.
class AsNobody {
 public:
  AsNobody() {
    if (is_root_) become(65534);
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
  ~AsNobody() {
    if (is_root_) become(0);
  }

 private:
  static void become(uid_t user) { EXPECT_EQ(::seteuid(user), 0); }

  bool is_root_ = ::geteuid() == 0;
};

TEST_F(CertificatesTest, SkipsUnreadableDirectories) {
  fs::permissions(root_, fs::perms(0755));
  write("a/r.example/ca.crt", pem("closed"));
  write("b/r.example/ca.crt", pem("open"));
  fs::permissions(root_ / "a", fs::perms(0));
  {
    const AsNobody nobody;
    const HostCertificates found = find("https://r.example");
    EXPECT_EQ(found.authorities, pem("open") + "\n");
    ASSERT_FALSE(found.closed.empty());
    for (const fs::path& closed : found.closed) EXPECT_EQ(closed, root_ / "a");
  }
  fs::permissions(root_ / "a", fs::perms(0755));
  fs::permissions(root_ / "a/r.example", fs::perms(0));
  {
    const AsNobody nobody;
    EXPECT_EQ(find("https://r.example").closed, std::vector{root_ / "a/r.example"});
  }
  fs::permissions(root_ / "a/r.example", fs::perms(0755));
  fs::permissions(root_ / "a/r.example/ca.crt", fs::perms(0));
  const AsNobody nobody;
  EXPECT_EQ(error_of("https://r.example"), "cannot use the certificates in " +
                                               (root_ / "a/r.example/ca.crt").string() +
                                               ": Permission denied");
}

TEST_F(CertificatesTest, IgnoresFileInPlaceOfDirectory) {
  write("a/r.example", pem("no directory"));
  EXPECT_EQ(find("https://r.example").authorities, "");
}

TEST(Address, AcceptsPublicAddresses) {
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1",
        "169.253.1.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255",
        "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
        "2002:808:808::1"}) {
    EXPECT_TRUE(is_public(std::string(address))) << address;
  }
}

TEST(Address, RejectsNonPublicAddresses) {
  for (const char* address : {"0.0.0.0",
                              "10.0.0.1",
                              "100.64.0.1",
                              "100.127.255.255",
                              "127.0.0.1",
                              "127.255.255.254",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.1",
                              "192.168.1.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "224.0.0.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "::ffff:127.0.0.1",
                              "::ffff:169.254.169.254",
                              "64:ff9b::a9fe:a9fe",
                              "64:ff9b::7f00:1",
                              "2002:7f00:1::1",
                              "2002:a00:1::1",
                              "2001::1",
                              "2001:db8::1",
                              "localhost",
                              "",
                              "1.1.1"}) {
    EXPECT_FALSE(is_public(std::string(address))) << address;
  }
}

}  // namespace

}  // namespace pyro

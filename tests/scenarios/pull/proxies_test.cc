// Pulls through proxies and behind captive portals.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenarios/hostile_harness.h"
#include "support/connect_proxy.h"
#include "support/socks_proxy.h"
#include "support/tls_front.h"

namespace pyro::testing {
namespace {

constexpr std::uint8_t kNotAllowed = 2;  // RFC 1928 section 6

constexpr char kName[] = "registry.test";  // RFC 6761: reserved; only these proxies resolve it

FakeRegistryOptions named_options() {
  FakeRegistryOptions options;
  options.certificate.names = {kName, "localhost"};
  return options;
}

class ProxyTest : public HostileHarness {
 protected:
  ProxyTest() : HostileHarness(named_options()) {
    variables_["PYRO_RETRIES"] = "1";
    variables_["PYRO_RETRY_DELAY"] = "0.01";
    offer(image_of(sample()), kName);
  }

  std::string host() const { return registry_->host(kName); }
};

TEST_F(ProxyTest, CarriesPullForEachVariable) {
  const ConnectProxy proxy;
  for (const char* variable : {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const ProcessResult result =
        pyro_ok({"env", "pull", "--force", "tool:1"}, {{variable, proxy.url()}});
    expect_installed(sample());
  }
  const auto seen = proxy.seen();
  ASSERT_EQ(seen.size(), 4U) << "one tunnel a pull";
  for (const ConnectProxy::Seen& each : seen) {
    EXPECT_EQ(each.method, "CONNECT");
    EXPECT_EQ(each.target, host());
    EXPECT_EQ(each.authorization, "");
  }
}

TEST_F(ProxyTest, PullsThroughSocksProxy) {
  const SocksProxy proxy;
  pyro_ok({"env", "pull", "tool:1"}, {{"ALL_PROXY", "socks5h://" + proxy.authority()}});
  expect_installed(sample());
  EXPECT_EQ(proxy.seen(), std::vector<std::string>{host()}) << "one connection, and by name";
  const SocksProxy closed(kNotAllowed);
  expect_refused(4, {"the proxy " + closed.authority() + " does not let us through"},
                 {"env", "pull", "--force", "tool:1"},
                 {{"ALL_PROXY", "socks5h://" + closed.authority()}});
}

TEST_F(ProxyTest, PullsThroughProxyOverTls) {
  const ConnectProxy proxy({.login = "robin:top-secret"});
  const TlsFront front(registry_->issue({.file_name = "proxy"}), proxy.port());
  const std::string authority = "127.0.0.1:" + std::to_string(front.port());
  pyro_ok({"env", "pull", "tool:1"}, {{"https_proxy", "https://robin:top-secret@" + authority}});
  expect_installed(sample());
  EXPECT_EQ(proxy.seen().size(), 1U);
  EXPECT_EQ(proxy.seen().back().target, host());
  const CertificateAuthority stranger(dir_ / "stranger");
  const TlsFront impostor(stranger.issue(), proxy.port());
  const std::string other = "127.0.0.1:" + std::to_string(impostor.port());
  expect_refused(4, {"the certificate of the proxy " + other + " is not trusted", "--ca-file"},
                 {"env", "pull", "--force", "tool:1"},
                 {{"https_proxy", "https://robin:top-secret@" + other}});
  EXPECT_EQ(proxy.seen().size(), 1U) << "it has not seen the password";
}

TEST_F(ProxyTest, NoProxyAndLoopbackBypassProxy) {
  const ConnectProxy proxy;
  const Variables exceptions[] = {
      {{"https_proxy", proxy.url()}, {"no_proxy", kName}},
      {{"https_proxy", proxy.url()}, {"NO_PROXY", "*"}},
      {{"all_proxy", proxy.url()}, {"NO_PROXY", "x,.test"}},
      {{"all_proxy", proxy.url()}, {"NO_PROXY", host()}},
      {{"HTTP_PROXY", proxy.url()}},
      {{"http_proxy", proxy.url()}},
  };
  for (const Variables& variables : exceptions) {
    const ProcessResult result = pyro({"env", "pull", "tool:1"}, variables);
    EXPECT_EQ(result.exit_code, 4);
    expect_says(result.err, {"the name registry.test cannot be resolved"});
  }
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"}, {{"all_proxy", proxy.url()}, {"http_proxy", proxy.url()}});
  EXPECT_TRUE(proxy.seen().empty()) << "this machine is never proxied";
}

TEST_F(ProxyTest, PlainHttpUsesHttpProxyVariable) {
  const ConnectProxy proxy;
  start_registry({.tls = false});
  offer(image_of(sample()), kName);
  write_file(home() / ".config/containers/registries.conf",
             "[[registry]]\nlocation = \"" + host() + "\"\ninsecure = true\n");
  pyro_ok({"env", "pull", "tool:1"}, {{"https_proxy", proxy.url()}, {"http_proxy", proxy.url()}});
  expect_installed(sample());
  EXPECT_EQ(proxy.seen().back().target.substr(0, 7), "http://");
}

TEST_F(ProxyTest, PasswordIsSentAndNeverShown) {
  const ConnectProxy proxy({.login = "robin:top-secret"});
  variables_["https_proxy"] = proxy.url("robin:top-secret");
  const ProcessResult result = pyro_ok({"env", "pull", "-v", "tool:1"});
  expect_hides(result.err, {"top-secret"});
  EXPECT_FALSE(registry_->requests().front().request.header("Proxy-Authorization"));
}

TEST_F(ProxyTest, ErrorsNameTheProxy) {
  const std::string password = "top-secret-of-the-proxy";
  const ConnectProxy locked({.login = "robin:another"});
  variables_["https_proxy"] = locked.url("robin:" + password);
  expect_refused(4, {"the proxy " + locked.authority() + " wants a user name and a password",
                     "http://user:password@proxy:3128"});
  EXPECT_EQ(locked.seen().size(), 1U) << "asking again changes nothing";
  const ConnectProxy closed({.refuse_with = 403});
  variables_["https_proxy"] = closed.url("robin:" + password);
  expect_refused(4, {"the proxy " + closed.authority() + " refuses the connection", "403"});
  EXPECT_EQ(closed.seen().size(), 1U);
  const ConnectProxy busy({.refuse_with = 503});
  variables_["https_proxy"] = busy.url("robin:" + password);
  expect_refused(4, {"the proxy " + busy.authority() + " refuses the connection", "503"});
  EXPECT_EQ(busy.seen().size(), 2U);
  const std::string nobody = "127.0.0.1:" + std::to_string(unused_port());
  variables_["https_proxy"] = "http://robin:" + password + "@" + nobody;
  expect_refused(4, {"cannot connect to the proxy " + nobody});
  variables_["https_proxy"] = "http://robin:" + password + "@nothing.invalid:3128";
  expect_refused(4, {"the name of the proxy nothing.invalid:3128 cannot be resolved"});
  variables_["https_proxy"] = "gopher://robin:" + password + "@proxy:70";
  expect_refused(1, {"the proxy for https", "is not a URL like http://proxy:3128"});
  for (const auto& result : {pyro({"env", "pull", "tool:1"})}) expect_hides(result.err, {password});
}

TEST_F(ProxyTest, RejectsInterceptingProxyWithoutCaFile) {
  FakeRegistry interceptor(named_options());
  interceptor.put(kRepository, "1", image_of(sample()));
  const ConnectProxy proxy({.divert_to = interceptor.server(Listener::registry).port()});
  variables_["https_proxy"] = proxy.url();
  expect_refused(4, {"the certificate of " + host() + " (through the proxy " + proxy.authority() +
                         ") is not trusted",
                     "if the proxy opens what goes through it", "--ca-file"});
  pyro_ok({"--ca-file", interceptor.certificate_file().string(), "env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(ProxyTest, RedirectsGoThroughProxy) {
  const ConnectProxy proxy;
  variables_["https_proxy"] = proxy.url();
  registry_->add_rule({.kind = RequestKind::blob}, faults::redirect(RedirectFault::To::cdn));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(proxy.seen().size(), 2U);
}

TEST_F(ProxyTest, DoctorUsesProxyAndMirrorsAsPullsDo) {
  const ConnectProxy proxy;
  const ProcessResult result = pyro({"doctor", "--check-registry", "--environment", "tool:1"},
                                    {{"https_proxy", proxy.url()}});
  expect_says(result.out, {"registry " + host(), "it answers"});
  EXPECT_EQ(proxy.seen().size(), 1U);
  write_file(home() / ".config/containers/registries.conf",
             "[[registry]]\nlocation = \"" + host() + "\"\n[[registry.mirror]]\nlocation = \"" +
                 registry_->host() + "\"\ninsecure = true\n");
  const ProcessResult mirrored = pyro({"doctor", "--check-registry", "--environment", "tool:1"},
                                      {{"https_proxy", proxy.url()}});
  expect_says(mirrored.out,
              {"mirror " + registry_->host(), "TLS verification is off for " + registry_->host()});
  write_file(home() / ".config/containers/registries.conf", "[[registry]\n");
  expect_says(pyro({"doctor", "--check-registry"}).out, {"registries.conf: line 1: not TOML"});
}

// Certificate authorities.

TEST_F(ProxyTest, RejectsUnusableCaFilesByName) {
  offer(image_of(sample()));
  const std::filesystem::path good = registry_->certificate_file();
  write_file(dir_ / "empty.pem", "");
  write_file(dir_ / "text.pem", "no certificate\n");
  write_file(dir_ / "broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  ASSERT_EQ(::mkfifo((dir_ / "pipe.pem").c_str(), 0600), 0);
  struct Case {
    std::filesystem::path file;
    int exit_code;
    const char* says;
  };
  const Case cases[] = {{dir_ / "none.pem", 1, "No such file"},
                        {dir_ / "empty.pem", 1, "it is empty"},
                        {dir_ / "text.pem", 1, "it contains no certificate in PEM format"},
                        {dir_ / "pipe.pem", 1, "it is not a regular file"},
                        {dir_.path(), 1, "it is not a regular file"},
                        {dir_ / "broken.pem", 4, "broken.pem"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.file);
    expect_refused(c.exit_code, {c.file.string(), c.says},
                   {"env", "pull", "--ca-file", c.file.string(), "tool:1"});
    expect_refused(c.exit_code, {c.file.string(), c.says}, {"env", "pull", "tool:1"},
                   {{"SSL_CERT_FILE", c.file.string()}});
  }
  pyro_ok({"env", "pull", "--ca-file", good.string(), "tool:1"},
          {{"SSL_CERT_FILE", "/none"}, {"SSL_CERT_DIR", "/none"}});
}

TEST_F(ProxyTest, SkipsUnreadableCertificateDirectory) {
  offer(image_of(sample()));
  const std::filesystem::path closed = home() / ".config/containers/certs.d";
  write_file(closed / registry_->host() / "ca.crt", "no certificate\n");
  std::filesystem::permissions(closed, std::filesystem::perms(0));
  Command pull = command({"env", "pull", "-v", "--progress", "none", "tool:1"});
  const std::vector<std::string> drop{"setpriv", "--bounding-set=-dac_override,-dac_read_search",
                                      "--"};
  if (::geteuid() == 0) pull.argv.insert(pull.argv.begin(), drop.begin(), drop.end());
  const ProcessResult result = run(pull);
  std::filesystem::permissions(closed, std::filesystem::perms(0700));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_says(result.err, {"no certificates are taken from " + closed.string() + ", which"});
  expect_installed(sample());
}

// Captive portals.

TEST_F(ProxyTest, ReportsCaptivePortal) {
  offer(image_of(sample()));
  registry_->add_rule({.kind = RequestKind::manifest}, faults::html());
  expect_refused(4, {registry_->host() + " answered with a web page (text/html), not as a registry",
                     "captive portal"});
  const HttpServer portal({.tls = registry_->issue({.file_name = "portal"})},
                          [](const HttpRequest&) {
                            return HttpResponse{.headers = {{"Content-Type", "text/html"}},
                                                .body = "<html>Welcome! Accept our terms.</html>"};
                          });
  registry_->clear_rules();
  registry_->add_rule({.kind = RequestKind::manifest},
                      faults::redirect_to(portal.url() + "/login", 302));
  expect_refused(4, {portal.host() + " answered with a web page (text/html), not as a registry"});
  registry_->clear_rules();
  registry_->add_rule({.kind = RequestKind::manifest},
                      faults::redirect_to("http://portal.test/login", 302));
  expect_refused(4, {"redirects from https to plain http, at portal.test", "captive portal"});
  registry_->clear_rules();
  registry_->add_rule({.kind = RequestKind::manifest}, faults::status(511));
  expect_refused(4, {"511", "captive portal"});
  registry_->clear_rules();
  registry_->set_auth(auth(AuthOptions::Mode::bearer));
  registry_->add_rule({.kind = RequestKind::token}, faults::html());
  expect_refused(4,
                 {"answered with a web page (text/html), not as a token server", "captive portal"});
}

}  // namespace
}  // namespace pyro::testing

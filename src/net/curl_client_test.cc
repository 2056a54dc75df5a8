#include "net/curl_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "base/files.h"
#include "net/curl.h"
#include "net/url.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using namespace std::chrono_literals;

/// Answers every request on every connection with the same bytes.
class RawServer {
 public:
  enum class Then { close, hold };

  explicit RawServer(std::string answer, Then then = Then::close)
      : answer_(std::move(answer)), then_(then), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
  }

  [[nodiscard]] std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_) + "/path?query";
  }

  /// Ends the thread first, for what it received.
  const std::string& received() {
    thread_.request_stop();
    thread_.join();
    return received_;
  }

  [[nodiscard]] int connections() const { return connections_; }

 private:
  static bool readable(int fd, const std::stop_token& stop) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    while (!stop.stop_requested()) {
      if (::poll(&waiting, 1, 20) > 0) return true;
    }
    return false;
  }

  void serve(const std::stop_token& stop) {
    while (readable(listener_.get(), stop)) {
      const Fd peer(::accept(listener_.get(), nullptr, nullptr));
      connections_ += peer ? 1 : 0;
      converse(peer.get(), stop);
    }
  }

  void converse(int peer, const std::stop_token& stop) {
    char buffer[65536];
    while (readable(peer, stop)) {
      const ssize_t n = ::recv(peer, buffer, sizeof(buffer), 0);
      if (n <= 0) return;
      received_.append(buffer, static_cast<std::size_t>(n));
      ::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (then_ == Then::close) return;
    }
  }

  std::string answer_;
  Then then_;
  Fd listener_;
  std::uint16_t port_ = 0;
  std::string received_;
  int connections_ = 0;
  std::jthread thread_;
};

std::string error_of(CurlClient& client, const std::string& url) {
  try {
    static_cast<void>(get_small(client, {url}, 1 << 20));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network) << error.what();
    return error.what();
  }
  return "no error";
}

std::string error_of_answer(const std::string& answer) {
  RawServer server(answer);
  CurlClient client;
  return error_of(client, server.url());
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CurlClientTest, SendsGivenFieldsAndFewOthers) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Y:  z \r\n\r\nbody");
  CurlClient client({.user_agent = "pyro/test"});
  HttpRequest request{server.url()};
  request.headers.add("Accept", "a/b");
  request.headers.add("Authorization", "Bearer T");
  const HttpResponse response = get_small(client, request, 4);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "body");
  EXPECT_EQ(response.headers.get("x-y"), "z");
  EXPECT_EQ(response.url, server.url());
  const std::string sent = server.received();
  EXPECT_TRUE(sent.starts_with("GET /path?query HTTP/1.1\r\n")) << sent;
  for (const char* field : {"User-Agent: pyro/test\r\n", "Accept: a/b\r\n",
                            "Authorization: Bearer T\r\n", "Accept-Encoding: identity\r\n"}) {
    EXPECT_TRUE(contains(sent, field)) << sent;
  }
  EXPECT_EQ(std::ranges::count(sent, '\n'), 7) << sent;
}

TEST(CurlClientTest, PostsFormAndReturnsToGet) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", RawServer::Then::hold);
  CurlClient client;
  EXPECT_EQ(get_small(client, {.url = server.url(), .form = "a=b&c=%20"}, 4).body, "body");
  static_cast<void>(get_small(client, {server.url()}, 4));
  const std::string sent = server.received();
  const std::size_t post = sent.find("POST /path?query HTTP/1.1\r\n");
  ASSERT_NE(post, std::string::npos) << sent;
  EXPECT_TRUE(contains(sent, "Content-Type: application/x-www-form-urlencoded\r\n")) << sent;
  EXPECT_TRUE(contains(sent, "Content-Length: 9\r\n")) << sent;
  EXPECT_TRUE(contains(sent, "\r\n\r\na=b&c=%20GET /path")) << "afterwards it is a GET again";
  EXPECT_EQ(sent.find("POST", post + 1), std::string::npos);
}

TEST(CurlClientTest, HeadRequestReadsNoBodyAndNextGetDoes) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 400\r\nX-Y: z\r\n\r\n");
  CurlClient client;
  const HttpResponse head = get_small(client, {.url = server.url(), .head_only = true}, 4);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("X-Y"), "z");
  EXPECT_EQ(head.body, "");
  EXPECT_TRUE(contains(error_of(client, server.url()), "closed the connection"));
  const std::string sent = server.received();
  EXPECT_TRUE(sent.starts_with("HEAD /path?query HTTP/1.1\r\n")) << sent;
  EXPECT_TRUE(contains(sent, "\r\n\r\nGET /path?query")) << sent;
}

TEST(CurlClientTest, ReusesConnection) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", RawServer::Then::hold);
  CurlClient client;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get_small(client, {server.url()}, 4).body, "body");
  static_cast<void>(server.received());
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlClientTest, ReturnsRedirectWithBodyAndSkipsSink) {
  RawServer server("HTTP/1.1 307 T\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nwhy");
  CurlClient client;
  bool sink_was_called = false;
  const HttpResponse response =
      client.get({server.url()}, [&](std::span<const std::byte>) { sink_was_called = true; });
  EXPECT_EQ(response.status, 307);
  EXPECT_EQ(response.headers.get("Location"), "/x");
  EXPECT_EQ(response.body, "why");
  EXPECT_FALSE(sink_was_called);
}

TEST(CurlClientTest, ReadsAtMost64KiBOfErrorBody) {
  RawServer endless(
      "HTTP/1.1 500 X\r\nContent-Length: 99999999\r\n\r\n" + std::string(200'000, 'x'),
      RawServer::Then::hold);
  CurlClient client;
  EXPECT_EQ(get_small(client, {endless.url()}, 1).body.size(), 64U << 10);
  RawServer cut("HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\nbusy");
  EXPECT_EQ(get_small(client, {cut.url()}, 1).body, "busy");
}

TEST(CurlClientTest, SkipsInformationalResponses) {
  RawServer server(
      "HTTP/1.1 103 Early Hints\r\nX: early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  CurlClient client;
  const HttpResponse response = get_small(client, {server.url()}, 1);
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.headers.get("X"));
}

TEST(CurlClientTest, RejectsTruncatedAndMalformedResponses) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string many_1xx = [] {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += "HTTP/1.1 100 Continue\r\n\r\n";
    return text;
  }();
  const std::string many_fields = [] {
    std::string text;
    for (int i = 0; i < 1100; ++i) text += "X: y\r\n";
    return text;
  }();
  const struct {
    std::string answer;
    const char* part;
  } cases[] = {
      {ok + "Content-Length: 9\r\n\r\nbody", "closed the connection in the middle of the answer"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", "closed the connection"},
      {"", "closed the connection without an answer"},
      {"SSH-2.0-OpenSSH\r\n", "does not answer in HTTP"},
      {ok + many_fields + "\r\n", "the header of the answer is too large"},
      {ok + "X: " + std::string(300 << 10, 'x') + "\r\n\r\n", ""},
      {many_1xx, "the header of the answer is too large"},
      {ok + "X: a\r\n b\r\n\r\n", "the header of the answer has a folded line"},
  };
  for (const auto& c : cases) {
    const std::string error = error_of_answer(c.answer);
    EXPECT_NE(error, "no error") << c.answer.substr(0, 200);
    EXPECT_TRUE(contains(error, c.part)) << error;
  }
}

TEST(CurlClientTest, DoesNotDecodeContentEncoding) {
  for (const std::string coding : {"identity", "gzip", "x-gzip", "aws-chunked", "deflate", "br"}) {
    RawServer server("HTTP/1.1 200 OK\r\nContent-Encoding: " + coding +
                     "\r\nContent-Length: 4\r\n\r\nbody");
    CurlClient client;
    const HttpResponse response = get_small(client, {server.url()}, 100);
    EXPECT_EQ(response.body, "body") << coding;
    EXPECT_EQ(contains(response.encoding_hint(), "Content-Encoding " + coding),
              coding != "identity");
  }
}

TEST(CurlFailureTest, AllowsOneRetryForNameNeverResolved) {
  const Url url = *Url::parse("https://r.example/v2/");
  for (const bool is_known : {false, true}) {
    try {
      throw_transport_error({.code = CURLE_COULDNT_RESOLVE_HOST,
                             .detail = "Could not resolve host: r.example",
                             .proxy = {},
                             .is_known = is_known},
                            url);
    } catch (const TransientError& error) {
      EXPECT_EQ(error.max_retries() == 1, !is_known);
      EXPECT_TRUE(contains(error.what(), "the name r.example cannot be resolved"));
      EXPECT_TRUE(contains(error.hint(), "pyro env list --installed"));
      EXPECT_TRUE(contains(error.hint(), "pyro env import"));
    }
  }
}

TEST(CurlClientTest, PropagatesExceptionsOfCallbacks) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
  CurlClient client;
  const BodySink ignore = [](std::span<const std::byte>) {};
  EXPECT_THROW(
      client.get({server.url()}, [](std::span<const std::byte>) { throw std::runtime_error("x"); }),
      std::runtime_error);
  const HttpRequest checked{.url = server.url(),
                            .on_head = [](const HttpResponse&) { throw std::logic_error("y"); }};
  EXPECT_THROW(client.get(checked, ignore), std::logic_error);
  EXPECT_EQ(get_small(client, {server.url()}, 4).body, "body");
}

TEST(CurlClientTest, DetectsPeerWithoutTls) {
  for (const char* answer : {"HTTP/1.1 400 Bad Request\r\n\r\n", "<!DOCTYPE HTML>\n"}) {
    RawServer server(answer);
    CurlClient client;
    EXPECT_THROW(static_cast<void>(get_small(client, {server.url("https")}, 1)), NotTlsError);
  }
  // A closed connection does not show that the peer has no TLS.
  RawServer silent("");
  CurlClient client;
  try {
    static_cast<void>(get_small(client, {silent.url("https")}, 1));
    FAIL();
  } catch (const NotTlsError&) {
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
  }
}

TEST(CurlClientTest, ErrorNamesHostThatFailed) {
  CurlClient client;
  EXPECT_EQ(error_of(client, "http://127.0.0.1:1/"),
            "cannot connect to 127.0.0.1:1: Connection refused");
  EXPECT_TRUE(error_of(client, "https://does-not-exist.invalid/")
                  .starts_with("the name does-not-exist.invalid cannot be resolved"));
  EXPECT_EQ(error_of(client, "file:///etc/passwd?secret"),
            "not an http or https URL: file:///etc/passwd");
}

TEST(CurlClientTest, ErrorNamesUnreadableCaFile) {
  NetworkOptions network;
  network.ca_file = "/does/not/exist.pem";
  try {
    const CurlClient client({.network = network});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    EXPECT_STREQ(error.what(),
                 "cannot use the certificates in /does/not/exist.pem: No such file or directory");
  }
}

TEST(CurlClientTest, IgnoresProxyVariables) {
  RawServer proxy("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
  const std::string url = proxy.url().substr(0, proxy.url().find("/path"));
  for (const char* name : {"http_proxy", "all_proxy"}) ::setenv(name, url.c_str(), 1);
  CurlClient client;
  EXPECT_TRUE(error_of(client, "http://does-not-exist.invalid/").starts_with("the name "));
  for (const char* name : {"http_proxy", "all_proxy"}) ::unsetenv(name);
  ::setenv("no_proxy", "*", 1);
  NetworkOptions network;
  network.http_proxy = url;
  CurlClient told({.network = network});
  EXPECT_EQ(get_small(told, {"http://does-not-exist.invalid/"}, 10).body, "proxy");
  ::unsetenv("no_proxy");
}

TEST(CurlClientTest, ReportsProxyFailuresAsProxyErrors) {
  struct Case {
    const char* answer;
    const char* says;
  };
  const Case cases[] = {
      {"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
       " wants a user name and a password: it answered 407"},
      {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", " refuses the connection: it answered 403"},
      {"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", " refuses the connection: it answered 502"},
  };
  for (const Case& c : cases) {
    RawServer proxy(c.answer);
    const Url url = *Url::parse(proxy.url());
    NetworkOptions network;
    network.https_proxy = "http://robin:s3cret@" + url.authority();
    CurlClient client({.network = network});
    EXPECT_EQ(error_of(client, "https://registry.example/"),
              "the proxy " + url.authority() + c.says);
  }
  NetworkOptions network;
  network.all_proxy = "http://robin:s3cret@127.0.0.1:1";
  CurlClient client({.network = network});
  for (const char* scheme : {"http", "https"}) {
    EXPECT_EQ(error_of(client, scheme + std::string("://registry.example/")),
              "cannot connect to the proxy 127.0.0.1:1: Connection refused");
  }
  network.all_proxy = "socks5://does-not-exist.invalid";
  CurlClient nameless({.network = network});
  const std::string error = error_of(nameless, "https://registry.example/");
  EXPECT_TRUE(error.starts_with("the name of the proxy does-not-exist.invalid:1080 cannot be "))
      << error;
}

TEST(CurlClientTest, RejectsFieldsWithLineBreaksOrNul) {
  CurlClient client;
  for (const std::string& value :
       {std::string("a\r\nX: y"), std::string("a\nb"), std::string("a\0b", 3)}) {
    HttpRequest request{"http://127.0.0.1:1/"};
    request.headers.add("Authorization", value);
    try {
      static_cast<void>(get_small(client, request, 1));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
    }
  }
}

TEST(CurlClientTest, TimesOutStalledTransfer) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", RawServer::Then::hold);
  CurlClient client({.stall_timeout = 2s});
  EXPECT_TRUE(error_of(client, server.url()).ends_with("sent less than 1 KiB/s for 2 s"));
}

TEST(CurlClientTest, TimesOutHungHandshake) {
  RawServer server("", RawServer::Then::hold);
  CurlClient client({.connect_timeout = 1s});
  EXPECT_TRUE(error_of(client, server.url("https")).ends_with("could not be reached within 1 s"));
}

TEST(CurlClientTest, ThrowsInterruptedOnStopRequest) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", RawServer::Then::hold);
  std::stop_source source;
  CurlClient client({.stop = source.get_token()});
  std::jthread later([&] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(get_small(client, {server.url()}, 9));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::interrupted);
    }
  }
}

TEST(CurlClientTest, PublicPeersOnlyRejectsPrivateAddress) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
  CurlClient client;
  EXPECT_FALSE(get_small(client, {server.url()}, 9).from_public_peer);
  try {
    static_cast<void>(get_small(client, {.url = server.url(), .public_peers_only = true}, 9));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("of this machine or of its own network"), std::string::npos);
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(get_small(client, {server.url()}, 9).body, "x") << "it holds for one request";
}

TEST(CurlClientTest, PublicPeersOnlyRejectsOpenPrivateConnection) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", RawServer::Then::hold);
  CurlClient client;
  static_cast<void>(get_small(client, {server.url()}, 9));
  try {
    static_cast<void>(get_small(client, {.url = server.url(), .public_peers_only = true}, 9));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("of this machine or of its own network"), std::string::npos);
  }
  const std::string& sent = server.received();
  EXPECT_EQ(sent.find("GET"), sent.rfind("GET")) << "nothing of the second request has left";
}

TEST(CurlClientTest, DoesNotConnectIfHostCertificatesAreUnreadable) {
  const testing::TempDir root;
  const RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const Url url = *Url::parse(server.url("https"));
  testing::write_file(root.path() / url.authority() / "ca.crt", "no certificate");
  NetworkOptions network;
  network.certificate_directories = {root.path()};
  CurlClient client({.network = network});
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(get_small(client, {url.to_string()}, 9));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed) << error.what();
    }
  }
  EXPECT_EQ(server.connections(), 0);
}

}  // namespace
}  // namespace pyro

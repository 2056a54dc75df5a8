// Tests of the fake registry, with curl as the client.
#include "support/fake_registry.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/hash.h"
#include "support/process.h"
#include "support/tar_builder.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

constexpr int kCurlPartial = 18;  // the body ended early
constexpr int kCurlReceive = 56;  // the connection broke
constexpr int kCurlPeer = 60;     // the certificate was refused
constexpr int kCurlTimeout = 28;
constexpr int kCurlHandshake = 35;

struct Answer {
  int exit_code;
  int status;
  std::string headers;
  std::string body;
};

// Holds one image with one layer of noise as "tool:1".
class FakeRegistryTest : public ::testing::Test {
 protected:
  FakeRegistryTest() { registry_.put("tool", "1", builder_.build()); }

  Answer curl(const std::string& url, const std::vector<std::string>& options = {}) const {
    const TempDir dir;
    Command command{.argv = {"curl", "-sS", "--max-time", "5", "--cacert",
                             registry_.certificate_file().string(), "-D", (dir / "head").string(),
                             "-w", "%{stderr}%{http_code}"}};
    command.argv.insert(command.argv.end(), options.begin(), options.end());
    command.argv.push_back(url);
    const ProcessResult result = run(command);
    const std::string code = result.err.substr(result.err.size() - 3);
    return {result.exit_code, std::stoi(code),
            std::filesystem::exists(dir / "head") ? read_file(dir / "head") : "", result.out};
  }
  Answer get(const std::string& path, const std::vector<std::string>& options = {}) const {
    return curl(registry_.url() + path, options);
  }
  Answer get_blob(const std::vector<std::string>& options = {}) const {
    return get("/v2/tool/blobs/" + digest_, options);
  }

  const std::string layer_ = noise(100'000);
  const ImageBuilder builder_ = ImageBuilder().raw_layer(layer_, "application/octet-stream");
  const std::string digest_ = sha256_digest(layer_);
  FakeRegistry registry_;
};

TEST_F(FakeRegistryTest, ServesManifestsAndBlobs) {
  EXPECT_EQ(get("/v2/").body, "{}");
  const Image image = builder_.build();
  const Answer by_tag = get("/v2/tool/manifests/1");
  EXPECT_EQ(by_tag.body, image.root.bytes);
  EXPECT_NE(by_tag.headers.find("Content-Type: " + image.root.media_type), std::string::npos);
  EXPECT_NE(by_tag.headers.find("Docker-Content-Digest: " + image.digest()), std::string::npos);
  EXPECT_EQ(get("/v2/tool/manifests/" + image.digest()).body, image.root.bytes);
  EXPECT_TRUE(get_blob().body == layer_);
  EXPECT_EQ(get_blob({"--head"}).status, 200);
  EXPECT_EQ(get("/v2/tool/manifests/2").status, 404);
  EXPECT_EQ(json::parse(get("/v2/none/manifests/1").body)["errors"][0]["code"], "NAME_UNKNOWN");
}

TEST_F(FakeRegistryTest, RecordsRequests) {
  get_blob({"-H", "X-Test: one"});
  get("/v2/tool/manifests/1?ns=a%20b");
  ASSERT_EQ(registry_.requests().size(), 2u);
  const RecordedRequest blob = registry_.requests()[0];
  EXPECT_EQ(blob.kind, RequestKind::blob);
  EXPECT_EQ(blob.repository, "tool");
  EXPECT_EQ(blob.reference, digest_);
  EXPECT_EQ(blob.request.header("x-test"), "one");
  EXPECT_EQ(blob.status, 200);
  EXPECT_EQ(registry_.requests()[1].request.parameter("ns"), "a b");
  EXPECT_EQ(registry_.count(RequestKind::blob, digest_), 1);
  EXPECT_EQ(registry_.count(RequestKind::any), 2);
}

TEST_F(FakeRegistryTest, MovesTags) {
  const Image other = ImageBuilder().build();
  registry_.put("tool", "1", other);
  EXPECT_EQ(get("/v2/tool/manifests/1").body, other.root.bytes);
}

TEST_F(FakeRegistryTest, HonoursRanges) {
  const Answer tail = get_blob({"-r", "99990-"});
  EXPECT_EQ(tail.status, 206);
  EXPECT_NE(tail.headers.find("Content-Range: bytes 99990-99999/100000"), std::string::npos);
  EXPECT_EQ(tail.body, layer_.substr(99990));
  EXPECT_EQ(get_blob({"-r", "5-9"}).body, layer_.substr(5, 5));
  EXPECT_EQ(get_blob({"-r", "-7"}).body, layer_.substr(99993));
  EXPECT_EQ(get_blob({"-r", "100000-"}).status, 416);
}

TEST_F(FakeRegistryTest, AppliesRangeFaults) {
  registry_.add_rule({.first = 1, .last = 1}, {.ignore_range = true});
  registry_.add_rule({.first = 2, .last = 2}, {.shift_range = -5});
  registry_.add_rule({.first = 3, .last = 3}, faults::header("Content-Range", "bytes 0-9/100000"));
  EXPECT_EQ(get_blob({"-r", "99990-"}).status, 200);
  EXPECT_EQ(get_blob({"-r", "99990-"}).body, layer_.substr(99985));
  EXPECT_NE(get_blob({"-r", "99990-"}).headers.find("bytes 0-9/100000"), std::string::npos);
}

TEST_F(FakeRegistryTest, RulesApplyToMatchingRequestsOnly) {
  registry_.add_rule({.kind = RequestKind::blob, .reference = digest_, .first = 2, .last = 3},
                     faults::status(503, {{"Retry-After", "1"}}, "later"));
  EXPECT_EQ(get_blob().status, 200);
  EXPECT_EQ(get("/v2/tool/manifests/1").status, 200);
  const Answer second = get_blob();
  EXPECT_EQ(second.status, 503);
  EXPECT_EQ(second.body, "later");
  EXPECT_NE(second.headers.find("Retry-After: 1"), std::string::npos);
  EXPECT_EQ(get_blob().status, 503);
  EXPECT_EQ(get_blob().status, 200);
}

TEST_F(FakeRegistryTest, TruncatesBodies) {
  for (const Ending ending : {Ending::close, Ending::no_close_notify, Ending::reset}) {
    registry_.clear_rules();
    registry_.add_rule({}, faults::cut_after(1000, ending));
    const Answer answer = get_blob();
    EXPECT_TRUE(answer.exit_code == kCurlPartial || answer.exit_code == kCurlReceive)
        << answer.exit_code;
    EXPECT_TRUE(answer.body == layer_.substr(0, 1000) || ending == Ending::reset);
  }
}

TEST_F(FakeRegistryTest, ChangesBytes) {
  registry_.add_rule({.first = 1, .last = 1}, faults::flip_byte_at(50'000));
  registry_.add_rule({.first = 2, .last = 2}, faults::extra_bytes("more"));
  registry_.add_rule({.first = 3, .last = 3}, {.drop_last = 10});
  const std::string flipped = get_blob().body;
  ASSERT_EQ(flipped.size(), layer_.size());
  EXPECT_EQ(flipped.substr(0, 50'000), layer_.substr(0, 50'000));
  EXPECT_EQ(flipped[50'000], layer_[50'000] ^ 1);
  EXPECT_TRUE(get_blob().body == layer_ + "more");
  EXPECT_EQ(get_blob().body.size(), 99'990u);
}

TEST_F(FakeRegistryTest, SendsFalseHeaders) {
  registry_.add_rule({.first = 1, .last = 1}, faults::header("Content-Length", "100010"));
  registry_.add_rule({.first = 2, .last = 2}, faults::header("Content-Length", "10"));
  registry_.add_rule({.first = 3, .last = 3}, faults::without_header("Content-Length"));
  registry_.add_rule({.first = 4, .last = 4}, faults::without_header("docker-content-digest"));
  registry_.add_rule({.first = 5, .last = 5}, faults::html());
  EXPECT_EQ(get_blob().exit_code, kCurlPartial);
  EXPECT_EQ(get_blob().body.size(), 10u);
  const Answer until_close = get_blob();
  EXPECT_EQ(until_close.headers.find("Content-Length"), std::string::npos);
  EXPECT_TRUE(until_close.body == layer_);
  EXPECT_EQ(get_blob().headers.find("Docker-Content-Digest"), std::string::npos);
  EXPECT_NE(get_blob().headers.find("text/html"), std::string::npos);
}

TEST_F(FakeRegistryTest, SendsChunkedBodiesPreamblesAndRawHeads) {
  registry_.add_rule({.first = 1, .last = 1}, {.chunked = true});
  registry_.add_rule({.first = 2, .last = 2}, {.chunked = true, .cut_after = 10});
  registry_.add_rule({.first = 3, .last = 3},
                     {.preamble = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"});
  registry_.add_rule({.first = 4, .last = 4},
                     {.raw_head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"});
  registry_.add_rule({.first = 5, .last = 5}, {.body = "0123456789", .repeat_body = 1000});
  EXPECT_TRUE(get_blob().body == layer_);
  const Answer cut = get_blob();
  EXPECT_NE(cut.exit_code, 0);
  EXPECT_EQ(cut.body.size(), 10u);
  EXPECT_TRUE(get_blob().body == layer_);
  EXPECT_EQ(get_blob().body, layer_.substr(0, 3));
  EXPECT_EQ(get_blob().body.size(), 10'000u);
}

TEST_F(FakeRegistryTest, SlowResponseTimesOutClient) {
  registry_.add_rule({}, faults::slow(1, std::chrono::milliseconds(1000)));
  EXPECT_EQ(get_blob({"--max-time", "1"}).exit_code, kCurlTimeout);
}

TEST_F(FakeRegistryTest, RedirectsToOtherOrigin) {
  registry_.add_rule({.kind = RequestKind::blob}, faults::redirect());
  EXPECT_EQ(get_blob().status, 307);
  EXPECT_TRUE(get_blob({"-L"}).body == layer_);
  EXPECT_EQ(get_blob({"-L", "-r", "0-4"}).body, layer_.substr(0, 5));
  EXPECT_FALSE(registry_.saw_authorization(Listener::cdn));
  const Answer leaked =
      get_blob({"-L", "--location-trusted", "-H", "Authorization: Bearer secret"});
  EXPECT_EQ(leaked.status, 400);
  EXPECT_TRUE(registry_.saw_authorization(Listener::cdn));
  EXPECT_FALSE(registry_.saw_any_request(Listener::plain));
}

TEST_F(FakeRegistryTest, RedirectsToPlainRelativeFileAndItself) {
  using To = RedirectFault::To;
  registry_.add_rule({.kind = RequestKind::blob, .first = 1, .last = 1},
                     faults::redirect(To::plain, 302));
  registry_.add_rule({.kind = RequestKind::blob, .first = 2, .last = 2},
                     faults::redirect(To::relative));
  registry_.add_rule({.kind = RequestKind::blob, .first = 3, .last = 3},
                     faults::redirect_to("file:///etc/passwd"));
  registry_.add_rule({.kind = RequestKind::manifest}, faults::redirect(To::itself));
  EXPECT_TRUE(get_blob({"-L"}).body == layer_);
  EXPECT_TRUE(registry_.saw_any_request(Listener::plain));
  EXPECT_TRUE(get_blob({"-L"}).body == layer_);
  EXPECT_NE(get_blob().headers.find("Location: file:///etc/passwd"), std::string::npos);
  EXPECT_EQ(get("/v2/tool/manifests/1", {"-L", "--max-redirs", "5"}).exit_code, 47);
}

TEST(FakeRegistryLinksTest, SingleUseLinksFailTheSecondTime) {
  FakeRegistry registry({.tls = false, .links_work_once = true});
  const Image image = ImageBuilder().raw_layer("layer", "x").build();
  registry.put("tool", "1", image);
  const std::string link = registry.url(Listener::cdn) + "/redirected/tool/blobs/" +
                           sha256_digest("layer") + "?signature=7";
  const auto status = [&] {
    return run({.argv = {"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", link}}).out;
  };
  EXPECT_EQ(status(), "200");
  EXPECT_EQ(status(), "403");
}

TEST_F(FakeRegistryTest, RequiresBasicCredentials) {
  registry_.set_auth({.mode = AuthOptions::Mode::basic});
  const Answer refused = get_blob();
  EXPECT_EQ(refused.status, 401);
  EXPECT_NE(refused.headers.find("WWW-Authenticate: Basic realm="), std::string::npos);
  EXPECT_TRUE(get_blob({"-u", "user:secret"}).body == layer_);
  EXPECT_EQ(get_blob({"-u", "user:wrong"}).status, 401);
}

std::string token_in(const std::string& body, const char* field = "token") {
  return json::parse(body).at(field);
}

TEST_F(FakeRegistryTest, RequiresTokens) {
  registry_.set_auth({.mode = AuthOptions::Mode::bearer,
                      .token_field = AuthOptions::TokenField::access_token,
                      .expires_in = 60,
                      .uses_per_token = 2});
  const Answer refused = get_blob();
  EXPECT_EQ(refused.status, 401);
  const std::string challenge =
      fmt::format(R"(WWW-Authenticate: Bearer realm="{}/token",service="fake-registry",)"
                  R"(scope="repository:tool:pull")",
                  registry_.url());
  EXPECT_NE(refused.headers.find(challenge), std::string::npos) << refused.headers;
  const Answer issued = get("/token?service=fake-registry&scope=repository:tool:pull");
  EXPECT_EQ(json::parse(issued.body)["expires_in"], 60);
  EXPECT_FALSE(json::parse(issued.body).contains("token"));
  const std::string header = "Authorization: Bearer " + token_in(issued.body, "access_token");
  EXPECT_EQ(get_blob({"-H", header}).status, 200);
  EXPECT_EQ(get_blob({"-H", header}).status, 200);
  EXPECT_EQ(get_blob({"-H", header}).status, 401);  // used up
  EXPECT_EQ(registry_.count(RequestKind::token), 1);
}

TEST_F(FakeRegistryTest, RejectsWrongUserAndTokenOfOtherScope) {
  registry_.set_auth({.mode = AuthOptions::Mode::bearer,
                      .realm = registry_.token_realm("127.0.0.1"),
                      .anonymous = false});
  const std::string realm = registry_.token_realm("127.0.0.1");
  EXPECT_NE(get_blob().headers.find("realm=\"" + realm), std::string::npos);
  EXPECT_EQ(curl(realm).status, 401);
  EXPECT_EQ(curl(realm, {"-u", "user:wrong"}).status, 401);
  const std::string other =
      token_in(curl(realm + "?scope=repository:other:pull", {"-u", "user:secret"}).body);
  EXPECT_EQ(get_blob({"-H", "Authorization: Bearer " + other}).status, 401);
  EXPECT_TRUE(registry_.saw_authorization(Listener::token));
}

TEST_F(FakeRegistryTest, SendsConfiguredChallenges) {
  registry_.add_rule({.kind = RequestKind::blob, .first = 1, .last = 1},
                     faults::challenge({"Negotiate", R"(Basic realm="a, b")"}));
  const Answer refused = get_blob();
  EXPECT_EQ(refused.status, 401);
  EXPECT_NE(refused.headers.find("WWW-Authenticate: Negotiate\r\n"
                                 "WWW-Authenticate: Basic realm=\"a, b\"\r\n"),
            std::string::npos);
  registry_.set_auth({.mode = AuthOptions::Mode::basic});
  registry_.add_rule({.refused = true}, faults::without_header("WWW-Authenticate"));
  EXPECT_EQ(get_blob().headers.find("WWW-Authenticate"), std::string::npos);
  EXPECT_EQ(get_blob({"-u", "user:secret"}).status, 200);
}

TEST_F(FakeRegistryTest, RejectsWrongProtocol) {
  const Answer plain_to_tls = curl("http://" + registry_.host() + "/v2/");
  EXPECT_EQ(plain_to_tls.status, 400);
  const std::string plain_host = registry_.server(Listener::plain).host();
  EXPECT_EQ(curl("https://" + plain_host + "/v2/").exit_code, kCurlHandshake);
  EXPECT_FALSE(registry_.saw_any_request(Listener::plain));
}

TEST(FakeRegistryTlsTest, CurlRejectsInvalidCertificates) {
  for (const LeafOptions& leaf : {expired_leaf(), not_yet_valid_leaf(), wrong_host_leaf()}) {
    const FakeRegistry registry({.certificate = leaf});
    const ProcessResult result =
        run({.argv = {"curl", "-s", "--cacert", registry.certificate_file().string(),
                      registry.url() + "/v2/"}});
    EXPECT_EQ(result.exit_code, kCurlPeer) << leaf.file_name;
    EXPECT_FALSE(registry.saw_any_request(Listener::registry));
    EXPECT_EQ(registry.server(Listener::registry).connections(), 1);
  }
}

TEST(HttpServerTest, SilentServerNeverAnswers) {
  const HttpServer server({.silent = true}, nullptr);
  const ProcessResult result =
      run({.argv = {"curl", "-s", "--max-time", "0.3", "https://" + server.host()}});
  EXPECT_EQ(result.exit_code, kCurlTimeout);
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpServerTest, ReusesConnections) {
  const HttpServer server({}, [](const HttpRequest& request) {
    return HttpResponse{.body = request.method + request.body};
  });
  const std::string url = server.url();
  const ProcessResult result =
      run({.argv = {"curl", "-s", "-d", "form", url, url, "--next", "-s", "-I", url}});
  EXPECT_EQ(result.out.substr(0, 16), "POSTformPOSTform");
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpServerTest, UnusedPortRefusesConnections) {
  const std::string url = "http://127.0.0.1:" + std::to_string(unused_port());
  EXPECT_EQ(run({.argv = {"curl", "-s", url}}).exit_code, 7);
}

}  // namespace
}  // namespace pyro::testing

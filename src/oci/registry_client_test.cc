#include "oci/registry_client.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>

#include "base/hash.h"
#include "support/fake_http_client.h"

namespace pyro {
namespace {

using Answer = FakeHttpClient::Answer;

const std::string kBase = "https://r.example/v2/team/env/";
const std::string kManifestMedia = "application/vnd.oci.image.manifest.v1+json";
const std::string kIndexMedia = "application/vnd.oci.image.index.v1+json";

std::string descriptor(const std::string& content, const std::string& type,
                       const std::string& more = "") {
  return R"({"mediaType": ")" + type + R"(", "digest": ")" + sha256(content).to_string() +
         R"(", "size": )" + std::to_string(content.size()) + more + "}";
}

std::string platform(const std::string& os, const std::string& architecture) {
  return R"(, "platform": {"os": ")" + os + R"(", "architecture": ")" + architecture + R"("})";
}

std::string manifest_with(const std::string& layer) {
  return R"({"schemaVersion": 2, "layers": [)" + descriptor(layer, "tar") + "]}";
}

std::string index_with(const std::string& entries) {
  return R"({"schemaVersion": 2, "manifests": [)" + entries + "]}";
}

class RegistryClientTest : public ::testing::Test {
 protected:
  void serve_manifest(const std::string& reference, const std::string& body,
                      const std::string& type = kManifestMedia) {
    http_.on(kBase + "manifests/" + reference, {.headers = {{"Content-Type", type}}, .body = body});
  }

  void serve_by_digest(const std::string& body, const std::string& type = kManifestMedia) {
    serve_manifest(sha256(body).to_string(), body, type);
  }

  RegistryClient client(const std::string& reference = "1",
                        const std::string& registry = "r.example") {
    return {http_, *ImageReference::make(registry, "team/env", reference), options_};
  }

  std::string resolve_error(const std::string& reference = "1",
                            const std::optional<Digest>& pin = std::nullopt) {
    try {
      static_cast<void>(client(reference).resolve(pin));
    } catch (const Error& error) {
      code_ = error.code();
      return error.what();
    }
    return "no error";
  }

  std::string fetch(const Descriptor& blob) {
    std::string body;
    try {
      client().fetch_blob("layer", blob, bounded_sink(body, 1000));
    } catch (const Error& error) {
      code_ = error.code();
      return error.what();
    }
    return body;
  }

  FakeHttpClient http_;
  NetworkOptions options_;
  ErrorCode code_ = ErrorCode::failed;
};

TEST_F(RegistryClientTest, ResolvesTagToManifest) {
  const std::string manifest = manifest_with("layer");
  serve_manifest("1", manifest);
  const ResolvedImage image = client().resolve();
  EXPECT_EQ(image.digest, sha256(manifest));
  EXPECT_EQ(image.manifest_digest, sha256(manifest));
  EXPECT_EQ(image.manifest.layers.at(0).digest, sha256("layer"));
  EXPECT_EQ(http_.requests.at(0).headers.get("Accept"), kManifestAccept);
}

TEST_F(RegistryClientTest, FollowsIndexByDigest) {
  const std::string manifest = manifest_with("layer");
  const std::string index =
      index_with(descriptor("x", kManifestMedia, platform("linux", "arm64")) + "," +
                 descriptor(manifest, kManifestMedia, platform("linux", "amd64")));
  serve_manifest("1", index, kIndexMedia);
  serve_by_digest(manifest);
  const ResolvedImage image = client().resolve();
  EXPECT_EQ(image.digest, sha256(index));
  EXPECT_EQ(image.manifest_digest, sha256(manifest));
  EXPECT_EQ(http_.requests.size(), 2U);
}

TEST_F(RegistryClientTest, FollowsEntriesWithoutPlatformOneLevelDown) {
  const std::string manifest = manifest_with("layer");
  const std::string other = index_with(descriptor("x", kManifestMedia, platform("linux", "arm64")));
  const std::string inner =
      index_with(descriptor(manifest, kManifestMedia, platform("linux", "amd64")));
  const std::string outer =
      index_with(descriptor(other, kIndexMedia) + "," + descriptor(inner, kIndexMedia));
  serve_manifest("1", outer, kIndexMedia);
  serve_by_digest(other, kIndexMedia);
  serve_by_digest(inner, kIndexMedia);
  serve_by_digest(manifest);
  EXPECT_EQ(client().resolve().manifest_digest, sha256(manifest));
  EXPECT_EQ(client().resolve().digest, sha256(outer));
}

TEST_F(RegistryClientTest, RejectsIndexNestedTwoLevelsDeep) {
  const std::string manifest = manifest_with("layer");
  const std::string third = index_with(descriptor(manifest, kManifestMedia));
  const std::string second = index_with(descriptor(third, kIndexMedia));
  const std::string first = index_with(descriptor(second, kIndexMedia));
  serve_manifest("1", first, kIndexMedia);
  for (const std::string& index : {second, third}) serve_by_digest(index, kIndexMedia);
  EXPECT_EQ(resolve_error(),
            "r.example/team/env:1 has no image for linux/amd64: it names no platform at all");
  EXPECT_EQ(http_.count(kBase + "manifests/" + sha256(manifest).to_string()), 0U);
}

TEST_F(RegistryClientTest, MissingPlatformErrorListsPlatforms) {
  serve_manifest("1",
                 index_with(descriptor("x", kManifestMedia, platform("linux", "arm64")) + "," +
                            descriptor("y", kManifestMedia, platform("windows", "amd64")) + "," +
                            descriptor("z", kManifestMedia, platform("unknown", "unknown"))),
                 kIndexMedia);
  EXPECT_EQ(resolve_error(),
            "r.example/team/env:1 has no image for linux/amd64: "
            "there is only linux/arm64, windows/amd64");
  EXPECT_EQ(code_, ErrorCode::network);
}

std::string manifest_with_config(const std::string& config, const std::string& type) {
  return R"({"schemaVersion": 2, "config": )" + descriptor(config, type) + R"(, "layers": [)" +
         descriptor("layer", "tar") + "]}";
}

TEST_F(RegistryClientTest, ChecksPlatformOfSingleManifestInConfig) {
  const struct {
    const char* config;
    const char* there_is;
    std::string type = "application/vnd.oci.image.config.v1+json";
    std::size_t requests = 2;
  } cases[] = {
      {R"({"os":"linux","architecture":"amd64"})", ""},
      {R"({"os":"linux","architecture":"x86_64"})", ""},
      {R"({"os":"linux","architecture":"arm64"})", "linux/arm64"},
      {R"({"os":"windows","architecture":"amd64"})", "windows/amd64"},
      {R"({"architecture":"s390x"})", "linux/s390x",
       "application/vnd.docker.container.image.v1+json"},
      {"{}", ""},
      {"nonsense", ""},
      {R"({"os":7,"architecture":[]})", ""},
      {R"({"architecture":"arm64"})", "", "application/vnd.oci.empty.v1+json", 1},
  };
  for (const auto& c : cases) {
    http_ = {};
    serve_manifest("1", manifest_with_config(c.config, c.type));
    http_.on(kBase + "blobs/" + sha256(c.config).to_string(), {.body = c.config});
    const std::string refused = "r.example/team/env:1 has no image for linux/amd64: there is only ";
    EXPECT_EQ(resolve_error(),
              *c.there_is == '\0' ? "no error" : refused + std::string(c.there_is));
    EXPECT_EQ(http_.requests.size(), c.requests) << c.config;
  }
}

TEST_F(RegistryClientTest, AcceptsMissingConfigAndRejectsWrongConfigDigest) {
  const std::string config = R"({"os":"linux","architecture":"amd64"})";
  serve_manifest("1", manifest_with_config(config, "application/vnd.oci.image.config.v1+json"));
  EXPECT_EQ(resolve_error(), "no error");
  std::string other = config;
  other.back() = ' ';
  http_.on(kBase + "blobs/" + sha256(config).to_string(), {.body = other});
  EXPECT_TRUE(resolve_error().starts_with("cannot fetch the config r.example/team/env@sha256:"));
  EXPECT_EQ(code_, ErrorCode::integrity);
}

TEST_F(RegistryClientTest, ChecksPlatformOfIndexEntriesInConfigs) {
  const std::string type = "application/vnd.oci.image.config.v1+json";
  const std::string arm = R"({"os":"linux","architecture":"arm64"})";
  const std::string amd = R"({"os":"linux","architecture":"amd64"})";
  const std::string first = manifest_with_config(arm, type);
  const std::string second = manifest_with_config(amd, type);
  serve_manifest(
      "1", index_with(descriptor(first, kManifestMedia) + "," + descriptor(second, kManifestMedia)),
      kIndexMedia);
  for (const std::string& manifest : {first, second}) serve_by_digest(manifest);
  for (const std::string& config : {arm, amd}) {
    http_.on(kBase + "blobs/" + sha256(config).to_string(), {.body = config});
  }
  EXPECT_EQ(client().resolve().manifest_digest, sha256(second));
}

TEST_F(RegistryClientTest, RequestsPinInsteadOfTag) {
  const std::string manifest = manifest_with("layer");
  serve_by_digest(manifest);
  EXPECT_EQ(client().resolve(sha256(manifest)).digest, sha256(manifest));
  EXPECT_EQ(http_.count(kBase + "manifests/1"), 0U);
  EXPECT_EQ(client(sha256(manifest).to_string()).resolve().digest, sha256(manifest));
}

TEST_F(RegistryClientTest, RejectsManifestOfWrongDigest) {
  const std::string manifest = manifest_with("layer");
  const std::string wanted = sha256("other").to_string();
  serve_manifest(wanted, manifest);
  const std::string message = "cannot fetch the manifest of r.example/team/env@" + wanted +
                              ": its digest is " + sha256(manifest).to_string();
  EXPECT_EQ(resolve_error("1", sha256("other")), message);
  EXPECT_EQ(code_, ErrorCode::integrity);
  EXPECT_EQ(resolve_error(wanted), message);
}

TEST_F(RegistryClientTest, RejectsChildManifestOfWrongSize) {
  const std::string child = manifest_with("layer");
  const std::string wanted = sha256("short").to_string();
  serve_manifest("1", index_with(descriptor("short", kManifestMedia, platform("linux", "amd64"))),
                 kIndexMedia);
  serve_manifest(wanted, child);
  EXPECT_EQ(resolve_error(), "cannot fetch the manifest of r.example/team/env@" + wanted +
                                 ": it has " + std::to_string(child.size()) +
                                 " bytes instead of 5");
  EXPECT_EQ(code_, ErrorCode::integrity);
}

TEST_F(RegistryClientTest, RejectsManifestThatContradictsDigestHeader) {
  const std::string manifest = manifest_with("layer");
  const struct {
    std::string header;
    bool accepted;
  } cases[] = {
      {sha256(manifest).to_string(), true},
      {"sha512:" + std::string(128, 'a'), true},
      {sha256("other").to_string(), false},
      {"garbage", false},
  };
  for (const auto& c : cases) {
    http_ = {};
    code_ = ErrorCode::failed;
    http_.on(kBase + "manifests/1",
             {.headers = {{"Docker-Content-Digest", c.header}}, .body = manifest});
    EXPECT_EQ(resolve_error() == "no error", c.accepted) << c.header;
    EXPECT_EQ(code_ == ErrorCode::integrity, !c.accepted) << c.header;
  }
}

TEST_F(RegistryClientTest, ErrorsExplainRegistryResponse) {
  const struct {
    Answer answer;
    const char* cause;
    ErrorCode code;
  } cases[] = {
      {{.status = 404, .body = R"({"errors": [{"code": "MANIFEST_UNKNOWN"}]})"},
       "it does not exist: the registry answered 404 MANIFEST_UNKNOWN: "
       "the request was for https://r.example/v2/team/env/manifests/1",
       ErrorCode::network},
      {{.status = 403, .body = R"({"errors": [{"code": "DENIED", "message": "no"}]})"},
       "the registry answered 403 DENIED: no: "
       "the request was for https://r.example/v2/team/env/manifests/1",
       ErrorCode::network},
      {{.headers = {{"Content-Type", "text/html; charset=utf-8"}}, .body = "<html>"},
       "r.example answered with a web page (text/html), not as a registry: a captive portal or a "
       "proxy's login page?",
       ErrorCode::network},
      {{.body = "{"},
       "line 1, column 2: not valid JSON: unexpected end of input; expected string literal",
       ErrorCode::integrity},
      {{.body = std::string((4 << 20) + 1, ' ')},
       "the answer is longer than 4194304 bytes",
       ErrorCode::network},
      {{.error = Error(ErrorCode::network, "broken")}, "broken", ErrorCode::network},
      {{.status = 307, .headers = {{"Location", "http://r.example/x"}}},
       "r.example redirects from https to plain http, at r.example",
       ErrorCode::network},
  };
  for (const auto& c : cases) {
    http_ = {};
    http_.on(kBase + "manifests/1", c.answer);
    EXPECT_EQ(resolve_error(),
              std::string("cannot fetch the manifest of r.example/team/env:1: ") + c.cause);
    EXPECT_EQ(code_, c.code);
  }
}

TEST_F(RegistryClientTest, ReportsInterruptionWithoutContext) {
  http_.on(kBase + "manifests/1", {.error = Error(ErrorCode::interrupted, "interrupted")});
  EXPECT_EQ(resolve_error(), "interrupted");
}

TEST_F(RegistryClientTest, FetchesBlobAndRejectsWrongContent) {
  const Descriptor blob{.media_type = "", .digest = sha256("layer"), .size = 5};
  const std::string url = kBase + "blobs/" + blob.digest.to_string();
  const std::string about =
      "cannot fetch the layer r.example/team/env@" + blob.digest.to_string() + ": ";
  const struct {
    Answer answer;
    std::string outcome;
    ErrorCode code;
  } cases[] = {
      {{.body = "layer"}, "layer", ErrorCode::failed},
      {{.body = "laye"}, about + "the answer ended after 4 of 5 bytes", ErrorCode::network},
      {{.headers = {{"Transfer-Encoding", "chunked"}}, .body = "laye"},
       about + "it has 4 bytes instead of 5",
       ErrorCode::integrity},
      {{.body = "layerx"},
       about + "it is longer than the 5 bytes it should have",
       ErrorCode::integrity},
      {{.body = "lager"},
       about + "its digest is " + sha256("lager").to_string(),
       ErrorCode::integrity},
      {{.headers = {{"Content-Type", "text/html"}}, .body = "<html>"},
       about + "it is longer than the 5 bytes it should have: what came is a web page (text/html)",
       ErrorCode::integrity},
      {{.status = 307, .headers = {{"Location", "https://cdn.example/x?sig=secret"}}},
       about + "cdn.example, where the registry redirects to, answered 404: "
               "the request was for https://cdn.example/x",
       ErrorCode::network},
  };
  for (const auto& c : cases) {
    http_ = {};
    http_.on(url, c.answer);
    code_ = ErrorCode::failed;
    EXPECT_EQ(fetch(blob), c.outcome);
    EXPECT_EQ(code_, c.code);
  }
}

TEST_F(RegistryClientTest, PropagatesErrorsOfSink) {
  const Descriptor blob{.media_type = "", .digest = sha256("layer"), .size = 5};
  http_.on(kBase + "blobs/" + blob.digest.to_string(), {.body = "layer"});
  try {
    client().fetch_blob("layer", blob,
                        [](auto) { throw Error(ErrorCode::filesystem, "disk full"); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "disk full");
  }
  EXPECT_THROW(client().fetch_blob("layer", blob, [](auto) { throw std::runtime_error("x"); }),
               std::runtime_error);
}

class RegistryLoginTest : public RegistryClientTest {
 protected:
  static Answer challenge() {
    return {.status = 401,
            .headers = {{"WWW-Authenticate", "Bearer realm=\"https://auth.test/t\",scope=\"x\""}}};
  }

  std::optional<std::string> sent(std::size_t request) const {
    return http_.requests.at(request).headers.get("Authorization");
  }

  const std::string manifest_url_ = kBase + "manifests/1";
  const std::string token_url_ = "https://auth.test/t?scope=repository%3Ateam%2Fenv%3Apull";
};

TEST_F(RegistryLoginTest, FetchesATokenOnceAndRenewsItOncePerRequest) {
  const Descriptor blob{.media_type = "", .digest = sha256("layer"), .size = 5};
  const std::string blob_url = kBase + "blobs/" + blob.digest.to_string();
  http_.on(manifest_url_, challenge()).on(manifest_url_, {.body = manifest_with("layer")});
  http_.on(token_url_, {.body = R"({"token": "first"})"});
  http_.on(token_url_, {.body = R"({"token": "second"})"});
  http_.on(blob_url, {.body = "layer"}).on(blob_url, challenge()).on(blob_url, {.body = "layer"});

  RegistryClient registry = client();
  static_cast<void>(registry.resolve());
  EXPECT_EQ(sent(0), std::nullopt);
  EXPECT_EQ(sent(2), "Bearer first");

  std::string body;
  registry.fetch_blob("layer", blob, bounded_sink(body, 5));
  EXPECT_EQ(http_.count(token_url_), 1U);
  body.clear();
  registry.fetch_blob("layer", blob, bounded_sink(body, 5));
  EXPECT_EQ(body, "layer");
  EXPECT_EQ(http_.count(token_url_), 2U);
  EXPECT_EQ(sent(http_.requests.size() - 1), "Bearer second");
}

TEST_F(RegistryLoginTest, GivesUpAfterTheSecondRefusal) {
  http_.on(manifest_url_, challenge()).on(token_url_, {.body = R"({"token": "T"})"});
  EXPECT_EQ(resolve_error(),
            "cannot fetch the manifest of r.example/team/env:1: login needed, or there is no "
            "team/env in r.example: the registry answered 401");
  EXPECT_EQ(code_, ErrorCode::network);
  EXPECT_EQ(http_.count(manifest_url_), 2U);
  EXPECT_EQ(http_.count(token_url_), 1U);
}

TEST_F(RegistryLoginTest, RequestsPingForMissingChallenge) {
  http_.on(manifest_url_, {.status = 401}).on(manifest_url_, {.body = manifest_with("layer")});
  http_.on("https://r.example/v2/", challenge()).on(token_url_, {.body = R"({"token": "T"})"});
  EXPECT_EQ(resolve_error(), "no error");
  http_ = {};
  http_.on(manifest_url_, {.status = 401});
  EXPECT_EQ(resolve_error(),
            "cannot fetch the manifest of r.example/team/env:1: "
            "the registry answered 401 without saying how to log in");
}

TEST_F(RegistryLoginTest, DoesNotAnswerTheChallengeOfAnotherHost) {
  http_.on(manifest_url_, {.status = 307, .headers = {{"Location", "https://cdn.example/x"}}});
  http_.on("https://cdn.example/x", challenge());
  EXPECT_EQ(resolve_error(),
            "cannot fetch the manifest of r.example/team/env:1: cdn.example, where the registry "
            "redirects to, answered 401: the request was for https://cdn.example/x");
  EXPECT_EQ(http_.count(token_url_), 0U);
}

TEST_F(RegistryLoginTest, DoesNotSendTokenToRedirectTarget) {
  http_.on(manifest_url_, challenge())
      .on(manifest_url_, {.status = 307, .headers = {{"Location", "https://cdn.example/x"}}});
  http_.on(token_url_, {.body = R"({"token": "T"})"});
  http_.on("https://cdn.example/x", {.body = manifest_with("layer")});
  EXPECT_EQ(resolve_error(), "no error");
  EXPECT_EQ(sent(2), "Bearer T");
  EXPECT_EQ(http_.requests.at(3).url, "https://cdn.example/x");
  EXPECT_EQ(sent(3), std::nullopt);
}

TEST_F(RegistryClientTest, UsesPlainHttpOnLoopbackOnly) {
  const std::string path = "/v2/team/env/manifests/1";
  for (const std::string registry : {"localhost:5000", "127.0.0.1:5000", "[::1]:5000"}) {
    http_ = {};
    http_.on("https://" + registry + path, {.not_tls = true})
        .on("http://" + registry + path, {.body = manifest_with("layer")});
    RegistryClient local = client("1", registry);
    static_cast<void>(local.resolve());
    static_cast<void>(local.resolve());
    EXPECT_EQ(http_.count("https://" + registry + path), 1U);
    EXPECT_EQ(http_.count("http://" + registry + path), 2U);
  }
  http_ = {};
  http_.on("https://r.example" + path, {.not_tls = true});
  EXPECT_EQ(resolve_error(),
            "cannot fetch the manifest of r.example/team/env:1: the peer does not speak TLS");
  EXPECT_EQ(http_.requests.size(), 1U);
}

TEST_F(RegistryClientTest, FallsBackToPlainHttpOnFirstRequestOnly) {
  const std::string url = "https://localhost/v2/team/env/manifests/1";
  http_.on(url, {.error = Error(ErrorCode::network, "certificate")}).on(url, {.not_tls = true});
  RegistryClient local = client("1", "localhost");
  EXPECT_THROW(static_cast<void>(local.resolve()), Error);
  EXPECT_THROW(static_cast<void>(local.resolve()), NotTlsError);
  EXPECT_EQ(http_.count("http://localhost:443/v2/team/env/manifests/1"), 0U);
}

TEST_F(RegistryClientTest, FindsPlainHttpOfRegistryStartingDuringRetries) {
  const std::string manifest = manifest_with("layer");
  const std::string path = "127.0.0.1:5000/v2/team/env/manifests/1";
  const Answer answer{.headers = {{"Content-Type", kManifestMedia}}, .body = manifest};
  http_.on("https://" + path, {.refused = true})
      .on("https://" + path, {.not_tls = true})
      .on("http://" + path, {.broken = true})
      .on("http://" + path, answer);
  RegistryClient client(http_, *ImageReference::make("127.0.0.1:5000", "team/env", "1"), options_,
                        {.retries = 2, .delay = std::chrono::milliseconds(0)});
  EXPECT_EQ(client.resolve().digest, sha256(manifest));
  EXPECT_EQ(http_.count("https://" + path), 3U);
  EXPECT_EQ(http_.count("http://" + path), 2U);
}

TEST_F(RegistryClientTest, RetriesTlsIfPlainHttpFails) {
  const std::string manifest = manifest_with("layer");
  const std::string path = "127.0.0.1:5000/v2/team/env/manifests/1";
  http_.on("https://" + path, {.not_tls = true})
      .on("https://" + path, {.headers = {{"Content-Type", kManifestMedia}}, .body = manifest})
      .on("http://" + path, {.refused = true});
  RegistryClient client(http_, *ImageReference::make("127.0.0.1:5000", "team/env", "1"), options_,
                        {.retries = 1, .delay = std::chrono::milliseconds(0)});
  EXPECT_EQ(client.resolve().digest, sha256(manifest));
  EXPECT_EQ(http_.count("http://" + path), 1U);
}

TEST_F(RegistryClientTest, LookUpUsesHead) {
  const std::string manifest = manifest_with("layer");
  const std::string digest = sha256(manifest).to_string();
  http_.on("HEAD " + kBase + "manifests/1",
           {.headers = {{"Content-Type", kIndexMedia}, {"Docker-Content-Digest", digest}}});
  const NamedImage named = client().look_up();
  EXPECT_EQ(named.digest.to_string(), digest);
  EXPECT_TRUE(named.is_index);
  ASSERT_EQ(http_.requests.size(), 1U);
  EXPECT_TRUE(http_.requests.front().head_only);
  EXPECT_EQ(http_.requests.front().headers.get("Accept"), std::string(kManifestAccept));
}

TEST_F(RegistryClientTest, LookUpUsesGetIfHeadGivesNoDigest) {
  const std::string manifest = manifest_with("layer");
  const Answer heads[] = {
      {.status = 405},
      {.status = 501},
      {.status = 405, .headers = {{"Docker-Content-Digest", sha256("other").to_string()}}},
      {.headers = {{"Content-Type", kManifestMedia}}},
      {.headers = {{"Docker-Content-Digest", "sha512:abc"}}},
      {.headers = {{"Docker-Content-Digest", "nonsense"}}},
  };
  for (const Answer& head : heads) {
    http_ = {};
    http_.on("HEAD " + kBase + "manifests/1", head);
    serve_manifest("1", manifest);
    const NamedImage named = client().look_up();
    EXPECT_EQ(named.digest, sha256(manifest));
    EXPECT_FALSE(named.is_index);
    ASSERT_EQ(http_.requests.size(), 2U);
    EXPECT_FALSE(http_.requests.back().head_only);
  }
}

TEST_F(RegistryClientTest, LookUpReportsErrorsAsResolveDoes) {
  const auto complaint = [&](const Answer& answer) {
    http_ = {};
    http_.on(kBase + "manifests/1", answer);
    try {
      static_cast<void>(client().look_up());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::network);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(complaint({.status = 404}).find("it does not exist"), std::string::npos);
  EXPECT_NE(complaint({.status = 403}).find("403"), std::string::npos);
  EXPECT_NE(complaint({.status = 503}).find("503"), std::string::npos);
  EXPECT_NE(complaint({.headers = {{"Content-Type", "text/html"}}}).find("web page"),
            std::string::npos);
}

// Mirrors.

const std::string kMirror = "m.example/cache/team/env";
const Descriptor kLayer{.media_type = "tar", .digest = sha256("layer"), .size = 5};

class MirroredClientTest : public RegistryClientTest {
 protected:
  MirroredClientTest() {
    char name[] = "/tmp/pyro-mirrors-XXXXXX";
    const int fd = ::mkstemp(name);
    if (fd >= 0) ::close(fd);
    file_ = name;
    options_.registries_files = {file_};
    watch_ = {.session = &session_,
              .warn = [this](std::string_view line) { warnings_.emplace_back(line); },
              .note = [this](std::string_view line) { notes_.emplace_back(line); }};
  }
  ~MirroredClientTest() override { std::filesystem::remove(file_); }

  /// m.example is a mirror of r.example, with these lines added.
  void configure(const std::string& lines = {}, const std::string& registry_lines = {}) const {
    std::ofstream(file_) << "[[registry]]\nlocation = \"r.example\"\n" + registry_lines +
                                "\n[[registry.mirror]]\nlocation = \"m.example/cache\"\n" + lines;
  }

  RegistryClient client(const std::string& reference = "1") {
    return {http_, *ImageReference::make("r.example", "team/env", reference), options_, retry_,
            watch_};
  }

  std::string fetch(const Descriptor& blob) {
    std::string body;
    client().fetch_blob("layer", blob, bounded_sink(body, 1000));
    return body;
  }

  static std::string mirror_url(const std::string& path) {
    return "https://m.example/v2/cache/team/env/" + path + "?ns=r.example";
  }

  std::filesystem::path file_;
  RetryOptions retry_{.retries = 3, .delay = std::chrono::milliseconds(1)};
  PullSession session_;
  std::vector<std::string> warnings_;
  std::vector<std::string> notes_;
  HostWatch watch_;
};

TEST_F(MirroredClientTest, ResolvesTagsAtRegistryUnlessMirrorServesTags) {
  const std::string manifest = manifest_with("layer");
  serve_manifest("1", manifest);
  http_.on(mirror_url("manifests/1"),
           {.headers = {{"Content-Type", kManifestMedia}}, .body = manifest});
  struct Case {
    const char* lines;
    std::size_t asked;
  };
  const Case cases[] = {{"", 0},
                        {"pull-from-mirror = \"digest-only\"", 0},
                        {"pull-from-mirror = \"all\"", 1},
                        {"pull-from-mirror = \"tag-only\"", 1}};
  for (const Case& c : cases) {
    http_.requests.clear();
    configure(c.lines);
    EXPECT_EQ(client().resolve().digest, sha256(manifest));
    EXPECT_EQ(http_.count(mirror_url("manifests/1")), c.asked) << c.lines;
    EXPECT_EQ(http_.count(kBase + "manifests/1"), 1 - c.asked) << c.lines;
  }
}

TEST_F(MirroredClientTest, FetchesDigestsFromMirror) {
  const std::string manifest = manifest_with("layer");
  const Digest digest = sha256(manifest);
  http_.on(mirror_url("manifests/" + digest.to_string()),
           {.headers = {{"Content-Type", kManifestMedia}}, .body = manifest});
  http_.on(mirror_url("blobs/" + sha256("layer").to_string()), {.body = "layer"});
  configure();
  EXPECT_EQ(client().resolve(digest).digest, digest);
  EXPECT_EQ(fetch(kLayer), "layer");
  EXPECT_FALSE(session_.has_failed(kMirror));
  for (const HttpRequest& request : http_.requests) {
    EXPECT_TRUE(request.url.starts_with("https://m.example/")) << request.url;
    EXPECT_TRUE(request.has_alternative);
    EXPECT_FALSE(request.insecure);
  }
  configure("pull-from-mirror = \"tag-only\"");
  http_.on(kBase + "blobs/" + sha256("layer").to_string(), {.body = "layer"});
  EXPECT_EQ(fetch(kLayer), "layer");
  EXPECT_FALSE(http_.requests.back().has_alternative);
}

TEST_F(MirroredClientTest, FailedMirrorIsNotAskedAgain) {
  struct Case {
    Answer answer;
    std::size_t asked;
    bool is_warned;
  };
  const std::string blob = "blobs/" + sha256("layer").to_string();
  const Case cases[] = {
      {{.status = 404}, 1, false},
      {{.status = 403}, 1, true},
      {{.status = 500}, 2, true},
      {{.status = 503, .headers = {{"Retry-After", "30"}}}, 1, true},
      {{.error = Error(ErrorCode::network, "cannot connect")}, 1, true},
      {{.headers = {{"Content-Length", "7"}}, .body = "another"}, 1, true},
      {{.status = 302, .headers = {{"Location", "http://m.example/"}}}, 1, true},
  };
  configure();
  for (const Case& c : cases) {
    http_ = FakeHttpClient();
    session_ = PullSession();
    warnings_.clear();
    http_.on(mirror_url(blob), c.answer).on(kBase + blob, {.body = "layer"});
    for (int i = 0; i < 2; ++i) EXPECT_EQ(fetch(kLayer), "layer");
    EXPECT_EQ(http_.count(mirror_url(blob)), c.asked) << c.answer.status;
    EXPECT_EQ(http_.count(kBase + blob), 2U);
    EXPECT_TRUE(session_.has_failed(kMirror));
    EXPECT_EQ(warnings_.size(), c.is_warned ? 1U : 0U) << c.answer.status;
    const auto& told = c.is_warned ? warnings_ : notes_;
    ASSERT_FALSE(told.empty());
    EXPECT_TRUE(told.back().starts_with("going on without the mirror m.example: ")) << told.back();
  }
}

TEST_F(MirroredClientTest, WrongBytesOfMirrorRestartWithoutIt) {
  const std::string blob = "blobs/" + sha256("layer").to_string();
  http_.on(mirror_url(blob), {.body = "liars"}).on(kBase + blob, {.body = "layer"});
  configure();
  EXPECT_THROW(fetch(kLayer), Error);
  EXPECT_TRUE(session_.take_restart());
  EXPECT_TRUE(session_.has_failed(kMirror));
  EXPECT_EQ(warnings_.size(), 1U);
  EXPECT_EQ(fetch(kLayer), "layer");
}

TEST_F(MirroredClientTest, WrongBytesOfRegistryFailWithoutRestart) {
  const std::string blob = "blobs/" + sha256("layer").to_string();
  http_.on(kBase + blob, {.body = "liars"});
  configure();
  try {
    fetch(kLayer);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_FALSE(session_.take_restart()) << "no other host can do better";
  }
}

TEST_F(MirroredClientTest, SinkFailureDoesNotFailMirror) {
  const std::string blob = "blobs/" + sha256("layer").to_string();
  http_.on(mirror_url(blob), {.body = "layer"});
  configure();
  const BodySink full = [](std::span<const std::byte>) {
    throw Error(ErrorCode::filesystem, "the disk is full");
  };
  EXPECT_THROW(client().fetch_blob("layer", kLayer, full), Error);
  EXPECT_FALSE(session_.has_failed(kMirror));
  EXPECT_EQ(http_.requests.size(), 1U);
}

TEST_F(MirroredClientTest, InsecureAppliesToThatHostOnlyAndWarns) {
  configure("insecure = true\npull-from-mirror = \"all\"");
  http_.on(mirror_url("manifests/1"), {.not_tls = true});
  const std::string manifest = manifest_with("layer");
  serve_manifest("1", manifest);
  http_.on("http://m.example:443" + mirror_url("manifests/1").substr(17),
           {.status = 302, .headers = {{"Location", "http://other.example/"}}});
  EXPECT_EQ(client().resolve().digest, sha256(manifest));
  ASSERT_EQ(http_.requests.size(), 4U);
  EXPECT_TRUE(http_.requests[0].insecure && http_.requests[1].insecure);
  EXPECT_FALSE(http_.requests[2].insecure) << "where it redirects to";
  EXPECT_FALSE(http_.requests[3].insecure) << "the registry";
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_NE(warnings_[0].find("TLS verification is off for m.example"), std::string::npos);
}

TEST_F(MirroredClientTest, InsecureAppliesToTokenServerOnSameHostOnly) {
  configure({}, "insecure = true");
  for (const char* realm : {"https://r.example:8443/token", "https://auth.example/token"}) {
    http_ = FakeHttpClient();
    http_
        .on(kBase + "manifests/1",
            {.status = 401,
             .headers = {{"WWW-Authenticate", "Bearer realm=\"" + std::string(realm) + "\""}}})
        .on(realm + std::string("?scope=repository%3Ateam%2Fenv%3Apull"),
            {.body = R"({"token": "T"})"});
    EXPECT_THROW(static_cast<void>(client().resolve()), Error);
    ASSERT_GE(http_.requests.size(), 2U);
    EXPECT_TRUE(http_.requests[0].insecure);
    EXPECT_EQ(http_.requests[1].insecure,
              std::string(realm).find("r.example") != std::string::npos);
  }
}

TEST_F(MirroredClientTest, InsecureHostFallsBackToPlainHttp) {
  configure({}, "insecure = true");
  const std::string manifest = manifest_with("layer");
  http_.on(kBase + "manifests/1", {.refused = true})
      .on("http://r.example/v2/team/env/manifests/1",
          {.headers = {{"Content-Type", kManifestMedia}}, .body = manifest});
  EXPECT_EQ(client().resolve().digest, sha256(manifest));
  EXPECT_EQ(http_.requests.size(), 2U);
}

TEST_F(MirroredClientTest, BlockedRegistryErrorNamesFile) {
  configure({}, "blocked = true");
  try {
    static_cast<void>(client());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
    EXPECT_NE(std::string(error.what()).find(file_.string()), std::string::npos);
  }
}

}  // namespace
}  // namespace pyro

// Answers of registries that must be refused, and odd ones that must be accepted.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "scenarios/hostile_harness.h"
#include "support/http_server.h"

namespace pyro::testing {
namespace {

using nlohmann::json;
using Mode = AuthOptions::Mode;
using To = RedirectFault::To;

constexpr RequestKind kManifest = RequestKind::manifest;
constexpr RequestKind kBlob = RequestKind::blob;
constexpr RequestKind kToken = RequestKind::token;

/// The valid setup that each row modifies.
struct Scene {
  FakeRegistry& registry;
  Image image;

  void fault(RequestKind kind, const Fault& fault) const {
    registry.add_rule({.kind = kind}, fault);
  }
  void ask_for_tokens() const { registry.set_auth({.mode = Mode::bearer}); }
};

using Spoil = std::function<void(Scene&)>;

struct Answer {
  const char* name;
  Spoil spoil;
  int exit_code = 0;
  std::vector<std::string> says = {};

  friend void PrintTo(const Answer& self, std::ostream* out) { *out << self.name; }
};

Spoil answered(RequestKind kind, const Fault& fault) {
  return [=](Scene& scene) { scene.fault(kind, fault); };
}

Spoil manifest_with(const JsonEdit& edit) {
  return [edit](Scene& scene) {
    scene.image = ImageBuilder().layer(tar_of(sample())).edit_manifest(edit).build();
  };
}

Spoil layer_with(const JsonEdit& edit) {
  return manifest_with([edit](json& manifest) { edit(manifest["layers"][0]); });
}

Spoil token_answered(const Fault& fault) {
  return [=](Scene& scene) {
    scene.ask_for_tokens();
    scene.fault(kToken, fault);
  };
}

Spoil token_is(const std::string& document) {
  return token_answered({.body = document});
}

Spoil challenged(const std::string& challenge) {
  return [=](Scene& scene) {
    scene.ask_for_tokens();
    scene.registry.add_rule({.refused = true}, faults::challenge({challenge}));
  };
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

Headers many_headers(int count) {
  Headers headers;
  for (int i = 0; i < count; ++i) headers.emplace_back("X-" + std::to_string(i), "x");
  return headers;
}

/// The flipped byte of the sample's layer, counted from its end where it is negative.
Spoil layer_flipped_at(std::ptrdiff_t place) {
  return [place](Scene& scene) {
    std::size_t size = 0;
    for (const auto& [digest, blob] : scene.image.blobs) size = std::max(size, blob.size());
    const std::ptrdiff_t from_start = place < 0 ? static_cast<std::ptrdiff_t>(size) + place : place;
    scene.fault(kBlob, faults::flip_byte_at(static_cast<std::size_t>(from_start)));
  };
}

const std::vector<Answer> kRefusedAnswers = {
    // Statuses.
    {"Denied",
     answered(kManifest,
              faults::status(403, {}, R"({"errors":[{"code":"DENIED","message":"not for you"}]})")),
     4,
     {"403", "DENIED"}},
    {"NotFoundAsAPage",
     answered(kManifest, faults::status(404, {{"Content-Type", "text/html"}}, "<html>no</html>")),
     4,
     {"404"}},
    {"BadRequest", answered(kManifest, faults::status(400)), 4, {"400"}},
    {"MethodNotAllowed", answered(kManifest, faults::status(405)), 4, {"405"}},
    {"UnavailableForLegalReasons", answered(kManifest, faults::status(451)), 4, {"451"}},
    {"EscapeSequencesInTheAnswer",
     answered(kManifest,
              faults::status(403, {}, R"({"errors":[{"code":"DENIED","message":"a\u001b[2Jb"}]})")),
     4,
     {"403"}},
    // Heads.
    {"HeaderOfAMebibyte",
     answered(kManifest, faults::header("X-Long", std::string(1 << 20, 'x'))),
     4,
     {"localhost"}},
    {"TenThousandHeaders",
     answered(kManifest, {.add_headers = many_headers(10'000)}),
     4,
     {"header of the answer is too large"}},
    {"FloodOfInformationalAnswers",
     answered(kManifest, {.preamble = repeated("HTTP/1.1 103 Early Hints\r\n\r\n", 20'000)}),
     4,
     {"header of the answer is too large"}},
    {"FoldedHeader",
     answered(kManifest, faults::header("X-Folded", "a\r\n b")),
     4,
     {"folded line"}},
    {"NegativeLength", answered(kBlob, faults::header("Content-Length", "-5")), 4, {"layer"}},
    // Redirects.
    {"RedirectWithSpaces",
     answered(kBlob, faults::redirect_to("https://localhost:1/a b")),
     4,
     {"localhost:1"}},
    {"RedirectToGopher", answered(kBlob, faults::redirect_to("gopher://localhost/x")), 4,
     {"redirects"}},
    // Tokens.
    {"TokenIsNull", token_is(R"({"token":null})"), 4, {"no token"}},
    {"TokenIsANumber", token_is(R"({"token":7})"), 4, {"no token"}},
    {"TokenIsEmpty", token_is(R"({"token":""})"), 4, {"no token"}},
    {"TokenAnswerIsEmpty", token_is(""), 4, {"cannot get a token"}},
    {"TokenAnswerIsNoObject", token_is(R"(["token"])"), 4, {"no token"}},
    {"TokenAnswerIsCutOff", token_is(R"({"token":"abc)"), 4, {"cannot get a token"}},
    {"TokenAnswer204", token_answered(faults::status(204)), 4, {"cannot get a token"}},
    {"TokenWithAZeroByte", token_is(R"({"token":"abc\u0000def"})"), 4, {"characters"}},
    {"TokenForbidden", token_answered(faults::status(403)), 4, {"cannot get a token", "403"}},
    {"TokenNotFound", token_answered(faults::status(404)), 4, {"cannot get a token", "404"}},
    {"TokenTooManyRequests", token_answered(faults::status(429)), 4, {"429"}},
    {"TokenAnswerOf10MiB",
     token_answered({.body = std::string(10 << 20, ' ')}),
     4,
     {"cannot get a token", "longer than 131072 bytes"}},
    {"RealmIsRelative", challenged("Bearer realm=\"/token\""), 4, {"token server"}},
    {"RealmWithAPassword",
     challenged("Bearer realm=\"https://mallory:top-secret@localhost:1/token\""),
     4,
     {"localhost"}},
    {"ChallengeOf64KiB",
     challenged("Bearer realm=\"" + std::string(64 << 10, 'x') + "\""),
     4,
     {"cannot install"}},
    // Manifests.
    {"ManifestAsAnImage", answered(kManifest, faults::header("Content-Type", "image/png")), 5,
     {"image/png"}},
    {"SchemaVersionIsText",
     manifest_with([](json& manifest) { manifest["schemaVersion"] = "2"; }),
     5,
     {"schemaVersion"}},
    {"SchemaVersionMissing",
     manifest_with([](json& manifest) { manifest.erase("schemaVersion"); }),
     5,
     {"schemaVersion"}},
    {"LayersInCapitals",
     manifest_with([](json& manifest) { manifest["Layers"] = manifest["layers"]; }),
     5,
     {"manifest", "Layers"}},
    {"ManifestsInCapitals",
     manifest_with([](json& manifest) { manifest["MANIFESTS"] = json::array(); }),
     5,
     {"manifest", "MANIFESTS"}},
    {"LayersIsAnObject",
     manifest_with([](json& manifest) { manifest["layers"] = json::object(); }),
     5,
     {"layers"}},
    {"LayerIsAString",
     manifest_with([](json& manifest) { manifest["layers"][0] = "layer"; }),
     5,
     {"descriptor"}},
    {"NinetyThousandLayers",
     manifest_with([](json& manifest) {
       const json layer = "x";
       manifest["layers"] = json::array();
       for (int i = 0; i < 90'000; ++i) manifest["layers"].push_back(layer);
     }),
     5,
     {"90000 layers"}},
    {"SizeIsAFraction", layer_with([](json& layer) { layer["size"] = 1.5; }), 5, {"size"}},
    {"SizeBeyondDoubles",
     layer_with([](json& layer) { layer["size"] = (std::uint64_t{1} << 53) + 1; }),
     5,
     {"size"}},
    {"SizeOf64Bits",
     layer_with([](json& layer) { layer["size"] = std::uint64_t{1} << 63; }),
     5,
     {"size"}},
    {"SumOfSizesOverflows",
     manifest_with([](json& manifest) {
       manifest["layers"][0]["size"] = (std::uint64_t{1} << 63) - 1;
       for (int i = 0; i < 2; ++i) manifest["layers"].push_back(manifest["layers"][0]);
     }),
     5,
     {"size"}},
    {"SizeIsText", layer_with([](json& layer) { layer["size"] = "12"; }), 5, {"size"}},
    {"SizeMissing", layer_with([](json& layer) { layer.erase("size"); }), 5, {"size"}},
    {"DigestMissing", layer_with([](json& layer) { layer.erase("digest"); }), 5, {"digest"}},
    {"DigestInCapitals",
     layer_with([](json& layer) { layer["digest"] = "sha256:" + std::string(64, 'A'); }),
     5,
     {"digest"}},
    {"DigestTooShort",
     layer_with([](json& layer) { layer["digest"] = "sha256:" + std::string(63, 'a'); }),
     5,
     {"digest"}},
    {"DigestTooLong",
     layer_with([](json& layer) { layer["digest"] = "sha256:" + std::string(65, 'a'); }),
     5,
     {"digest"}},
    {"DigestMd5",
     layer_with([](json& layer) { layer["digest"] = "md5:" + std::string(32, 'a'); }),
     5,
     {"md5", "only sha256"}},
    {"DigestWithASlash",
     layer_with([](json& layer) { layer["digest"] = "sha256:" + std::string(60, 'a') + "/../"; }),
     5,
     {"digest"}},
    // Blobs.
    {"FlippedAtTheStart", layer_flipped_at(0), 5, {"layer"}},
    {"FlippedInTheMiddle", layer_flipped_at(200'000), 5, {"layer"}},
    {"FlippedAtTheEnd", layer_flipped_at(-1), 5, {"layer"}},
    {"BlobWithoutEnd",
     answered(kBlob, {.no_length = true, .repeat_body = 10'000}),
     5,
     {"layer", "longer than"}},
    {"ChunkedBlobWithoutEnd",
     answered(kBlob, {.chunked = true, .repeat_body = 10'000}),
     5,
     {"layer", "longer than"}},
    {"BlobOfAnotherImage",
     [](Scene& scene) {
       scene.fault(kBlob, {.body = compress(tar_of(other_artifacts(3)), Compression::gzip)});
     },
     5,
     {"layer"}},
};

class RefusedAnswer : public HostileHarness, public ::testing::WithParamInterface<Answer> {
 protected:
  void set_scene() {
    Scene scene{*registry_, image_of(sample())};
    GetParam().spoil(scene);
    offer(scene.image);
  }
};

TEST_P(RefusedAnswer, ChangesNothing) {
  set_scene();
  expect_refused(GetParam().exit_code, GetParam().says);
}

TEST_P(RefusedAnswer, LeavesAnInstallAlone) {
  set_scene();
  expect_refused_over_an_install(GetParam().exit_code, GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(Answers, RefusedAnswer, ::testing::ValuesIn(kRefusedAnswers), row_name);

// --- accepted answers ---

Spoil tokens_with(const std::function<void(AuthOptions&)>& edit) {
  return [=](Scene& scene) {
    AuthOptions options{.mode = Mode::bearer};
    edit(options);
    scene.registry.set_auth(options);
  };
}

const std::vector<Answer> kToleratedAnswers = {
    {"NoPing", answered(RequestKind::ping, faults::status(404))},
    {"NoContentType", answered(kManifest, faults::without_header("Content-Type"))},
    {"ContentTypeWithCharset",
     answered(kManifest, faults::header("Content-Type", std::string(media_type::kOciManifest) +
                                                            "; charset=utf-8"))},
    {"ContentTypeInCapitals",
     answered(kManifest, faults::header("Content-Type",
                                        "APPLICATION/VND.OCI.IMAGE.MANIFEST.V1+JSON"))},
    {"ManifestAsText", answered(kManifest, faults::header("Content-Type", "text/plain"))},
    {"ManifestAsJson", answered(kManifest, faults::header("Content-Type", "application/json"))},
    {"ManifestAsBytes",
     answered(kManifest, faults::header("Content-Type", "application/octet-stream"))},
    {"ManifestLabelledGzip", answered(kManifest, faults::header("Content-Encoding", "gzip"))},
    {"LayerLabelledGzip", answered(kBlob, faults::header("Content-Encoding", "gzip"))},
    {"LayerLabelledXGzip", answered(kBlob, faults::header("Content-Encoding", "x-gzip"))},
    {"LayerLabelledAwsChunked", answered(kBlob, faults::header("Content-Encoding", "aws-chunked"))},
    {"LayerLabelledGzipInPieces",
     [](Scene& scene) {
       scene.fault(kBlob, faults::header("Content-Encoding", "gzip"));
       scene.registry.add_rule({.kind = kBlob, .last = 1}, faults::cut_after(100'000));
     }},
    {"DigestHeaderOfAnotherAlgorithm",
     answered(kManifest,
              faults::header("Docker-Content-Digest", "sha512:" + std::string(128, 'a')))},
    {"EarlyHints", answered(kManifest, {.preamble = "HTTP/1.1 103 Early Hints\r\n\r\n"})},
    {"WarningWithEscapeSequences",
     answered(kManifest, faults::header("Warning", "299 - \"\x1b[2Jsecret\""))},
    {"AbsurdDate", answered(kManifest, faults::header("Date", "Thu, 01 Jan 1970 00:00:00 GMT"))},
    {"TokenServerRecovers",
     [](Scene& scene) {
       scene.ask_for_tokens();
       scene.registry.add_rule({.kind = kToken, .last = 1}, faults::status(500));
     }},
    {"TokenLifetimeZero", tokens_with([](AuthOptions& o) { o.expires_in = 0; })},
    {"TokenLifetimeNegative", tokens_with([](AuthOptions& o) { o.expires_in = -1; })},
    {"TokenLifetimeOneSecond", tokens_with([](AuthOptions& o) { o.expires_in = 1; })},
    {"TokenLifetimeLargest", tokens_with([](AuthOptions& o) { o.expires_in = 2147483647; })},
    {"RedirectWithoutAScheme",
     [](Scene& scene) {
       const std::string host = scene.registry.host();
       scene.fault(kManifest,
                   faults::redirect_to("//" + host + "/redirected/team/tool/manifests/1"));
     }},
    {"ConfigBlobMissing",
     [](Scene& scene) {
       const json manifest = json::parse(scene.image.root.bytes);
       scene.image.blobs.erase(manifest["config"]["digest"].get<std::string>());
     }},
    {"ConfigIsAString",
     manifest_with([](json& manifest) { manifest["config"] = "no descriptor"; })},
    {"ConfigBlobIsEmptyObject",
     [](Scene& scene) {
       scene.image = ImageBuilder()
                         .layer(tar_of(sample()))
                         .edit_config([](json& config) { config = json::object(); })
                         .build();
     }},
    {"TitlesThatArePaths", layer_with([](json& layer) {
       layer["annotations"] = {{"org.opencontainers.image.title", "../../../etc/passwd"}};
     })},
    {"AnnotationWithInvalidDate", manifest_with([](json& manifest) {
       manifest["annotations"] = {{"org.opencontainers.image.created", "+99999-13-45T99:99:60"}};
     })},
    {"ForeignUrls", layer_with([](json& layer) {
       layer["urls"] = {"http://127.0.0.1:1/evil", "file:///etc/passwd"};
     })},
    {"InlineDataMismatch", layer_with([](json& layer) { layer["data"] = "ZXZpbA=="; })},
    {"OneLayerTwice", manifest_with([](json& manifest) {
       manifest["layers"].push_back(manifest["layers"][0]);
     })},
    {"UnknownTypeOfLayer",
     layer_with([](json& layer) { layer["mediaType"] = "application/vnd.example.layer"; })},
    {"SubjectAndArtifactType", manifest_with([](json& manifest) {
       manifest["artifactType"] = "application/vnd.example";
       manifest["subject"] = manifest["config"];
     })},
};

class ToleratedAnswer : public HostileHarness, public ::testing::WithParamInterface<Answer> {};

TEST_P(ToleratedAnswer, IsInstalled) {
  Scene scene{*registry_, image_of(sample())};
  GetParam().spoil(scene);
  offer(scene.image);
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_hides(result.err, {"\x1b"});
  expect_installed(sample());
  EXPECT_FALSE(registry_->saw_any_request(Listener::plain));
}

INSTANTIATE_TEST_SUITE_P(Answers, ToleratedAnswer, ::testing::ValuesIn(kToleratedAnswers),
                         row_name);

// --- answers beyond the tables ---

class HostileAnswerTest : public HostileHarness {
 protected:
  std::string layer_of(const Image& image) {
    return json::parse(image.root.bytes)["layers"][0]["digest"];
  }
};

TEST_F(HostileAnswerTest, RejectsManifestThatIsNotThePinnedOne) {
  const Image pinned = image_of(sample());
  const Image other = image_of(other_artifacts(3));
  registry_->put(kRepository, "other", other);
  registry_->put(kRepository, "1", pinned);
  registry_->add_rule({.kind = kManifest},
                      {.body = other.root.bytes, .drop_headers = {"Docker-Content-Digest"}});
  json made = oci_entry(registry_->host());
  made["oci_digest"] = pinned.digest();
  use_catalog({made});
  expect_refused(5, {"manifest", "its digest is " + other.digest()});
}

TEST_F(HostileAnswerTest, RedirectBackToRegistryCarriesNoCredentials) {
  const Image image = image_of(sample());
  registry_->set_auth(auth(Mode::bearer));
  log_in(registry_->host());
  registry_->add_rule({.kind = kBlob}, faults::redirect(To::cdn));
  registry_->add_rule(
      {.kind = RequestKind::redirected, .listener = Listener::cdn},
      faults::redirect_to(registry_->url() + "/redirected/team/tool/blobs/" + layer_of(image)));
  offer(image);
  pyro_ok({"env", "pull", "tool:1"});
  for (const RecordedRequest& one : registry_->requests()) {
    if (one.kind != RequestKind::redirected) continue;
    EXPECT_FALSE(one.request.header("Authorization")) << one.request.path;
  }
  expect_installed(sample());
}

TEST_F(HostileAnswerTest, FailsOnExpiredLinkAndHidesItsSignature) {
  start_registry({.links_work_once = true});
  registry_->add_rule({.kind = kBlob}, faults::redirect(To::cdn));
  registry_->add_rule({.kind = RequestKind::redirected, .first = 2}, faults::status(403));
  registry_->add_rule({.kind = RequestKind::redirected, .last = 1}, faults::cut_after(100'000));
  offer(image_of(sample()));
  expect_refused(4, {"403"});
}

TEST_F(HostileAnswerTest, RetriesServerErrorsDuringResume) {
  registry_->add_rule({.kind = kBlob, .last = 1}, faults::cut_after(100'000));
  registry_->add_rule({.kind = kBlob, .ranged = true, .last = 2}, faults::status(500));
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(HostileAnswerTest, ResumesAgainWhenResumedTransferIsCut) {
  registry_->add_rule({.kind = kBlob, .last = 1}, faults::cut_after(100'000));
  registry_->add_rule({.kind = kBlob, .ranged = true, .last = 1}, faults::cut_after(10));
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(HostileAnswerTest, FailsWhenProxyAnswers407) {
  HttpServer proxy({}, [](const HttpRequest&) { return HttpResponse{.status = 407}; });
  use_catalog({oci_entry("registry.example")});
  expect_refused(4, {"registry.example"}, {"env", "pull", "tool:1"},
                 {{"https_proxy", "http://robin:top-secret@" + proxy.host()}});
}

TEST_F(HostileAnswerTest, FailsWhenProxyIsDown) {
  use_catalog({oci_entry("registry.example")});
  expect_refused(
      4, {"registry.example", "proxy"}, {"env", "pull", "tool:1"},
      {{"https_proxy", "http://robin:top-secret@localhost:" + std::to_string(unused_port())}});
}

TEST_F(HostileAnswerTest, ReachesLoopbackWithoutProxy) {
  offer(image_of(sample()));
  const std::string nobody = "http://localhost:" + std::to_string(unused_port());
  pyro_ok({"env", "pull", "tool:1"}, {{"https_proxy", nobody}, {"ALL_PROXY", nobody}});
}

TEST_F(HostileAnswerTest, FailsWhenCredentialFileIsMissingOrAPipe) {
  registry_->set_auth(auth(Mode::basic));
  offer(image_of(sample()));
  run_checked({.argv = {"mkfifo", (dir_ / "pipe").string()}});
  expect_refused(4, {"cannot install tool:1"}, {"env", "pull", "tool:1"},
                 {{"REGISTRY_AUTH_FILE", (dir_ / "missing.json").string()}});
  const ProcessResult result =
      pyro({"env", "pull", "tool:1"}, {{"REGISTRY_AUTH_FILE", (dir_ / "pipe").string()}});
  EXPECT_NE(result.exit_code, 0) << "it waits for nobody to write";
}

TEST_F(HostileAnswerTest, HangupInterruptsPullAndNextPullSucceeds) {
  registry_->add_rule({.kind = kBlob}, faults::held_after(100'000));
  offer(image_of(sample()));
  BackgroundProcess pull(command({"env", "pull", "tool:1"}), dir_ / "out");
  ASSERT_TRUE(eventually([&] { return registry_->count(kBlob) > 0; }));
  pull.send_signal(SIGHUP);
  const ProcessResult result = pull.wait();
  EXPECT_TRUE(result.exit_code == 130 || result.signal == SIGHUP) << result.exit_code;
  registry_->clear_rules();
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  pyro_ok({"env", "prune"});
  EXPECT_TRUE(std::filesystem::is_empty(cache() / "staging"));
}

TEST_F(HostileAnswerTest, PullContinuesAfterSuspension) {
  registry_->add_rule({.kind = kBlob, .last = 1}, faults::cut_after(100'000));
  registry_->add_rule({.kind = kBlob}, faults::slow(50'000, std::chrono::milliseconds(50)));
  offer(image_of(sample()));
  BackgroundProcess pull(command({"env", "pull", "tool:1"}), dir_ / "out");
  ASSERT_TRUE(eventually([&] { return registry_->count(kBlob) > 0; }));
  pull.send_signal(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  pull.send_signal(SIGCONT);
  EXPECT_EQ(pull.wait().exit_code, 0);
  expect_installed(sample());
}

}  // namespace
}  // namespace pyro::testing

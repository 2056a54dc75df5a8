// Pulls that must fail: faults of registries, and their error messages.
//
// Each row runs twice, into an empty cache and over an older install, and both times the cache must
// be as before.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Mode = AuthOptions::Mode;
using To = RedirectFault::To;

/// The valid setup that each row modifies.
struct Scene {
  FakeRegistry& registry;
  Image image;
  json entry;

  void fault(RequestKind kind, Fault fault) const { registry.add_rule({.kind = kind}, fault); }
};

struct Refusal {
  const char* name;
  FakeRegistryOptions registry;
  std::function<void(Scene&)> spoil;
  int exit_code;
  std::vector<std::string> says;
  bool logged_in = false;

  friend void PrintTo(const Refusal& self, std::ostream* out) { *out << self.name; }
};

constexpr RequestKind kManifest = RequestKind::manifest;
constexpr RequestKind kBlobRequest = RequestKind::blob;
constexpr char kSomeDigest[] =
    "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

Image edited(const JsonEdit& edit) {
  return ImageBuilder().layer(tar_of(sample())).edit_manifest(edit).build();
}

Image edited_index(const JsonEdit& edit) {
  return IndexBuilder().add(image_of(sample()), Platform{}).edit(edit).build();
}

std::function<void(Scene&)> manifest_with(const JsonEdit& edit) {
  return [edit](Scene& scene) { scene.image = edited(edit); };
}

std::function<void(Scene&)> config_with(const JsonEdit& edit) {
  return [edit](Scene& scene) {
    scene.image = ImageBuilder().layer(tar_of(sample())).edit_config(edit).build();
  };
}

/// A manifest of nearly 4 MiB that is made of `item(0)`, `item(1)` and so on.
std::function<void(Scene&)> manifest_of(char open, const std::function<std::string(int)>& item) {
  return [=](Scene& scene) {
    std::string text(1, open);
    for (int i = 0; text.size() < (4 << 20) - 32; ++i) text += item(i) + ",";
    scene.image = raw_image(media_type::kOciManifest, text);
  };
}

std::function<void(Scene&)> index_with(const JsonEdit& edit) {
  return [edit](Scene& scene) { scene.image = edited_index(edit); };
}

std::function<void(Scene&)> fault_of(RequestKind kind, Fault fault) {
  return [=](Scene& scene) { scene.fault(kind, fault); };
}

std::function<void(Scene&)> guarded(Mode mode, const std::function<void(AuthOptions&)>& edit) {
  return [=](Scene& scene) {
    AuthOptions options{.mode = mode};
    options.user = kUser;
    options.password = kPassword;
    edit(options);
    scene.registry.set_auth(options);
  };
}

std::function<void(Scene&)> challenged(const std::vector<std::string>& challenges) {
  return [=](Scene& scene) {
    scene.registry.set_auth({.mode = Mode::bearer});
    scene.registry.add_rule({.refused = true}, faults::challenge(challenges));
  };
}

const std::vector<Refusal> kContent = {
    {"ManifestOtherThanPinned",
     {},
     [](Scene& scene) {
       scene.entry["oci_digest"] = scene.image.digest();
       scene.fault(kManifest, faults::flip_byte_at(30));
     },
     5,
     {"cannot install tool:1", "manifest", "team/tool@sha256:"}},
    {"PinnedManifestMissing",
     {},
     [](Scene& scene) { scene.entry["oci_digest"] = kSomeDigest; },
     4,
     {"cannot install tool:1", kSomeDigest, "404"}},
    {"DigestAsReferenceOfOtherContent",
     {},
     [](Scene& scene) {
       scene.entry["oci_reference"] = scene.image.digest();
       scene.fault(kManifest, faults::flip_byte_at(30));
     },
     5,
     {"manifest", "team/tool@sha256:"}},
    {"ContentDigestHeaderMismatch",
     {},
     fault_of(kManifest, faults::header("Docker-Content-Digest", kSomeDigest)),
     5,
     {"team/tool:1", "but the registry calls it", kSomeDigest}},
    {"ContentDigestHeaderMalformed",
     {},
     fault_of(kManifest, faults::header("Docker-Content-Digest", "sha256:xyz")),
     5,
     {"team/tool:1", "but the registry calls it"}},
    {"IndexChildOfOtherContent",
     {},
     [](Scene& scene) {
       const std::string child = scene.image.digest();
       scene.image = IndexBuilder().add(scene.image, Platform{}).build();
       scene.registry.add_rule({.reference = child}, faults::flip_byte_at(30));
     },
     5,
     {"manifest", "its digest is"}},
    {"IndexChildOfOtherSize",
     {},
     index_with([](json& index) { index["manifests"][0]["size"] = 5; }),
     5,
     {"manifest", "instead of 5"}},
    {"IndexChildMissing",
     {},
     index_with([](json& index) { index["manifests"][0]["digest"] = kSomeDigest; }),
     4,
     {"manifest", kSomeDigest, "404"}},
    {"ConfigOfAnotherArchitecture",
     {},
     config_with([](json& config) { config["architecture"] = "arm64"; }),
     4,
     {"has no image for linux/amd64", "there is only linux/arm64"}},
    {"ConfigOfAnotherSystem",
     {},
     config_with([](json& config) { config["os"] = "windows"; }),
     4,
     {"has no image for linux/amd64", "there is only windows/amd64"}},
    {"ConfigOfOtherContent",
     {},
     fault_of(RequestKind::config, faults::flip_byte_at(10)),
     5,
     {"config", "its digest is"}},
    {"ManifestOfHalfAMillionObjects",
     {},
     manifest_of('[', [](int) { return std::string(R"({"a":0})"); }),
     5,
     {"manifest", "more than 100000 values"}},
    {"ManifestOfMemberNames",
     {},
     manifest_of('{', [](int i) { return '"' + std::to_string(i) + "\":{}"; }),
     5,
     {"manifest", "more than 100000 values"}},
    {"LayerOfOtherContent",
     {},
     fault_of(kBlobRequest, faults::flip_byte_at(100'000)),
     5,
     {"cannot install tool:1", "layer"}},
    {"LayerOfOtherValidContent",
     {},
     [](Scene& scene) {
       const std::string other = compress(tar_of(other_artifacts(12)), Compression::gzip);
       scene.fault(kBlobRequest, {.body = other});
       scene.image = edited([&](json& manifest) { manifest["layers"][0]["size"] = other.size(); });
     },
     5,
     {"layer", "its digest is"}},
    {"LayerSizeTooSmall",
     {},
     manifest_with([](json& manifest) { manifest["layers"][0]["size"] = 100; }),
     5,
     {"layer", "100 bytes"}},
    {"LayerSizeTooSmallWithoutLength",
     {},
     [](Scene& scene) {
       scene.image = edited([](json& manifest) { manifest["layers"][0]["size"] = 100; });
       scene.fault(kBlobRequest, {.chunked = true});
     },
     5,
     {"layer", "longer than the 100 bytes"}},
    {"LayerSizeTooLarge",
     {},
     [](Scene& scene) {
       scene.image = edited([](json& manifest) { manifest["layers"][0]["size"] = 99'999'999; });
       scene.fault(kBlobRequest, {.chunked = true});
     },
     5,
     {"layer", "instead of 99999999"}},
    {"LayerMissing",
     {},
     [](Scene& scene) { scene.image.blobs.clear(); },
     4,
     {"layer", "404", "BLOB_UNKNOWN"}},
    {"ManifestWithExtraBytes",
     {},
     fault_of(kManifest, faults::extra_bytes("{}")),
     5,
     {"manifest", "team/tool:1"}},
    {"LayerWithExtraBytes", {}, fault_of(kBlobRequest, faults::extra_bytes("more")), 5, {"layer"}},
    {"LayerWithFewerBytes", {}, fault_of(kBlobRequest, {.drop_last = 10}), 5, {"layer"}},
    {"LayerCutOff", {}, fault_of(kBlobRequest, faults::cut_after(1000)), 4, {"layer", "closed the conn"}},
    {"LayerCutOffByReset",
     {},
     fault_of(kBlobRequest, faults::cut_after(1000, Ending::reset)),
     4,
     {"layer", "localhost"}},
    {"LayerCutOffWithoutLength",
     {},
     fault_of(kBlobRequest, {.no_length = true, .cut_after = 1000, .ending = Ending::no_close_notify}),
     4,
     {"layer", "ended after"}},
    {"ManifestCutOff", {}, fault_of(kManifest, faults::cut_after(10)), 4, {"manifest"}},
    {"LayerWithWrongLength",
     {},
     fault_of(kBlobRequest, faults::header("Content-Length", "7")),
     5,
     {"layer", "but 7 are offered"}},
    {"LayerWithTwoLengths",
     {},
     fault_of(kBlobRequest, {.add_headers = {{"Content-Length", "7"}, {"Content-Length", "8"}}}),
     5,
     {"layer"}},
    {"LayerWithStatus206", {}, fault_of(kBlobRequest, faults::status(206)), 4, {"layer", "206"}},
    {"ManifestWithWrongLength",
     {},
     fault_of(kManifest, faults::header("Content-Length", "10")),
     5,
     {"manifest"}},
    {"ManifestWithStatus204", {}, fault_of(kManifest, faults::status(204)), 4, {"manifest", "204"}},
    {"LayerWithEmptyBody", {}, fault_of(kBlobRequest, {.body = ""}), 5, {"layer", "0 are offered"}},
    {"LayerNotModified", {}, fault_of(kBlobRequest, faults::status(304)), 4, {"layer", "304"}},
    {"ManifestIsAPage", {}, fault_of(kManifest, faults::html()), 4, {"web page", "localhost"}},
    {"LayerIsAPage", {}, fault_of(kBlobRequest, faults::html()), 5, {"layer", "web page"}},
    {"LayerIsAPageWithItsDigest",
     {},
     [](Scene& scene) {
       scene.image = ImageBuilder().raw_layer("<!DOCTYPE html><html></html>", "text/html").build();
     },
     5,
     {"layer 1 of 1"}},
    {"ManifestIsGzipped",
     {},
     fault_of(kManifest, {.body = compress("{}", Compression::gzip),
                          .set_headers = {{"Content-Encoding", "gzip"}}}),
     5,
     {"manifest", "its digest is", "Content-Encoding gzip, which was not asked for"}},
    {"LayerIsGzippedOnTheWay",
     {},
     fault_of(kBlobRequest, {.body = compress("layer", Compression::gzip),
                      .set_headers = {{"Content-Encoding", "gzip"}}}),
     5,
     {"layer", "are offered", "Content-Encoding gzip, which was not asked for"}},
    {"ManifestIsNoJson",
     {},
     [](Scene& scene) { scene.image = raw_image(media_type::kOciManifest, "{\"schemaVersion\":"); },
     5,
     {"manifest", "JSON"}},
    {"ManifestIsAList",
     {},
     [](Scene& scene) { scene.image = raw_image(media_type::kOciManifest, "[]"); },
     5,
     {"not a JSON object"}},
    {"ManifestIsEmpty",
     {},
     [](Scene& scene) { scene.image = raw_image(media_type::kOciManifest, ""); },
     5,
     {"manifest"}},
    {"ManifestIsDeep",
     {},
     [](Scene& scene) {
       scene.image = raw_image(media_type::kOciManifest, std::string(100'000, '['));
     },
     5,
     {"manifest"}},
    {"ManifestIsHuge",
     {},
     [](Scene& scene) {
       scene.image = raw_image(media_type::kOciManifest, std::string(5 << 20, ' '));
     },
     4,
     {"manifest", "longer than 4194304 bytes"}},
    {"ManifestWithoutEnd",
     {},
     fault_of(kManifest, {.no_length = true, .repeat_body = 100'000}),
     4,
     {"manifest"}},
    {"ManifestWithADuplicateKey",
     {},
     [](Scene& scene) {
       std::string text = scene.image.root.bytes;
       text.insert(1, "\"layers\":[],");
       scene.image = raw_image(media_type::kOciManifest, text);
     },
     5,
     {"manifest", "layers"}},
    {"SchemaOne",
     {},
     manifest_with([](json& manifest) { manifest["schemaVersion"] = 1; }),
     5,
     {"schema 1"}},
    {"UnknownMediaType",
     {},
     [](Scene& scene) {
       scene.image = raw_image("application/vnd.example+json",
                               R"({"schemaVersion":2,"mediaType":"application/vnd.example+json",)"
                               R"("layers":[]})");
     },
     5,
     {"unsupported type", "application/vnd.example+json"}},
    {"TwoMediaTypes",
     {},
     fault_of(kManifest, faults::header("Content-Type", media_type::kDockerManifest)),
     5,
     {media_type::kDockerManifest, media_type::kOciManifest}},
    {"IndexSaysItIsAManifest",
     {},
     index_with([](json& index) { index["mediaType"] = media_type::kOciManifest; }),
     5,
     {"manifest"}},
    {"NoLayers",
     {},
     manifest_with([](json& manifest) { manifest["layers"] = json::array(); }),
     5,
     {"no layers"}},
    {"TooManyLayers",
     {},
     manifest_with([](json& manifest) {
       const json layer = manifest["layers"][0];
       for (int i = 0; i < 128; ++i) manifest["layers"].push_back(layer);
     }),
     5,
     {"129 layers", "at most 128"}},
    {"TooManyManifests",
     {},
     index_with([](json& index) {
       const json one = index["manifests"][0];
       for (int i = 0; i < 256; ++i) index["manifests"].push_back(one);
     }),
     5,
     {"257 manifests", "at most 256"}},
    {"ManifestsAndLayers",
     {},
     manifest_with([](json& manifest) { manifest["manifests"] = json::array(); }),
     5,
     {"both manifests and layers"}},
    {"NeitherManifestsNorLayers",
     {},
     manifest_with([](json& manifest) { manifest.erase("layers"); }),
     5,
     {"neither layers nor manifests"}},
    {"LayerDigestOfAnotherAlgorithm",
     {},
     manifest_with([](json& manifest) {
       manifest["layers"][0]["digest"] = "sha512:" + std::string(128, 'a');
     }),
     5,
     {"sha512", "only sha256"}},
    {"LayerDigestIsAPath",
     {},
     manifest_with([](json& manifest) { manifest["layers"][0]["digest"] = "sha256:../../x"; }),
     5,
     {"digest", "malformed"}},
    {"ChildDigestOfAnotherAlgorithm",
     {},
     index_with(
         [](json& index) { index["manifests"][0]["digest"] = "sha512:" + std::string(128, 'a'); }),
     5,
     {"sha512"}},
    {"LayersTooLargeTogether",
     {},
     manifest_with([](json& manifest) { manifest["layers"][0]["size"] = std::uint64_t{65} << 30; }),
     5,
     {"66560 MiB", "65536 MiB"}},
    {"NegativeSize",
     {},
     manifest_with([](json& manifest) { manifest["layers"][0]["size"] = -1; }),
     5,
     {"size"}},
    {"NoPlatformMatches",
     {},
     [](Scene& scene) {
       scene.image = IndexBuilder()
                         .add(scene.image, Platform{"linux", "arm64", ""})
                         .add(scene.image, Platform{"windows", "amd64", ""})
                         .add_attestation(scene.image, scene.image.digest())
                         .build();
     },
     4,
     {"no image for linux/amd64", "linux/arm64, windows/amd64"}},
    {"OnlyAttestations",
     {},
     [](Scene& scene) {
       scene.image = IndexBuilder().add_attestation(scene.image, scene.image.digest()).build();
     },
     4,
     {"no image for linux/amd64", "no platform"}},
    {"EmptyIndex",
     {},
     index_with([](json& index) { index["manifests"] = json::array(); }),
     4,
     {"no image for linux/amd64"}},
    {"NestedTooDeep",
     {},
     [](Scene& scene) {
       for (int i = 0; i < 3; ++i) {
         scene.image = IndexBuilder().add(scene.image, std::nullopt).build();
       }
     },
     4,
     {"no image for linux/amd64"}},
};

const std::vector<Refusal> kAnswers = {
    {"NoSuchTag",
     {},
     [](Scene& scene) { scene.entry["oci_reference"] = "2"; },
     4,
     {"team/tool:2", "404", "MANIFEST_UNKNOWN"}},
    {"NoSuchRepository",
     {},
     [](Scene& scene) { scene.entry["oci_repository"] = "team/other"; },
     4,
     {"team/other:1", "404", "NAME_UNKNOWN"}},
    {"Forbidden", {}, fault_of(kManifest, faults::status(403)), 4, {"team/tool:1", "403"}},
    {"ManifestFails", {}, fault_of(kManifest, faults::status(500)), 4, {"team/tool:1", "500"}},
    {"LayerFails", {}, fault_of(kBlobRequest, faults::status(503)), 4, {"layer", "503"}},
    {"TooManyRequests", {}, fault_of(kManifest, faults::status(429)), 4, {"429"}},
    {"LayerForbidden", {}, fault_of(kBlobRequest, faults::status(403)), 4, {"layer", "403"}},
    {"ConnectionRefused",
     {},
     [](Scene& scene) {
       scene.entry["oci_registry"] = "localhost:" + std::to_string(unused_port());
     },
     4,
     {"cannot connect to localhost:"}},
    {"NoSuchHost",
     {},
     [](Scene& scene) { scene.entry["oci_registry"] = "registry.invalid"; },
     4,
     {"registry.invalid"}},
    {"NotHttp",
     {},
     fault_of(kManifest, {.raw_head = "SSH-2.0-OpenSSH_9.2\r\n\r\n"}),
     4,
     {"localhost"}},
    {"ControlCharactersInTheAnswer",
     {},
     fault_of(kManifest,
              faults::status(404, {{"Content-Type", "application/json"}},
                             R"({"errors":[{"code":"X","message":"a\u001b[31mb\u0007\u0000c"}]})")),
     4,
     {"404"}},
    // Unauthorized.
    {"NoChallenge",
     {},
     [](Scene& scene) {
       scene.registry.set_auth({.mode = Mode::bearer});
       scene.registry.add_rule({.refused = true}, faults::without_header("WWW-Authenticate"));
     },
     4,
     {"401", "without saying how"}},
    {"UnknownScheme", {}, challenged({"Negotiate"}), 4, {"no supported way", "negotiate"}},
    {"ChallengeWithoutRealm", {}, challenged({"Bearer service=\"x\""}), 4, {"token server"}},
    {"RealmIsNoUrl", {}, challenged({"Bearer realm=\"over there\""}), 4, {"token server"}},
    {"RealmIsAFile", {}, challenged({"Bearer realm=\"file:///etc/passwd\""}), 4, {"token server"}},
    {"RealmWithoutTls",
     {},
     challenged({"Bearer realm=\"http://auth.example/token\""}),
     4,
     {"without TLS", "auth.example"}},
    {"ChallengeMalformed", {}, challenged({"Bearer realm=\"unfinished"}), 4, {"cannot install"}},
    {"BasicWithoutCredentials", {}, guarded(Mode::basic, [](AuthOptions&) {}), 4, {"login"}},
    {"BasicWithWrongCredentials",
     {},
     guarded(Mode::basic, [](AuthOptions& options) { options.password = "another"; }),
     4,
     {"refused the credentials", "401"},
     true},
    {"TokenOnlyForUsers",
     {},
     guarded(Mode::bearer, [](AuthOptions& options) { options.anonymous = false; }),
     4,
     {"cannot get a token", "401"}},
    {"TokenWithWrongCredentials",
     {},
     guarded(Mode::bearer, [](AuthOptions& options) { options.password = "another"; }),
     4,
     {"refused the credentials", "401"},
     true},
    {"NoTokenInTheAnswer",
     {},
     guarded(Mode::bearer,
             [](AuthOptions& options) { options.token_field = AuthOptions::TokenField::neither; }),
     4,
     {"cannot get a token", "no token"}},
    {"TokenServerFails",
     {},
     [](Scene& scene) {
       scene.registry.set_auth({.mode = Mode::bearer});
       scene.fault(RequestKind::token, faults::status(500));
     },
     4,
     {"cannot get a token", "500"}},
    {"TokenAnswerIsAPage",
     {},
     [](Scene& scene) {
       scene.registry.set_auth({.mode = Mode::bearer});
       scene.fault(RequestKind::token, faults::html());
     },
     4,
     {"cannot get a token"}},
    {"TokenAnswerIsHuge",
     {},
     [](Scene& scene) {
       scene.registry.set_auth({.mode = Mode::bearer});
       scene.fault(RequestKind::token, {.body = std::string(1 << 20, ' ')});
     },
     4,
     {"cannot get a token"}},
    {"TokenWithALineBreak",
     {},
     [](Scene& scene) {
       scene.registry.set_auth({.mode = Mode::bearer});
       scene.fault(RequestKind::token, {.body = R"({"token":"top-secret\r\nX-Injected: 1"})"});
     },
     4,
     {"token", "characters"}},
    {"TokenAlwaysRejected",
     {},
     guarded(Mode::bearer, [](AuthOptions& options) { options.uses_per_token = 0; }),
     4,
     {"401"}},
    // Redirects.
    {"RedirectToPlainHttp",
     {},
     fault_of(kBlobRequest, faults::redirect(To::plain)),
     4,
     {"redirects from https to plain http"}},
    {"RedirectWithoutEnd",
     {},
     fault_of(kBlobRequest, faults::redirect(To::itself)),
     4,
     {"redirects without end"}},
    {"RedirectWithoutTarget",
     {},
     fault_of(kBlobRequest, {.status = 307, .drop_headers = {"Location"}}),
     4,
     {"without a Location"}},
    {"RedirectToAFile",
     {},
     fault_of(kBlobRequest, faults::redirect_to("file:///etc/passwd")),
     4,
     {"redirects"}},
    {"RedirectedToAFailure",
     {},
     [](Scene& scene) {
       scene.fault(kBlobRequest, faults::redirect(To::cdn));
       scene.fault(RequestKind::redirected, faults::status(403, {}, "<Error>top-secret</Error>"));
     },
     4,
     {"layer", "403", "localhost:"}},
    {"RedirectedToOtherContent",
     {},
     [](Scene& scene) {
       scene.fault(kBlobRequest, faults::redirect(To::cdn));
       scene.fault(RequestKind::redirected, faults::flip_byte_at(9));
     },
     5,
     {"layer"}},
    {"RedirectedToAnotherLogin",
     {},
     [](Scene& scene) {
       scene.registry.set_auth({.mode = Mode::bearer});
       scene.fault(kBlobRequest, faults::redirect(To::cdn));
       scene.fault(RequestKind::redirected,
                   faults::challenge({"Bearer realm=\"" + scene.registry.url() + "/token\""}));
     },
     4,
     {"layer", "401", "where the registry redirects to"}},
    // Certificates.
    {"CertificateExpired",
     {.certificate = expired_leaf()},
     [](Scene&) {},
     4,
     {"certificate of localhost", "expired"}},
    {"CertificateNotYetValid",
     {.certificate = not_yet_valid_leaf()},
     [](Scene&) {},
     4,
     {"certificate of localhost", "not yet valid"}},
    {"CertificateOfAnotherHost",
     {.certificate = wrong_host_leaf()},
     [](Scene&) {},
     4,
     {"certificate of localhost"}},
    {"CertificateSelfSigned",
     {.self_signed = true},
     [](Scene&) {},
     4,
     {"certificate of localhost"}},
    {"PasswordOverPlainHttp",
     {.tls = false},
     guarded(Mode::basic, [](AuthOptions&) {}),
     4,
     {"plain http"},
     true},
};

class RefusalTest : public RegistryHarness, public ::testing::WithParamInterface<Refusal> {
 protected:
  RefusalTest() : RegistryHarness(GetParam().registry) {}

  void set_scene() {
    Scene scene{*registry_, image_of(sample()), oci_entry(registry_->host())};
    GetParam().spoil(scene);
    registry_->put(kRepository, "1", scene.image);
    use_catalog({scene.entry});
    if (GetParam().logged_in) log_in(registry_->host());
  }

  void expect_refused(const std::vector<std::string>& options) {
    set_scene();
    variables_["PYRO_RETRIES"] = "1";
    const auto before = cache_state();
    std::vector<std::string> words{"env", "pull", "tool:1"};
    words.insert(words.end(), options.begin(), options.end());
    const ProcessResult result = pyro(words);
    EXPECT_EQ(result.exit_code, GetParam().exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("pyro: error: cannot install tool:1"), std::string::npos)
        << result.err;
    expect_says(result.err, GetParam().says);
    expect_hides(result.out + result.err, secrets());
    expect_hides(result.err, {"\x1b", "\x07"});
    EXPECT_LT(result.err.size(), 2000u) << result.err;
    auto after = cache_state();
    if (transfer_broke_off()) {
      EXPECT_EQ(std::erase_if(after, is_partial), 1U)
          << "what had arrived is kept for the next time";
    }
    EXPECT_EQ(after, before);
    expect_only_certain_requests();
  }

  static bool is_partial(const std::string& line) { return line.starts_with("partial/"); }

  static bool transfer_broke_off() {
    return std::string(GetParam().name).starts_with("LayerCutOff");
  }

  void expect_only_certain_requests() {
    const FakeRegistryOptions& options = GetParam().registry;
    EXPECT_FALSE(registry_->saw_any_request(Listener::plain));
    EXPECT_FALSE(registry_->saw_authorization(Listener::cdn));
    EXPECT_LE(registry_->count(RequestKind::token), 4) << "twice for each of two tries";
    EXPECT_LE(registry_->count(kManifest), 12);
    const bool trusted = !options.self_signed && options.certificate.file_name == "server" &&
                         options.certificate.valid_from < std::chrono::seconds(0) &&
                         options.certificate.valid_until > std::chrono::seconds(0);
    if (!trusted || options.certificate.names != LeafOptions{}.names) {
      EXPECT_TRUE(registry_->requests().empty());
    }
    if (!options.tls) {
      EXPECT_FALSE(registry_->saw_authorization(Listener::registry));
    }
  }
};

TEST_P(RefusalTest, LeavesAnEmptyCacheEmpty) {
  expect_refused({});
  const json status = pyro_json({"env", "inspect", "tool:1"});
  EXPECT_EQ(status.value("installed", true), false);
}

TEST_P(RefusalTest, LeavesAnOlderInstallAlone) {
  install_by_hand(other_artifacts(20));
  expect_refused({"--force"});
  expect_installed(other_artifacts(20));
}

INSTANTIATE_TEST_SUITE_P(Content, RefusalTest, ::testing::ValuesIn(kContent), row_name);
INSTANTIATE_TEST_SUITE_P(Answers, RefusalTest, ::testing::ValuesIn(kAnswers), row_name);

// Refusals beyond the tables.

class RefusedPullTest : public RegistryHarness {};

TEST_F(RefusedPullTest, RealmOnAnotherHostGetsNoCredentials) {
  AuthOptions options = auth(Mode::bearer);
  options.realm = registry_->token_realm("127.0.0.1");
  registry_->set_auth(options);
  log_in(registry_->host());
  offer(image_of(sample()));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--trust-realm", "auth.example"}}) {
    std::vector<std::string> words{"env", "pull", "tool:1"};
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result = pyro(words);
    EXPECT_EQ(result.exit_code, 4);
    expect_says(result.err, {"127.0.0.1", "--trust-realm 127.0.0.1", registry_->host()});
    expect_hides(result.err, secrets());
  }
  EXPECT_FALSE(registry_->saw_any_request(Listener::token));
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(RefusedPullTest, RequestsRejectedTokenOnce) {
  AuthOptions options = auth(Mode::bearer);
  options.uses_per_token = 0;
  registry_->set_auth(options);
  offer(image_of(sample()));
  EXPECT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 4);
  EXPECT_EQ(registry_->count(RequestKind::token), 1);
  EXPECT_EQ(registry_->count(RequestKind::manifest), 2);
}

TEST_F(RefusedPullTest, FailsWhenTokenExpiresRepeatedly) {
  AuthOptions options = auth(Mode::bearer);
  options.uses_per_token = 1;
  registry_->set_auth(options);
  registry_->add_rule({.kind = RequestKind::token, .first = 2},
                      {.body = R"({"token":"top-secret-other"})"});
  offer(image_of(sample()));
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {"401"});
  expect_hides(result.err, secrets());
  EXPECT_EQ(registry_->count(RequestKind::token), 2);
}

TEST_F(RefusedPullTest, RejectsPlainHttpBeyondLoopback) {
  start_registry({.tls = false});
  const int port = registry_->server(Listener::registry).port();
  // Reaches this machine, but is no loopback address.
  const std::string host = "0.0.0.0:" + std::to_string(port);
  registry_->put(kRepository, "1", image_of(sample()));
  use_catalog({oci_entry(host)});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {host, "plain http"});
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(RefusedPullTest, MovedTagBetweenManifestAndLayerChangesNothing) {
  const Image first = image_of(sample());
  offer(first);
  registry_->put(kRepository, "", image_of(other_artifacts(6)));
  registry_->add_rule({.kind = RequestKind::manifest, .first = 2}, faults::status(500));
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(RefusedPullTest, FailurePrintsOneJsonDocument) {
  offer(image_of(sample()));
  registry_->add_rule({.kind = RequestKind::blob}, faults::flip_byte_at(500));
  const json failed = pyro_json({"env", "pull", "tool:1"}, 5);
  EXPECT_EQ(failed["error"]["code"], "integrity");
  EXPECT_EQ(failed["error"].size(), 3u);
  EXPECT_TRUE(failed["error"].contains("hint"));
}

TEST_F(RefusedPullTest, RejectsMalformedCredentialFile) {
  offer(image_of(sample()));
  registry_->set_auth(auth(Mode::basic));
  const fs::path file = home() / ".docker/config.json";
  const std::string host = registry_->host();
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string(R"({"auths": []})"),
        R"({"auths": {")" + host + R"(": {"auth": "c2VjcmV0"}}})",
        R"({"auths": {")" + host + R"(": {"auth": "%%%secret"}}})",
        R"({"auths": {")" + host + R"(": "secret"}})"}) {
    write_file(file, text);
    const ProcessResult result = pyro({"env", "pull", "tool:1"});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    expect_says(result.err, {"cannot install tool:1", file.string()});
    expect_hides(result.err, {"secret", "c2VjcmV0"});
  }
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(RefusedPullTest, HidesPasswordInRedirect) {
  offer(image_of(sample()));
  const std::string cdn = registry_->url(Listener::cdn);
  registry_->add_rule({.kind = RequestKind::blob},
                      faults::redirect_to("https://mallory:top-secret@" + cdn.substr(8) +
                                          "/redirected/nowhere/blobs/x?signature=top-secret"));
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  expect_hides(result.err, secrets());
  EXPECT_FALSE(registry_->saw_authorization(Listener::cdn));
}

TEST_F(RefusedPullTest, RejectsIncompatibleEnvironment) {
  json made = oci_entry(registry_->host());
  made["compatibility"] = ">=5.0.0";
  use_catalog({made});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 1);
  expect_says(result.err, {"tool:1", ">=5.0.0", "4.5.0"});
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["compatible"], false);
  EXPECT_TRUE(registry_->requests().empty());
  EXPECT_FALSE(std::filesystem::exists(cache()));
}

TEST_F(RefusedPullTest, RetriesUnresolvableHostOnce) {
  use_catalog({oci_entry("registry.invalid", kRepository, "1", "tool:1")});
  const ProcessResult result =
      pyro({"env", "pull", "tool:1", "--progress", "plain", "--retry-delay", "0.01s"});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {"the name registry.invalid cannot be resolved",
                           "pyro env list --installed", "pyro env import"});
  const std::string::size_type first = result.err.find("trying again");
  EXPECT_NE(first, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("trying again", first + 1), std::string::npos) << result.err;
}

TEST_F(RefusedPullTest, FailsWithoutSource) {
  use_catalog({entry()});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 3);
  expect_says(result.err,
              {"environment 'tool:1' is not installed and no downloadable source is configured"});
}

TEST_F(RefusedPullTest, ForceAndRepairFailWithoutSource) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  std::filesystem::resize_file(install_dir() / "rootfs.ext4", 1);
  use_catalog({entry()});
  for (const char* option : {"--force", "--repair"}) {
    const ProcessResult result = pyro({"env", "pull", "tool:1", option});
    EXPECT_EQ(result.exit_code, 3);
    expect_says(result.err, {"'tool:1' is installed, but has no source to pull it from again"});
    expect_hides(result.err, {"not installed"});
  }
}

}  // namespace
}  // namespace pyro::testing

// Successful pulls from a fake registry.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

using nlohmann::json;
using Mode = AuthOptions::Mode;
using To = RedirectFault::To;

Image foreign_image() {
  return ImageBuilder().platform({"linux", "arm64", ""}).layer(tar_of(other_artifacts(7))).build();
}

class PullTest : public RegistryHarness {
 protected:
  void expect_pulls(const std::string& manifest_digest) {
    const json pulled = pyro_json({"env", "pull", "tool:1"});
    expect_installed(sample());
    const std::string source =
        "oci://" + entry_["oci_registry"].get<std::string>() + "/team/tool@" + manifest_digest;
    EXPECT_EQ(pulled.value("source", ""), source);
    EXPECT_EQ(pulled.value("installed_digest", ""), manifest_digest);
    EXPECT_EQ(record().value("source", ""), source);
    EXPECT_EQ(record().value("source_digest", ""), manifest_digest);
  }

  void offer_entry(const Image& image, const json& changes = {}) {
    registry_->put(kRepository, "1", image);
    entry_ = oci_entry(registry_->host());
    if (changes.is_object()) entry_.update(changes);
    use_catalog({entry_});
  }

  json entry_;
};

TEST_F(PullTest, InstallsFromOpenRegistryWithThreeRequests) {
  const Image image = image_of(sample());
  offer_entry(image);
  expect_pulls(image.digest());
  EXPECT_FALSE(registry_->saw_authorization(Listener::registry));
  EXPECT_EQ(registry_->count(RequestKind::manifest), 1);
  EXPECT_EQ(registry_->count(RequestKind::config), 1);
  EXPECT_EQ(registry_->count(RequestKind::blob), 1);
  EXPECT_TRUE(std::filesystem::is_empty(cache() / "staging"));
}

TEST_F(PullTest, RepeatedPullSendsNoRequest) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  const auto before = snapshot(cache());
  registry_->forget_requests();
  const ProcessResult again = pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(again.out, install_dir().string() + "\n");
  EXPECT_TRUE(registry_->requests().empty());
  EXPECT_EQ(snapshot(cache()), before);
}

TEST_F(PullTest, AcceptHeaderListsEveryManifestType) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  const auto requests = registry_->requests();
  ASSERT_FALSE(requests.empty());
  expect_says(requests.front().request.header("Accept").value_or(""),
              {media_type::kOciIndex, media_type::kOciManifest, media_type::kDockerList,
               media_type::kDockerManifest});
}

struct ImageCase {
  const char* name;
  /// Returns the image to tag, and the digest of the manifest that must be selected.
  std::function<Image(std::string& manifest)> build;

  friend void PrintTo(const ImageCase& self, std::ostream* out) { *out << self.name; }
};

Image sample_image(std::string& manifest, ImageFormat format = ImageFormat::oci,
                   Compression compression = Compression::gzip) {
  Image image = ImageBuilder(format).layer(tar_of(sample()), compression).build();
  manifest = image.digest();
  return image;
}

const std::vector<ImageCase> kImages = {
    {"OciPlain", [](auto& m) { return sample_image(m, ImageFormat::oci, Compression::none); }},
    {"OciGzip", [](auto& m) { return sample_image(m); }},
    {"OciZstd", [](auto& m) { return sample_image(m, ImageFormat::oci, Compression::zstd); }},
    {"Docker", [](auto& m) { return sample_image(m, ImageFormat::docker); }},
    {"LayerOfAnotherMediaType",
     [](std::string& m) {
       Image image = ImageBuilder()
                         .raw_layer(compress(tar_of(sample()), Compression::zstd),
                                    "application/vnd.oci.image.layer.v1.tar+gzip")
                         .build();
       m = image.digest();
       return image;
     }},
    {"SeveralGzipMembers",
     [](std::string& m) {
       const std::string tar = tar_of(sample());
       Image image = ImageBuilder()
                         .raw_layer(compress(tar.substr(0, 70'000), Compression::gzip) +
                                        compress(tar.substr(70'000), Compression::gzip),
                                    layer_media_type(ImageFormat::oci, Compression::gzip))
                         .build();
       m = image.digest();
       return image;
     }},
    {"SeveralZstdFrames",
     [](std::string& m) {
       const std::string tar = tar_of(sample());
       Image image = ImageBuilder()
                         .raw_layer(compress(tar.substr(0, 70'000), Compression::zstd) +
                                        zstd_skippable_frame(100) +
                                        compress(tar.substr(70'000), Compression::zstd),
                                    layer_media_type(ImageFormat::oci, Compression::zstd))
                         .build();
       m = image.digest();
       return image;
     }},
    {"Index",
     [](std::string& m) {
       return IndexBuilder()
           .add(foreign_image(), Platform{"linux", "arm64", ""})
           .add(sample_image(m), Platform{})
           .build();
     }},
    {"IndexWithX8664",
     [](std::string& m) {
       return IndexBuilder().add(sample_image(m), Platform{"linux", "x86_64", ""}).build();
     }},
    {"DockerList",
     [](std::string& m) {
       return IndexBuilder(ImageFormat::docker)
           .add(sample_image(m, ImageFormat::docker), Platform{})
           .build();
     }},
    {"FirstMatchOfIndex",
     [](std::string& m) {
       const Image second = image_of(other_artifacts(8));
       return IndexBuilder().add(sample_image(m), Platform{}).add(second, Platform{}).build();
     }},
    {"EntryWithoutPlatform",
     [](std::string& m) {
       return IndexBuilder()
           .add(foreign_image(), Platform{"linux", "arm64", ""})
           .add(sample_image(m), std::nullopt)
           .build();
     }},
    {"MatchBeforeEntryWithoutPlatform",
     [](std::string& m) {
       return IndexBuilder()
           .add(foreign_image(), std::nullopt)
           .add(sample_image(m), Platform{})
           .build();
     }},
    {"NestedIndex",
     [](std::string& m) {
       const Image inner = IndexBuilder().add(sample_image(m), Platform{}).build();
       return IndexBuilder().add(inner, std::nullopt).build();
     }},
    {"AttestationSkipped",
     [](std::string& m) {
       const Image image = sample_image(m);
       const Image attestation = ImageBuilder().layer("not a tar", Compression::none).build();
       return IndexBuilder()
           .add_attestation(attestation, image.digest())
           .add(image, Platform{})
           .add_attestation(attestation, image.digest())
           .build();
     }},
    {"SeveralLayersWithWhiteouts",
     [](std::string& m) {
       const Artifacts old = other_artifacts(9);
       Image image = ImageBuilder()
                         .layer(TarBuilder()
                                    .file("boot/vmlinux", old.kernel)
                                    .file("boot/old/rootfs.ext4", old.rootfs)
                                    .file("deep/down/vmlinux", old.kernel)
                                    .finish())
                         .layer(TarBuilder()
                                    .whiteout("boot/vmlinux")
                                    .opaque_whiteout("boot/old")
                                    .file("boot/rootfs.ext4", old.rootfs)
                                    .finish(),
                                Compression::zstd)
                         .layer(TarBuilder()
                                    .file("boot/vmlinux", sample().kernel)
                                    .file("boot/rootfs.ext4", sample().rootfs)
                                    .finish())
                         .build();
       m = image.digest();
       return image;
     }},
    {"SparseMember",
     [](std::string& m) {
       Image image = ImageBuilder()
                         .layer(TarBuilder()
                                    .file("vmlinux", sample().kernel)
                                    .sparse(SparseFormat::pax_1_0, "rootfs.ext4",
                                            sparse_file(sample().rootfs))
                                    .finish())
                         .build();
       m = image.digest();
       return image;
     }},
};

class PullImageTest : public PullTest, public ::testing::WithParamInterface<ImageCase> {};

TEST_P(PullImageTest, IsInstalled) {
  std::string manifest;
  offer_entry(GetParam().build(manifest));
  expect_pulls(manifest);
}

INSTANTIATE_TEST_SUITE_P(Images, PullImageTest, ::testing::ValuesIn(kImages), row_name);

TEST_F(PullTest, ZeroBlocksAreHoles) {
  Artifacts hollow = sample();
  hollow.rootfs.resize(std::size_t{64} << 20);
  offer(image_of(hollow));
  const json pulled = pyro_json({"env", "pull", "tool:1"});
  EXPECT_TRUE(holds(install_dir() / "rootfs.ext4", hollow.rootfs));
  EXPECT_LT(pulled.value("installed_bytes", 1 << 30), 1 << 20);
  EXPECT_EQ(record()["artifacts"]["rootfs.ext4"]["size"], hollow.rootfs.size());
}

TEST_F(PullTest, InstallsInitrdAndNoOtherFile) {
  offer(ImageBuilder()
            .layer(TarBuilder()
                       .file("vmlinux", sample().kernel)
                       .file("initrd.img", "initial")
                       .file("rootfs.ext4", sample().rootfs)
                       .file("README", "passed over")
                       .finish())
            .build());
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(read_file(install_dir() / "initrd.img"), "initial");
  EXPECT_FALSE(std::filesystem::exists(install_dir() / "README"));
  EXPECT_EQ(record()["artifacts"].size(), 3u);
}

// Pins.

TEST_F(PullTest, RequestsPinnedManifestByDigest) {
  const Image image = image_of(sample());
  registry_->put(kRepository, "1", image_of(other_artifacts(3)));
  registry_->put(kRepository, "", image);
  entry_ = oci_entry(registry_->host());
  entry_["oci_digest"] = image.digest();
  use_catalog({entry_});
  expect_pulls(image.digest());
  EXPECT_EQ(registry_->count(RequestKind::manifest, "1"), 0);
}

TEST_F(PullTest, PinnedIndexSelectsItsManifest) {
  std::string manifest;
  const Image index = IndexBuilder().add(sample_image(manifest), Platform{}).build();
  offer_entry(index, {{"oci_digest", index.digest()}});
  expect_pulls(manifest);
  EXPECT_EQ(registry_->count(RequestKind::manifest, "1"), 0);
  registry_->forget_requests();
  pyro_ok({"env", "pull", "tool:1"});  // the pinned image is installed
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(PullTest, InstallsByDigestAsReference) {
  const Image image = image_of(sample());
  offer_entry(image, {{"oci_reference", image.digest()}});
  expect_pulls(image.digest());
  EXPECT_EQ(registry_->count(RequestKind::manifest, image.digest()), 1);
}

TEST_F(PullTest, ChangedPinMakesInstallOutdated) {
  const Image first = image_of(other_artifacts(4));
  offer_entry(first, {{"oci_digest", first.digest()}});
  pyro_ok({"env", "pull", "tool:1"});
  const Image second = image_of(sample());
  offer_entry(second, {{"oci_digest", second.digest()}});
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"}).value("outdated", false), true);
  expect_pulls(second.digest());
}

TEST_F(PullTest, ForceInstallsMovedTag) {
  offer(image_of(other_artifacts(5)));
  pyro_ok({"env", "pull", "tool:1"});
  offer_entry(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_TRUE(holds(install_dir() / "vmlinux", other_artifacts(5).kernel));
  pyro_ok({"env", "pull", "--force", "tool:1"});
  expect_installed(sample());
}

TEST_F(PullTest, RequestsByDigestAfterResolvingTag) {
  std::string manifest;
  offer_entry(IndexBuilder().add(sample_image(manifest), Platform{}).build());
  expect_pulls(manifest);
  EXPECT_EQ(registry_->count(RequestKind::manifest, "1"), 1);
}

// Logins.

TEST_F(PullTest, VeryVerboseLogsEveryRequest) {
  offer_entry(image_of(sample()));
  registry_->set_auth(auth(Mode::basic));
  log_in(registry_->host());
  const ProcessResult pull = pyro_ok({"env", "pull", "tool:1", "-vv"});
  expect_says(pull.err, {"GET https://" + registry_->host() + "/v2/team/tool/manifests/1: 401, ",
                         "/v2/team/tool/manifests/1: 200, ",
                         "/v2/team/tool/blobs/sha256:", " s from 127.0.0.1\n"});
  expect_hides(pull.err, secrets());
  const ProcessResult less = pyro_ok({"env", "pull", "tool:1", "--force", "-v"});
  expect_hides(less.err, {"GET "});
  use_catalog({oci_entry("localhost:1")});
  const ProcessResult failed = pyro({"env", "pull", "tool:1", "--force", "-vv", "--retries", "0"});
  expect_says(failed.err, {": no answer, 0 bytes in ", " s from no address\n"});
}

TEST_F(PullTest, PullsWithBasicLogin) {
  offer_entry(image_of(sample()));
  registry_->set_auth(auth(Mode::basic));
  log_in(registry_->host());
  expect_pulls(image_of(sample()).digest());
}

struct TokenCase {
  const char* name;
  AuthOptions::TokenField field;
  bool own_port;
  bool logged_in;

  friend void PrintTo(const TokenCase& self, std::ostream* out) { *out << self.name; }
};

class PullTokenTest : public PullTest, public ::testing::WithParamInterface<TokenCase> {};

TEST_P(PullTokenTest, IsFetchedOnce) {
  const auto& [name, field, own_port, logged_in] = GetParam();
  AuthOptions options = auth(Mode::bearer);
  options.token_field = field;
  options.anonymous = !logged_in;
  if (own_port) options.realm = registry_->token_realm();
  registry_->set_auth(options);
  if (logged_in) log_in(registry_->host());
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
  EXPECT_EQ(registry_->count(RequestKind::token), 1);
  const auto requests = registry_->requests();
  const auto token = std::find_if(requests.begin(), requests.end(), [](const auto& request) {
    return request.kind == RequestKind::token;
  });
  ASSERT_NE(token, requests.end());
  EXPECT_EQ(token->request.parameter("service").value_or(""), "fake-registry");
  EXPECT_EQ(token->request.parameter("scope").value_or(""), "repository:team/tool:pull");
  EXPECT_EQ(token->request.header("Authorization").has_value(), logged_in);
  EXPECT_EQ(token->listener, own_port ? Listener::token : Listener::registry);
}

INSTANTIATE_TEST_SUITE_P(
    Tokens, PullTokenTest,
    ::testing::Values(TokenCase{"Token", AuthOptions::TokenField::token, false, false},
                      TokenCase{"AccessToken", AuthOptions::TokenField::access_token, false, false},
                      TokenCase{"Both", AuthOptions::TokenField::both, false, false},
                      TokenCase{"RealmOnAnotherPort", AuthOptions::TokenField::token, true, false},
                      TokenCase{"Credentials", AuthOptions::TokenField::token, false, true},
                      TokenCase{"CredentialsToAnotherPort", AuthOptions::TokenField::token, true,
                                true}),
    row_name);

TEST_F(PullTest, AcceptsTokenRealmWithQuery) {
  AuthOptions options = auth(Mode::bearer);
  options.realm = registry_->token_realm() + "?account=robin";
  registry_->set_auth(options);
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
}

TEST_F(PullTest, TakesChallengeFromPing) {
  registry_->set_auth(auth(Mode::bearer));
  registry_->add_rule({.kind = RequestKind::manifest, .refused = true},
                      faults::without_header("WWW-Authenticate"));
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
  EXPECT_EQ(registry_->count(RequestKind::ping), 1);
}

TEST_F(PullTest, RedirectOfTokenServerGetsNoPassword) {
  registry_->set_auth(auth(Mode::bearer));
  log_in(registry_->host());
  registry_->add_rule({.kind = RequestKind::token, .listener = Listener::registry},
                      faults::redirect_to(registry_->token_realm("127.0.0.1")));
  offer(image_of(sample()));
  pyro({"env", "pull", "tool:1"});
  EXPECT_TRUE(registry_->saw_any_request(Listener::token));
  EXPECT_FALSE(registry_->saw_authorization(Listener::token));
}

TEST_F(PullTest, MatchesHostNamesIgnoringCase) {
  registry_->set_auth(auth(Mode::bearer));
  log_in(registry_->host());
  registry_->put(kRepository, "1", image_of(sample()));
  use_catalog({oci_entry(registry_->host("LocalHost"))});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(PullTest, AcceptsUrlsAsKeysOfAuths) {
  registry_->set_auth(auth(Mode::basic));
  offer(image_of(sample()));
  for (const char* tail : {"", "/", "/v1/", "/v2/"}) {
    log_in(registry_->url() + tail);
    EXPECT_EQ(pyro({"env", "pull", "--force", "tool:1"}).exit_code, 0) << tail;
  }
}

TEST_F(PullTest, FetchesAnonymousTokenFromAnotherHost) {
  AuthOptions options = auth(Mode::bearer);
  options.realm = registry_->token_realm("127.0.0.1");
  registry_->set_auth(options);
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
}

TEST_F(PullTest, TrustedRealmGetsCredentials) {
  AuthOptions options = auth(Mode::bearer);
  options.realm = registry_->token_realm("127.0.0.1");
  options.anonymous = false;
  registry_->set_auth(options);
  log_in(registry_->host());
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1", "--trust-realm", "127.0.0.1"});
  expect_installed(sample());
  pyro_ok({"--trust-realm", "127.0.0.1", "env", "list", "--outdated"});
  pyro_ok({"env", "pull", "--force", "tool:1"}, {{"PYRO_TRUST_REALM", "auth.example,127.0.0.1"}});
}

TEST_F(PullTest, ParsesChallengesWithOddCaseAndQuoting) {
  registry_->set_auth(auth(Mode::bearer));
  const std::string realm = registry_->url() + "/token";
  Fault fault = faults::challenge(
      {"Negotiate", "bAsIc realm=\"a, b\", BEARER  Realm=\"" + realm +
                        "\" , service=\"a \\\"quoted\\\", service\" ,SCOPE=\"repository:team/"
                        "tool:pull,push repository:other:pull\""});
  registry_->add_rule({.refused = true}, fault);
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
  const auto requests = registry_->requests();
  const auto token = std::find_if(requests.begin(), requests.end(), [](const auto& request) {
    return request.kind == RequestKind::token;
  });
  ASSERT_NE(token, requests.end());
  EXPECT_EQ(token->request.parameter("service").value_or(""), "a \"quoted\", service");
  EXPECT_EQ(token->request.parameters("scope"),
            (std::vector<std::string>{"repository:team/tool:pull"}));
}

TEST_F(PullTest, RefreshesTokenThatExpiresDuringPullOnce) {
  AuthOptions options = auth(Mode::bearer);
  options.uses_per_token = 3;  // the manifest, the config and one of four layers
  registry_->set_auth(options);
  ImageBuilder builder;
  builder.layer(TarBuilder().file("vmlinux", sample().kernel).finish());
  for (const char* name : {"one", "two"}) builder.layer(TarBuilder().file(name, name).finish());
  builder.layer(TarBuilder().file("rootfs.ext4", sample().rootfs).finish());
  const Image image = builder.build();
  offer_entry(image);
  expect_pulls(image.digest());
  EXPECT_EQ(registry_->count(RequestKind::token), 2);
}

TEST_F(PullTest, SendsNoCredentialsOfOtherRegistries) {
  log_in("localhost:1");
  AuthOptions options = auth(Mode::bearer);
  registry_->set_auth(options);
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
  for (const RecordedRequest& request : registry_->requests()) {
    EXPECT_FALSE(request.request.header("Authorization").value_or("").starts_with("Basic"));
  }
}

struct FileCase {
  const char* name;
  const char* file;      ///< Below the home directory.
  const char* variable;  ///< Names it, or its directory.
  const char* value;

  friend void PrintTo(const FileCase& self, std::ostream* out) { *out << self.name; }
};

class PullCredentialFileTest : public PullTest, public ::testing::WithParamInterface<FileCase> {};

TEST_P(PullCredentialFileTest, IsRead) {
  offer(image_of(sample()));
  registry_->set_auth(auth(Mode::basic));
  const json auths{
      {"auths", {{registry_->host(), {{"username", kUser}, {"password", kPassword}}}}}};
  write_file(home() / GetParam().file, auths.dump());
  if (GetParam().variable != nullptr) {
    log_in(registry_->host(), kUser, "a wrong one");  // must not count
    variables_[GetParam().variable] = (home() / GetParam().value).string();
  }
  pyro_ok({"env", "pull", "tool:1"});
}

INSTANTIATE_TEST_SUITE_P(
    Files, PullCredentialFileTest,
    ::testing::Values(FileCase{"Home", ".docker/config.json", nullptr, nullptr},
                      FileCase{"ConfigHome", ".config/containers/auth.json", "XDG_CONFIG_HOME",
                               ".config"},
                      FileCase{"RuntimeDir", "run/containers/auth.json", "XDG_RUNTIME_DIR", "run"},
                      FileCase{"DockerConfig", "other/config.json", "DOCKER_CONFIG", "other"},
                      FileCase{"RegistryAuthFile", "auth.json", "REGISTRY_AUTH_FILE", "auth.json"}),
    row_name);

// Redirects.

TEST_F(PullTest, RedirectToAnotherOriginGetsNoAuthorization) {
  for (const Mode mode : {Mode::basic, Mode::bearer}) {
    start_registry({.links_work_once = true});
    registry_->set_auth(auth(mode));
    log_in(registry_->host());
    registry_->add_rule({.kind = RequestKind::blob}, faults::redirect(To::cdn));
    offer_entry(image_of(sample()));
    pyro_ok({"env", "pull", "--force", "tool:1"});
    expect_installed(sample());
    EXPECT_TRUE(registry_->saw_any_request(Listener::cdn));
    EXPECT_FALSE(registry_->saw_authorization(Listener::cdn));
  }
}

TEST_F(PullTest, FollowsEveryRedirectStatus) {
  offer(image_of(sample()));
  for (const int status : {301, 302, 303, 307, 308}) {
    registry_->clear_rules();
    registry_->add_rule({.kind = RequestKind::blob}, faults::redirect(To::cdn, status));
    EXPECT_EQ(pyro({"env", "pull", "--force", "tool:1"}).exit_code, 0) << status;
  }
}

TEST_F(PullTest, FollowsRelativeRedirects) {
  registry_->add_rule({.kind = RequestKind::blob}, faults::redirect(To::relative, 302));
  registry_->add_rule({.kind = RequestKind::manifest}, faults::redirect(To::relative, 301));
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
  EXPECT_EQ(registry_->count(RequestKind::redirected), 2);
}

// Transfer encodings and plain HTTP.

TEST_F(PullTest, AcceptsChunkedAndUnsizedBodies) {
  registry_->add_rule({.kind = RequestKind::manifest}, {.chunked = true});
  registry_->add_rule({.kind = RequestKind::blob}, faults::without_header("Content-Length"));
  registry_->add_rule({}, faults::without_header("Docker-Content-Digest"));
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
}

TEST_F(PullTest, PullsOverPlainHttpOnLoopback) {
  start_registry({.tls = false});
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
}

TEST_F(PullTest, FetchesAnonymousTokenOverPlainHttpOnLoopback) {
  start_registry({.tls = false});
  registry_->set_auth(auth(Mode::bearer));
  log_in(registry_->host());
  offer_entry(image_of(sample()));
  expect_pulls(image_of(sample()).digest());
  for (const RecordedRequest& request : registry_->requests()) {
    EXPECT_FALSE(request.request.header("Authorization").value_or("").starts_with("Basic"));
  }
}

TEST_F(PullTest, TrustsDirectoryOfCertificates) {
  offer(image_of(sample()));
  const std::string file = registry_->certificate_file().string();
  const std::filesystem::path hashed = dir_ / "certificates";
  std::filesystem::create_directories(hashed);
  std::filesystem::copy_file(file, hashed / "ca.pem");
  run_checked({.argv = {"openssl", "rehash", hashed.string()}});
  pyro_ok({"env", "pull", "tool:1"},
          {{"SSL_CERT_FILE", std::nullopt}, {"SSL_CERT_DIR", hashed.string()}});
}

// Several names.

TEST_F(PullTest, InstallsOtherNamesWhenOneFails) {
  registry_->put("team/a", "1", image_of(sample()));
  registry_->put("team/c", "1", image_of(other_artifacts(2)));
  use_catalog({oci_entry(registry_->host(), "team/a", "1", "a"),
               oci_entry(registry_->host(), "team/b", "1", "b"),
               oci_entry(registry_->host(), "team/c", "1", "c")});
  const ProcessResult result = pyro({"env", "pull", "a", "nothing", "b", "c"});
  EXPECT_EQ(result.exit_code, 3) << "the first failure's";
  EXPECT_EQ(result.out, install_dir("a").string() + "\n" + install_dir("c").string() + "\n");
  expect_says(result.err, {"unknown environment 'nothing'", "cannot install b", "404"});
  expect_installed(sample(), "a");
  expect_installed(other_artifacts(2), "c");

  const json documents = pyro_json({"env", "pull", "c", "b", "a"}, 4);
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0]["name"], "c");
  EXPECT_EQ(documents[0]["installed"], true);
  EXPECT_EQ(documents[1]["name"], "b");
  EXPECT_EQ(documents[1].size(), 2u) << documents[1];
  EXPECT_EQ(documents[1]["error"]["code"], "network");
  EXPECT_EQ(documents[2]["install_dir"], install_dir("a").string());
}

TEST_F(PullTest, PrintsJsonOfPullAndOfFailure) {
  const Image image = image_of(sample());
  offer(image);
  const json pulled = pyro_json({"env", "pull", "tool:1"});
  json expected{
      {"name", "tool:1"},
      {"version", "1.0.0"},
      {"description", "A tool for tests."},
      {"default_packages", {"bash", "tool"}},
      {"distribution", "debian"},
      {"distribution_version", "12"},
      {"platform", "linux-x86_64"},
      {"oci_registry", registry_->host()},
      {"oci_repository", kRepository},
      {"oci_reference", "1"},
      {"source_digest", nullptr},
      {"compatibility", ">=4.5.0,<5.0.0"},
      {"compatible", true},
      {"catalog_version", "4.5.0"},
      {"installed", true},
      {"cache_dir", cache().string()},
      {"install_dir", install_dir().string()},
      {"install_manifest", (install_dir() / "environment.json").string()},
      {"installed_digest", image.digest()},
      {"kernel_image", (install_dir() / "vmlinux").string()},
      {"rootfs_image", (install_dir() / "rootfs.ext4").string()},
      {"initrd_image", nullptr},
      {"source", "oci://" + registry_->host() + "/team/tool@" + image.digest()},
  };
  const json bytes = pulled.value("installed_bytes", json());
  EXPECT_TRUE(bytes.is_number_unsigned()) << bytes;
  expected["installed_bytes"] = bytes;
  EXPECT_EQ(pulled, expected);

  registry_->add_rule({.kind = RequestKind::manifest}, faults::status(500));
  const json failed = pyro_json({"env", "pull", "--force", "tool:1"}, 4);
  ASSERT_EQ(failed.size(), 1u) << failed;
  ASSERT_EQ(failed["error"].size(), 3u) << failed;
  EXPECT_EQ(failed["error"]["code"], "network");
  expect_says(failed["error"]["message"], {"cannot install tool:1", registry_->host(), "500"});
  EXPECT_TRUE(failed["error"]["hint"].is_string());
}

TEST_F(PullTest, WritesProgressAsJsonLines) {
  offer(image_of(sample()));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1", "--progress", "json"});
  std::vector<std::string> events;
  for (std::size_t at = 0; at < result.err.size();) {
    const std::size_t end = result.err.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    const json line = parse_json(result.err.substr(at, end - at));
    EXPECT_EQ(line.value("environment", ""), "tool:1");
    events.push_back(line.value("event", ""));
    at = end + 1;
  }
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events.front(), "started");
  EXPECT_EQ(events[1], "progress");
  EXPECT_EQ(events[events.size() - 2], "committing");
  EXPECT_EQ(events.back(), "finished");
}

}  // namespace
}  // namespace pyro::testing

// Pulls through mirrors: which host gets which request, and mirrors that fail or send wrong bytes.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "scenarios/hostile_harness.h"
#include "support/artifacts.h"
#include "support/hash.h"
#include "support/real_registry.h"
#include "support/skopeo.h"
#include "support/tunnel.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

/// Large enough to interrupt a transfer in the middle.
Artifacts large_artifacts() {
  Artifacts made = other_artifacts(30);
  made.rootfs = file_system_with(noise(12 << 20, 31));
  return made;
}

class MirrorHarness : public HostileHarness {
 protected:
  explicit MirrorHarness(const FakeRegistryOptions& options = {})
      : HostileHarness(options), mirror_(std::make_unique<FakeRegistry>()) {
    variables_["PYRO_RETRY_DELAY"] = "0.01";
    trust({registry_->certificate_file(), mirror_->certificate_file()});
  }

  void trust(const std::vector<std::filesystem::path>& authorities) {
    std::string all;
    for (const auto& file : authorities) all += read_file(file);
    write_file(dir_ / "authorities.pem", all);
    variables_["SSL_CERT_FILE"] = (dir_ / "authorities.pem").string();
  }

  std::filesystem::path conf() const { return home() / ".config/containers/registries.conf"; }

  /// The registry, with these tables behind it.
  void configure(const std::string& tables) const {
    write_file(conf(), "[[registry]]\nlocation = \"" + registry_->host() + "\"\n" + tables);
  }

  static std::string mirror_table(const std::string& location, const std::string& lines = {}) {
    return "[[registry.mirror]]\nlocation = \"" + location + "\"\n" + lines + "\n";
  }

  /// In the registry and the mirror, by tag and digest.
  void offer_mirrored(const Image& image) {
    mirror_->put(kRepository, "1", image);
    offer(image);
    configure(mirror_table(mirror_->host()));
  }

  std::unique_ptr<FakeRegistry> mirror_;
};

class MirrorTest : public MirrorHarness {};

TEST_F(MirrorTest, TakesTagsFromRegistryAndBlobsFromMirror) {
  offer_mirrored(image_of(sample()));
  const json pulled = pyro_json({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_EQ(registry_->count(RequestKind::manifest, "1"), 1);
  EXPECT_EQ(registry_->count(RequestKind::blob), 0);
  EXPECT_EQ(mirror_->count(RequestKind::manifest), 0);
  EXPECT_EQ(mirror_->count(RequestKind::blob), 1);
  for (const RecordedRequest& request : mirror_->requests()) {
    EXPECT_EQ(request.request.parameter("ns"), registry_->host());
  }
  for (const RecordedRequest& request : registry_->requests()) {
    EXPECT_EQ(request.request.parameter("ns"), std::nullopt);
  }
  EXPECT_EQ(pulled.value("source", ""),
            "oci://" + registry_->host() + "/team/tool@" + image_of(sample()).digest());
}

TEST_F(MirrorTest, TrustedMirrorServesWholePull) {
  offer_mirrored(image_of(sample()));
  configure(mirror_table(mirror_->host(), "pull-from-mirror = \"all\""));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(MirrorTest, PinnedImageComesFromMirrorAlone) {
  const Image image = image_of(sample());
  offer_mirrored(image);
  json pinned = oci_entry(registry_->host());
  pinned["oci_digest"] = image.digest();
  use_catalog({pinned});
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_TRUE(registry_->requests().empty());
  EXPECT_EQ(mirror_->count(RequestKind::manifest, image.digest()), 1);
}

TEST_F(MirrorTest, RewritesLocationAndPath) {
  const Image image = image_of(sample());
  mirror_->put("copies/tool", "1", image);
  offer(image);
  write_file(conf(), "[[registry]]\nprefix = \"" + registry_->host() + "/team\"\nlocation = \"" +
                         mirror_->host() + "/copies\"\n");
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_TRUE(registry_->requests().empty());
  EXPECT_EQ(record().value("source", ""),
            "oci://" + registry_->host() + "/team/tool@" + image.digest());
}

TEST_F(MirrorTest, DropInReplacesWholeRule) {
  offer_mirrored(image_of(sample()));
  write_file(home() / ".config/containers/registries.conf.d/50-no-mirror.conf",
             "[[registry]]\nlocation = \"" + registry_->host() + "\"\n");
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_TRUE(mirror_->requests().empty());
}

TEST_F(MirrorTest, VariableReplacesConfigurationFiles) {
  offer_mirrored(image_of(sample()));
  write_file(dir_ / "own.conf", "");
  pyro_ok({"env", "pull", "tool:1"},
          {{"CONTAINERS_REGISTRIES_CONF", (dir_ / "own.conf").string()}});
  EXPECT_TRUE(mirror_->requests().empty());
}

TEST_F(MirrorTest, MirrorGetsNoCredentialsOfRegistry) {
  offer_mirrored(image_of(sample()));
  registry_->set_auth(auth(AuthOptions::Mode::basic));
  mirror_->set_auth(auth(AuthOptions::Mode::basic));
  log_in(registry_->host());
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {"going on without the mirror " + mirror_->host()});
  EXPECT_FALSE(mirror_->saw_authorization(Listener::registry));
  expect_installed(sample());
}

struct Failing {
  const char* name;
  Match when;
  Fault fault;
  int asked;  ///< How often the mirror is, at most.
  /// Whether the registry must send only the bytes that the mirror did not.
  bool goes_on = false;

  friend void PrintTo(const Failing& self, std::ostream* out) { *out << self.name; }
};

constexpr RequestKind kBlob = RequestKind::blob;

const std::vector<Failing> kFailing = {
    {"Status404", {.kind = kBlob}, faults::status(404), 1},
    {"Status403", {.kind = kBlob}, faults::status(403), 1},
    {"Status503", {.kind = kBlob}, faults::status(503), 2},
    {"RetryAfter50s", {.kind = kBlob}, faults::status(503, {{"Retry-After", "50"}}), 1},
    {"WrongByteAtStart", {.kind = kBlob}, faults::flip_byte_at(10), 1},
    {"WrongByteInMiddle", {.kind = kBlob}, faults::flip_byte_at(5 << 20), 1},
    {"WrongContentLength", {.kind = kBlob}, faults::header("Content-Length", "1000"), 1},
    {"ExtraBytes", {.kind = kBlob}, {.extra_bytes = "more", .chunked = true}, 1},
    {"MissingBytes", {.kind = kBlob}, {.drop_last = 100, .chunked = true}, 1},
    {"WebPage", {.kind = kBlob}, faults::html(), 2},
    {"RedirectLoop", {.kind = kBlob}, faults::redirect(RedirectFault::To::itself), 11},
    {"RedirectWithoutTls", {.kind = kBlob}, faults::redirect(RedirectFault::To::plain), 1},
    {"EncodedAnswer",
     {.kind = kBlob},
     {.body = "\x1f\x8b", .set_headers = {{"Content-Encoding", "gzip"}}},
     1},
    // Includes the kept connection of the manifest, which curl replaces itself.
    {"ResetBeforeFirstByte",
     {.kind = kBlob},
     {.cut_after = 0, .ending = Ending::reset, .raw_head = ""},
     3},
    // A broken transfer is resumed once.
    {"CutInMiddle", {.kind = kBlob}, faults::cut_after(3 << 20), 4, true},
    {"CutWithoutRanges", {.kind = kBlob}, {.ignore_range = true, .cut_after = 3 << 20}, 4},
    {"WrongRange", {.kind = kBlob}, {.shift_range = -5, .cut_after = 3 << 20}, 8},
};

class FailingMirrorTest : public MirrorHarness, public ::testing::WithParamInterface<Failing> {};

TEST_P(FailingMirrorTest, IsSkippedAndPullInstallsRightBytes) {
  const Failing& failing = GetParam();
  const Artifacts artifacts = large_artifacts();
  offer_mirrored(image_of(artifacts));
  mirror_->add_rule(failing.when, failing.fault);
  const ProcessResult result = pyro_ok({"env", "pull", "-v", "tool:1"});
  expect_installed(artifacts);
  EXPECT_EQ(occurrences("going on without the mirror " + mirror_->host(), result.err), 1U)
      << result.err;
  EXPECT_LE(mirror_->count(RequestKind::any) - mirror_->count(RequestKind::config), failing.asked);
  if (failing.goes_on) {
    const auto asked = registry_->requests();
    EXPECT_TRUE(std::ranges::any_of(asked, [](const RecordedRequest& request) {
      return request.kind == kBlob && request.status == 206;
    }));
  }
  EXPECT_TRUE(std::filesystem::is_empty(cache() / "staging"));
  EXPECT_TRUE(std::filesystem::is_empty(cache() / "partial"));
}

INSTANTIATE_TEST_SUITE_P(Mirror, FailingMirrorTest, ::testing::ValuesIn(kFailing), row_name);

TEST_F(MirrorTest, SkipsMirrorWithBadHelperOrCertificate) {
  offer_mirrored(image_of(sample()));
  mirror_->set_auth(auth(AuthOptions::Mode::basic));
  write_secret(home() / ".docker/config.json",
               json{{"credHelpers", {{mirror_->host(), "missing"}}}}.dump());
  const ProcessResult without_helper = pyro_ok({"env", "pull", "tool:1"});
  expect_says(without_helper.err, {"going on without the mirror " + mirror_->host(),
                                   "docker-credential-missing", ".docker/config.json"});
  const std::filesystem::path certificate =
      home() / ".config/containers/certs.d" / mirror_->host() / "ca.crt";
  write_file(certificate, "no certificate\n");
  const ProcessResult without_certificate = pyro_ok({"env", "pull", "--force", "tool:1"});
  expect_says(without_certificate.err,
              {"going on without the mirror " + mirror_->host(), certificate.string()});
  expect_installed(sample());
}

TEST_F(MirrorTest, SkipsMirrorThatIsDown) {
  offer_mirrored(image_of(sample()));
  configure(mirror_table("localhost:" + std::to_string(unused_port())) +
            mirror_table(mirror_->host()));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {"going on without the mirror localhost:"});
  EXPECT_EQ(mirror_->count(RequestKind::blob), 1);
  EXPECT_EQ(registry_->count(RequestKind::blob), 0);
}

// Like the answers of Spegel and Dragonfly.
TEST_F(MirrorTest, AcceptsPlainHttpMirrorOnLoopback) {
  FakeRegistry peer({.tls = false});
  const Artifacts artifacts = large_artifacts();
  peer.put(kRepository, "1", image_of(artifacts));
  offer(image_of(artifacts));
  configure(mirror_table(peer.host("127.0.0.1")));
  peer.add_rule({.kind = kBlob}, {.ignore_range = true});
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(result.err.find("warning"), std::string::npos) << result.err;
  EXPECT_EQ(peer.count(kBlob), 1);
  EXPECT_EQ(peer.requests().back().request.parameter("ns"), registry_->host());
  // A blob that a peer lacks causes no warning.
  peer.remove_blob(kRepository, ImageBuilder().layer(tar_of(artifacts)).layer_digest(0));
  const ProcessResult missing = pyro_ok({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(missing.err.find("warning"), std::string::npos) << missing.err;
  EXPECT_EQ(registry_->count(kBlob), 1);
}

TEST_F(MirrorTest, SkipsSilentMirrorAfter5s) {
  const HttpServer silent({.silent = true}, [](const HttpRequest&) { return HttpResponse(); });
  offer_mirrored(image_of(sample()));
  configure(mirror_table(silent.host()));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {"could not be reached within 5 s"});
  expect_installed(sample());
}

TEST_F(MirrorTest, SkipsTwoMirrorsThatSendWrongBytes) {
  FakeRegistry second;
  const Image image = image_of(sample());
  second.put(kRepository, "1", image);
  offer_mirrored(image);
  trust({registry_->certificate_file(), mirror_->certificate_file(), second.certificate_file()});
  configure(mirror_table(mirror_->host()) + mirror_table(second.host()));
  mirror_->add_rule({.kind = kBlob}, faults::flip_byte_at(100));
  second.add_rule({.kind = kBlob}, faults::flip_byte_at(100));
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_EQ(mirror_->count(kBlob), 1);
  EXPECT_EQ(second.count(kBlob), 1);
}

TEST_F(MirrorTest, FailsWhenEveryHostSendsWrongBytes) {
  offer_mirrored(image_of(sample()));
  mirror_->add_rule({.kind = kBlob}, faults::flip_byte_at(100));
  registry_->add_rule({.kind = kBlob}, faults::flip_byte_at(100));
  expect_refused(5, {"cannot fetch the layer", "its digest is"});
}

TEST_F(MirrorTest, WrongManifestOfMirrorFallsBackToRegistry) {
  const Image image = image_of(sample());
  offer_mirrored(image);
  json pinned = oci_entry(registry_->host());
  pinned["oci_digest"] = image.digest();
  use_catalog({pinned});
  mirror_->add_rule({.kind = RequestKind::manifest}, faults::flip_byte_at(20));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(registry_->count(RequestKind::manifest, image.digest()), 1);
  EXPECT_EQ(mirror_->count(kBlob), 0) << "left for the rest of the pull";
}

// Other settings of registries.conf.

TEST_F(MirrorTest, RejectsBlockedRegistryByName) {
  offer_mirrored(image_of(sample()));
  write_file(conf(), "[[registry]]\nlocation = \"" + registry_->host() + "\"\nblocked = true\n");
  expect_refused(4, {"cannot install tool:1",
                     "the registry " + registry_->host() + " is blocked by", conf().string()});
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(MirrorTest, InsecureAppliesToThatHostOnly) {
  offer_mirrored(image_of(sample()));
  trust({registry_->certificate_file()});
  configure(mirror_table(mirror_->host(), "insecure = true"));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {"warning: TLS verification is off for " + mirror_->host()});
  EXPECT_EQ(mirror_->count(kBlob), 1);
  trust({mirror_->certificate_file()});
  const ProcessResult refused = pyro({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(refused.exit_code, 4);
  expect_says(refused.err, {"the certificate of " + registry_->host() + " is not trusted"});
}

TEST_F(MirrorTest, InsecureDoesNotApplyToRedirectTarget) {
  offer_mirrored(image_of(sample()));
  trust({registry_->certificate_file()});
  configure(mirror_table(mirror_->host(), "insecure = true"));
  mirror_->add_rule({.kind = kBlob}, faults::redirect(RedirectFault::To::cdn));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {"going on without the mirror", "is not trusted"});
  EXPECT_FALSE(mirror_->saw_any_request(Listener::cdn));
  EXPECT_EQ(registry_->count(kBlob), 1);
}

TEST_F(MirrorTest, SendsLoginToInsecureRegistryOverTlsOnly) {
  offer(image_of(sample()));
  trust({mirror_->certificate_file()});
  registry_->set_auth(auth(AuthOptions::Mode::basic));
  log_in(registry_->host());
  write_file(conf(), "[[registry]]\nlocation = \"" + registry_->host() + "\"\ninsecure = true\n");
  pyro_ok({"env", "pull", "tool:1"});
  start_registry({.tls = false});
  offer(image_of(sample()));
  registry_->set_auth(auth(AuthOptions::Mode::basic));
  log_in(registry_->host());
  write_file(conf(), "[[registry]]\nlocation = \"" + registry_->host() + "\"\ninsecure = true\n");
  const ProcessResult refused = pyro({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(refused.exit_code, 4);
  expect_says(refused.err, {"over plain http, where none is ever sent"});
  EXPECT_FALSE(registry_->saw_authorization(Listener::registry));
}

TEST_F(MirrorTest, InstalledEnvironmentNeedsNoValidConfiguration) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  write_file(conf(), "this is no TOML\n");
  pyro_ok({"env", "pull", "tool:1"});
  pyro_ok({"env", "list"});
}

struct BadFile {
  const char* name;
  std::string content;
  std::vector<std::string> says;

  friend void PrintTo(const BadFile& self, std::ostream* out) { *out << self.name; }
};

std::string dotted(std::size_t parts) {
  std::string key = "a";
  while (--parts > 0) key += ".a";
  return key;
}

const std::vector<BadFile> kBadFiles = {
    {"NotToml", "[[registry]\nlocation = \"top-secret\"\n", {"line 1: not TOML"}},
    {"CutShort", "[[registry]]\nlocation = \"top-secret", {"line 2: not TOML"}},
    {"Binary", std::string("\0\xff\x7f\x1b[31m", 8), {"line 1: a control character"}},
    {"EndlessDepth", "a = " + std::string(500'000, '['), {"line 1: not TOML"}},
    {"EndlessKey", dotted(250'000) + " = 1\n", {"line 1: too many dots"}},
    {"EndlessTable", "#\n[" + dotted(250'000) + "]\n", {"line 2: too many dots"}},
    {"DeepestTable", dotted(1001) + " = \"a\"\nx", {"line 2: not TOML"}},
    {"TooLarge", std::string((1 << 20) + 1, '\n'), {"larger than 1 MiB"}},
    {"Version1", "[registries.block]\nregistries = ['bad.example']\n", {"line 1", "version 1"}},
    {"LocationNotAString",
     "[[registry]]\nlocation = ['x']\n",
     {"line 2", "\"location\" is not a text"}},
    {"WithoutALocation", "[[registry]]\nblocked = true\n", {"line 1", "\"location\" is missing"}},
    {"WithAScheme",
     "[[registry]]\nlocation = \"https://top-secret.example\"\n",
     {"line 2", "host[:port][/path]"}},
    {"WithAnEscapeSequence",
     "[[registry]]\nlocation = \"\\u001b[31m\"\n",
     {"line 2", "host[:port][/path]"}},
    {"UnknownPullFromMirror",
     "[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\nlocation = \"b\"\n"
     "pull-from-mirror = \"top-secret\"\n",
     {"line 5", "pull-from-mirror"}},
};

class BadRegistriesFileTest : public MirrorHarness,
                              public ::testing::WithParamInterface<BadFile> {};

TEST_P(BadRegistriesFileTest, ErrorNamesFileAndLineAndQuotesNothing) {
  offer(image_of(sample()));
  write_file(conf(), GetParam().content);
  std::vector<std::string> says = GetParam().says;
  says.push_back("cannot use the registries in " + conf().string());
  expect_refused(1, says);
  EXPECT_TRUE(registry_->requests().empty());
}

INSTANTIATE_TEST_SUITE_P(Files, BadRegistriesFileTest, ::testing::ValuesIn(kBadFiles), row_name);

TEST_F(MirrorTest, RejectsPipeAndDanglingLinkAsConfiguration) {
  offer(image_of(sample()));
  std::filesystem::create_directories(conf().parent_path());
  ASSERT_EQ(::mkfifo(conf().c_str(), 0600), 0);
  expect_refused(1, {conf().string(), "not a regular file"});
  std::filesystem::remove(conf());
  std::filesystem::create_symlink("/nowhere", conf());
  expect_refused(1, {conf().string(), "No such file"});
  expect_refused(1, {"/none.conf", "No such file"}, {"env", "pull", "tool:1"},
                 {{"CONTAINERS_REGISTRIES_CONF", "/none.conf"}});
}

TEST_F(MirrorTest, RejectsLocationsThatNameNoImage) {
  offer(image_of(sample()));
  for (const char* location :
       {"UPPER.example/Path", "a..example", "a.example:0", "a.example/../x"}) {
    configure(mirror_table(location));
    expect_refused(1, {conf().string(), "which names no image"});
  }
}

// Certificates of hosts.

TEST_F(MirrorTest, CertsDAddsToSystemAuthorities) {
  offer_mirrored(image_of(sample()));
  variables_.erase("SSL_CERT_FILE");
  const auto certs = home() / ".config/containers/certs.d";
  write_file(certs / registry_->host() / "ca.crt", read_file(registry_->certificate_file()));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {"going on without the mirror", "is not trusted"});
  write_file(certs / mirror_->host() / "ca.crt", read_file(mirror_->certificate_file()));
  mirror_->forget_requests();
  pyro_ok({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(mirror_->count(kBlob), 1);
  // In addition to a file of the user, too.
  variables_["SSL_CERT_FILE"] = mirror_->certificate_file().string();
  std::filesystem::remove_all(certs / mirror_->host());
  mirror_->forget_requests();
  pyro_ok({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(mirror_->count(kBlob), 1);
}

class ClientCertificateTest : public MirrorHarness {
 protected:
  ClientCertificateTest() : MirrorHarness({.wants_client_certificate = true}) {
    offer(image_of(sample()));
    LeafOptions leaf{.file_name = "client", .names = {"robin"}, .addresses = {}};
    leaf.for_client = true;
    pair_ = registry_->issue(leaf);
  }

  std::filesystem::path certs() const {
    return home() / ".config/containers/certs.d" / registry_->host();
  }

  KeyPair pair_;
};

TEST_F(ClientCertificateTest, IsSentWhereRequired) {
  expect_refused(4, {"it wants to be shown a certificate"});
  write_file(certs() / "me.cert", read_file(pair_.certificate));
  write_file(certs() / "me.key", read_file(pair_.key));
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(ClientCertificateTest, RejectsIncompleteAndInvalidPairs) {
  write_file(certs() / "me.cert", read_file(pair_.certificate));
  expect_refused(1, {(certs() / "me.cert").string(), "me.key, is not beside it"});
  write_file(certs() / "me.key", "no key\n");
  expect_refused(4, {"the client certificate for " + registry_->host() + " cannot be used"});
  std::filesystem::remove(certs() / "me.cert");
  expect_refused(1, {(certs() / "me.key").string(), "me.cert, is not beside it"});
  std::filesystem::remove(certs() / "me.key");
  write_file(certs() / "ca.crt", "");
  expect_refused(1, {(certs() / "ca.crt").string(), "it is empty"});
}

// A fleet: Debian's docker-registry as a pull-through cache in front of another.

class PullThroughTest : public PyroHarness {
 protected:
  PullThroughTest()
      : origin_(authority_),
        cache_(authority_, {.proxied_url = origin_.url()}),
        digest_(push_image(image_of(artifacts_), origin_.host() + "/team/tool:1",
                           {.certificate_dir = authority_.certificate_dir()})) {
    variables_["SSL_CERT_FILE"] = authority_.certificate_file().string();
    variables_["PYRO_RETRY_DELAY"] = "0.01";
    use_catalog({oci_entry(origin_.host())});
  }

  void mirror_at(const std::string& location, const std::string& lines = {}) const {
    write_file(home() / ".config/containers/registries.conf",
               "[[registry]]\nlocation = \"" + origin_.host() +
                   "\"\n[[registry.mirror]]\nlocation = \"" + location + "\"\n" + lines + "\n");
  }

  static std::size_t answers(const RealRegistry& registry, const std::string& part) {
    std::size_t count = 0;
    const std::string log = registry.log();
    for (std::size_t at = log.find(part); at != log.npos; at = log.find(part, at + 1)) ++count;
    return count;
  }

  Artifacts artifacts_ = large_artifacts();
  CertificateAuthority authority_{dir_ / "authority"};
  RealRegistry origin_;
  RealRegistry cache_;
  std::string digest_;
};

TEST_F(PullThroughTest, ServesImageNotCachedBefore) {
  mirror_at(cache_.host(), "pull-from-mirror = \"all\"");
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(artifacts_);
  EXPECT_EQ(record().value("source_digest", ""), digest_);
  EXPECT_GT(answers(cache_, "GET /v2/team/tool/manifests/1?ns="), 0U);
  EXPECT_GT(answers(cache_, "GET /v2/team/tool/blobs/sha256:"), 0U);
}

TEST_F(PullThroughTest, RegistryResumesWhenCacheIsKilled) {
  const DyingRelay relay(cache_.port(), 5 << 20, [this] { cache_.kill(); });
  mirror_at("localhost:" + std::to_string(relay.port()));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_installed(artifacts_);
  EXPECT_TRUE(relay.is_dead());
  expect_says(result.err,
              {"going on without the mirror localhost:" + std::to_string(relay.port())});
  EXPECT_GT(answers(origin_, "\" 206 "), 0U) << origin_.log();
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
}

TEST_F(PullThroughTest, ServesCachedPinnedImageWithoutRegistry) {
  json pinned = oci_entry(origin_.host());
  pinned["oci_digest"] = digest_;
  use_catalog({pinned});
  mirror_at(cache_.host());
  pyro_ok({"env", "pull", "tool:1"});
  const std::string layer = ImageBuilder().layer(tar_of(artifacts_)).layer_digest(0);
  ASSERT_TRUE(eventually([&] { return cache_.has_blob(layer); }));
  origin_.kill();
  pyro_ok({"env", "pull", "--force", "tool:1"});
  expect_installed(artifacts_);
}

}  // namespace
}  // namespace pyro::testing

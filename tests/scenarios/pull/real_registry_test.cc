// Pulls from Debian's docker-registry over TLS: all kinds of login and of image.
#include "support/real_registry.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "scenarios/harness.h"
#include "support/hash.h"
#include "support/raw_push.h"
#include "support/registry_auth.h"
#include "support/skopeo.h"
#include "support/token_server.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

enum class Access { open, basic, anonymous_token, user_token };
constexpr std::array kAccesses = {Access::open, Access::basic, Access::anonymous_token,
                                  Access::user_token};

std::string name_of(Access access) {
  switch (access) {
    case Access::open:
      return "Open";
    case Access::basic:
      return "Basic";
    case Access::anonymous_token:
      return "AnonymousToken";
    case Access::user_token:
      return "UserToken";
  }
  return "Unknown";
}

bool needs_login(Access access) {
  return access == Access::basic || access == Access::user_token;
}

enum class Kind { oci_gzip, oci_zstd, docker, index, nested_index, by_digest, layers };

struct KindOfImage {
  Kind kind;
  const char* name;  ///< Of the repository, too.
};
constexpr std::array kKinds = {KindOfImage{Kind::oci_gzip, "oci_gzip"},
                               KindOfImage{Kind::oci_zstd, "oci_zstd"},
                               KindOfImage{Kind::docker, "docker"},
                               KindOfImage{Kind::index, "index"},
                               KindOfImage{Kind::nested_index, "nested_index"},
                               KindOfImage{Kind::by_digest, "by_digest"},
                               KindOfImage{Kind::layers, "layers"}};

Image layered_image() {
  const Artifacts old = other_artifacts(9);
  return ImageBuilder()
      .layer(TarBuilder()
                 .file("vmlinux", old.kernel)
                 .file("old/rootfs.ext4", old.rootfs)
                 .file("boot/deep/vmlinux", old.kernel)
                 .finish())
      .layer(TarBuilder()
                 .whiteout("vmlinux")
                 .opaque_whiteout("old")
                 .file("boot/rootfs.ext4", old.rootfs)
                 .finish())
      .layer(TarBuilder()
                 .file("boot/vmlinux", sample().kernel)
                 .file("boot/rootfs.ext4", sample().rootfs)
                 .finish())
      .build();
}

Image index_image() {
  const Image arm64 =
      ImageBuilder().platform({"linux", "arm64", ""}).layer(tar_of(other_artifacts(3))).build();
  const Image attestation = ImageBuilder().platform({"unknown", "unknown", ""}).build();
  const Image image = image_of(sample());
  return IndexBuilder()
      .add(arm64, Platform{"linux", "arm64", ""})
      .add(image, Platform{})
      .add_attestation(attestation, image.digest())
      .build();
}

/// A registry with an image of every kind, each in a repository of its own.
class FilledRegistry {
 public:
  FilledRegistry(const CertificateAuthority& authority, Access access)
      : authority_(authority), access_(access) {
    RealRegistryOptions options;
    if (access == Access::basic) options.auth = RealRegistryOptions::Auth::basic;
    if (access == Access::anonymous_token || access == Access::user_token) {
      tokens_ = std::make_unique<TokenServer>(
          authority, TokenServerOptions{.anonymous_pull = access == Access::anonymous_token});
      options.auth = RealRegistryOptions::Auth::bearer;
      options.realm = tokens_->realm();
      options.token_certificates = tokens_->root_certificates();
    }
    registry_ = std::make_unique<RealRegistry>(authority, options);
    for (const KindOfImage& kind : kKinds) fill(kind);
  }

  std::string host() const { return registry_->host(); }
  const std::string& digest_of(Kind kind) const { return digests_.at(kind); }
  const TokenServer* tokens() const { return tokens_.get(); }

 private:
  void fill(const KindOfImage& kind) {
    SkopeoOptions options{
        .user = "user", .password = "secret", .certificate_dir = authority_.certificate_dir()};
    if (access_ == Access::open) options.user = options.password = "";
    const std::string name = std::string("team/") + kind.name;
    switch (kind.kind) {
      case Kind::oci_zstd:
        options.compression = "zstd";
        break;
      case Kind::docker:
        options.format = "v2s2";
        break;
      case Kind::index:
        options.all = true;
        push_image(index_image(), host() + "/" + name + ":1", options);
        digests_[kind.kind] = image_of(sample()).digest();
        return;
      case Kind::nested_index:
        push_nested(name);
        digests_[kind.kind] = image_of(sample()).digest();
        return;
      default:
        break;
    }
    const Image image = kind.kind == Kind::layers ? layered_image() : image_of(sample());
    digests_[kind.kind] = push_image(image, host() + "/" + name + ":1", options);
  }

  // skopeo cannot push nested indexes.
  void push_nested(const std::string& name) {
    const Image nested = IndexBuilder().add(index_image(), std::nullopt).build();
    RawPushOptions options{.certificate_file = authority_.certificate_file()};
    if (access_ == Access::basic) options.authorization = basic_authorization("user", "secret");
    if (tokens_) {
      options.authorization = "Bearer " + tokens_->token({"repository:" + name + ":pull,push"});
    }
    push_raw(nested, registry_->url(), name, "1", options);
  }

  const CertificateAuthority& authority_;
  Access access_;
  std::unique_ptr<TokenServer> tokens_;
  std::unique_ptr<RealRegistry> registry_;
  std::map<Kind, std::string> digests_;
};

// Each test is a process and starts its own registry.
class RealRegistryTest : public PyroHarness {
 protected:
  RealRegistryTest() { variables_["SSL_CERT_FILE"] = authority_.certificate_file().string(); }

  void log_in(const std::string& host, const std::string& password = "secret") const {
    const json auths{{"auths", {{host, {{"auth", base64("user:" + password)}}}}}};
    write_secret(home() / ".docker/config.json", auths.dump());
  }

  void use_images_of(const FilledRegistry& registry) const {
    std::vector<json> entries;
    for (const KindOfImage& kind : kKinds) {
      json made = oci_entry(registry.host(), std::string("team/") + kind.name, "1", kind.name);
      if (kind.kind == Kind::by_digest) made["oci_reference"] = registry.digest_of(kind.kind);
      entries.push_back(made);
    }
    use_catalog(entries);
  }

  CertificateAuthority authority_{dir_ / "authority"};
};

class RealPullTest : public RealRegistryTest, public ::testing::WithParamInterface<Access> {};

TEST_P(RealPullTest, InstallsEveryImage) {
  const FilledRegistry registry(authority_, GetParam());
  use_images_of(registry);
  if (needs_login(GetParam())) log_in(registry.host());
  for (const KindOfImage& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    const json pulled = pyro_json({"env", "pull", kind.name});
    expect_installed(sample(), kind.name);
    const std::string& digest = registry.digest_of(kind.kind);
    EXPECT_EQ(record(kind.name)["source_digest"], digest);
    EXPECT_EQ(pulled.value("source", ""),
              "oci://" + registry.host() + "/team/" + kind.name + "@" + digest);
  }
  const json verified = pyro_json({"env", "verify"});
  EXPECT_EQ(verified.size(), kKinds.size());
  for (const json& one : verified) EXPECT_EQ(one["status"], "ok") << one;
  if (registry.tokens() != nullptr) {
    for (const HttpRequest& request : registry.tokens()->requests()) {
      EXPECT_EQ(request.parameter("service").value_or(""), "pyro-test-registry");
    }
  }
}

TEST_P(RealPullTest, FailsWithoutLoginAndForMissingImages) {
  const FilledRegistry registry(authority_, GetParam());
  use_images_of(registry);
  if (needs_login(GetParam())) {
    const ProcessResult stranger = pyro({"env", "pull", "oci_gzip"});
    EXPECT_EQ(stranger.exit_code, 4);
    expect_says(stranger.err,
                {"cannot install oci_gzip", "pyro registry login " + registry.host()});
    log_in(registry.host(), "wr0ng-password");
    const ProcessResult wrong = pyro({"env", "pull", "oci_gzip"});
    EXPECT_EQ(wrong.exit_code, 4);
    expect_says(wrong.err, {"refused the credentials"});
    expect_hides(wrong.err, {"wr0ng-password", base64("user:wr0ng-password")});
    log_in(registry.host());
  }
  json missing = oci_entry(registry.host(), "team/nothing");
  use_catalog({missing});
  const ProcessResult nothing = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(nothing.exit_code, 4);
  expect_says(nothing.err, {"team/nothing"});
  missing = oci_entry(registry.host(), "team/oci_gzip", "nothing");
  use_catalog({missing});
  const ProcessResult no_tag = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(no_tag.exit_code, 4);
  expect_says(no_tag.err, {"team/oci_gzip:nothing", "404"});
  EXPECT_TRUE(cache_state().empty());
}

INSTANTIATE_TEST_SUITE_P(Registry, RealPullTest, ::testing::ValuesIn(kAccesses),
                         [](const auto& row) { return name_of(row.param); });

TEST_F(RealRegistryTest, InstallsPinnedManifestAndIndex) {
  const FilledRegistry registry(authority_, Access::open);
  json manifest = oci_entry(registry.host(), "team/oci_gzip", "1", "manifest");
  manifest["oci_digest"] = registry.digest_of(Kind::oci_gzip);
  json index = oci_entry(registry.host(), "team/index", "1", "index");
  index["oci_digest"] = index_image().digest();
  json wrong = oci_entry(registry.host(), "team/oci_gzip", "1", "wrong");
  wrong["oci_digest"] = sha256_digest("something else");
  use_catalog({manifest, index, wrong});
  pyro_ok({"env", "pull", "manifest", "index"});
  expect_installed(sample(), "manifest");
  expect_installed(sample(), "index");
  EXPECT_EQ(pyro({"env", "pull", "wrong"}).exit_code, 4);
}

TEST_F(RealRegistryTest, RejectsCertificateOfUnknownAuthority) {
  const FilledRegistry registry(authority_, Access::open);
  use_images_of(registry);
  const ProcessResult result = pyro({"env", "pull", "oci_gzip"}, {{"SSL_CERT_FILE", std::nullopt}});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {"the certificate of " + registry.host(), "SSL_CERT_FILE"});
}

}  // namespace
}  // namespace pyro::testing

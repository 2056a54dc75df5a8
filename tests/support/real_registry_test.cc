// Tests of the real registry, its token server and pushes.
#include "support/real_registry.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/hash.h"
#include "support/process.h"
#include "support/raw_push.h"
#include "support/skopeo.h"
#include "support/tar_builder.h"
#include "support/token_server.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

class RealRegistryTest : public ::testing::Test {
 protected:
  SkopeoOptions skopeo() const { return {.certificate_dir = authority_.certificate_dir()}; }

  SkopeoOptions skopeo_as(const std::string& user, const std::string& password) const {
    SkopeoOptions options = skopeo();
    options.user = user;
    options.password = password;
    return options;
  }

  std::string curl(const std::string& url, const std::vector<std::string>& more = {}) const {
    Command command{
        .argv = {"curl", "-s", "--cacert", authority_.certificate_file().string(), url}};
    command.argv.insert(command.argv.end(), more.begin(), more.end());
    return run(command).out;
  }

  TempDir dir_;
  CertificateAuthority authority_{dir_.path()};
  const Image image_ =
      ImageBuilder()
          .layer(TarBuilder().file("vmlinux", "kernel").file("rootfs.ext4", noise(9999)).finish())
          .build();
};

json raw_manifest(const std::string& source, const SkopeoOptions& options) {
  const ProcessResult result = skopeo_inspect(source, true, options);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return json::parse(result.out, nullptr, false);
}

TEST_F(RealRegistryTest, AcceptsAllFormats) {
  const RealRegistry registry(authority_);
  const std::string name = registry.host() + "/tool-";
  EXPECT_EQ(push_image(image_, name + "oci", skopeo()), image_.digest());

  SkopeoOptions zstd = skopeo();
  zstd.compression = "zstd";
  push_image(image_, name + "zstd", zstd);
  EXPECT_EQ(raw_manifest(name + "zstd", skopeo())["layers"][0]["mediaType"],
            layer_media_type(ImageFormat::oci, Compression::zstd));

  SkopeoOptions docker = skopeo();
  docker.format = "v2s2";
  push_image(image_, name + "docker", docker);
  EXPECT_EQ(raw_manifest(name + "docker", skopeo())["mediaType"], media_type::kDockerManifest);
}

TEST_F(RealRegistryTest, AcceptsIndexes) {
  const RealRegistry registry(authority_);
  const Image arm64 = ImageBuilder().platform({"linux", "arm64", ""}).layer("").build();
  const Image attestation = ImageBuilder().platform({"unknown", "unknown", ""}).build();
  const Image index = IndexBuilder()
                          .add(arm64, Platform{"linux", "arm64", ""})
                          .add(image_, Platform{})
                          .add_attestation(attestation, image_.digest())
                          .build();
  SkopeoOptions all = skopeo();
  all.all = true;
  EXPECT_EQ(push_image(index, registry.host() + "/tool:index", all), index.digest());
  const json pushed = raw_manifest(registry.host() + "/tool:index", skopeo());
  EXPECT_EQ(pushed["manifests"].size(), 3u);
}

TEST_F(RealRegistryTest, AcceptsRawImagesAndRejectsInvalidManifest) {
  const RealRegistry registry(authority_);
  const Image docker = ImageBuilder(ImageFormat::docker).layer("tar", Compression::zstd).build();
  const Image list = IndexBuilder(ImageFormat::docker).add(docker, Platform{}).build();
  const Image inner = IndexBuilder().add(image_, Platform{}).build();
  const Image nested = IndexBuilder().add(inner, std::nullopt).add(list, Platform{}).build();
  for (const Image& image : {docker, list, inner, nested}) {
    push_raw(image, registry.url(), "raw", "1",
             {.certificate_file = authority_.certificate_file()});
    const ProcessResult pushed = skopeo_inspect(registry.host() + "/raw:1", true, skopeo());
    EXPECT_EQ(pushed.out, image.root.bytes) << pushed.err;
  }
  EXPECT_THROW(push_raw(raw_image(media_type::kOciManifest, "{"), registry.url(), "raw", "1"),
               std::runtime_error);
}

TEST_F(RealRegistryTest, RequiresBasicCredentials) {
  const RealRegistry registry(authority_, {.auth = RealRegistryOptions::Auth::basic});
  const std::string name = registry.host() + "/tool:1";
  EXPECT_THROW(push_image(image_, name, skopeo_as("user", "wrong")), std::runtime_error);
  EXPECT_EQ(push_image(image_, name, skopeo_as("user", "secret")), image_.digest());
  EXPECT_NE(skopeo_inspect(name, true, skopeo()).exit_code, 0);
}

TEST_F(RealRegistryTest, RequiresTokensForPush) {
  const TokenServer tokens(authority_);
  const RealRegistry registry(authority_, {.auth = RealRegistryOptions::Auth::bearer,
                                           .realm = tokens.realm(),
                                           .token_certificates = tokens.root_certificates()});
  const std::string name = registry.host() + "/tool:1";
  EXPECT_THROW(push_image(image_, name, skopeo()), std::runtime_error);  // anonymous: pull alone
  EXPECT_EQ(push_image(image_, name, skopeo_as("user", "secret")), image_.digest());
  EXPECT_EQ(skopeo_inspect(name, true, skopeo()).exit_code, 0);
  EXPECT_NE(skopeo_inspect(name, true, skopeo_as("user", "wrong")).exit_code, 0);
  EXPECT_FALSE(tokens.requests().empty());
  const std::string token = "Bearer " + tokens.token({"repository:raw:pull,push"});
  push_raw(image_, registry.url(), "raw", "1", {.authorization = token});
}

TEST_F(RealRegistryTest, RejectsTokensOfUntrustedServer) {
  const TokenServer tokens(authority_, {.anonymous_pull = false});
  const CertificateAuthority stranger(dir_ / "stranger");
  const RealRegistry registry(authority_, {.auth = RealRegistryOptions::Auth::bearer,
                                           .realm = tokens.realm(),
                                           .token_certificates = stranger.certificate_file()});
  const std::string query = "?service=pyro-test-registry&scope=repository:tool:pull";
  EXPECT_EQ(curl(tokens.realm() + query), "who are you?\n");
  const std::string token =
      json::parse(curl(tokens.realm() + query, {"-u", "user:secret"}))["token"];
  const std::string answer =
      curl(registry.url() + "/v2/tool/manifests/1", {"-H", "Authorization: Bearer " + token});
  EXPECT_EQ(json::parse(answer)["errors"][0]["code"], "UNAUTHORIZED");
}

TEST_F(RealRegistryTest, RejectsExpiredTokens) {
  const auto status = [&](std::chrono::seconds lifetime) {
    const TokenServer tokens(authority_, {.lifetime = lifetime});
    const RealRegistry registry(authority_, {.auth = RealRegistryOptions::Auth::bearer,
                                             .realm = tokens.realm(),
                                             .token_certificates = tokens.root_certificates()});
    const std::string query = "?service=pyro-test-registry&scope=repository:tool:pull";
    const std::string token = json::parse(curl(tokens.realm() + query))["token"];
    return curl(registry.url() + "/v2/",
                {"-H", "Authorization: Bearer " + token, "-o", "/dev/null", "-w", "%{http_code}"});
  };
  EXPECT_EQ(status(std::chrono::seconds(-5)), "200") << "a minute of leeway";
  EXPECT_EQ(status(std::chrono::seconds(-61)), "401");
}

}  // namespace
}  // namespace pyro::testing

#include "oci/reference.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

const std::string kDigestHex(64, 'a');

TEST(ReferenceTest, ImagesByTagOrDigest) {
  const auto tagged = ImageReference::make("r.example:5000", "team/env", "1.0.0");
  ASSERT_TRUE(tagged);
  EXPECT_EQ(tagged->to_string(), "r.example:5000/team/env:1.0.0");
  EXPECT_EQ(tagged->reference(), "1.0.0");
  EXPECT_FALSE(tagged->digest());

  const auto fixed = ImageReference::make("r.example", "team/env", "sha256:" + kDigestHex);
  ASSERT_TRUE(fixed);
  EXPECT_EQ(fixed->to_string(), "r.example/team/env@sha256:" + kDigestHex);
  EXPECT_EQ(fixed->digest(), Digest::parse("sha256:" + kDigestHex));
}

TEST(ReferenceTest, DockerHubIsTheHostThatAnswers) {
  for (const char* name : {"docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"}) {
    const auto image = ImageReference::make(name, "library/debian", "12");
    ASSERT_TRUE(image) << name;
    EXPECT_EQ(image->to_string(), "registry-1.docker.io/library/debian:12");
  }
  for (const char* name : {"docker.io:5000", "docker.io.example", "auth.docker.io"}) {
    EXPECT_EQ(ImageReference::make(name, "a", "1")->registry(), name);
  }
}

TEST(ReferenceTest, RefusesWhatIsNeitherTagNorDigest) {
  for (const std::string& reference :
       {std::string(""), "sha256:" + kDigestHex.substr(1), "sha256:" + kDigestHex + "a",
        "SHA256:" + kDigestHex, "sha256:" + std::string(64, 'A'),
        "sha512:" + kDigestHex + kDigestHex, "md5:" + kDigestHex, std::string("sha256:../../x"),
        std::string("a@b"), std::string("..")}) {
    EXPECT_FALSE(ImageReference::make("r", "a", reference)) << reference;
  }
  EXPECT_FALSE(ImageReference::make("", "a", "b"));
  EXPECT_FALSE(ImageReference::make("r", "A", "b"));
}

TEST(ReferenceTest, BoundsTheWholeName) {
  EXPECT_TRUE(ImageReference::make("r", std::string(253, 'a'), "b"));
  EXPECT_FALSE(ImageReference::make("r", std::string(254, 'a'), "b"));
  EXPECT_FALSE(ImageReference::make("docker.io", std::string(245, 'a'), "b"));
}

}  // namespace
}  // namespace pyro

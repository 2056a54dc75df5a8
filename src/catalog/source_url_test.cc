// Tests of source URLs.
#include <gtest/gtest.h>

#include "catalog/names.h"

namespace pyro {
namespace {

TEST(SourceUrl, AcceptsSupportedUrlsAndPaths) {
  for (const char* url : {"https://example.org/a.tar.zst",
                          "HTTPS://example.org",
                          "https://user:pw@example.org:8443/a",
                          "https://[::1]/a?b#c",
                          "file:///a/b.tar",
                          "file:/a",
                          "file://localhost/a",
                          "/a/b.tar",
                          "../b.tar",
                          "a b.tar",
                          "./a:b.tar",
                          "http://localhost/a",
                          "http://127.0.0.1:8000/a",
                          "http://127.9.9.9/a",
                          "http://[::1]:80/a",
                          "http://a.localhost/",
                          "12:30.tar",
                          "oci:/a/b",
                          "oci:b:tag",
                          "oci-archive:../a.tar:debian:12",
                          "OCI-archive:/a",
                          "docker-archive:a.tar:b:1"}) {
    EXPECT_EQ(source_url_complaint(url, false), std::nullopt) << url;
  }
  EXPECT_EQ(source_url_complaint("http://example.org/a", true), std::nullopt);
}

TEST(SourceUrl, RejectsUnsupportedAndAmbiguousUrls) {
  for (const char* url : {"",
                          "ftp://a/b",
                          "oci://a/b",
                          "oci-archive://a/b",
                          "docker-archive://a/b",
                          "docker-archive:",
                          "docker://a/b",
                          "oci:",
                          "oci::tag",
                          "oci-dir:/a",
                          "data:x",
                          "https:a",
                          "https:///a",
                          "https://",
                          "https://a b/",
                          "https://a\\@b/",
                          "https://a:0/",
                          "https://a\n/",
                          "file://host/a",
                          "file:///a%00b",
                          "file:a",
                          "file:",
                          "file:///",
                          "http://example.org/a",
                          "http://127.example.org/a",
                          "http://localhost@example.org/",
                          "http://127.0.0.1@example.org/",
                          "http://localhost.example.org/",
                          "http://127.1/",
                          "http://example.org/@localhost",
                          "http://example.org?@localhost/",
                          "https://a@b@example.org/",
                          "https://example.org/\xc3\xbc",
                          "https://example.org/?\xff",
                          "a\x01"}) {
    EXPECT_NE(source_url_complaint(url, false), std::nullopt) << url;
  }
}

TEST(SourceUrl, ResolvesRelativePathsAgainstCatalogFile) {
  EXPECT_EQ(resolve_source_url("b/c.tar", "/x"), "/x/b/c.tar");
  EXPECT_EQ(resolve_source_url("./c.tar", "/x"), "/x/c.tar");
  EXPECT_EQ(resolve_source_url("/c.tar", "/x"), "/c.tar");
  EXPECT_EQ(resolve_source_url("https://a/../b", "/x"), "https://a/../b");
  EXPECT_EQ(resolve_source_url("file:///a", "/x"), "file:///a");
  EXPECT_EQ(resolve_source_url("oci:a/../b:tag", "/x"), "oci:/x/b:tag");
  EXPECT_EQ(resolve_source_url("OCI-Archive:/a.tar", "/x"), "oci-archive:/a.tar");
}

}  // namespace
}  // namespace pyro

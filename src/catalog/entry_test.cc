// Tests of catalog entries that go along with exports.
#include "catalog/entry.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "catalog/catalog.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr char kFile[] = "/home/me/user.json";

/// An entry with more fields than it must have.
Environment entry_with(const std::string& fields) {
  return parse_catalog(R"({"catalog_version": "1", "environments": [{"name": "tool:1",
      "version": "2.0", "description": "A \"tool\"", "default_packages": ["a", "b"],
      "distribution": "debian", "distribution_version": "12", "source_profile": "tool")" +
                           fields + "}]}",
                       "/srv/catalog.json")
      .front();
}

Environment carried_over(const Environment& environment) {
  return read_portable_entry(write_portable_entry(environment), kFile);
}

std::string refusal_of(const std::string& fields) {
  try {
    static_cast<void>(entry_with(fields));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(EntryKind, IsEnvironmentUnlessItSaysContainer) {
  EXPECT_EQ(entry_with("").kind, EnvironmentKind::environment);
  EXPECT_EQ(entry_with(R"(, "kind": "environment")").kind, EnvironmentKind::environment);
  const Environment container = entry_with(R"(, "kind": "container", "base": "debian:12")");
  EXPECT_EQ(container.kind, EnvironmentKind::container);
  EXPECT_EQ(container.base, "debian:12");
  EXPECT_NE(refusal_of(R"(, "kind": "image")").find("'environment' or 'container'"),
            std::string::npos);
  EXPECT_NE(refusal_of(R"(, "base": "debian:12")").find("field 'base'"), std::string::npos);
  EXPECT_EQ(write_entry(container)["kind"], "container");
  EXPECT_FALSE(write_entry(entry_with("")).contains("kind"));
}

TEST(PortableEntry, KeepsPortableFields) {
  const Environment before = entry_with(R"(, "compatibility": ">=4.0.0", "source_digest": "x")");
  const Environment after = carried_over(before);
  EXPECT_EQ(after.name, before.name);
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(after.description, before.description);
  EXPECT_EQ(after.default_packages, before.default_packages);
  EXPECT_EQ(after.distribution, before.distribution);
  EXPECT_EQ(after.distribution_version, before.distribution_version);
  EXPECT_EQ(after.source_profile, before.source_profile);
  EXPECT_EQ(after.source_digest, before.source_digest);
  EXPECT_EQ(after.compatibility, before.compatibility);
  EXPECT_EQ(after.catalog_file, kFile);
}

TEST(PortableEntry, KeepsRegistry) {
  const Environment after = carried_over(entry_with(
      R"(, "oci_registry": "r.example", "oci_repository": "a/b", "oci_reference": "1")"));
  EXPECT_EQ(after.oci_registry, "r.example");
  EXPECT_EQ(after.oci_repository, "a/b");
  EXPECT_EQ(after.oci_reference, "1");
}

TEST(PortableEntry, ReplacesReferenceByPinnedDigest) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Environment after = carried_over(
      entry_with(R"(, "oci_registry": "r.example", "oci_repository": "a/b", "oci_reference": "1",
                    "oci_digest": ")" +
                 digest + "\""));
  EXPECT_EQ(after.oci_reference, digest);
  EXPECT_FALSE(after.oci_digest);
}

TEST(PortableEntry, OmitsLocalAndSecretSourceUrls) {
  for (const char* const url :
       {"/srv/tool.tar", "tool.tar", "file:///srv/tool.tar", "oci:/srv/tool",
        "http://127.0.0.1/t.tar", "https://me:secret@a.example/t.tar",
        "https://a.example/t.tar?signature=secret"}) {
    const Environment before = entry_with(std::string(R"(, "source_url": ")") + url + "\"");
    EXPECT_FALSE(carried_over(before).source_url) << url;
  }
  const Environment served = entry_with(R"(, "source_url": "https://a.example/t.tar")");
  EXPECT_EQ(carried_over(served).source_url, "https://a.example/t.tar");
}

TEST(PortableEntry, RejectsInvalidEntries) {
  const std::string good = write_portable_entry(entry_with(""));
  for (const std::string& text :
       {std::string(), std::string("[]"), good + good, good.substr(1),
        R"({"source_url":"/etc/passwd",)" + good.substr(1), R"({"more":1,)" + good.substr(1),
        R"({"name":"tool:1",)" + good.substr(1), good + std::string(70000, ' ')}) {
    try {
      static_cast<void>(read_portable_entry(text, kFile));
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::integrity) << text;
    }
  }
}

}  // namespace
}  // namespace pyro

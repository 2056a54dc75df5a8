// Tests of the JSON documents, held against the payloads of the reference.
#include "front/documents.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pyro {
namespace {

EnvironmentStatus available() {
  EnvironmentStatus status;
  status.environment = Catalog::built_in().require("debian:12-base");
  status.cache_dir = "/c";
  status.install_dir = "/c/linux-x86_64/debian_12-base-1.0.0";
  return status;
}

EnvironmentStatus installed() {
  EnvironmentStatus status = available();
  status.installed = InstalledEnvironment{.name = "debian:12-base",
                                          .version = "1.0.0",
                                          .install_dir = status.install_dir,
                                          .kernel_image = status.install_dir / "vmlinux",
                                          .rootfs_image = status.install_dir / "rootfs.ext4",
                                          .initrd_image = {},
                                          .source = "bundled-runtime-source",
                                          .source_digest = {}};
  status.installed_bytes = 4096;
  return status;
}

TEST(JsonOutput, InspectPrintsAllFieldsInOrder) {
  EXPECT_EQ(render_json(inspect_payload(available())), R"({
  "name": "debian:12-base",
  "version": "1.0.0",
  "description": "Minimal Debian 12 environment for shell and core Unix tooling.",
  "default_packages": [
    "bash",
    "coreutils"
  ],
  "distribution": "debian",
  "distribution_version": "12",
  "platform": "linux-x86_64",
  "oci_registry": "registry-1.docker.io",
  "oci_repository": "thalesmaciel/pyro-environment-debian-12-base",
  "oci_reference": "1.0.0",
  "source_digest": null,
  "compatibility": ">=4.5.0,<5.0.0",
  "compatible": true,
  "catalog_version": "4.5.0",
  "installed": false,
  "cache_dir": "/c",
  "install_dir": "/c/linux-x86_64/debian_12-base-1.0.0"
}
)");
}

TEST(JsonOutput, InspectOfInstalledAddsInstallFields) {
  const Json payload = inspect_payload(installed());
  EXPECT_EQ(payload["installed"], true);
  EXPECT_EQ(payload["install_manifest"], "/c/linux-x86_64/debian_12-base-1.0.0/environment.json");
  EXPECT_EQ(payload["installed_bytes"], 4096);
  EXPECT_EQ(payload["installed_digest"], nullptr);
  EXPECT_FALSE(payload.contains("outdated"));
  EnvironmentStatus outdated = installed();
  outdated.outdated = true;
  EXPECT_EQ(inspect_payload(outdated)["outdated"], true);
}

TEST(JsonOutput, PullAddsPathsAndSource) {
  const Json payload = pull_payload(installed());
  EXPECT_EQ(payload["install_dir"], "/c/linux-x86_64/debian_12-base-1.0.0");
  EXPECT_EQ(payload["kernel_image"], "/c/linux-x86_64/debian_12-base-1.0.0/vmlinux");
  EXPECT_EQ(payload["rootfs_image"], "/c/linux-x86_64/debian_12-base-1.0.0/rootfs.ext4");
  EXPECT_EQ(payload["initrd_image"], nullptr);
  EXPECT_EQ(payload["source"], "bundled-runtime-source");
}

TEST(JsonOutput, PullAddsInitrdIfPresent) {
  EnvironmentStatus status = installed();
  status.installed->initrd_image = status.install_dir / "initrd.img";
  EXPECT_EQ(pull_payload(status)["initrd_image"],
            "/c/linux-x86_64/debian_12-base-1.0.0/initrd.img");
}

TEST(JsonOutput, EscapesControlAndDirectionCharacters) {
  const std::string text = "\x1b[2J\x7f \u009b0m \u202egpj.exe \u2066\u200f\u2028 äß漢😀";
  const Json document = {{text, text}};
  for (const std::string& rendered : {render_json(document), render_json_line(document)}) {
    EXPECT_EQ(Json::parse(rendered), document);
    for (const char* const escape : {R"(\u001b)", R"(\u007f)", R"(\u009b)", R"(\u202e)",
                                     R"(\u2066)", R"(\u200f)", R"(\u2028)"}) {
      EXPECT_NE(rendered.find(escape), rendered.npos) << escape;
    }
    EXPECT_NE(rendered.find("äß漢😀"), rendered.npos);
    EXPECT_EQ(rendered.find("\u009b"), rendered.npos);
    EXPECT_EQ(rendered.find("\u202e"), rendered.npos);
  }
}

TEST(JsonOutput, ListHasCatalogVersionAndEnvironments) {
  const Json payload = list_payload({available()});
  EXPECT_EQ(payload.size(), 2U);
  EXPECT_EQ(payload["catalog_version"], "4.5.0");
  EXPECT_EQ(payload["environments"], Json::array({inspect_payload(available())}));
  EXPECT_EQ(list_payload({})["environments"], Json::array());
}

TEST(JsonOutput, VerifyHasStatusOfEachArtifact) {
  const VerifyReport report{
      .name = "a",
      .version = "1",
      .verdict = Verdict::modified,
      .artifacts = {
          {.name = "vmlinux",
           .verdict = Verdict::modified,
           .size = 7,
           .digest = Digest(Digest::Bytes{})},
          {.name = "rootfs.ext4", .verdict = Verdict::missing, .size = {}, .digest = {}}}};
  const std::string zeros(64, '0');
  EXPECT_EQ(render_json_line(verify_payload(report)),
            R"({"name":"a","version":"1","status":"modified","artifacts":[)"
            R"({"name":"vmlinux","status":"modified","size":7,"digest":"sha256:)" +
                zeros +
                R"("},{"name":"rootfs.ext4","status":"missing","size":null,"digest":null}]})" +
                "\n");
}

TEST(JsonOutput, PruneHasDeletedSkippedAndFailed) {
  const PruneReport report{.deleted_environment_dirs = {"a-1", "b-1"},
                           .bytes_reclaimed = 5,
                           .skipped_in_use = {"c-1"},
                           .skipped_other_catalog = {},
                           .failed = {{.name = "d-1", .error = "no"}},
                           .dry_run = true};
  EXPECT_EQ(render_json_line(prune_payload(report)),
            R"({"deleted_environment_dirs":["a-1","b-1"],"count":2,"bytes_reclaimed":5,)"
            R"("skipped_in_use":["c-1"],"skipped_other_catalog":[],)"
            R"("failed":[{"name":"d-1","error":"no"}],"dry_run":true})"
            "\n");
}

TEST(JsonOutput, ErrorsHaveCodeMessageAndHint) {
  Error error(ErrorCode::not_found, "why");
  error.add_context("what");
  EXPECT_EQ(render_json_line(error_payload(error)),
            R"({"code":"not_found","message":"what: why","hint":null})"
            "\n");
  error.add_hint("\xff");
  EXPECT_EQ(render_json_line(failure_payload("a", error)),
            R"({"name":"a","error":{"code":"not_found","message":"what: why","hint":")"
            "\xef\xbf\xbd"
            R"("}})"
            "\n");
}

}  // namespace
}  // namespace pyro

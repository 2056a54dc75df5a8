#include "workspace/manifest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pyro/error.h"

namespace pyro {
namespace {

using Names = std::vector<std::string>;

WorkspaceManifest sample() {
  WorkspaceManifest manifest{
      .environment = "docker.io/library/tool:1",
      .version = "1.0.0",
      .kind = EnvironmentKind::container,
      .cpus = 2,
      .memory_mib = 512,
      .disk_mib = 8192,
      .network = GuestNetwork::user_and_host,
      .idle = std::chrono::seconds(90),
      .created = std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000))};
  manifest.base = BaseRecord{.name = "debian:12"};
  manifest.base->digests.emplace("vmlinux", *Digest::parse("sha256:" + std::string(64, 'a')));
  manifest.current = 3;
  manifest.snapshots = {{.name = "baseline", .state = 2, .made = manifest.created}};
  return manifest;
}

TEST(WorkspaceManifest, IsReadAsItWasWritten) {
  const WorkspaceManifest manifest = WorkspaceManifest::parse(sample().render());
  EXPECT_EQ(manifest.render(), sample().render());
  EXPECT_EQ(manifest.base, sample().base);
  EXPECT_EQ(manifest.network, GuestNetwork::user_and_host);
}

TEST(WorkspaceManifest, OtherTextIsRefused) {
  const std::string good = sample().render();
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[1]"), good.substr(0, good.size() / 2),
        std::string(good).replace(good.find("\"cpus\": 2"), 9, "\"cpus\": {}"),
        std::string(good).replace(good.find("\"format\": 2"), 11, "\"format\": 3")}) {
    EXPECT_THROW(static_cast<void>(WorkspaceManifest::parse(text)), Error) << text;
  }
}

TEST(WorkspaceManifest, SnapshotsHaveStatesOfTheirOwn) {
  WorkspaceManifest manifest = sample();
  EXPECT_EQ(manifest.next_state(), 4u);
  manifest.add_snapshot("one", 4);
  EXPECT_EQ(manifest.next_state(), 5u);
  EXPECT_EQ(manifest.require_snapshot("one").state, 4u);
  manifest.add_snapshot("one", 5);
  EXPECT_EQ(manifest.require_snapshot("one").state, 5u) << "in place of the first";
  EXPECT_FALSE(manifest.uses(4));
  for (const unsigned used : {2u, 3u, 5u}) EXPECT_TRUE(manifest.uses(used)) << used;
  manifest.remove_snapshot("one");
  EXPECT_EQ(manifest.find_snapshot("one"), nullptr);
  EXPECT_THROW(static_cast<void>(manifest.require_snapshot("one")), Error);
}

TEST(WorkspaceNames, AreOnePathComponent) {
  for (const char* const name : {"a", "fix-parser_2.1", "0"}) {
    EXPECT_NO_THROW(require_workspace_name(name)) << name;
  }
  for (const std::string& name : Names{"", ".", "..", ".new-1", "a/b", "-a", "a b", "a\n",
                                       std::string(65, 'a'), std::string("a\0b", 3)}) {
    EXPECT_THROW(require_workspace_name(name), Error) << name;
  }
}

}  // namespace
}  // namespace pyro

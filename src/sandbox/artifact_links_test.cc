// Tests of artifacts that are links: content, number of passes, and rejected links.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pyro/error.h"
#include "support/compress.h"
#include "support/extraction_bench.h"
#include "support/tar_builder.h"

namespace pyro {
namespace {

using testing::Compression;
using testing::TarBuilder;

struct Linked {
  const char* name;
  std::vector<std::string> layers;
  int passes = 1;
};

class LinkedArtifact : public ::testing::TestWithParam<Linked> {};

TEST_P(LinkedArtifact, IsTargetOfLink) {
  Bench bench;
  EXPECT_EQ(bench.extract(GetParam().layers), kBoth);
  EXPECT_EQ(bench.passes(), GetParam().passes);
}

TarBuilder root() {
  return TarBuilder().file("rootfs.ext4", "root");
}

INSTANTIATE_TEST_SUITE_P(
    Links, LinkedArtifact,
    ::testing::Values(
        Linked{"before_its_target",
               {root().symlink("vmlinux", "v6").file("v6", "kernel").finish()}},
        Linked{"behind_its_target",
               {root().file("v6", "kernel").symlink("vmlinux", "v6").finish()},
               2},
        Linked{"hard_link", {root().file("v6", "kernel").hardlink("vmlinux", "./v6").finish()}, 2},
        Linked{"hard_link_before_its_target",
               {root().hardlink("vmlinux", "v6").file("v6", "kernel").finish()}},
        Linked{
            "hard_link_to_an_artifact",
            {root().file("boot/vmlinux", "kernel").hardlink("vmlinux", "boot/vmlinux").finish()}},
        Linked{"to_an_artifact",
               {root().file("boot/vmlinux", "kernel").symlink("vmlinux", "boot/vmlinux").finish()}},
        Linked{"upwards",
               {TarBuilder()
                    .file("boot/v6", "kernel")
                    .symlink("env/vmlinux", "../boot/./v6")
                    .file("env/rootfs.ext4", "root")
                    .finish()},
               2},
        Linked{"of_links",
               {root()
                    .symlink("vmlinux", "current")
                    .symlink("current", "boot/latest")
                    .symlink("boot/latest", "v6")
                    .file("boot/v6", "kernel")
                    .finish()},
               2},
        Linked{"through_a_folder_that_is_a_link",
               {root()
                    .symlink("vmlinux", "boot/v6")
                    .symlink("boot", "usr/boot")
                    .file("usr/boot/v6", "kernel")
                    .finish()},
               2},
        Linked{"symlink_to_a_hard_link",
               {root().file("a", "kernel").hardlink("b", "a").symlink("vmlinux", "b").finish()},
               2},
        Linked{"below_a_folder_that_is_a_link",
               {TarBuilder()
                    .symlink("current", "v1")
                    .file("current/vmlinux", "kernel")
                    .file("v1/rootfs.ext4", "root")
                    .finish()}},
        Linked{"one_file_by_two_names",
               {root().file("a/vmlinux", "kernel").symlink("b/vmlinux", "../a/vmlinux").finish()}},
        Linked{"both_artifacts",
               {TarBuilder()
                    .file("k", "kernel")
                    .file("r", "root")
                    .symlink("vmlinux", "k")
                    .symlink("rootfs.ext4", "r")
                    .finish()},
               2},
        Linked{"target_in_a_lower_layer",
               {TarBuilder().file("boot/v6", "kernel").finish(),
                root().symlink("vmlinux", "boot/v6").finish()},
               2},
        Linked{"target_in_an_upper_layer",
               {root().symlink("vmlinux", "v6").file("v6", "old").finish(),
                TarBuilder().file("v6", "kernel").finish()}},
        Linked{"link_that_an_upper_layer_replaces",
               {root().file("v5", "old").symlink("vmlinux", "v5").finish(),
                TarBuilder().file("v6", "kernel").symlink("vmlinux", "v6").finish()},
               2},
        Linked{"hard_link_whose_target_is_hidden",
               {root().file("v6", "kernel").hardlink("vmlinux", "v6").finish(),
                TarBuilder().whiteout("v6").finish()},
               2},
        Linked{"dangling_above_an_artifact",
               {root().symlink("vmlinux", "gone").file("boot/vmlinux", "kernel").finish()},
               2},
        Linked{"loop_above_an_artifact",
               {root()
                    .symlink("vmlinux", "a")
                    .symlink("a", "vmlinux")
                    .file("boot/vmlinux", "kernel")
                    .finish()}},
        Linked{"target_that_is_compressed",
               {root()
                    .symlink("vmlinux", "v6.gz")
                    .file("v6.gz", testing::compress("kernel", Compression::gzip))
                    .finish()}}),
    [](const auto& row) { return std::string(row.param.name); });

// --- rejected links ---

class RefusedLink : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusedLink, FailsWithReason) {
  expect_refused(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedLink,
    ::testing::Values(
        Refusal{"absolute",
                {root().symlink("vmlinux", "/boot/v6").finish()},
                "link 'vmlinux' points out of the archive, to '/boot/v6'"},
        Refusal{"upwards",
                {root().symlink("a/vmlinux", "../../v6").finish()},
                "link 'a/vmlinux' points out of the archive"},
        Refusal{"hard",
                {TarBuilder().file("vmlinux", "k").hardlink("rootfs.ext4", "/etc/passwd").finish()},
                "link 'rootfs.ext4' points out of the archive"},
        Refusal{"by_another_link",
                {root().symlink("vmlinux", "a/v6").symlink("a", "/boot").finish()},
                "link 'a' points out of the archive, to '/boot'"},
        Refusal{"folder_of_an_artifact",
                {root().symlink("d", "..").file("d/vmlinux", "k").finish()},
                "link 'd' points out of the archive, to '..'"},
        Refusal{
            "dangling", {root().symlink("vmlinux", "gone").finish()}, "did not contain vmlinux"},
        Refusal{"to_itself", {root().symlink("vmlinux", "vmlinux").finish()}, "did not contain"},
        Refusal{"to_the_other_artifact",
                {root().symlink("vmlinux", "rootfs.ext4").finish()},
                "did not contain vmlinux"},
        Refusal{"to_a_folder",
                {root().directory("boot/").symlink("vmlinux", "boot").finish()},
                "did not contain vmlinux"},
        Refusal{"to_a_device",
                {root().symlink("vmlinux", "null").char_device("null").finish()},
                "'null' is a device"},
        Refusal{"two_that_differ",
                {root()
                     .symlink("a/vmlinux", "1")
                     .symlink("b/vmlinux", "2")
                     .file("a/1", "1")
                     .file("b/2", "2")
                     .finish()},
                "'a/vmlinux' and 'b/vmlinux' could both be meant"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace pyro

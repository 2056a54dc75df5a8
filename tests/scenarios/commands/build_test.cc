// pyro env build, with a made-up mmdebstrap.
#include <gmock/gmock.h>

#include <csignal>
#include <string>
#include <vector>

#include "scenarios/harness.h"
#include "support/artifacts.h"
#include "support/compress.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr const char* kRootfs = "rootfs.ext4";

/// The tree of a small distribution, with what the hook adds.
TarBuilder tree() {
  return TarBuilder()
      .directory("./boot/")
      .directory("./boot/pyro-initrd/")
      .file("./boot/pyro-initrd/modules.dep", "")
      .file("./boot/vmlinuz-6.1", bz_image(compress(kernel_with("kernel"), Compression::gzip)))
      .directory("./etc/")
      .file("./etc/hostname", "localhost\n");
}

class BuildTest : public PyroHarness {
 protected:
  BuildTest() {
    variables_["PATH"] = programs().string() + ":/usr/bin:/bin";
    write_file(tar(), tree().finish());
    use_program("mmdebstrap", "printf '%s\\n' \"$@\" >" + arguments_file().string() +
                                  "\necho 'I: creating tarball...' >&2\ncat " + tar().string());
    use_program("apt-config", "");
    use_program("apt-get", "exit 1");
  }

  void use_program(const std::string& name, const std::string& script) const {
    write_file(programs() / name, "#!/bin/sh\n" + script + "\n");
    fs::permissions(programs() / name, fs::perms(0755));
  }

  [[nodiscard]] fs::path programs() const { return dir_ / "programs"; }
  [[nodiscard]] fs::path tar() const { return dir_ / "tree.tar"; }
  [[nodiscard]] fs::path arguments_file() const { return dir_ / "arguments"; }
  [[nodiscard]] fs::path user_catalog() const {
    return home() / ".config/pyro/catalog.d/user.json";
  }

  /// Those of mmdebstrap, one a line of its own; the hook is several.
  [[nodiscard]] std::vector<std::string> arguments() const {
    return lines_of_text(read_file(arguments_file()));
  }
  static std::vector<std::string> lines_of_text(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != text.npos;
         begin = end + 1) {
      lines.push_back(text.substr(begin, end - begin));
    }
    return lines;
  }

  void expect_nothing_left() const {
    EXPECT_FALSE(fs::exists(user_catalog()));
    EXPECT_THAT(cache_state(), IsEmpty());
  }
};

TEST_F(BuildTest, InstallsArtifactsOfTheTreeAndReplacesBuiltInEntry) {
  const ProcessResult built = pyro_ok({"env", "build", "debian:12"});
  const fs::path installed = install_dir("debian:12");
  EXPECT_EQ(built.out, installed.string() + "\n");
  EXPECT_THAT(built.err, HasSubstr("debian:12: added to " + user_catalog().string() +
                                   ", in place of the built-in entry"));
  EXPECT_EQ(read_file(installed / "vmlinux"), kernel_with("kernel"));
  EXPECT_THAT(run({.argv = {"bsdtar", "-tf", (installed / "initrd.img").string()}}).out,
              HasSubstr("modules.dep"));
  const ProcessResult listed =
      run({.argv = {"/sbin/debugfs", "-R", "cat /etc/hostname", (installed / kRootfs).string()}});
  EXPECT_EQ(listed.out, "localhost\n");
  EXPECT_THAT(arguments(), IsSupersetOf({"--variant=minbase", "--include=bash,coreutils,git,kmod",
                                         "bookworm", "-"}));

  const json recorded = record("debian:12");
  EXPECT_EQ(recorded["source"], "mmdebstrap:bookworm:bash,coreutils,git");
  EXPECT_EQ(recorded["catalog_file"], user_catalog().string());
  const json inspected = pyro_json({"env", "inspect", "debian:12", "--json"});
  EXPECT_EQ(inspected["installed"], true);
  EXPECT_EQ(inspected["oci_repository"], nullptr) << "what was built has no source";
  pyro_ok({"env", "verify", "debian:12"});
  pyro_ok({"env", "pull", "debian:12", "--offline"});
}

TEST_F(BuildTest, TakesSuitePackagesAndSize) {
  pyro_ok(
      {"env", "build", "mine", "--suite", "trixie", "--packages", "git,python3", "--size", "64M"});
  EXPECT_EQ(fs::file_size(install_dir("mine") / kRootfs), 64U << 20);
  EXPECT_THAT(arguments(), IsSupersetOf({"--include=git,python3,kmod", "trixie"}));
  const ProcessResult check =
      run({.argv = {"/sbin/e2fsck", "-fn", (install_dir("mine") / kRootfs).string()}});
  EXPECT_EQ(check.exit_code, 0) << check.out;
}

TEST_F(BuildTest, SamePackagesGiveSameBytesAndReplaceTheInstall) {
  pyro_ok({"env", "build", "mine"});
  const std::string first = read_file(install_dir("mine") / kRootfs);
  const ProcessResult again = pyro_ok({"env", "build", "mine"});
  EXPECT_TRUE(read_file(install_dir("mine") / kRootfs) == first);
  EXPECT_THAT(again.err, HasSubstr("in place of an earlier entry"));
  write_file(tar(), tree().file("./etc/more", "x").finish());
  pyro_ok({"env", "build", "mine"});
  EXPECT_FALSE(read_file(install_dir("mine") / kRootfs) == first);
}

TEST_F(BuildTest, UsesPackageSourcesAndOptionsOfThisMachine) {
  use_program("apt-get",
              "echo 'deb [signed-by=$(SIGNED_BY)] http://mirror.example/debian/ bookworm main'\n"
              "echo 'deb [signed-by=/k.gpg] http://mirror.example/sec/ bookworm-security main'\n"
              "echo 'deb [signed-by=/k.gpg] http://mirror.example/debian/ bookworm contrib'\n"
              "echo 'deb [signed-by=/k.gpg] http://other.example/ bookworm-backports main'\n"
              "echo 'deb [signed-by=/k.gpg] http://other.example/ trixie main'\n");
  use_program("apt-config",
              "echo 'Acquire::http::Proxy \"http://proxy.example:3128\";'\n"
              "echo 'Acquire::https::Proxy \"\";'\n"
              "echo 'APT::Get::Assume-Yes \"true\";'\n");
  pyro_ok({"env", "build", "mine"});
  EXPECT_THAT(arguments(),
              IsSupersetOf({"deb http://mirror.example/debian/ bookworm main",
                            "deb [signed-by=/k.gpg] http://mirror.example/sec/ bookworm-security "
                            "main",
                            "--aptopt=Acquire::http::Proxy \"http://proxy.example:3128\";"}));
  EXPECT_THAT(read_file(arguments_file()), Not(HasSubstr("other.example")));
  EXPECT_THAT(read_file(arguments_file()), Not(HasSubstr("contrib")));
  EXPECT_THAT(read_file(arguments_file()), Not(HasSubstr("https::Proxy")));
  EXPECT_THAT(read_file(arguments_file()), Not(HasSubstr("Assume-Yes")));
}

TEST_F(BuildTest, ShowsStepsAsAnOperation) {
  const ProcessResult built = pyro_ok({"env", "build", "mine", "--progress", "json"});
  EXPECT_THAT(built.err, HasSubstr("\"building\""));
  EXPECT_THAT(built.err, HasSubstr("\"mmdebstrap:bookworm:bash,coreutils\""));
  EXPECT_THAT(pyro_ok({"env", "build", "mine", "-q"}).err, IsEmpty());
}

TEST_F(BuildTest, FailureSaysLastWordsWithoutLoginsAndLeavesNothing) {
  use_program("mmdebstrap", "head -c 5000 " + tar().string() +
                                "\necho 'I: downloading packages with apt...' >&2\n"
                                "echo 'E: http://user:secret@mirror.example/ has no git' >&2\n"
                                "echo 'I: removing tempdir...' >&2\nexit 25");
  const ProcessResult failed = run(command({"env", "build", "debian:12"}));
  EXPECT_EQ(failed.exit_code, 1);
  expect_says(failed.err, {"cannot install debian:12", "mmdebstrap failed (exit code 25)",
                           "E: http://mirror.example/ has no git", "-vv shows all that it says"});
  expect_hides(failed.err, {"secret", "removing tempdir"});
  expect_nothing_left();
}

TEST_F(BuildTest, TreeWithoutKernelIsIntegrityError) {
  write_file(tar(), TarBuilder().file("./etc/hostname", "x").finish());
  const ProcessResult failed = run(command({"env", "build", "mine"}));
  EXPECT_EQ(failed.exit_code, 5);
  expect_says(failed.err, {"the tree has no kernel"});
  expect_nothing_left();
}

TEST_F(BuildTest, TooSmallSizeIsRefused) {
  const ProcessResult failed = run(command({"env", "build", "mine", "--size", "16K"}));
  EXPECT_EQ(failed.exit_code, 1);
  expect_says(failed.err, {"its file system takes", "asked for"});
  expect_nothing_left();
}

TEST_F(BuildTest, InterruptionLetsMmdebstrapCleanUpAndLeavesNothing) {
  const fs::path cleaned = dir_ / "cleaned";
  const fs::path started = dir_ / "started";
  use_program("mmdebstrap", "trap 'touch " + cleaned.string() + "; exit 1' INT\ntouch " +
                                started.string() + "\nwhile :; do sleep 1; done");
  BackgroundProcess building(command({"env", "build", "debian:12"}), dir_ / "output");
  building.wait_until("mmdebstrap to run", [&] { return fs::exists(started); });
  building.send_signal(SIGINT);
  EXPECT_EQ(building.wait().exit_code, 130) << building.output();
  EXPECT_TRUE(fs::exists(cleaned));
  expect_nothing_left();
}

TEST_F(BuildTest, WithoutMmdebstrapNamesThePackage) {
  variables_["PATH"] = "/no/such/directory";
  const ProcessResult failed = run(command({"env", "build", "debian:12"}));
  EXPECT_EQ(failed.exit_code, 1);
  expect_says(failed.err, {"there is no mmdebstrap in the directories of $PATH",
                           "install it (apt install mmdebstrap)"});
  expect_nothing_left();
}

TEST_F(BuildTest, RefusesWordsThatAreNone) {
  const std::vector<std::vector<std::string>> all = {{"mine", "--suite=-x"},
                                                     {"mine", "--suite", "a|b"},
                                                     {"mine", "--suite", ""},
                                                     {"mine", "--packages", ""},
                                                     {"mine", "--packages", "git,,x"},
                                                     {"mine", "--packages", "a b"},
                                                     {"Mine"},
                                                     {"docker.io/library/debian:12"}};
  for (std::vector<std::string> words : all) {
    words.insert(words.begin(), {"env", "build"});
    EXPECT_EQ(run(command(words)).exit_code, 2) << words[2] << ' ' << words.back();
  }
  EXPECT_FALSE(fs::exists(arguments_file()));
}

TEST_F(BuildTest, EntryOfHigherPrecedenceIsRefusedBeforeAnythingIsBuilt) {
  const fs::path file = write_catalog(dir_ / "team.json", {entry("mine")});
  const ProcessResult failed = run(command({"--catalog", file.string(), "env", "build", "mine"}));
  EXPECT_EQ(failed.exit_code, 1);
  expect_says(failed.err, {"environment 'mine' is there already, in " + file.string()});
  EXPECT_FALSE(fs::exists(arguments_file()));
  expect_nothing_left();
}

TEST_F(BuildTest, OfflineStartsNothing) {
  EXPECT_EQ(run(command({"env", "build", "mine", "--offline"})).exit_code, 4);
  EXPECT_FALSE(fs::exists(arguments_file()));
  expect_nothing_left();
}

TEST_F(BuildTest, ForcedPullSaysHowToBuildItAnew) {
  pyro_ok({"env", "build", "mine"});
  const ProcessResult failed = run(command({"env", "pull", "--force", "mine"}));
  EXPECT_EQ(failed.exit_code, 3);
  expect_says(failed.err,
              {"has no source to pull it from again", "'pyro env build mine' builds it anew"});
}

}  // namespace
}  // namespace pyro::testing

// Standard input in place of a file: `env add NAME -` and `env import -`.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "scenarios/harness.h"
#include "support/compress.h"
#include "support/file_descriptor.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

std::string root_tree() {
  return TarBuilder().directory("etc").file("etc/a", "1").finish();
}

class StandardInputTest : public PyroHarness {
 protected:
  ProcessResult pyro_with(const std::string& input, const Words& words) const {
    Command reading = command(words);
    reading.stdin_text = input;
    return run(reading);
  }

  ProcessResult add(const std::string& input, const Words& options = {}) const {
    Words words{"env", "add", "mine", "-"};
    words.insert(words.end(), options.begin(), options.end());
    return pyro_with(input, words);
  }

  void add_ok(const std::string& input, const Words& options = {}) const {
    const ProcessResult added = add(input, options);
    ASSERT_EQ(added.exit_code, 0) << added.err;
    EXPECT_EQ(added.out, "");
    EXPECT_THAT(added.err, HasSubstr("added mine to "));
    EXPECT_THAT(added.err, ::testing::Not(HasSubstr("pyro env pull")));
  }

  fs::path container_rootfs(const std::string& name = "mine") const {
    return cache() / "containers" / (name + "-1.0.0") / "rootfs.ext4";
  }

  std::string file_in_container(const std::string& path) const {
    return run({.argv = {"/sbin/debugfs", "-R", "cat " + path, container_rootfs().string()}}).out;
  }

  json user_entries() const {
    const fs::path file = home() / ".config/pyro/catalog.d/user.json";
    return fs::exists(file) ? parse_json(read_file(file))["environments"] : json::array();
  }

  /// Refused, with the entries and the cache as they were.
  void expect_unchanged(const std::function<ProcessResult()>& work, int exit_code,
                        const Words& says) const {
    const auto cache_before = cache_state();
    const json entries_before = user_entries();
    const ProcessResult result = work();
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    expect_says(result.err, says);
    EXPECT_EQ(cache_state(), cache_before);
    EXPECT_EQ(user_entries(), entries_before);
  }
};

class CompressedInput : public StandardInputTest,
                        public ::testing::WithParamInterface<Compression> {};

TEST_P(CompressedInput, BecomesTheSameFileSystemAsFromFile) {
  const std::string stream = compress(root_tree(), GetParam());
  add_ok(stream, {"--container"});
  EXPECT_EQ(file_in_container("/etc/a"), "1");
  write_file(dir_ / "tree", stream);
  pyro_ok({"env", "add", "file", "./tree", "--container"});
  pyro_ok({"env", "pull", "file"});
  EXPECT_TRUE(holds(container_rootfs(), read_file(container_rootfs("file"))));
  EXPECT_EQ(pyro_json({"env", "verify", "mine"})[0]["status"], "ok");
}

INSTANTIATE_TEST_SUITE_P(All, CompressedInput,
                         ::testing::Values(Compression::none, Compression::gzip, Compression::zstd,
                                           Compression::xz, Compression::bzip2));

TEST_F(StandardInputTest, InstallsEnvironmentWithChecksum) {
  const std::string stream = compress(tar_of(sample()), Compression::gzip);
  const ProcessResult added = add(stream, {"--sha256", sha256_digest(stream), "--json"});
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_EQ(parse_json(added.out)["name"], "mine");
  EXPECT_THAT(added.err, HasSubstr("mine: pulling from standard input"));
  expect_installed(sample(), "mine");
  EXPECT_EQ(record("mine")["source_digest"], sha256_digest(stream));
  pyro_ok({"env", "pull", "mine"});
}

TEST_F(StandardInputTest, IsNamedAsTheSourceEverywhere) {
  add_ok(root_tree(), {"--container"});
  EXPECT_EQ(user_entries()[0]["source_url"], "-");
  EXPECT_THAT(pyro_ok({"env", "list"}).out, HasSubstr("from standard input"));
  EXPECT_EQ(pyro_json({"env", "list"})["environments"].back()["source"], "standard input");
  const std::string text = pyro_ok({"env", "inspect", "mine"}).out;
  expect_says(text, {"Pulled from     standard input", "Installed from  standard input"});
  EXPECT_EQ(pyro_json({"env", "inspect", "mine"})["source"], "standard input");
  EXPECT_EQ(pyro_json({"env", "pull", "mine"})["source"], "standard input");
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 0);
}

TEST_F(StandardInputTest, IsNotReadAgain) {
  add_ok(root_tree(), {"--container"});
  const Words says{"environment 'mine' was read from standard input",
                   "add it again: COMMAND | pyro env add mine - --container --force"};
  expect_unchanged([&] { return pyro({"env", "pull", "--force", "mine"}); }, 3, says);
  pyro_ok({"env", "prune", "--all"});
  EXPECT_THAT(pyro_ok({"env", "list"}).out, HasSubstr("unavailable"));
  expect_unchanged([&] { return pyro({"env", "pull", "mine"}); }, 3, says);
}

TEST_F(StandardInputTest, ForceReplacesEntryAndInstall) {
  add_ok(root_tree(), {"--container"});
  const std::string other = TarBuilder().directory("etc").file("etc/a", "2").finish();
  expect_unchanged([&] { return add(other, {"--container"}); }, 1, {"is there already", "--force"});
  expect_unchanged([&] { return add("no tar", {"--container", "--force"}); }, 5, {"not a tar"});
  EXPECT_EQ(file_in_container("/etc/a"), "1");
  add_ok(other, {"--container", "--force"});
  EXPECT_EQ(file_in_container("/etc/a"), "2");
}

struct BadInput {
  const char* name;
  std::function<std::string()> stream;
  Words options;
  int exit_code;
  Words says;
};

class BadInputTest : public StandardInputTest, public ::testing::WithParamInterface<BadInput> {};

TEST_P(BadInputTest, LeavesNeitherEntryNorInstall) {
  const BadInput& bad = GetParam();
  expect_unchanged([&] { return add(bad.stream(), bad.options); }, bad.exit_code, bad.says);
}

INSTANTIATE_TEST_SUITE_P(
    Streams, BadInputTest,
    ::testing::Values(
        BadInput{"Empty",
                 [] { return std::string(); },
                 {"--container"},
                 5,
                 {"standard input is empty", "the command in front of the '|'"}},
        BadInput{
            "EmptyEnvironment", [] { return std::string(); }, {}, 5, {"standard input is empty"}},
        BadInput{"NoArchive",
                 [] { return std::string("Error: no such container\n"); },
                 {"--container"},
                 5,
                 {"cannot install mine", "it is not a tar archive"}},
        BadInput{"CutOffInMember",
                 [] { return root_tree().substr(0, 1100); },
                 {"--container"},
                 5,
                 {"archive standard input"}},
        BadInput{"CutOffBetweenMembers",
                 [] { return TarBuilder().directory("etc").file("etc/a", "1").unfinished(); },
                 {"--container"},
                 5,
                 {"it is cut off"}},
        BadInput{"CutOffWhereCompressed",
                 [] {
                   const std::string whole = compress(root_tree(), Compression::gzip);
                   return whole.substr(0, whole.size() - 9);
                 },
                 {"--container"},
                 5,
                 {"archive standard input"}},
        BadInput{
            "ImageArchive",
            [] { return TarBuilder().file("blobs/sha256/" + std::string(64, 'a'), "{}").finish(); },
            {"--container"},
            5,
            {"it is an archive of images", "save it"}},
        BadInput{"EnvironmentAsContainer",
                 [] { return tar_of(sample()); },
                 {"--container"},
                 5,
                 {"it is an environment, not a container image"}},
        BadInput{"ContainerAsEnvironment",
                 [] { return root_tree(); },
                 {},
                 5,
                 {"did not contain vmlinux"}},
        BadInput{"LinkBehindItsTarget",
                 [] {
                   return TarBuilder()
                       .file("kernel", sample().kernel)
                       .symlink("vmlinux", "kernel")
                       .file("rootfs.ext4", sample().rootfs)
                       .finish();
                 },
                 {},
                 5,
                 {"can be read once only", "save the archive in a file"}},
        BadInput{"AboveMaxSize",
                 [] { return tar_of(sample()); },
                 {"--max-size", "1M"},
                 5,
                 {"rootfs.ext4", "1 MiB"}},
        BadInput{"AnotherChecksum",
                 [] { return tar_of(sample()); },
                 {"--sha256", std::string(64, 'a')},
                 5,
                 {"the catalog pins sha256:aaaa"}},
        BadInput{"BaseOfEnvironment",
                 [] { return tar_of(sample()); },
                 {"--base", "debian:12"},
                 2,
                 {"'--base' is for container images"}}),
    row_name);

TEST_F(StandardInputTest, TerminalIsRefusedWithHint) {
  const FileDescriptor terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(::grantpt(terminal.get()), 0);
  ASSERT_EQ(::unlockpt(terminal.get()), 0);
  const std::string name = ::ptsname(terminal.get());
  const auto on_terminal = [&](const Words& words) {
    Command typed = command(words);
    typed.argv.insert(typed.argv.begin(), {"/bin/sh", "-c", R"(exec "$@" <"$0")", name});
    return run(typed);
  };
  expect_unchanged(
      [&] {
        return on_terminal({"env", "add", "mine", "-"});
      },
      2, {"standard input is a terminal", "docker export CONTAINER | pyro env add"});
  expect_unchanged(
      [&] {
        return on_terminal({"env", "import", "-"});
      },
      2, {"standard input is a terminal", "| pyro env import -"});
}

TEST_F(StandardInputTest, InterruptWhileWriterStallsLeavesNothing) {
  const std::string pipe = (dir_ / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const FileDescriptor writer(::open(pipe.c_str(), O_RDWR | O_CLOEXEC));
  const std::string half = root_tree().substr(0, 1024);
  ASSERT_EQ(::write(writer.get(), half.data(), half.size()), ssize_t{1024});
  Command reading = command({"env", "add", "mine", "-", "--container"});
  reading.argv.insert(reading.argv.begin(), {"/bin/sh", "-c", R"(exec "$@" <"$0")", pipe});
  const auto state = cache_state();
  BackgroundProcess adding(reading, dir_ / "output");
  adding.wait_until("it reads", [&] {
    return adding.output().find("pulling from standard input") != std::string::npos;
  });
  adding.send_signal(SIGINT);
  EXPECT_EQ(adding.wait().exit_code, 130) << adding.output();
  EXPECT_EQ(user_entries(), json::array());
  EXPECT_EQ(cache_state(), state);
}

TEST_F(StandardInputTest, ImportsExport) {
  use_catalog({archive_entry((dir_ / "tool.tar").string())});
  write_file(dir_ / "tool.tar", tar_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  const std::string exported = pyro_ok({"env", "export", "tool:1", "-o", "-"}).out;
  for (const Compression compression : {Compression::none, Compression::zstd}) {
    fs::remove_all(install_dir());
    const ProcessResult imported =
        pyro_with(compress(exported, compression), {"env", "import", "-"});
    EXPECT_EQ(imported.exit_code, 0) << imported.err;
    EXPECT_EQ(imported.out, install_dir().string() + "\n");
    expect_installed(sample());
    EXPECT_THAT(record()["source"].get<std::string>(),
                ::testing::StartsWith("oci-archive:standard input@sha256:"));
  }
  expect_unchanged(
      [&] {
        return pyro_with("", {"env", "import", "-"});
      },
      5, {"standard input is empty"});
  expect_unchanged(
      [&] {
        return pyro_with(root_tree(), {"env", "import", "-"});
      },
      5, {"standard input is not an image layout"});
  expect_unchanged(
      [&] {
        return pyro_with(exported, {"env", "import", "-", "other:1"});
      },
      3, {"standard input has no environment 'other:1'"});
}

}  // namespace
}  // namespace pyro::testing

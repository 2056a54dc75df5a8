// Container images in machines: their config, their surroundings, the kernel of their base.
#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <string>
#include <vector>

#include "scenarios/machine_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Programs that need nothing of an image: those of the environment that machines boot in tests.
const std::string& busybox() {
  static const std::string program = [] {
    const TempDir dir;
    const std::string file = (dir / "busybox").string();
    static_cast<void>(run({.argv = {"/sbin/debugfs", "-R", "dump /bin/busybox " + file,
                                    (environment_dir() / kRootfs).string()}}));
    return read_file(file);
  }();
  return program;
}

/// The layer of a small distribution.
TarBuilder distribution() {
  TarBuilder tar;
  tar.directory("bin").tweak({.mode = 0755}).file("bin/busybox", busybox());
  for (const char* const applet :
       {"sh", "cat", "echo", "env", "id", "ls", "pwd", "readlink", "stat", "true"}) {
    tar.symlink(std::string("bin/") + applet, "busybox");
  }
  return tar.directory("run")
      .directory("run/lock")
      .directory("etc")
      .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
      .file("etc/group", "root:x:0:\napp:x:1000:\nextra:x:2000:other,app\n")
      .file("etc/resolv.conf", "nameserver 192.0.2.1\n");
}

class ContainerTest : public MachineHarness {
 protected:
  void SetUp() override {
    MachineHarness::SetUp();
    if (IsSkipped()) return;
    use_own_cache();
  }

  /// Adds an image of one layer as "app".
  void add(const TarBuilder& layer, const json& config,
           const std::vector<std::string>& options = {}) const {
    write_oci_layout(ImageBuilder()
                         .layer(layer.finish())
                         .edit_config([&](json& document) { document["config"] = config; })
                         .build(),
                     dir_ / "layout", "app");
    std::vector<std::string> words{"env", "add", "app", "--container", "--force"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("oci:" + (dir_ / "layout").string() + ":app");
    pyro_ok(words);
  }

  ProcessResult run_app(const std::vector<std::string>& options = {},
                        const std::vector<std::string>& words = {}) const {
    std::vector<std::string> all{"run", "app", "--memory", "192"};
    all.insert(all.end(), options.begin(), options.end());
    if (!words.empty()) all.emplace_back("--");
    all.insert(all.end(), words.begin(), words.end());
    ProcessResult result = run(command(all));
    EXPECT_FALSE(result.timed_out) << result.err;
    return result;
  }
};

TEST_F(ContainerTest, RunsEntrypointAndCommandAsTheConfigSays) {
  add(distribution(), {{"Entrypoint", {"/bin/sh", "-c"}},
                       {"Cmd", {"echo $GREETING; pwd; id -u; id -G; echo $HOME $USER $LANG"}},
                       {"Env", {"GREETING=hello \"you\" = all", "LANG=C"}},
                       {"WorkingDir", "/srv/app"},
                       {"User", "app"}});
  const ProcessResult result = run_app();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "hello \"you\" = all\n/srv/app\n1000\n1000 2000\n/home/app app C\n");
}

TEST_F(ContainerTest, GivenCommandRunsAsItStandsUnlessEntrypointIsAskedFor) {
  add(distribution(), {{"Entrypoint", {"/bin/echo", "entry"}}, {"Cmd", {"default"}}});
  EXPECT_EQ(run_app().out, "entry default\n");
  EXPECT_EQ(run_app({}, {"echo", "mine"}).out, "mine\n");
  EXPECT_EQ(run_app({"--entrypoint"}, {"mine"}).out, "entry mine\n");
}

TEST_F(ContainerTest, OptionsOverrideTheConfig) {
  add(distribution(), {{"Env", {"A=image", "B=image"}}, {"User", "app"}, {"WorkingDir", "/srv"}});
  const ProcessResult result = run_app({"-e", "A=mine", "-u", "0:2000", "-w", "/made/here"},
                                       {"sh", "-c", "echo $A $B; id -u; id -G; pwd"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "mine image\n0\n2000\n/made/here\n");
}

TEST_F(ContainerTest, NumbersNeedNoUserAndNamesDo) {
  add(distribution(), {{"User", "4711:12"}});
  EXPECT_EQ(run_app({}, {"sh", "-c", "id -u; id -G; echo $HOME"}).out, "4711\n12\n/\n");
  for (const char* const user : {"nobody", "app:nobody"}) {
    const ProcessResult result = run_app({"-u", user}, {"true"});
    EXPECT_EQ(result.exit_code, 125);
    EXPECT_THAT(result.err, HasSubstr("cannot run as " + std::string(user) +
                                      ": the image has no such user or group"));
  }
}

TEST_F(ContainerTest, OtherUsersMayOpenTheirStandardStreams) {
  add(distribution(), {{"User", "app"}});
  EXPECT_EQ(run_app({}, {"sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr"}).out,
            "out\n");
}

TEST_F(ContainerTest, WorkspaceBelongsToTheUserOfTheImage) {
  add(distribution(), {{"User", "app"}, {"Env", {"A=image"}}});
  write_file(dir_ / "seed/sub/file", "content");
  pyro_ok({"workspace", "create", "w", "--environment", "app", "--memory", "192", "--disk", "128M",
           "--from", (dir_ / "seed").string()});
  write_file(dir_ / "in", "in");
  pyro_ok({"workspace", "copy-in", "w", (dir_ / "in").string()});
  pyro_ok({"workspace", "stop", "w"});
  const ProcessResult result =
      run(command({"workspace", "exec", "w", "--", "sh", "-c",
                   "id -un; pwd; echo $A; echo x > new && echo y > sub/file; cat sub/file; "
                   "stat -c '%u:%g' . sub sub/file in new; stat -c %u /etc/passwd"}));
  EXPECT_EQ(result.out,
            "app\n/workspace\nimage\ny\n1000:1000\n1000:1000\n1000:1000\n1000:1000\n"
            "1000:1000\n0\n")
      << result.err;
  pyro_ok({"workspace", "delete", "w", "--force"});
}

TEST_F(ContainerTest, HasFilesOfItsOwnMachineAndRunOfTheImage) {
  add(distribution(), json::object());
  const ProcessResult result = run_app(
      {}, {"sh", "-c",
           "cat /etc/hosts /etc/hostname; echo $(cat /etc/resolv.conf); readlink /etc/mtab; "
           "ls -d /run/lock /proc/1 /sys/kernel /dev/shm /dev/pts /tmp; pwd"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("127.0.0.1\tlocalhost\n"));
  EXPECT_THAT(result.out, HasSubstr("\napp\n\n/proc/mounts\n")) << "no name server of the builder";
  EXPECT_THAT(result.out, HasSubstr("/run/lock\n"));
  EXPECT_THAT(result.out, ::testing::EndsWith("\n/\n"));
}

TEST_F(ContainerTest, RunsAndPreparesImageOfOneProgram) {
  add(TarBuilder().tweak({.mode = 0755}).file("busybox", busybox()),
      {{"Cmd", {"/busybox", "echo", "alone"}}});
  EXPECT_EQ(run_app().out, "alone\n");
  EXPECT_EQ(run(command({"prepare", "app", "--memory", "192"})).exit_code, 0);
  const json warm = parse_json(run_app({"--json"}).out);
  EXPECT_EQ(warm["started"], "warm") << warm;
  EXPECT_EQ(warm["stdout"], "alone\n");
}

/// An ELF file whose one segment says that the rest of the file is a table of `entries`.
std::string dynamic_elf(const std::vector<Elf64_Dyn>& entries) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_DYNAMIC;
  segment.p_offset = sizeof header + sizeof segment;
  std::string file(segment.p_offset + entries.size() * sizeof(Elf64_Dyn), '\0');
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + sizeof header, &segment, sizeof segment);
  std::memcpy(file.data() + segment.p_offset, entries.data(), entries.size() * sizeof(Elf64_Dyn));
  return file;
}

TEST_F(ContainerTest, ImageThatNeverRanStartsWithoutBoot) {
  const json config = {
      {"Cmd", {"sh", "-c", "cat /sys/block/vda/size; df / | tail -n 1; hostname"}}};
  add(distribution(), config);
  EXPECT_EQ(parse_json(run_app({"--json"}).out)["started"], "cold");
  add(distribution().file("large", std::string(3 << 20, 'x')), config);
  pyro_ok({"env", "pull", "app"});
  const json second = parse_json(run_app({"--json"}).out);
  EXPECT_EQ(second["started"], "kernel") << second;
  const auto disk = fs::file_size(cache() / "containers/app-1.0.0/rootfs.ext4");
  EXPECT_THAT(second["stdout"].get<std::string>(), StartsWith(std::to_string(disk / 512) + "\n"));
  EXPECT_THAT(second["stdout"].get<std::string>(), ::testing::EndsWith("\napp\n"));
}

TEST_F(ContainerTest, PrepareReadsProgramsIntoMemory) {
  constexpr std::size_t kSize = 12 << 20;
  constexpr std::size_t kSector = 512;
  std::string program = "#!/bin/app-interpreter -e\n";
  program.resize(64, '#');
  add(distribution()
          .directory("opt")
          .tweak({.mode = 0755})
          .file("opt/app", program)
          .tweak({.mode = 0755})
          .file("bin/app-interpreter", std::string(kSize, 'i')),
      {{"Entrypoint", {"app"}}, {"Env", {"PATH=/opt:/bin"}}});
  ASSERT_EQ(run(command({"prepare", "app", "--memory", "192"})).exit_code, 0);
  const json warm = parse_json(
      run_app({"--json"},
              {"sh", "-c", "read reads merged sectors rest </sys/block/vda/stat && echo $sectors"})
          .out);
  EXPECT_EQ(warm["started"], "warm") << warm;
  EXPECT_GE(std::stoul(warm["stdout"].get<std::string>()), kSize / kSector)
      << "nothing but the preparation reads the interpreter";
}

TEST_F(ContainerTest, PrepareSurvivesBrokenProgramsAndFifos) {
  const Elf64_Dyn library_far_away{DT_NEEDED, {~Elf64_Xword{0}}};
  TarBuilder layer = distribution();
  layer.tweak({.mode = 0755}).file("bin/app", dynamic_elf(std::vector(4096, library_far_away)));
  layer.tweak({.mode = 0755}).fifo("bin/fifo");
  add(layer, {{"Entrypoint", {"/bin/app"}}, {"Cmd", {"/bin/fifo"}}});
  EXPECT_EQ(run(command({"prepare", "app", "--memory", "192"})).exit_code, 0);
}

TEST_F(ContainerTest, ImageWithoutCommandNeedsOne) {
  add(distribution(), json::object());
  const ProcessResult result = run_app();
  EXPECT_EQ(result.exit_code, 125);
  expect_says(result.err, {"the image names no command to run", "pyro run app -- COMMAND"});
}

TEST_F(ContainerTest, BootsTheKernelOfItsBase) {
  add(distribution(), {{"Cmd", {"true"}}}, {"--base", "tool:1"});
  EXPECT_EQ(run_app().exit_code, 0);
  fs::remove(install_dir() / "environment.json");
  const ProcessResult gone = run_app();
  EXPECT_EQ(gone.exit_code, 125) << "the base has to be installed";
  add(distribution(), {{"Cmd", {"true"}}});
  const ProcessResult none = run_app();
  EXPECT_EQ(none.exit_code, 125);
  expect_says(none.err, {"'app' is a container image, and there is no kernel to boot it with",
                         "--base NAME", "PYRO_BASE"});
  EXPECT_THAT(run_app({"--base", "app"}).err,
              HasSubstr("'app' is a container image, and has no kernel"));
}

TEST_F(ContainerTest, BootsKernelThatIsInstalledBesideTheExecutable) {
  add(distribution(), {{"Cmd", {"true"}}});
  pyro_ok({"env", "pull", "app"});
  fs::remove(install_dir() / "environment.json");
  const fs::path kernel = dir_ / "prefix/lib/pyro/kernel";
  fs::create_directories(kernel);
  fs::create_directories(dir_ / "prefix/bin");
  for (const char* const name : {kKernel, kInitrd}) {
    fs::copy_file(environment_dir() / name, kernel / name);
  }
  Command installed = command({"run", "app", "--memory", "192"});
  fs::copy_file(installed.argv[0], dir_ / "prefix/bin/pyro");
  installed.argv[0] = (dir_ / "prefix/bin/pyro").string();
  const ProcessResult result = run(installed);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(run_app().exit_code, 125) << "another executable has no kernel beside it";
}

TEST_F(ContainerTest, StateIsForOneBase) {
  add(distribution(), {{"Cmd", {"true"}}});
  EXPECT_EQ(run(command({"prepare", "app", "--memory", "192"})).exit_code, 0);
  EXPECT_EQ(parse_json(run_app({"--json"}).out)["started"], "warm");
  const fs::path other = install_dir("tool:2");
  fs::create_directories(other);
  for (const char* const name : {kKernel, kRootfs, kInitrd}) {
    fs::create_hard_link(install_dir() / name, other / name);
  }
  json record = parse_json(read_file(install_dir() / "environment.json"));
  record["name"] = "tool:2";
  write_file(other / "environment.json", reference_json(record));
  pyro_ok({"env", "add", "tool:2", "r.example/tool:2"});
  EXPECT_EQ(parse_json(run_app({"--json", "--base", "tool:2"}).out)["started"], "cold");
  EXPECT_EQ(run(command({"prepare", "app", "--memory", "192", "--base", "tool:2"})).exit_code, 0);
  for (const char* const base : {"tool:1", "tool:2"}) {
    EXPECT_EQ(parse_json(run_app({"--json", "--base", base}).out)["started"], "warm") << base;
  }
}

TEST_F(ContainerTest, ImportPreparesAndRunsWithoutNetwork) {
  add(distribution(), {{"Cmd", {"echo", "imported"}}});
  pyro_ok({"env", "pull", "app"});
  const std::string file = (dir_ / "export.tar").string();
  pyro_ok({"env", "export", "app", "-o", file});
  const Variables there{{"XDG_CONFIG_HOME", (dir_ / "there").string()},
                        {"PYRO_ENVIRONMENT_CACHE_DIR", (dir_ / "there/cache").string()},
                        {"PYRO_OFFLINE", "1"}};
  pyro_ok({"env", "import", file}, there);
  fs::remove_all(cache());
  EXPECT_EQ(run(command({"prepare", "app", "--memory", "192"}, there)).exit_code, 0);
  const json warm =
      parse_json(run(command({"run", "app", "--memory", "192", "--json"}, there)).out);
  EXPECT_EQ(warm["started"], "warm") << warm;
  EXPECT_EQ(warm["stdout"], "imported\n");
}

}  // namespace
}  // namespace pyro::testing

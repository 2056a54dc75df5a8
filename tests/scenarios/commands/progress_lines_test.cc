// The progress of commands other than pulls: a line on a terminal, events for programs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "scenarios/pseudo_terminal.h"
#include "scenarios/registry_harness.h"
#include "support/compress.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

using Words = std::vector<std::string>;

class ProgressLinesTest : public RegistryHarness {
 protected:
  ProgressLinesTest() {
    variables_["TERM"] = "xterm";
    variables_["NO_COLOR"] = "1";
    offer(image_of(sample()));
  }

  void install() const { pyro_ok({"env", "pull", "-q", "tool:1"}); }

  /// The operations of a command as "NAME SUBJECT", each of which has to end.
  Words operations_of(Words words) const {
    words.insert(words.end(), {"--progress", "json"});
    const ProcessResult result = pyro_ok(words);
    Words found;
    bool is_running = false;
    std::istringstream lines(result.err);
    for (std::string line; std::getline(lines, line) && line.starts_with('{');) {
      const nlohmann::json event = parse_json(line);
      const auto kind = event["event"].get<std::string>();
      if (!kind.starts_with("operation_")) continue;
      const bool is_start = kind == "operation_started";
      EXPECT_NE(is_running, is_start) << line;
      is_running = kind != "operation_finished";
      if (!is_start) continue;
      found.push_back(event["operation"].get<std::string>() + ' ' +
                      event["subject"].get<std::string>());
    }
    EXPECT_FALSE(is_running) << result.err;
    return found;
  }

  std::string file(const std::string& name) const { return (dir_ / name).string(); }
};

TEST_F(ProgressLinesTest, ExportToSlowReaderShowsOneLineUntilItsEnd) {
  install();
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  const FileDescriptor reader(::open(file("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  for (const unsigned short width : kTerminalWidths) {
    PseudoTerminal terminal(24, width);
    const pid_t pid = terminal.start(
        command({"env", "export", "tool:1", "--compress", "none", "-o", file("fifo")}));
    EXPECT_TRUE(terminal.shows("writing the export")) << terminal.seen();
    EXPECT_TRUE(eventually([&] {
      char piece[4096];
      while (::read(reader.get(), piece, sizeof piece) > 0) {
      }
      return has_ended(pid);
    }));
    EXPECT_EQ(exit_code_of(pid), 0);
    terminal.look();
    expect_hides(terminal.last_text(), {"writing", "exporting"});
    EXPECT_LT(terminal.widest_line(), width) << terminal.seen();
  }
}

TEST_F(ProgressLinesTest, DoctorNamesRegistryThatDoesNotAnswer) {
  variables_["PYRO_QEMU"] = "/nonexistent/qemu";
  Fault held = faults::held_after(0);
  held.body = std::string(100'000, ' ');
  for (const unsigned short width : kTerminalWidths) {
    registry_->add_rule({.kind = RequestKind::ping}, held);
    PseudoTerminal terminal(24, width);
    const pid_t pid =
        terminal.start(command({"doctor", "--check-registry", "--environment", "tool:1"}));
    EXPECT_TRUE(terminal.shows("checking registry localhost:")) << terminal.seen();
    registry_->clear_rules();
    EXPECT_EQ(exit_code_of(pid), 1);
    terminal.look();
    expect_hides(terminal.last_text(), {"checking"});
    EXPECT_LT(terminal.widest_line(), width) << terminal.seen();
  }
}

TEST_F(ProgressLinesTest, VerifyReportsBytesOfEachEnvironment) {
  install();
  EXPECT_THAT(operations_of({"env", "verify"}), ElementsAre("verifying tool:1"));
  const ProcessResult result = pyro_ok({"env", "verify", "--json", "--progress", "json"});
  EXPECT_EQ(parse_json(result.out)[0]["status"], "ok");
  const std::string last = result.err.substr(result.err.rfind("{\"event\""));
  const nlohmann::json event = parse_json(last);
  EXPECT_EQ(event["unit"], "bytes");
  EXPECT_GT(event["done"], 0);
  EXPECT_LE(event["done"], event["total"]);
}

TEST_F(ProgressLinesTest, ExportAndImportReportTheirOperations) {
  install();
  const std::string exported = file("export.tar");
  EXPECT_THAT(operations_of({"env", "export", "tool:1", "-o", exported}),
              ElementsAre("exporting tool:1", "writing " + exported));
  write_file(exported + ".gz", compress(read_file(exported), Compression::gzip));
  EXPECT_THAT(operations_of({"env", "import", "--force", exported + ".gz"}),
              ElementsAre("unpacking " + exported + ".gz"));
}

TEST_F(ProgressLinesTest, AddReportsThatItLooksAtFiles) {
  write_file(dir_ / "tool.tar", tar_of(sample()));
  EXPECT_THAT(operations_of({"env", "add", "mine", file("tool.tar")}),
              ElementsAre("looking at " + file("tool.tar")));
  EXPECT_THAT(operations_of({"env", "add", "other", "https://robin:secret@host/tool.tar"}),
              ElementsAre());
}

TEST_F(ProgressLinesTest, PullOfDirectoryReportsCopyAndHashOfEachFile) {
  fs::create_directory(dir_ / "environment");
  write_file(dir_ / "environment/vmlinux", sample().kernel);
  write_file(dir_ / "environment/rootfs.ext4", sample().rootfs);
  use_catalog({archive_entry(file("environment"))});
  EXPECT_THAT(operations_of({"env", "pull", "tool:1"}),
              ElementsAre("copying vmlinux", "hashing vmlinux", "copying rootfs.ext4",
                          "hashing rootfs.ext4"));
}

TEST_F(ProgressLinesTest, RemoveAndPruneNameWhatTheyRemove) {
  install();
  EXPECT_THAT(operations_of({"env", "remove", "tool:1"}), ElementsAre("removing tool:1"));
  install();
  EXPECT_THAT(operations_of({"env", "prune", "--all", "--dry-run"}), ElementsAre());
  EXPECT_THAT(operations_of({"env", "prune", "--all"}), ElementsAre("removing tool_1-1.0.0"));
}

TEST_F(ProgressLinesTest, PipesGetNoProgressUnlessAskedFor) {
  install();
  EXPECT_EQ(pyro_ok({"env", "verify"}).err, "");
  EXPECT_EQ(pyro_ok({"env", "verify", "--progress", "none"}).err, "");
  EXPECT_EQ(pyro_ok({"env", "export", "tool:1", "-q", "-o", file("quiet.tar")}).err, "");
  EXPECT_EQ(pyro_ok({"env", "remove", "tool:1"}).err, "");
}

}  // namespace
}  // namespace pyro::testing

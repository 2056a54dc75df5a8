// Tests of the search for a monitor and of its output.
#include "machine/qemu/monitor_process.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "pyro/machine.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

TEST(FindMonitor, TakesTheFirstExecutableOfAnAbsoluteDirectory) {
  namespace fs = std::filesystem;
  const testing::TempDir dir;
  const auto program = [&](const std::string& folder, unsigned mode) {
    const fs::path path = dir / folder / "qemu-system-x86_64";
    testing::write_file(path, "");
    fs::permissions(path, fs::perms(mode));
    return path;
  };
  program("not-executable", 0644);
  const fs::path first = program("first", 0755);
  program("second", 0755);
  const std::string root = dir.path().string();
  const auto found = [&](std::map<std::string, std::string> variables) {
    return find_monitor([&](const char* name) -> std::optional<std::string> {
      const auto value = variables.find(name);
      return value != variables.end() ? std::optional(value->second) : std::nullopt;
    });
  };
  const std::string path =
      ".::" + root + "/none:" + root + "/not-executable:" + root + "/first:" + root + "/second";
  EXPECT_EQ(found({{"PATH", path}}), first);
  EXPECT_EQ(found({{"PATH", path}, {"PYRO_QEMU", "/my/qemu"}}), "/my/qemu");
  EXPECT_EQ(found({{"PATH", root + "/none"}}), "");
  EXPECT_EQ(found({}), "");
}

struct Console {
  const char* name;
  const char* text;
  const char* line;

  friend void PrintTo(const Console& self, std::ostream* out) { *out << self.name; }
};

class FailureLineTest : public ::testing::TestWithParam<Console> {};

TEST_P(FailureLineTest, IsFoundInConsoleOutput) {
  EXPECT_EQ(failure_line_in(GetParam().text), GetParam().line);
}

INSTANTIATE_TEST_SUITE_P(
    Consoles, FailureLineTest,
    ::testing::Values(
        Console{"Nothing", "", ""}, Console{"BlankLines", "\r\n \r\n", ""},
        Console{"Last", "one\r\ntwo\r\n", "two"}, Console{"Only", "one", "one"},
        Console{"Panic", "[1.0] x\r\n[1.1] Kernel panic - not syncing: init\r\n[1.2] y\r\n",
                "Kernel panic - not syncing: init"},
        Console{"Init", "pyro: no disk\r\n[2.0] reboot: Restarting system\r\n", "pyro: no disk"}),
    [](const auto& row) { return row.param.name; });

TEST(OutputTailTest, KeepsLast4096Bytes) {
  SocketPair pipe = make_pipe();
  const std::string much(10'000, 'x');
  write_all(pipe.theirs.get(), much + "end", "a pipe");
  OutputTail words(std::move(pipe.ours));
  words.drain();
  EXPECT_EQ(words.text().size(), 4096u);
  EXPECT_TRUE(words.text().ends_with("xend"));
  EXPECT_GE(words.descriptor(), 0);
  pipe.theirs.reset();
  words.drain();
  EXPECT_EQ(words.descriptor(), -1);
}

}  // namespace
}  // namespace pyro

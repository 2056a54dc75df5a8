// Tests of the layout of findings. The findings are tested in doctor/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command.h"
#include "support/captured_terminal.h"
#include "support/temp_dir.h"

namespace pyro::cli {
namespace {

using ::testing::HasSubstr;

class DoctorOutputTest : public ::testing::Test {
 protected:
  /// On a host without KVM and without a monitor. A terminal of unknown width counts as 80
  /// columns.
  [[nodiscard]] std::string seen(Terminal::Abilities abilities,
                                 const std::vector<std::string>& words = {"doctor"}) const {
    CapturedTerminal out(abilities);
    CapturedTerminal err;
    const Variables variables = [&](const char* name) -> std::optional<std::string> {
      const std::string wanted = name;
      if (wanted == "XDG_CACHE_HOME") return dir_.path().string();
      if (wanted == "PYRO_KVM") return "off";
      return std::nullopt;
    };
    EXPECT_EQ(run(words, variables, out.terminal(), err.terminal()), 1) << err.take();
    return out.take();
  }

  testing::TempDir dir_;
};

TEST_F(DoctorOutputTest, WrapsTextsOnTerminal) {
  EXPECT_THAT(
      seen({.interactive = true}),
      HasSubstr("monitor     missing  there is no qemu-system-x86_64\n"
                "                     apt install qemu-system-x86\n"
                "kvm         warning  switched off by PYRO_KVM\n"
                "                     unset PYRO_KVM\n"
                "isolation   warning  guests run under software emulation: slower, and by QEMU's\n"
                "                     own policy no security boundary\n"
                "                     do not run hostile code here without another boundary\n"));
}

TEST_F(DoctorOutputTest, DoesNotWrapOutsideTerminal) {
  EXPECT_THAT(
      seen({}),
      HasSubstr("isolation   warning  guests run under software emulation: slower, and by QEMU's "
                "own policy no security boundary\n"
                "                     do not run hostile code here without another boundary\n"));
}

TEST_F(DoctorOutputTest, LongNameWidensTheColumn) {
  const std::string text = seen({}, {"doctor", "--environment", "debian:12-build"});
  EXPECT_THAT(text, HasSubstr("\nmonitor          missing  there is no qemu-system-x86_64\n"
                              "                          apt install qemu-system-x86\n"));
  EXPECT_THAT(text, HasSubstr("\ndebian:12-build  cold     it is not installed\n"
                              "                          pyro prepare debian:12-build\n"));
}

TEST_F(DoctorOutputTest, NameBeyondTheColumnHasALineOfItsOwn) {
  const std::string name = "an-environment-of-a-name-that-is-long:1";
  testing::write_file(dir_ / "catalog.json",
                      R"({"catalog_version": "1", "environments": [{"name": ")" + name +
                          R"(", "version": "1", "description": "", "default_packages": [],
                              "distribution": "", "distribution_version": "",
                              "source_profile": "x"}]})");
  EXPECT_THAT(
      seen({}, {"doctor", "--catalog", (dir_ / "catalog.json").string(), "--environment", name}),
      HasSubstr('\n' + name + '\n' + std::string(32, ' ') + "cold     it is not installed\n"));
}

TEST_F(DoctorOutputTest, ColoursTakeNoColumns) {
  EXPECT_THAT(seen({.interactive = true, .colour = true}),
              HasSubstr("isolation   \x1b[33mwarning\x1b[0m  guests run under software emulation: "
                        "slower, and by QEMU's\n                     own policy"));
}

}  // namespace
}  // namespace pyro::cli

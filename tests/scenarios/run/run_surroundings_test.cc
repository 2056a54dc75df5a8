// The guest's system as commands expect it: host name, loopback, limits, devices, control groups.
#include <gmock/gmock.h>

#include "scenarios/machine_harness.h"

namespace pyro::testing {
namespace {

using ::testing::HasSubstr;

class SurroundingsTest : public MachineHarness {};

TEST_F(SurroundingsTest, MachineHasItsNameEverywhere) {
  const ProcessResult result =
      run_script("hostname; cat /etc/hostname; grep -c localhost /etc/hosts; ping -c 1 tool-1");
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("tool-1\ntool-1\n2\nPING tool-1 (127.0.1.1)"));
}

TEST_F(SurroundingsTest, LoopbackHasBothAddresses) {
  const ProcessResult result = run_script("ping -c 1 127.0.0.1 && ping -c 1 ::1");
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

TEST_F(SurroundingsTest, LimitsAreThoseOfAServer) {
  const ProcessResult result = run_script(
      "ulimit -Sn; ulimit -Hn; cd /proc/sys; cat fs/inotify/max_user_watches "
      "net/ipv4/ping_group_range");
  EXPECT_EQ(result.out, "1024\n524288\n524288\n0\t2147483647\n");
}

TEST_F(SurroundingsTest, DevicesOfModulesExistAtBoot) {
  const ProcessResult result =
      run_script("stat -c '%A %t:%T' /dev/fuse /dev/net/tun /dev/loop-control");
  EXPECT_EQ(result.out, "crw-rw-rw- a:e5\ncrw-rw-rw- a:c8\ncrw-rw---- a:ed\n");
}

TEST_F(SurroundingsTest, ControlGroupsAreMounted) {
  const ProcessResult result = run_script("cat /sys/fs/cgroup/cgroup.controllers");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("pids"));
}

}  // namespace
}  // namespace pyro::testing

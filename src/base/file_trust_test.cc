// Tests of whose files are believed.
#include "base/file_trust.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(FileTrust, JudgesSecretsByOwnerAndMode) {
  const struct {
    mode_t mode;
    uid_t owner;
    uid_t user;
    bool believed;
    const char* remark;
  } cases[] = {
      {0600, 1000, 1000, true, ""},
      {0400, 0, 1000, true, ""},
      {0644, 1000, 1000, true, "others may read it"},
      {0640, 1000, 1000, true, "others may read it"},
      {0620, 1000, 1000, true, "its group may write it"},
      {0664, 1000, 1000, true, "its group may write it"},
      {0602, 1000, 1000, false, "everybody may write it"},
      {0666, 0, 0, false, "everybody may write it"},
      {0600, 1001, 1000, false, "it belongs to user 1001"},
      {0600, 1001, 0, true, "it belongs to user 1001"},
  };
  for (const auto& c : cases) {
    const FileTrust trust = judge_file(c.mode, c.owner, c.user, Holds::secrets);
    EXPECT_EQ(trust.believed, c.believed) << c.mode << " " << c.owner;
    EXPECT_EQ(trust.remark, c.remark) << c.mode << " " << c.owner;
    EXPECT_EQ(trust.remedy.empty(), trust.remark.empty());
  }
}

TEST(FileTrust, SettingsMayBeRead) {
  EXPECT_EQ(judge_file(0644, 1000, 1000, Holds::settings).remark, "");
  EXPECT_FALSE(judge_file(0646, 1000, 1000, Holds::settings).believed);
  EXPECT_FALSE(judge_file(0644, 1001, 1000, Holds::settings).believed);
}

}  // namespace
}  // namespace pyro

// Tests of the verification of saved states.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/fs_verity.h"
#include "store/installation.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::write_file;

/// An environment with a saved state.
class VerifyStatesTest : public ::testing::Test {
 protected:
  VerifyStatesTest() {
    json artifacts;
    for (const char* const name : {kMemoryName, kDevicesName}) {
      const fs::path file = state_ / name;
      write_file(file, std::string(5000, name[0]));
      const Fd fd = open_at(AT_FDCWD, file, O_RDONLY, 0, file);
      artifacts[name] = {{"size", 5000},
                         {"digest", file_verity(fd.get(), 5000, name, {}).to_string()}};
    }
    write_file(state_ / kManifestName, json{{"artifacts", artifacts}}.dump());
  }

  [[nodiscard]] VerifyReport verify() const {
    VerifyReport report{.name = environment_.name, .version = environment_.version};
    verify_states(layout_, environment_, report, {});
    return report;
  }

  [[nodiscard]] Verdict verdict_of(const std::string& name) const {
    for (const ArtifactReport& artifact : verify().artifacts) {
      if (artifact.name == "prepared/none/" + name) return artifact.verdict;
    }
    ADD_FAILURE() << name << " is not named";
    return Verdict::ok;
  }

  testing::TempDir dir_;
  const CacheLayout layout_{dir_ / "cache"};
  const Environment environment_ = Catalog::built_in().require("debian:12");
  const fs::path state_ = layout_.prepared_state_dir(environment_.name, "none");
};

TEST_F(VerifyStatesTest, UnchangedStateIsOk) {
  EXPECT_EQ(verify().verdict, Verdict::ok);
  EXPECT_EQ(verdict_of(kMemoryName), Verdict::ok);
  EXPECT_EQ(verdict_of(kDevicesName), Verdict::ok);
}

TEST_F(VerifyStatesTest, DetectsFlippedBitInEachFile) {
  for (const char* const name : {kMemoryName, kDevicesName}) {
    std::string bytes = testing::read_file(state_ / name);
    bytes[4999] ^= 1;
    write_file(state_ / name, bytes);
    EXPECT_EQ(verify().verdict, Verdict::modified) << name;
    EXPECT_EQ(verdict_of(name), Verdict::modified);
  }
}

TEST_F(VerifyStatesTest, MissingFileMakesStateModified) {
  fs::remove(state_ / kDevicesName);
  EXPECT_EQ(verify().verdict, Verdict::modified);
  EXPECT_EQ(verdict_of(kDevicesName), Verdict::missing);
}

TEST_F(VerifyStatesTest, StateWithoutDigestsIsUnverifiable) {
  for (const char* const manifest : {"{}", "nonsense", R"({"artifacts":7})"}) {
    write_file(state_ / kManifestName, manifest);
    EXPECT_EQ(verify().verdict, Verdict::unverifiable) << manifest;
    EXPECT_EQ(verdict_of(kMemoryName), Verdict::unverifiable);
  }
}

TEST_F(VerifyStatesTest, IgnoresStatesOfOtherEnvironments) {
  fs::rename(state_.parent_path(), layout_.prepared_dir() / "other");
  EXPECT_TRUE(verify().artifacts.empty());
}

}  // namespace
}  // namespace pyro

#include "workspace/seed.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using testing::TempDir;
using testing::write_file;
using Names = std::vector<std::string>;

class SeedTest : public ::testing::Test {
 protected:
  void git(const Names& words) const {
    Names all{"git", "-C", tree().string(), "-c", "user.name=n", "-c", "user.email=e@example.com"};
    all.insert(all.end(), words.begin(), words.end());
    testing::run_checked({.argv = all, .env = {{"HOME", dir_.path().string()}}});
  }

  void make_checkout() const {
    git({"init", "-q"});
    write_file(tree() / ".gitignore", "*.o\nbuild/\n");
    write_file(tree() / "src/main.c", "int main;\n");
    git({"add", "."});
    git({"commit", "-qm", "first"});
    write_file(tree() / "src/new.c", "int new;\n");
    write_file(tree() / "src/main.o", "object");
    write_file(tree() / "build/app", "program");
  }

  [[nodiscard]] std::filesystem::path tree() const { return dir_.path() / "home/tree"; }

  [[nodiscard]] Seed seed(bool all = false) const { return {tree(), all, {}}; }

  SeedTest() { write_file(tree() / "readme", "text"); }

  TempDir dir_;
};

TEST_F(SeedTest, PlainDirectoryIsTakenWithoutSecrets) {
  for (const char* const name : {".env", ".env.local", "key.pem", "id_rsa", "sub/id_ed25519"}) {
    write_file(tree() / name, "secret");
  }
  std::filesystem::create_directories(tree() / "id_map");
  write_file(tree() / "id_map/file", "no secret");
  const Seed seed = this->seed();
  EXPECT_EQ(seed.secrets(), (Names{".env", ".env.local", "id_rsa", "key.pem", "sub/id_ed25519"}));
  EXPECT_EQ(seed.files(), 2u);
  EXPECT_TRUE(seed.wants("id_map", true));
  EXPECT_TRUE(seed.wants("id_map/file", false));
  EXPECT_FALSE(seed.wants("sub/id_ed25519", false));
  EXPECT_TRUE(this->seed(true).wants(".env", false));
  EXPECT_EQ(this->seed(true).secrets(), Names());
}

TEST_F(SeedTest, CheckoutIsWhatGitTracksAndDoesNotIgnore) {
  make_checkout();
  write_file(tree() / ".env", "secret");
  const Seed seed = this->seed();
  for (const char* const name : {"src/main.c", "src/new.c", ".gitignore", "readme", ".git/HEAD"}) {
    EXPECT_TRUE(seed.wants(name, false)) << name;
  }
  EXPECT_TRUE(seed.wants("src", true));
  EXPECT_TRUE(seed.wants(".git", true));
  for (const char* const name : {"src/main.o", ".env"}) EXPECT_FALSE(seed.wants(name, false));
  EXPECT_FALSE(seed.wants("build", true));
  EXPECT_EQ(seed.secrets(), Names{".env"});
  EXPECT_TRUE(this->seed(true).wants("build", true));
}

TEST_F(SeedTest, CheckoutRunsNothing) {
  make_checkout();
  const auto mark = dir_.path() / "ran";
  git({"config", "core.fsmonitor", "touch " + mark.string()});
  static_cast<void>(seed());
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(SeedTest, CredentialsOfCheckoutAreTakenOut) {
  make_checkout();
  git({"config", "remote.origin.url", "https://user:password@example.com/a.git"});
  git({"config", "http.extraheader", "Authorization: token"});
  const Fd file = open_at(AT_FDCWD, tree() / ".git/config", O_RDONLY, 0, "config");
  const auto content = seed().content_of(".git/config", file.get());
  ASSERT_TRUE(content);
  EXPECT_NE(content->find("url = https://example.com/a.git"), content->npos) << *content;
  EXPECT_EQ(content->find("password"), content->npos);
  EXPECT_EQ(content->find("token"), content->npos);
  EXPECT_FALSE(seed().content_of("readme", file.get()));
  EXPECT_FALSE(seed(true).content_of(".git/config", file.get()));
}

TEST_F(SeedTest, RootAndHomeAreRefused) {
  const char* const home = ::getenv("HOME");
  const std::string kept = home == nullptr ? "" : home;
  ::setenv("HOME", (dir_.path() / "home").c_str(), 1);
  for (const auto& directory : {std::filesystem::path("/"), dir_.path() / "home", dir_.path(),
                                dir_.path() / "home/tree/..", dir_.path() / "nothing"}) {
    EXPECT_THROW(Seed(directory, true, {}), Error) << directory;
  }
  EXPECT_NO_THROW(Seed(tree(), true, {}));
  home == nullptr ? ::unsetenv("HOME") : ::setenv("HOME", kept.c_str(), 1);
}

TEST(GitConfig, KeepsAllButCredentials) {
  EXPECT_EQ(without_credentials("[core]\n\tbare = false\n\tsshCommand = ssh -i key\n"
                                "[credential \"https://example.com\"]\n\thelper = store\n"
                                "[http \"https://example.com/\"]\n\textraHeader = a \\\n  b\n"
                                "\tproxy = p\n"
                                "[include]\n\tpath = ~/secret\n"
                                "[url \"https://t:x@example.com/\"]\n\tinsteadOf = gh:\n"
                                "[remote \"o\"] url = ssh://git@example.com/a\n"
                                "[user]\n\tname = N"),
            "[core]\n\tbare = false\n"
            "[http \"https://example.com/\"]\n\tproxy = p\n"
            "[url \"https://example.com/\"]\n\tinsteadOf = gh:\n"
            "[remote \"o\"]\n url = ssh://git@example.com/a\n"
            "[user]\n\tname = N\n");
  EXPECT_EQ(without_credentials(""), "");
  EXPECT_EQ(without_credentials("[\n[]\n]\n"), "[\n[]\n]\n");
}

}  // namespace
}  // namespace pyro

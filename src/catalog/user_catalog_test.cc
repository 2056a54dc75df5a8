// Tests of the catalog file that pyro keeps for its user.
#include "pyro/user_catalog.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class UserCatalogTest : public ::testing::Test {
 protected:
  UserCatalogTest() {
    char name[] = "/tmp/pyro-user-XXXXXX";
    directory_ = fs::canonical(::mkdtemp(name));
  }
  ~UserCatalogTest() override { fs::remove_all(directory_); }

  [[nodiscard]] fs::path file() const { return directory_ / "pyro/catalog.d/user.json"; }

  [[nodiscard]] Catalog loaded(std::vector<fs::path> files = {}) const {
    if (fs::exists(file())) files.insert(files.begin(), file());
    return Catalog::load(files);
  }

  static NewEnvironment image(const std::string& name, const std::string& tag = "1") {
    return {.name = name,
            .source = {.oci_registry = "r.example", .oci_repository = "x", .oci_reference = tag}};
  }

  [[nodiscard]] std::string text() const {
    std::ostringstream content;
    content << std::ifstream(file()).rdbuf();
    return content.str();
  }

  void write(const std::string& content) const {
    fs::create_directories(file().parent_path());
    std::ofstream(file()) << content;
  }

  struct Refusal {
    ErrorCode code = ErrorCode::failed;
    std::string text = "none";
  };
  [[nodiscard]] static Refusal refusal(const std::function<void()>& work) {
    try {
      work();
      return {};
    } catch (const Error& error) {
      return {error.code(), std::string(error.what()) + " / " + error.hint()};
    }
  }
  void expect_refused(const NewEnvironment& wanted, ErrorCode code, const std::string& says,
                      const Catalog& others) const {
    const std::string before = text();
    const Refusal refused =
        refusal([&] { static_cast<void>(UserCatalog(file()).add(wanted, others)); });
    EXPECT_EQ(refused.code, code) << refused.text;
    EXPECT_NE(refused.text.find(says), std::string::npos) << refused.text;
    EXPECT_EQ(text(), before);
  }

  fs::path directory_;
};

TEST_F(UserCatalogTest, AddedEntryIsLoadedUntilRemoved) {
  const UserCatalog catalog(file());
  NewEnvironment wanted = image("tool:1");
  wanted.version = "2.0.0";
  wanted.description = "A tool.";
  wanted.source.oci_digest = Digest::parse("sha256:" + std::string(64, 'a'));
  const Environment added = catalog.add(wanted, Catalog::built_in());
  EXPECT_EQ(added.catalog_file, file());
  const Catalog all = loaded();
  const Environment& found = all.require("tool:1");
  EXPECT_EQ(found.version, "2.0.0");
  EXPECT_EQ(found.description, "A tool.");
  EXPECT_EQ(found.source_profile, "tool-1");
  EXPECT_EQ(found.oci_registry, "r.example");
  EXPECT_EQ(found.oci_digest, wanted.source.oci_digest);
  EXPECT_EQ(found.catalog_file, file());
  EXPECT_EQ(fs::status(file()).permissions(), fs::perms(0644));
  EXPECT_TRUE(catalog.remove("tool:1"));
  EXPECT_EQ(loaded().find("tool:1"), nullptr);
  EXPECT_FALSE(catalog.remove("tool:1"));
}

TEST_F(UserCatalogTest, KeepsOtherContentOfFile) {
  write(R"({"environments": [{"version": "1", "name": "hand:made", "source_profile": "p",
            "description": "By hand.", "default_packages": ["vi"], "distribution": "d",
            "distribution_version": "1", "compatibility": ">=4.0.0"}], "catalog_version": "7"})");
  const auto before = nlohmann::ordered_json::parse(text());
  const UserCatalog catalog(file());
  catalog.add(image("tool:1"), loaded());
  const auto between = nlohmann::ordered_json::parse(text());
  EXPECT_EQ(between["environments"][0].dump(), before["environments"][0].dump());
  EXPECT_EQ(between["catalog_version"], "7");
  EXPECT_TRUE(catalog.remove("tool:1"));
  EXPECT_EQ(nlohmann::ordered_json::parse(text()).dump(), before.dump());
}

TEST_F(UserCatalogTest, RejectsTakenNamesUnlessReplaced) {
  const UserCatalog catalog(file());
  catalog.add(image("tool:1"), loaded());
  expect_refused(image("tool:1", "2"), ErrorCode::failed, "--force", loaded());
  expect_refused(image("debian:12"), ErrorCode::failed, "built in", loaded());
  NewEnvironment again = image("tool:1", "2");
  again.replace = true;
  catalog.add(again, loaded());
  EXPECT_EQ(loaded().require("tool:1").oci_reference, "2");
  EXPECT_EQ(json::parse(text())["environments"].size(), 1U);
  NewEnvironment debian = image("debian:12");
  debian.replace = true;
  catalog.add(debian, loaded());
  EXPECT_EQ(loaded().require("debian:12").oci_registry, "r.example");
  EXPECT_TRUE(catalog.remove("debian:12"));
  EXPECT_FALSE(loaded().require("debian:12").catalog_file);
}

// Another process may have added an entry since this one loaded the catalog.
TEST_F(UserCatalogTest, RejectsNamesTakenSinceLoad) {
  const Catalog before = loaded();
  UserCatalog(file()).add(image("tool:1"), before);
  expect_refused(image("tool:1"), ErrorCode::failed, "--force", before);
  expect_refused(image("tool_1"), ErrorCode::failed, "one directory", before);
}

TEST_F(UserCatalogTest, RejectsEntriesOverriddenByOtherFiles) {
  UserCatalog(file()).add(image("mine"), loaded());
  const auto with_entry = [&](const fs::path& path) {
    fs::copy_file(file(), path);
    return path;
  };
  const fs::path later = with_entry(file().parent_path() / "zebra.json");
  const fs::path elsewhere = with_entry(directory_ / "team.json");
  const fs::path earlier = with_entry(file().parent_path() / "ape.json");
  ASSERT_TRUE(UserCatalog(file()).remove("mine"));
  NewEnvironment wanted = image("mine");
  wanted.replace = true;
  expect_refused(wanted, ErrorCode::failed, later.string(), loaded({later}));
  expect_refused(wanted, ErrorCode::failed, elsewhere.string(), loaded({elsewhere}));
  const Catalog with_earlier = Catalog::load(std::vector{earlier, file()});
  EXPECT_NO_THROW(UserCatalog(file()).add(wanted, with_earlier));
}

TEST_F(UserCatalogTest, RejectsInstallDirectoryOfAnotherEntry) {
  expect_refused(image("debian_12"), ErrorCode::failed, "debian:12", loaded());
  EXPECT_FALSE(fs::exists(file()));
  // What comes back when this one goes must not be in the way of that one.
  NewEnvironment debian = image("debian:12");
  debian.replace = true;
  debian.version = "9";
  UserCatalog(file()).add(debian, loaded());
  UserCatalog(file()).add(image("debian_12"), loaded());
  const std::string before = text();
  EXPECT_NE(refusal([&] { UserCatalog(file()).remove("debian:12"); }).text.find("debian_12"),
            std::string::npos);
  EXPECT_EQ(text(), before);
}

TEST_F(UserCatalogTest, RejectsInvalidEntries) {
  for (const char* name : {"", "Tool", "../x", "a:b:c", "a b", "-a", "a\n"}) {
    expect_refused(image(name), ErrorCode::usage, "is not a name", loaded());
  }
  NewEnvironment wanted = image("tool:1");
  wanted.version = "../1";
  expect_refused(wanted, ErrorCode::usage, "is not a version", loaded());
  expect_refused(image(std::string(300, 'a')), ErrorCode::usage, "too long", loaded());
  NewEnvironment archive{.name = "a", .source = {.source_url = "http://far.example/a.tar"}};
  expect_refused(archive, ErrorCode::usage, "source_sha256", loaded());
  EXPECT_FALSE(fs::exists(directory_ / "pyro")) << "nothing is made for what will not be";
}

TEST_F(UserCatalogTest, FileWithSecretsIsReadableByOwnerOnly) {
  const UserCatalog catalog(file());
  catalog.add(image("tool:1"), loaded());
  catalog.add({.name = "a", .source = {.source_url = "https://robin:secret@r.example/a.tar"}},
              loaded());
  EXPECT_EQ(fs::status(file()).permissions(), fs::perms(0600));
  catalog.add(image("tool:2"), loaded());
  EXPECT_EQ(fs::status(file()).permissions(), fs::perms(0600)) << "it is still in there";
}

TEST_F(UserCatalogTest, WritesThroughSymlink) {
  fs::create_directories(file().parent_path());
  fs::create_directories(directory_ / "dotfiles");
  std::ofstream(directory_ / "dotfiles/mine.json")
      << R"({"catalog_version": "1", "environments": []})";
  fs::create_symlink(directory_ / "dotfiles/mine.json", file());
  UserCatalog(file()).add(image("tool:1"), loaded());
  EXPECT_TRUE(fs::is_symlink(file()));
  EXPECT_NE(loaded().find("tool:1"), nullptr);
}

TEST_F(UserCatalogTest, KeepsInvalidFilesUnchanged) {
  for (const char* content : {"", "{", "[]", R"({"catalog_version": "1"})",
                              R"({"catalog_version": "1", "environments": [], "mine": 1})",
                              R"({"catalog_version": "1", "environments": [{"name": "x"}]})"}) {
    write(content);
    expect_refused(image("tool:1"), ErrorCode::failed, file().string(), Catalog::built_in());
    EXPECT_EQ(refusal([&] { UserCatalog(file()).remove("tool:1"); }).code, ErrorCode::failed);
    EXPECT_EQ(text(), content);
  }
  fs::remove(file());
  fs::create_directory(file());
  EXPECT_EQ(refusal([&] { UserCatalog(file()).add(image("x"), Catalog::built_in()); }).code,
            ErrorCode::filesystem);
  fs::remove(file());
  fs::create_symlink("nowhere", file());
  EXPECT_EQ(refusal([&] { UserCatalog(file()).add(image("x"), Catalog::built_in()); }).code,
            ErrorCode::filesystem);
}

TEST_F(UserCatalogTest, ConcurrentAddsLoseNothing) {
  constexpr int kThreads = 8;
  constexpr int kEach = 5;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          const std::string name = "t" + std::to_string(thread) + ":" + std::to_string(i);
          UserCatalog(file()).add(image(name), Catalog::built_in());
        }
      });
    }
  }
  EXPECT_EQ(loaded().environments().size(), 3U + kThreads * kEach);
}

TEST_F(UserCatalogTest, StopRequestEndsWaitForLock) {
  write(R"({"catalog_version": "1", "environments": []})");
  const fs::path lock = file().parent_path() / ".user.json.lock";
  const Fd held = open_at(AT_FDCWD, lock.string(), O_RDWR | O_CREAT, 0600, lock);
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(refusal([&] {
              UserCatalog(file()).add(image("x"), Catalog::built_in(), stop.get_token());
            }).code,
            ErrorCode::interrupted);
}

}  // namespace
}  // namespace pyro

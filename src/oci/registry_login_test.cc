// Credentials written to files and helpers, and removed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/files.h"
#include "oci/credentials.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const Credentials kRobin{"robin", "p:w"};  // "cm9iaW46cDp3" in base64

class CredentialStoreTest : public ::testing::Test {
 protected:
  CredentialStoreTest() {
    std::string name = (fs::temp_directory_path() / "pyro-store-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    file_ = directory_ / "containers/auth.json";
    sources_ = {.files = {file_, directory_ / "other.json"}, .helper_directories = {directory_}};
  }
  ~CredentialStoreTest() override { fs::remove_all(directory_); }

  void write(const std::string& content) const {
    fs::create_directories(file_.parent_path());
    std::ofstream(file_) << content;
    fs::permissions(file_, fs::perms(0600));
  }

  /// A helper that stores its input in the file "kept" and its commands in the file "asked".
  void write_helper() const {
    const std::string kept = (directory_ / "kept").string();
    std::ofstream(directory_ / "docker-credential-mine")
        << "#!/bin/sh\necho $1 >> " << directory_ / "asked"
        << "\ncase $1 in store) cat > " << kept << ";; get) cat " << kept
        << " || { echo credentials not found in native keychain; exit 1; }"
        << ";; erase) rm " << kept << ";; esac\n";
    fs::permissions(directory_ / "docker-credential-mine", fs::perms(0700));
  }

  static std::string read(const fs::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  [[nodiscard]] Json content() const { return Json::parse(read(file_)); }

  static mode_t mode_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(file_.parent_path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  std::string keep_error(const std::string& registry = "r.example") {
    try {
      keep_credentials(sources_, registry, kRobin);
    } catch (const Error& error) {
      code_ = error.code();
      return error.what();
    }
    return "no error";
  }

  fs::path directory_;
  fs::path file_;
  CredentialSources sources_;
  ErrorCode code_ = ErrorCode::usage;
};

TEST_F(CredentialStoreTest, CreatesFileReadableByUserOnly) {
  EXPECT_FALSE(keep_credentials(sources_, "R.example:5000", kRobin).was_there);
  EXPECT_EQ(content(), Json::parse(R"({"auths": {"r.example:5000": {"auth": "cm9iaW46cDp3"}}})"));
  EXPECT_EQ(mode_of(file_), 0600U);
  EXPECT_EQ(mode_of(file_.parent_path()), 0700U);
  EXPECT_EQ(names(), std::vector<std::string>{"auth.json"});
  EXPECT_EQ(find_credentials(sources_, "r.example:5000", "").credentials->password, "p:w");
}

TEST_F(CredentialStoreTest, KeepsOtherContentOfFile) {
  const struct {
    const char* before;
    const char* registry;
    const char* after;
  } cases[] = {
      {R"({"z": [1, {"a": null}], "auths": {"s": {"x": 1}, "r": {"auth": "eDp5", "email": "e"}},
           "HttpHeaders": {"b": "c"}})",
       "r",
       R"({"z": [1, {"a": null}], "auths": {"s": {"x": 1}, "r": {"auth": "cm9iaW46cDp3"}},
           "HttpHeaders": {"b": "c"}})"},
      {R"({"auths": {"https://R/v1/": {}, "r/team": {"auth": "eDp5"}, "r:1": {}}})", "r",
       R"({"auths": {"r/team": {"auth": "eDp5"}, "r:1": {}, "r": {"auth": "cm9iaW46cDp3"}}})"},
      {R"({"auths": {"docker.io": {}, "index.docker.io": {}}})", "registry-1.docker.io",
       R"({"auths": {"https://index.docker.io/v1/": {"auth": "cm9iaW46cDp3"}}})"},
      {R"({"auths": null})", "r", R"({"auths": {"r": {"auth": "cm9iaW46cDp3"}}})"},
      {R"({"credHelpers": {"s": "gone"}})", "r",
       R"({"credHelpers": {"s": "gone"}, "auths": {"r": {"auth": "cm9iaW46cDp3"}}})"},
  };
  for (const auto& c : cases) {
    write(c.before);
    keep_credentials(sources_, c.registry, kRobin);
    EXPECT_EQ(content().dump(), Json::parse(c.after).dump()) << c.before;
    EXPECT_EQ(find_credentials(sources_, c.registry, "").credentials->username, "robin");
  }
}

TEST_F(CredentialStoreTest, ForgetsOneRegistry) {
  write(R"({"a": 1, "auths": {"R": {"auth": "eDp5"}, "https://r/": {}, "r/x": {}, "s": {}}})");
  EXPECT_TRUE(forget_credentials(sources_, "r").was_there);
  EXPECT_EQ(content(), Json::parse(R"({"a": 1, "auths": {"r/x": {}, "s": {}}})"));
  const auto time = fs::last_write_time(file_);
  EXPECT_FALSE(forget_credentials(sources_, "r").was_there);
  EXPECT_EQ(fs::last_write_time(file_), time) << "there was nothing to write";
}

TEST_F(CredentialStoreTest, ForgettingCreatesNoFile) {
  EXPECT_FALSE(forget_credentials(sources_, "r").was_there);
  EXPECT_FALSE(fs::exists(file_.parent_path()));
}

TEST_F(CredentialStoreTest, WritesThroughSymlink) {
  const fs::path target = directory_ / "dotfiles/auth.json";
  fs::create_directories(target.parent_path());
  fs::create_directories(file_.parent_path());
  fs::create_symlink("../dotfiles/auth.json", file_);
  for (int i = 0; i < 2; ++i) {  // it leads nowhere the first time
    keep_credentials(sources_, "r" + std::to_string(i), kRobin);
    EXPECT_TRUE(fs::is_symlink(file_));
    EXPECT_EQ(mode_of(target), 0600U);
    EXPECT_EQ(content()["auths"].size(), i + 1U);
  }
}

TEST_F(CredentialStoreTest, StoresInHelperNamedInFile) {
  write_helper();
  write(R"({"credHelpers": {"r": "mine"}, "auths": {"r": {"auth": "eDp5"}}})");
  EXPECT_EQ(keep_credentials(sources_, "r", kRobin).helper, "docker-credential-mine");
  EXPECT_EQ(content(), Json::parse(R"({"credHelpers": {"r": "mine"}, "auths": {"r": {}}})"));
  EXPECT_EQ(Json::parse(read(directory_ / "kept")),
            Json::parse(R"({"Secret": "p:w", "ServerURL": "r", "Username": "robin"})"));
  EXPECT_EQ(find_credentials(sources_, "r", "").credentials->password, "p:w");

  EXPECT_TRUE(forget_credentials(sources_, "r").was_there);
  EXPECT_FALSE(fs::exists(directory_ / "kept"));
  EXPECT_EQ(content(), Json::parse(R"({"credHelpers": {"r": "mine"}, "auths": {}})"));
  EXPECT_FALSE(forget_credentials(sources_, "r").was_there);
  EXPECT_EQ(read(directory_ / "asked"), "store\nget\nget\nerase\nget\n");
}

TEST_F(CredentialStoreTest, KeepsUnusableFileUnchanged) {
  const struct {
    const char* content;
    const char* error;
  } cases[] = {
      {"{",
       "cannot use the credentials in FILE: line 1, column 2: not valid JSON: unexpected end "
       "of input; expected string literal"},
      {"[]", "cannot use the credentials in FILE: it is not a JSON object"},
      {R"({"a": 1, "a": 2})", "cannot use the credentials in FILE: field 'a': given twice"},
      {R"({"credsStore": "gone"})",
       "cannot use the helper in FILE: it names the credential helper docker-credential-gone, "
       "which is not in "
       "PATH"},
      {R"({"credsStore": "../gone"})",
       "cannot use the helper in FILE: it names a credential helper that cannot be one: '../gone'"},
  };
  for (const auto& c : cases) {
    write(c.content);
    std::string error = keep_error();
    for (std::size_t at = 0; (at = error.find(file_.string())) != error.npos;) {
      error.replace(at, file_.string().size(), "FILE");
    }
    EXPECT_EQ(error, c.error);
    EXPECT_EQ(code_, ErrorCode::failed);
    EXPECT_EQ(read(file_), c.content);
    EXPECT_EQ(names(), std::vector<std::string>{"auth.json"});
  }
}

TEST_F(CredentialStoreTest, HelperFailureNamesFileAndChangesNothing) {
  const std::string before = R"({"credsStore": "mine", "auths": {"r.example": {}}})";
  write(before);
  std::ofstream(directory_ / "docker-credential-mine") << "#!/bin/sh\necho it is locked; exit 1\n";
  fs::permissions(directory_ / "docker-credential-mine", fs::perms(0700));
  EXPECT_EQ(keep_error(),
            "cannot use the helper in " + file_.string() +
                ": docker-credential-mine cannot store the credentials for r.example: "
                "it failed with code 1: it is locked");
  EXPECT_THROW(forget_credentials(sources_, "r.example"), Error);
  EXPECT_EQ(read(file_), before);
}

TEST_F(CredentialStoreTest, RejectsWorldWritableFile) {
  write("{}");
  fs::permissions(file_, fs::perms(0666));
  EXPECT_EQ(keep_error(),
            "cannot use the credentials in " + file_.string() + ": everybody may write it");
  EXPECT_EQ(read(file_), "{}");
}

TEST_F(CredentialStoreTest, RootKeepsOwnerOfFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "for root alone";
  constexpr uid_t kSomebody = 12345;
  write("{}");
  ASSERT_EQ(::chown(file_.c_str(), kSomebody, kSomebody), 0);
  keep_credentials(sources_, "r", kRobin);
  struct stat status {};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kSomebody);
  EXPECT_EQ(mode_of(file_), 0600U);
}

TEST_F(CredentialStoreTest, ConcurrentWritersLoseNothing) {
  constexpr int kWriters = 8;
  std::vector<std::jthread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] { keep_credentials(sources_, "r" + std::to_string(i), kRobin); });
  }
  writers.clear();
  EXPECT_EQ(content()["auths"].size(), 8U);
}

TEST_F(CredentialStoreTest, GivesUpOnLockAfterStopRequestOrTimeout) {
  write("{}");
  const fs::path lock = file_.parent_path() / ".auth.json.pyro-lock";
  const Fd held(::open(lock.c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  std::stop_source source;
  source.request_stop();
  sources_.stop = source.get_token();
  EXPECT_EQ(keep_error(), "interrupted");
  EXPECT_EQ(code_, ErrorCode::interrupted);
  sources_.stop = {};
  sources_.helper_timeout = std::chrono::milliseconds(-4900);
  EXPECT_EQ(keep_error(), "another process has locked " + file_.parent_path().string());
  EXPECT_EQ(code_, ErrorCode::busy);
  EXPECT_EQ(read(file_), "{}");
}

TEST_F(CredentialStoreTest, LockOnDirectoryDoesNotBlock) {
  write("{}");
  const Fd held(::open(file_.parent_path().c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  sources_.helper_timeout = std::chrono::milliseconds(-5000);
  keep_credentials(sources_, "r", kRobin);
  EXPECT_EQ(names(), std::vector<std::string>{"auth.json"});
}

TEST_F(CredentialStoreTest, FailsWithoutPlaceForCredentials) {
  sources_.files.clear();
  EXPECT_EQ(keep_error(), "there is no place for credentials: HOME is not set");
}

}  // namespace
}  // namespace pyro

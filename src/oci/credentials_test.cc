#include "oci/credentials.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    std::string name = (fs::temp_directory_path() / "pyro-credentials-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~CredentialsTest() override { fs::remove_all(directory_); }

  fs::path write(const std::string& content, const std::string& name = "config.json") {
    std::ofstream(directory_ / name) << content;
    return directory_ / name;
  }

  /// "user:password", "none", or the error.
  static std::string lookup(const std::vector<fs::path>& files, const std::string& registry) {
    try {
      const auto found = find_credentials(files, registry).credentials;
      return found ? found->username + ":" + found->password : "none";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      return error.what();
    }
  }

  fs::path directory_;
};

// base64 of "a:b", and of "user:p:w:" whose password has colons.
constexpr const char* kAuth = R"({"auth": "YTpi"})";
constexpr const char* kColons = R"({"auth": "dXNlcjpwOnc6"})";

TEST_F(CredentialsTest, BelongToExactlyOneHost) {
  const struct {
    std::string key;
    std::string registry;
    const char* found;
  } cases[] = {
      {"r.example", "r.example", "a:b"},
      {"R.Example", "r.eXample", "a:b"},
      {"r.example:5000", "r.example:5000", "a:b"},
      {"https://r.example", "r.example", "a:b"},
      {"https://r.example:5000/v2/", "r.example:5000", "a:b"},
      {"r.example", "r.example:5000", "none"},
      {"r.example:5000", "r.example", "none"},
      {"r.example/team", "r.example", "none"},
      {"http://r.example", "r.example", "none"},
      {"evil-r.example", "r.example", "none"},
      {"r.example.evil", "r.example", "none"},
      {"https://index.docker.io/v1/", "registry-1.docker.io", "a:b"},
      {"index.docker.io", "registry-1.docker.io", "a:b"},
      {"docker.io", "registry-1.docker.io", "a:b"},
      {"https://index.docker.io/v1/", "r.example", "none"},
      {"registry-1.docker.io", "docker.io", "none"},
  };
  for (const auto& c : cases) {
    const fs::path file = write("{\"auths\": {\"" + c.key + "\": " + kAuth + "}}");
    EXPECT_EQ(lookup({file}, c.registry), c.found) << c.key << " " << c.registry;
  }
}

TEST_F(CredentialsTest, ReadsEveryFormOfEntry) {
  const struct {
    std::string entry;
    const char* found;
  } cases[] = {
      {kColons, "user:p:w:"},
      {R"({"username": "u", "password": "p"})", "u:p"},
      {R"({"auth": "", "username": "u", "password": "p"})", "u:p"},
      {R"({})", "none"},
      {R"({"email": "x"})", "none"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(lookup({write("{\"auths\": {\"r\": " + c.entry + "}}")}, "r"), c.found) << c.entry;
  }
}

TEST_F(CredentialsTest, TheHostsOwnNameComesBeforeItsAliases) {
  const fs::path file = write(std::string(R"({"auths": {"docker.io": )") + kAuth +
                              R"(, "registry-1.docker.io": )" + kColons + "}}");
  EXPECT_EQ(lookup({file}, "registry-1.docker.io"), "user:p:w:");
}

TEST_F(CredentialsTest, TheFirstFileThatExistsCounts) {
  const fs::path missing = directory_ / "missing";
  const fs::path below_a_file = write("x", "file") / "config.json";
  const fs::path empty = write("{}", "empty");
  const fs::path full = write(std::string(R"({"auths": {"r": )") + kAuth + "}}", "full");
  EXPECT_EQ(lookup({missing, below_a_file, full}, "r"), "a:b");
  EXPECT_EQ(lookup({empty, full}, "r"), "none");
  EXPECT_EQ(find_credentials({missing, empty}, "r").file, empty);
  EXPECT_FALSE(find_credentials({missing}, "r").file);
}

TEST_F(CredentialsTest, NamesTheFileAndNoSecret) {
  const struct {
    std::string content;
    const char* reason;
  } cases[] = {
      {"{", ": line 1, column 2: not valid JSON: unexpected end of input; expected string literal"},
      {"",
       ": line 1, column 1: not valid JSON: unexpected end of input; expected '[', '{', or a "
       "literal"},
      {R"({"auths": {"r": {"auth": "hunter2)",
       ": line 1, column 34: not valid JSON: invalid string: missing closing quote"},
      {"[]", ": it is not a JSON object"},
      {R"({"auths": []})", ": \"auths\" is not an object"},
      {R"({"auths": {"r": 1}})", ": the entry \"r\" is not an object"},
      {R"({"auths": {"r": {"auth": "secret!"}}})",
       ": the entry \"r\" has an \"auth\" that is not user:password in base64"},
      {R"({"auths": {"r": {"auth": "YWI="}}})",
       ": the entry \"r\" has an \"auth\" that is not user:password in base64"},
      {std::string((1 << 20) + 1, ' '), ": it is larger than 1 MiB"},
  };
  for (const auto& c : cases) {
    const fs::path file = write(c.content);
    EXPECT_EQ(lookup({file}, "r"), "cannot use the credentials in " + file.string() + c.reason);
  }
}

TEST_F(CredentialsTest, OtherHostsEntriesMayBeBroken) {
  const fs::path file = write(std::string(R"({"auths": {"other": 1, "r": )") + kAuth + "}}");
  EXPECT_EQ(lookup({file}, "r"), "a:b");
}

TEST_F(CredentialsTest, IsNotHeldUpByWhatIsNoFile) {
  ASSERT_EQ(::mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(lookup({directory_ / "fifo"}, "r").ends_with("it is not a regular file"));
  EXPECT_TRUE(lookup({directory_}, "r").ends_with("it is not a regular file"));
}

TEST_F(CredentialsTest, BecomeAHeader) {
  EXPECT_EQ(basic_authorization({"user", "p:w:"}), "Basic dXNlcjpwOnc6");
}

}  // namespace
}  // namespace pyro

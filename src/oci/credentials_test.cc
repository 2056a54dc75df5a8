#include "oci/credentials.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "pyro/error.h"
#include "support/process.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    std::string name = (fs::temp_directory_path() / "pyro-credentials-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~CredentialsTest() override { fs::remove_all(directory_); }

  fs::path write(const std::string& content, const std::string& name = "config.json") {
    std::ofstream(directory_ / name) << content;
    fs::permissions(directory_ / name, fs::perms(0600));
    return directory_ / name;
  }

  /// Writes docker-credential-<name> into a directory of the search path.
  void write_helper(const std::string& name, const std::string& script) {
    const fs::path file = write("#!/bin/sh\n" + script + "\n", "docker-credential-" + name);
    fs::permissions(file, fs::perms(0700));
    sources_.helper_directories = {directory_ / "missing", directory_};
  }

  /// "user:password", "identity token", "none", or the error.
  std::string lookup(const std::vector<fs::path>& files, const std::string& registry,
                     const std::string& repository = "") {
    sources_.files = files;
    sources_.warn = [this](std::string_view text) { warnings_.emplace_back(text); };
    try {
      const CredentialLookup found = find_credentials(sources_, registry, repository);
      origin_ = found.origin;
      if (!found.credentials) return "none";
      if (!found.credentials->identity_token.empty()) return found.credentials->identity_token;
      return found.credentials->username + ":" + found.credentials->password;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      hint_ = error.hint();
      return error.what();
    }
  }

  fs::path directory_;
  CredentialSources sources_;
  std::string origin_;
  std::string hint_;
  std::vector<std::string> warnings_;
};

/// A zombie does not count as alive.
bool is_alive(pid_t process) {
  std::string line;
  std::getline(std::ifstream("/proc/" + std::to_string(process) + "/stat"), line);
  return !line.empty() && line.find(") Z ") == line.npos;
}

// base64 of "a:b", and of "user:p:w:" whose password has colons.
constexpr const char* kAuth = R"({"auth": "YTpi"})";
constexpr const char* kColons = R"({"auth": "dXNlcjpwOnc6"})";

TEST_F(CredentialsTest, MatchesExactHostAndPort) {
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
      {"http://r.example", "r.example", "a:b"},
      {"http://r.example:5000/v2/", "r.example:5000", "a:b"},
      {"ftp://r.example", "r.example", "none"},
      {"evil-r.example", "r.example", "none"},
      {"r.example.evil", "r.example", "none"},
      {"https://index.docker.io/v1/", "registry-1.docker.io", "a:b"},
      {"index.docker.io", "registry-1.docker.io", "a:b"},
      {"docker.io", "registry-1.docker.io", "a:b"},
      {"https://index.docker.io/v1/", "r.example", "none"},
      {"registry-1.docker.io", "docker.io", "a:b"},
      {"https://registry-1.docker.io/v2/", "index.docker.io", "a:b"},
  };
  for (const auto& c : cases) {
    const fs::path file = write("{\"auths\": {\"" + c.key + "\": " + kAuth + "}}");
    EXPECT_EQ(lookup({file}, c.registry), c.found) << c.key << " " << c.registry;
  }
}

TEST_F(CredentialsTest, ReadsAllEntryFormats) {
  const struct {
    std::string entry;
    const char* found;
  } cases[] = {
      {kColons, "user:p:w:"},
      {R"({"username": "u", "password": "p"})", "u:p"},
      {R"({"auth": "", "username": "u", "password": "p"})", "u:p"},
      {R"({"identitytoken": "T"})", "T"},
      {R"({"auth": "dXNlcjo=", "identitytoken": "T"})", "T"},
      {R"({})", "none"},
      {R"({"email": "x"})", "none"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(lookup({write("{\"auths\": {\"r\": " + c.entry + "}}")}, "r"), c.found) << c.entry;
  }
}

TEST_F(CredentialsTest, PrefersHostNameOverAliases) {
  const fs::path file = write(std::string(R"({"auths": {"docker.io": )") + kAuth +
                              R"(, "registry-1.docker.io": )" + kColons + "}}");
  EXPECT_EQ(lookup({file}, "registry-1.docker.io"), "user:p:w:");
}

TEST_F(CredentialsTest, UsesMostSpecificEntry) {
  const std::string file = R"({"auths": {
      "r": {"username": "host", "password": "p"},
      "https://r/v1/": {"username": "url", "password": "p"},
      "r/a": {"username": "a", "password": "p"},
      "r/a/b": {"username": "ab", "password": "p"},
      "r/a/b/c/d": {"username": "abcd", "password": "p"},
      "r/empty": {},
      "docker.io/team": {"username": "team", "password": "p"},
      "https://index.docker.io/v1/": {"username": "hub", "password": "p"}}})";
  const struct {
    const char* registry;
    const char* repository;
    const char* found;
  } cases[] = {
      {"r", "", "host:p"},
      {"r", "x", "host:p"},
      {"r", "a", "a:p"},
      {"r", "ab", "host:p"},
      {"r", "a/x", "a:p"},
      {"R", "a/b", "ab:p"},
      {"r", "a/b/c", "ab:p"},
      {"r", "a/b/c/d", "abcd:p"},
      {"r", "a/b/c/d/e", "abcd:p"},
      {"r", "empty", "host:p"},
      {"r", "empty/x", "host:p"},
      {"r:5000", "a", "none"},
      {"registry-1.docker.io", "team/env", "team:p"},
      {"registry-1.docker.io", "teams/env", "hub:p"},
  };
  const fs::path path = write(file);
  for (const auto& c : cases) {
    EXPECT_EQ(lookup({path}, c.registry, c.repository), c.found) << c.registry << c.repository;
  }
}

TEST_F(CredentialsTest, UsesFirstFileWithMatchingEntry) {
  const fs::path missing = directory_ / "missing";
  const fs::path below_a_file = write("x", "file") / "config.json";
  const fs::path empty = write("{}", "empty");
  const fs::path hollow = write(R"({"auths": {"r": {}}, "credsStore": ""})", "hollow");
  const fs::path full = write(std::string(R"({"auths": {"r": )") + kAuth + "}}", "full");
  const fs::path more = write(std::string(R"({"auths": {"r": )") + kColons + "}}", "more");
  EXPECT_EQ(lookup({missing, below_a_file, empty, hollow, full, more}, "r"), "a:b");
  EXPECT_EQ(origin_, full.string());
  EXPECT_EQ(lookup({more, full}, "r"), "user:p:w:");
  sources_.files = {missing, empty, hollow};
  EXPECT_EQ(find_credentials(sources_, "r", "").searched, (std::vector{empty, hollow}));
}

TEST_F(CredentialsTest, ReadsDockercfgFormat) {
  const fs::path file =
      write(R"({"https://r.example/v1/": {"auth": "YTpi", "email": "e"}})", ".dockercfg");
  EXPECT_EQ(lookup({file}, "r.example"), "a:b");
  EXPECT_EQ(lookup({file}, "s.example"), "none");
}

TEST_F(CredentialsTest, WarnsOfReadableFileAndRejectsWritableFile) {
  const fs::path file = write(std::string(R"({"auths": {"r": )") + kAuth + "}}");
  fs::permissions(file, fs::perms(0644));
  EXPECT_EQ(lookup({file}, "other"), "none");
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(lookup({file}, "r"), "a:b");
  EXPECT_EQ(warnings_, std::vector{"the credentials in " + file.string() +
                                   ": others may read it; chmod 600 it"});
  fs::permissions(file, fs::perms(0666));
  EXPECT_EQ(lookup({file}, "r"),
            "cannot use the credentials in " + file.string() + ": everybody may write it");
}

TEST_F(CredentialsTest, HelperNamedInFileIsRun) {
  write_helper("one", R"(read server; echo "{\"Username\": \"$1\", \"Secret\": \"$server\"}")");
  write_helper("none", "echo credentials not found in native keychain; exit 1");
  write_helper("hub", R"(read server
      case $server in docker.io) echo '{"Username": "hub", "Secret": "p:w"}';;
      *) echo credentials not found in native keychain; exit 1;; esac)");
  write_helper("token", R"(echo '{"ServerURL": "r", "Username": "<token>", "Secret": "T"}')");
  write_helper("hollow", R"(echo '{"Username": "", "Secret": ""}')");
  const struct {
    std::string content;
    const char* registry;
    const char* repository;
    const char* found;
  } cases[] = {
      {R"({"credsStore": "one"})", "r:5000", "", "get:r:5000"},
      {R"({"credsStore": "one"})", "R", "", "get:r"},
      {R"({"credsStore": "one"})", "registry-1.docker.io", "", "get:https://index.docker.io/v1/"},
      {R"({"credsStore": "hub"})", "registry-1.docker.io", "", "hub:p:w"},
      {R"({"credsStore": "none", "credHelpers": {"r": "one"}})", "r", "", "get:r"},
      {R"({"credsStore": "none", "credHelpers": {"https://R/v1/": "one"}})", "r", "", "get:r"},
      {R"({"credsStore": "none", "credHelpers": {"s": "one"}})", "r", "", "none"},
      {R"({"credHelpers": {"r": "one"}, "auths": {"r/x": {"auth": "YTpi"}}})", "r", "x", "get:r"},
      {R"({"credHelpers": {"r": "none"}, "auths": {"r": {"auth": "YTpi"}}})", "r", "", "none"},
      {R"({"credHelpers": {"r": "none"}, "credsStore": "one"})", "r", "", "none"},
      {R"({"credHelpers": {"r": "token"}})", "r", "", "T"},
      {R"({"credHelpers": {"r": "hollow"}})", "r", "", "none"},
      {R"({"credsStore": "one", "auths": {"r": {}}})", "r", "", "get:r"},
      {R"({"credsStore": "one", "auths": {"r": {"auth": "YTpi"}}})", "r", "", "get:r"},
      {R"({"credsStore": "none", "auths": {"r": {"auth": "YTpi"}}})", "r", "", "a:b"},
      {R"({"credsStore": "one", "auths": {"r/x": {"auth": "YTpi"}}})", "r", "x/y", "a:b"},
      {R"({"credsStore": "one", "auths": {"r/x": {"auth": "YTpi"}}})", "r", "y", "get:r"},
      {R"({"credsStore": null, "credHelpers": null, "auths": null})", "r", "", "none"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(lookup({write(c.content)}, c.registry, c.repository), c.found) << c.content;
  }
  const fs::path file = write(R"({"credsStore": "one"})");
  lookup({file}, "r");
  EXPECT_EQ(origin_, "docker-credential-one, as " + file.string() + " says");
}

TEST_F(CredentialsTest, HelperFailureNamesFileAndOmitsSecret) {
  const struct {
    const char* script;
    const char* cause;
  } cases[] = {
      {"echo no keyring; exit 3", "it failed with code 3: no keyring"},
      {"echo secret >&2; exit 1", "it failed with code 1"},
      {"echo '{\"Secret\": \"secret\"}'; exit 1", "it failed with code 1"},
      {"kill -9 $$", "it was killed by signal 9"},
      {"echo secret", "its answer is not JSON"},
      {"", "its answer is not JSON"},
      {"echo '{\"Username\": \"u\", \"Secret\": \"secret\"} more'", "its answer is not JSON"},
      {"echo '[\"secret\"]'", "its answer is not a JSON object"},
      {"echo '{\"Secret\": \"secret\"}'", "its answer has no Username"},
      {"echo '{\"Username\": \"secret\", \"Secret\": 1}'", "its answer has no Secret"},
      {"exec yes secret", "it said more than 65536 bytes"},
      {"while :; do echo secret; done & wait", "it said more than 65536 bytes"},
  };
  const fs::path file = write(R"({"credsStore": "bad"})");
  for (const auto& c : cases) {
    write_helper("bad", c.script);
    EXPECT_EQ(lookup({file}, "r"),
              "cannot use the credentials in " + file.string() +
                  ": docker-credential-bad cannot get the credentials for r: " + c.cause);
  }
}

TEST_F(CredentialsTest, HelperMissingOrInvalidFailsWithHint) {
  const struct {
    const char* name;
    const char* cause;
  } cases[] = {
      {R"("credsStore": "gone")",
       "it names the credential helper docker-credential-gone, which is not in PATH"},
      {R"("credsStore": "config")",
       "it names the credential helper docker-credential-config, which is not in PATH"},
      {R"("credsStore": "../../bin/sh")",
       "it names a credential helper that cannot be one: '../../bin/sh'"},
      {R"("credHelpers": {"r": ""})", "it names a credential helper that cannot be one: ''"},
      {R"("credHelpers": {"r": "-x"})", "it names a credential helper that cannot be one: '-x'"},
      {R"("credHelpers": {"r": 1})", R"("credHelpers" has no name for "r")"},
      {R"("credHelpers": [])", R"("credHelpers" is not an object)"},
      {R"("credsStore": [])", R"("credsStore" is not a name)"},
  };
  write("no program", "docker-credential-config");
  sources_.helper_directories = {directory_};
  for (const auto& c : cases) {
    const fs::path file = write(std::string("{") + c.name + "}");
    EXPECT_EQ(lookup({file}, "r"),
              "cannot use the credentials in " + file.string() + ": " + c.cause);
  }
  lookup({write(R"({"credsStore": "gone"})")}, "r");
  EXPECT_EQ(hint_, "install docker-credential-gone, or take \"gone\" out of that file");
}

TEST_F(CredentialsTest, HelperThatCannotBeExecutedFails) {
  const fs::path file = write(R"({"credsStore": "foreign"})");
  const fs::path helper = write("of no format", "docker-credential-foreign");
  fs::permissions(helper, fs::perms::owner_all);
  sources_.helper_directories = {directory_};
  // lookup() expects Error(failed).
  EXPECT_EQ(lookup({file}, "r"),
            "cannot use the credentials in " + file.string() +
                ": docker-credential-foreign cannot get the credentials for r: "
                "cannot start " +
                helper.string() + ": Exec format error");
}

TEST_F(CredentialsTest, HelperThatHangsTimesOut) {
  using namespace std::chrono_literals;
  write_helper("slow", "sleep 1000");
  sources_.helper_timeout = 500ms;
  const fs::path file = write(R"({"credsStore": "slow"})");
  EXPECT_EQ(
      lookup({file}, "r"),
      "cannot use the credentials in " + file.string() +
          ": docker-credential-slow cannot get the credentials for r: it did not answer within "
          "500 ms");
}

TEST_F(CredentialsTest, HelperAndItsChildrenEndOnStopRequest) {
  const fs::path pid = directory_ / "pid";
  write_helper("slow", "sleep 1000 & echo $! > " + pid.string() + "; wait");
  pid_t sleeper = 0;
  std::stop_source source;
  sources_.stop = source.get_token();
  sources_.files = {write(R"({"credsStore": "slow"})")};
  std::jthread user([&] {
    EXPECT_TRUE(testing::eventually([&] { return !!(std::ifstream(pid) >> sleeper); }));
    source.request_stop();
  });
  try {
    static_cast<void>(find_credentials(sources_, "r", ""));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::interrupted);
  }
  user.join();
  ASSERT_GT(sleeper, 1);
  EXPECT_TRUE(testing::eventually([&] { return !is_alive(sleeper); }));
}

TEST_F(CredentialsTest, HelperWithRunningChildrenIsNotWaitedFor) {
  const fs::path pid = directory_ / "pid";
  write_helper("daemon", "sleep 1000 & echo $! > " + pid.string() +
                             R"(; echo '{"Username": "u", "Secret": "p"}')");
  EXPECT_EQ(lookup({write(R"({"credsStore": "daemon"})")}, "r"), "u:p");
  pid_t sleeper = 0;
  std::ifstream(pid) >> sleeper;
  ASSERT_GT(sleeper, 1);
  EXPECT_TRUE(is_alive(sleeper));
  ::kill(sleeper, SIGKILL);
}

TEST_F(CredentialsTest, ErrorsNameFileAndOmitSecrets) {
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

TEST_F(CredentialsTest, IgnoresBrokenEntriesOfOtherHosts) {
  const fs::path file = write(std::string(R"({"auths": {"other": 1, "r": )") + kAuth + "}}");
  EXPECT_EQ(lookup({file}, "r"), "a:b");
}

TEST_F(CredentialsTest, RejectsPipeAndDirectoryWithoutBlocking) {
  ASSERT_EQ(::mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(lookup({directory_ / "fifo"}, "r").ends_with("it is not a regular file"));
  EXPECT_TRUE(lookup({directory_}, "r").ends_with("it is not a regular file"));
}

TEST_F(CredentialsTest, EncodesBasicAuthorization) {
  EXPECT_EQ(basic_authorization({"user", "p:w:"}), "Basic dXNlcjpwOnc6");
}

}  // namespace
}  // namespace pyro

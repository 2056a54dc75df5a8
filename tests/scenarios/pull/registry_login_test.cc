// Credentials of `pyro registry login`, of other tools, and of helpers.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>

#include "scenarios/hostile_harness.h"
#include "scenarios/private_mount.h"
#include "support/real_registry.h"
#include "support/skopeo.h"
#include "support/token_server.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Mode = AuthOptions::Mode;

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777U;
}

/// docker-credential-<name> in `directory`.
void write_helper(const fs::path& directory, const std::string& name, const std::string& script) {
  const fs::path file = directory / ("docker-credential-" + name);
  write_file(file, "#!/bin/sh\n" + script + "\n");
  fs::permissions(file, fs::perms(0755));
}

/// A helper that stores one login in `kept`.
std::string keeping_script(const fs::path& kept) {
  return "case $1 in store) cat > " + kept.string() + ";; get) cat " + kept.string() +
         " 2>/dev/null || { echo credentials not found in native keychain; exit 1; };; erase) rm " +
         kept.string() + ";; esac";
}

/// Text to type on a terminal after a prompt.
struct Line {
  const char* prompt;
  const char* typed;
};

// With Debian's docker-registry and skopeo.

class RealLoginTest : public PyroHarness {
 protected:
  RealLoginTest() {
    variables_["SSL_CERT_FILE"] = authority_.certificate_file().string();
    variables_["PATH"] = helpers().string() + ":/usr/bin:/bin";
  }

  void start(RealRegistryOptions options = {.auth = RealRegistryOptions::Auth::basic}) {
    registry_ = std::make_unique<RealRegistry>(authority_, options);
    push_image(
        image_of(sample()), registry_->host() + "/team/tool:1",
        {.user = "user", .password = "secret", .certificate_dir = authority_.certificate_dir()});
    use_catalog({oci_entry(registry_->host())});
  }

  void start_with_tokens(const TokenServerOptions& options) {
    tokens_ = std::make_unique<TokenServer>(authority_, options);
    start({.auth = RealRegistryOptions::Auth::bearer,
           .realm = tokens_->realm(),
           .token_certificates = tokens_->root_certificates()});
  }

  ProcessResult log_in(const std::string& password = "secret") const {
    Command made = command({"registry", "login", "-u", "user", "--password-stdin", host()});
    made.stdin_text = password + "\n";
    return run(made);
  }

  ProcessResult skopeo(std::vector<std::string> words, const std::string& stdin_text = "") const {
    words.insert(words.begin(), "skopeo");
    Command made{.argv = std::move(words), .stdin_text = stdin_text};
    made.env = {{"REGISTRY_AUTH_FILE", auth_file().string()},
                {"HOME", home().string()},
                {"XDG_RUNTIME_DIR", std::nullopt},
                {"_CONTAINERS_ROOTLESS_UID", "1"}};
    return run(made);
  }

  void expect_pull(int exit_code) const {
    const ProcessResult result = pyro({"env", "pull", "--force", "tool:1"});
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    expect_hides(result.err, {"secret", base64("user:secret")});
  }

  std::string host() const { return registry_->host(); }
  fs::path helpers() const { return dir_ / "helpers"; }
  fs::path auth_file() const { return home() / ".config/containers/auth.json"; }

  CertificateAuthority authority_{dir_ / "authority"};
  std::unique_ptr<TokenServer> tokens_;
  std::unique_ptr<RealRegistry> registry_;
};

TEST_F(RealLoginTest, SkopeoUsesLoginOfPyro) {
  start();
  expect_pull(4);
  const ProcessResult done = log_in();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out, "logged in to " + host() + "; kept in " + auth_file().string() + "\n");
  EXPECT_EQ(done.err, "");
  EXPECT_EQ(mode_of(auth_file()), 0600U);
  EXPECT_EQ(mode_of(auth_file().parent_path()), 0700U);

  EXPECT_EQ(skopeo({"login", "--get-login", host()}).out, "user\n");
  const ProcessResult seen = skopeo({"inspect", "--cert-dir", authority_.certificate_dir().string(),
                                     "docker://" + host() + "/team/tool:1"});
  EXPECT_EQ(seen.exit_code, 0) << seen.err;
  expect_pull(0);
  expect_installed(sample());

  const json out = pyro_json({"registry", "logout", host()});
  EXPECT_EQ(out["removed"], true);
  EXPECT_EQ(out["remaining"], nullptr);
  EXPECT_NE(skopeo({"login", "--get-login", host()}).exit_code, 0);
  expect_pull(4);
  EXPECT_EQ(pyro_json({"registry", "logout", host()})["removed"], false);
}

TEST_F(RealLoginTest, PyroUsesLoginOfSkopeo) {
  start();
  const ProcessResult done = skopeo({"login", "-u", "user", "--password-stdin", "--cert-dir",
                                     authority_.certificate_dir().string(), host()},
                                    "secret");
  ASSERT_EQ(done.exit_code, 0) << done.err;
  expect_pull(0);
  pyro_ok({"registry", "logout", host()});
  EXPECT_NE(skopeo({"login", "--get-login", host()}).exit_code, 0);
}

TEST_F(RealLoginTest, RejectsWrongPasswordAndKeepsOldFile) {
  start();
  write_secret(auth_file(), R"({"auths": {"other": {"auth": "eDp5"}}})");
  const auto before = snapshot(auth_file().parent_path());
  const ProcessResult result = log_in("wr0ng");
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.out, "");
  expect_says(result.err, {"cannot log in to " + host(), "refused the credentials", "401",
                           "check the user name and the password"});
  expect_hides(result.err, {"wr0ng", base64("user:wr0ng")});
  EXPECT_EQ(snapshot(auth_file().parent_path()), before);
}

TEST_F(RealLoginTest, TokenServerChecksPassword) {
  start_with_tokens({.anonymous_pull = false});
  EXPECT_EQ(log_in("wr0ng").exit_code, 4);
  EXPECT_FALSE(fs::exists(auth_file()));
  EXPECT_EQ(log_in().exit_code, 0);
  EXPECT_EQ(tokens_->requests().back().parameter("scope"), std::nullopt);
  expect_pull(0);
}

TEST_F(RealLoginTest, PullsWithIdentityToken) {
  start_with_tokens({.identity_token = "Identity+/=", .anonymous_pull = false});
  write_secret(auth_file(), json{{"auths", {{host(), {{"identitytoken", "Identity+/="}}}}}}.dump());
  expect_pull(0);
  const HttpRequest request = tokens_->requests().back();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.header("Authorization"), std::nullopt);
  EXPECT_EQ(request.target.find("Identity"), std::string::npos) << "URLs get into logs";

  write_secret(auth_file(), json{{"auths", {{host(), {{"identitytoken", "0ld"}}}}}}.dump());
  const ProcessResult result = pyro({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {"refused the credentials", auth_file().string()});
  expect_hides(result.err, {"0ld"});
}

TEST_F(RealLoginTest, TakesIdentityTokenFromHelper) {
  start_with_tokens({.identity_token = "Identity", .anonymous_pull = false});
  write_helper(helpers(), "mine", R"(echo '{"Username": "<token>", "Secret": "Identity"}')");
  write_secret(home() / ".docker/config.json", R"({"credsStore": "mine"})");
  expect_pull(0);
}

TEST_F(RealLoginTest, StoresLoginInHelper) {
  start();
  write_helper(helpers(), "mine", keeping_script(dir_ / "kept"));
  write_secret(auth_file(), json{{"credHelpers", {{host(), "mine"}}}}.dump());
  const ProcessResult done = log_in();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  expect_says(done.out, {"kept by docker-credential-mine, as " + auth_file().string() + " says"});
  EXPECT_EQ(read_file(auth_file()).find(base64("user:secret")), std::string::npos);
  EXPECT_EQ(json::parse(read_file(dir_ / "kept"))["Secret"], "secret");
  expect_pull(0);
  EXPECT_EQ(pyro_json({"registry", "logout", host()})["helper"], "docker-credential-mine");
  EXPECT_FALSE(fs::exists(dir_ / "kept"));
  expect_pull(4);
}

TEST_F(RealLoginTest, PromptsOnTerminalAndHidesPassword) {
  start();
  const fs::path keys = dir_ / "keys";
  run_checked({.argv = {"mkfifo", keys.string()}});
  Command made = command({"registry", "login", host()}, {{"TERM", "xterm"}});
  std::string line;
  for (const std::string& word : made.argv) line += "'" + word + "' ";
  made.argv = {"/bin/sh", "-c", "exec script -qefc \"$1\" /dev/null < " + keys.string(), "sh",
               line + "; echo then; stty -a"};
  BackgroundProcess login(made, dir_ / "screen");
  std::ofstream typing(keys);
  for (const Line& one : {Line{"Username: ", "user"}, Line{"Password: ", "secret"}}) {
    login.wait_until(one.prompt,
                     [&] { return login.output().find(one.prompt) != std::string::npos; });
    typing << one.typed << std::endl;
  }
  EXPECT_EQ(login.wait().exit_code, 0) << login.output();
  const std::string screen = login.output();
  expect_says(screen, {"Username: user", "logged in to " + host(), "then", " echo "});
  expect_hides(screen, {"secret"});
  expect_pull(0);
}

// With the fake registry.

class LoginTest : public HostileHarness {
 protected:
  LoginTest() {
    variables_["PATH"] = helpers().string() + ":/usr/bin:/bin";
    registry_->set_auth(auth(Mode::basic));
    offer(image_of(sample()));
    registry_->forget_requests();
  }

  Command login_command(std::vector<std::string> more = {},
                        const std::string& password = kPassword) const {
    std::vector<std::string> words = {"registry",         "login",          "--username", kUser,
                                      "--password-stdin", registry_->host()};
    words.insert(words.end(), more.begin(), more.end());
    Command made = command(words);
    made.stdin_text = password;
    return made;
  }

  ProcessResult login(std::vector<std::string> more = {},
                      const std::string& password = kPassword) const {
    return run(login_command(std::move(more), password));
  }

  fs::path helpers() const { return dir_ / "helpers"; }
  fs::path auth_file() const { return home() / ".config/containers/auth.json"; }
  fs::path docker_file() const { return home() / ".docker/config.json"; }
};

TEST_F(LoginTest, PrintsOneJsonDocument) {
  const ProcessResult done = login({"--json"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(parse_json(done.out), (json{{"registry", registry_->host()},
                                        {"file", auth_file().string()},
                                        {"helper", nullptr},
                                        {"username", kUser},
                                        {"checked", true}}));
  const ProcessResult refused = login({"--json"}, "wr0ng");
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_EQ(parse_json(refused.out)["error"]["code"], "network");
  expect_hides(refused.out + refused.err, {"wr0ng"});
}

TEST_F(LoginTest, StripsOneLineEndFromPassword) {
  for (const char* end : {"", "\n", "\r\n"}) {
    EXPECT_EQ(login({}, kPassword + std::string(end)).exit_code, 0);
  }
  EXPECT_EQ(login({}, kPassword + std::string("\n\n")).exit_code, 2);
  EXPECT_EQ(login({}, kPassword + std::string(" \n")).exit_code, 4);
}

struct Usage {
  const char* name;
  std::vector<std::string> words;
  const char* password;
  const char* says;
  const char* hint = "pyro registry login --help";

  friend void PrintTo(const Usage& self, std::ostream* out) { *out << self.name; }
};

class LoginUsageTest : public LoginTest, public ::testing::WithParamInterface<Usage> {};

TEST_P(LoginUsageTest, ExitsWithUsageErrorAndStoresNothing) {
  Command made = command({"registry", "login"});
  made.argv.insert(made.argv.end(), GetParam().words.begin(), GetParam().words.end());
  made.stdin_text = GetParam().password;
  const ProcessResult result = run(made);
  EXPECT_EQ(result.exit_code, 2);
  expect_says(result.err, {GetParam().says, GetParam().hint});
  EXPECT_FALSE(fs::exists(auth_file()));
}

INSTANTIATE_TEST_SUITE_P(
    Words, LoginUsageTest,
    ::testing::Values(
        Usage{"NoHost", {"-u", "a", "--password-stdin"}, "p", "needs a HOST"},
        Usage{"NoUser", {"r.example", "--password-stdin"}, "p", "needs --username NAME"},
        Usage{"NoPassword", {"r.example", "-u", "a"}, "p", "needs --password-stdin"},
        Usage{"EmptyPassword", {"r.example", "-u", "a", "--password-stdin"}, "\n", "is empty"},
        Usage{"EmptyUser", {"r.example", "-u", "", "--password-stdin"}, "p", "is empty"},
        Usage{"ColonInUser", {"r.example", "-u", "a:b", "--password-stdin"}, "p", "a colon"},
        Usage{
            "TwoLines", {"r.example", "-u", "a", "--password-stdin"}, "p\nq", "control character"},
        Usage{"PasswordAsAnOption",
              {"r.example", "-u", "a", "--password", "p"},
              "",
              "unknown option '--password'",
              "did you mean '--password-stdin'?"},
        Usage{"Url",
              {"https://r.example/", "-u", "a", "--password-stdin"},
              "p",
              "leave the https:// away"},
        Usage{
            "Namespace", {"r.example/team", "-u", "a", "--password-stdin"}, "p", "not a registry"},
        Usage{"EmptyHost", {"", "-u", "a", "--password-stdin"}, "p", "is not a registry"}),
    row_name);

TEST_F(LoginTest, SkipCheckSendsNoRequest) {
  const ProcessResult done = login({"--skip-check"}, "not checked");
  EXPECT_EQ(done.exit_code, 0) << done.err;
  expect_says(done.out, {"kept a login for " + registry_->host()});
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(LoginTest, WarnsWhenOpenRegistryChecksNoPassword) {
  registry_->set_auth(auth(Mode::open));
  const ProcessResult done = login();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  expect_says(done.err, {"warning", "the password was not checked"});
  EXPECT_FALSE(registry_->saw_authorization(Listener::registry));
}

TEST_F(LoginTest, SendsNoPasswordToUntrustedRealm) {
  AuthOptions options = auth(Mode::bearer);
  options.realm = registry_->token_realm("127.0.0.1");
  options.anonymous = false;
  registry_->set_auth(options);
  const ProcessResult refused = login();
  EXPECT_EQ(refused.exit_code, 4);
  expect_says(refused.err, {"127.0.0.1", "--trust-realm"});
  EXPECT_FALSE(registry_->saw_any_request(Listener::token));
  EXPECT_FALSE(fs::exists(auth_file()));
  EXPECT_EQ(login({"--trust-realm", "127.0.0.1"}).exit_code, 0);
  variables_["PYRO_TRUST_REALM"] = "127.0.0.1";
  EXPECT_EQ(login().exit_code, 0);
}

TEST_F(LoginTest, VeryVerboseLogsEveryRequest) {
  const ProcessResult told = login({"-vv"});
  expect_says(told.err, {"GET https://" + registry_->host() + "/v2/: 401"});
  expect_hides(told.err, secrets());
  EXPECT_EQ(login({"-v"}).err.find("GET "), std::string::npos);
}

TEST_F(LoginTest, SendsNoPasswordOverPlainHttp) {
  start_registry({.tls = false});
  registry_->set_auth(auth(Mode::basic));
  const ProcessResult refused = login();
  EXPECT_EQ(refused.exit_code, 4);
  expect_says(refused.err, {"plain http"});
  EXPECT_FALSE(registry_->saw_authorization(Listener::registry));
}

TEST_F(LoginTest, AppliesRegistriesConf) {
  const fs::path conf = home() / ".config/containers/registries.conf";
  const std::string table = "[[registry]]\nlocation = \"" + registry_->host() + "\"\n";
  write_file(conf, table + "insecure = true\n");
  variables_["SSL_CERT_FILE"] = std::nullopt;
  const ProcessResult insecure = login();
  EXPECT_EQ(insecure.exit_code, 0) << insecure.err;
  expect_says(insecure.out, {"logged in to " + registry_->host()});
  expect_says(insecure.err, {"warning: TLS verification is off for " + registry_->host()});
  fs::remove(auth_file());
  registry_->forget_requests();
  write_file(conf, table + "blocked = true\n");
  const ProcessResult blocked = login();
  EXPECT_EQ(blocked.exit_code, 4);
  expect_says(blocked.err,
              {"cannot log in to " + registry_->host(), "is blocked by", conf.string()});
  EXPECT_TRUE(registry_->requests().empty());
  EXPECT_FALSE(fs::exists(auth_file()));
}

TEST_F(LoginTest, RejectsWebPageAsRegistry) {
  registry_->set_auth(auth(Mode::open));
  registry_->add_rule({.kind = RequestKind::ping}, faults::html());
  const ProcessResult refused = login();
  EXPECT_EQ(refused.exit_code, 4);
  expect_says(refused.err, {"web page"});
  EXPECT_FALSE(fs::exists(auth_file()));
}

TEST_F(LoginTest, RetriesWhenRegistryIsBusy) {
  registry_->add_rule({.kind = RequestKind::ping, .last = 2}, faults::status(503));
  EXPECT_EQ(login().exit_code, 0);
}

TEST_F(LoginTest, InterruptedLoginKeepsOldFile) {
  write_secret(auth_file(), R"({"auths": {"other": {"auth": "eDp5"}}})");
  const auto before = snapshot(auth_file().parent_path());
  registry_->add_rule({.kind = RequestKind::ping, .refused = true},
                      {.delay = std::chrono::hours(1)});
  // Its standard input, with the password, comes from a file.
  write_secret(dir_ / "password", kPassword);
  Command made = login_command();
  made.argv.insert(made.argv.begin(),
                   {"/bin/sh", "-c", "exec \"$@\" < " + (dir_ / "password").string(), "sh"});
  const int connections = registry_->server(Listener::registry).connections();
  BackgroundProcess login(made, dir_ / "out");
  ASSERT_TRUE(eventually(
      [&] { return registry_->server(Listener::registry).connections() > connections; }));
  login.send_signal(SIGINT);
  EXPECT_EQ(login.wait().exit_code, 130) << login.output();
  EXPECT_EQ(snapshot(auth_file().parent_path()), before);
}

TEST_F(LoginTest, LogoutNamesRemainingCredentials) {
  ASSERT_EQ(login().exit_code, 0);
  log_in(registry_->host());
  const ProcessResult out = pyro_ok({"registry", "logout", registry_->host()});
  expect_says(out.out, {"logged out of " + registry_->host()});
  expect_says(out.err, {"warning", docker_file().string()});
  EXPECT_TRUE(fs::exists(docker_file()));
}

TEST_F(LoginTest, VariablesSelectCredentialFile) {
  const struct {
    Variables variables;
    fs::path file;
  } cases[] = {
      {{}, auth_file()},
      {{{"XDG_CONFIG_HOME", (dir_ / "config").string()}}, dir_ / "config/containers/auth.json"},
      {{{"XDG_RUNTIME_DIR", dir_.path().string()}}, dir_ / "containers/auth.json"},
      {{{"XDG_RUNTIME_DIR", (dir_ / "missing").string()}}, auth_file()},
      {{{"DOCKER_CONFIG", (dir_ / "docker").string()}}, dir_ / "docker/config.json"},
      {{{"DOCKER_CONFIG", (dir_ / "docker").string()},
        {"REGISTRY_AUTH_FILE", (dir_ / "a/b/auth").string()}},
       dir_ / "a/b/auth"},
  };
  for (const auto& c : cases) {
    Command made = login_command({"--json"});
    for (const auto& [name, value] : c.variables) made.env[name] = value;
    const ProcessResult done = run(made);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_EQ(parse_json(done.out)["file"], c.file.string());
    EXPECT_EQ(mode_of(c.file), 0600U);
    fs::remove(c.file);
  }
}

TEST_F(LoginTest, UsesLoginsOfOlderTools) {
  const json entry{{"auth", base64(std::string(kUser) + ":" + kPassword)}};
  const auto run_directory = PrivateMount::tmpfs("/run", "mode=0755");
  if (run_directory) {
    const fs::path podmans = "/run/containers/" + std::to_string(::getuid()) + "/auth.json";
    write_secret(podmans, json{{"auths", {{registry_->host(), entry}}}}.dump());
    pyro_ok({"env", "pull", "tool:1"});
    EXPECT_EQ(pyro({"env", "pull", "--force", "tool:1"}, {{"XDG_RUNTIME_DIR", "/none"}}).exit_code,
              4);
    EXPECT_EQ(parse_json(login({"--json"}).out)["file"], auth_file().string());
    fs::remove(podmans);
    fs::remove(auth_file());
  }
  write_secret(home() / ".dockercfg", json{{"https://" + registry_->host(), entry}}.dump());
  pyro_ok({"env", "pull", "--force", "tool:1"});
}

TEST_F(LoginTest, ReportsUnwritableCredentialFile) {
  write_file(home() / ".config/containers", "a file");
  const ProcessResult result = login();
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {(home() / ".config/containers").string(), "REGISTRY_AUTH_FILE"});
  expect_hides(result.err, secrets());
}

TEST_F(LoginTest, UsesMostSpecificCredentials) {
  const std::string host = registry_->host();
  const auto entry = [](const std::string& password) {
    return json{{"auth", base64(std::string(kUser) + ":" + password)}};
  };
  write_secret(auth_file(), json{{"auths",
                                  {{host, entry("wrong")},
                                   {host + "/team", entry("wrong")},
                                   {host + "/team/tool", entry(kPassword)},
                                   {host + "/team/tool/x", entry("wrong")}}}}
                                .dump());
  pyro_ok({"env", "pull", "tool:1"});
}

TEST_F(LoginTest, WarnsOfCredentialFileReadableByOthers) {
  ASSERT_EQ(login().exit_code, 0);
  fs::permissions(auth_file(), fs::perms(0644));
  const ProcessResult pull = pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(occurrences("others may read it", pull.err), 1U) << pull.err;
  expect_says(pull.err, {"pyro: warning: the credentials in " + auth_file().string()});
  ASSERT_EQ(login().exit_code, 0);
  EXPECT_EQ(mode_of(auth_file()), 0600U);
}

TEST_F(LoginTest, RejectsCredentialFileWritableByAll) {
  ASSERT_EQ(login().exit_code, 0);
  fs::permissions(auth_file(), fs::perms(0666));
  expect_refused(1, {auth_file().string(), "everybody may write it", "chmod 600"});
  EXPECT_EQ(login().exit_code, 1);
}

TEST_F(LoginTest, ReportsUnreadableCredentialFile) {
  fs::create_directories(auth_file().parent_path());
  fs::create_symlink("auth.json", auth_file());
  expect_refused(1, {auth_file().string(), "symbolic links"});
}

struct BadHelper {
  const char* name;
  const char* script;  ///< Null: there is no such program.
  const char* says;

  friend void PrintTo(const BadHelper& self, std::ostream* out) { *out << self.name; }
};

class BadHelperTest : public LoginTest, public ::testing::WithParamInterface<BadHelper> {};

TEST_P(BadHelperTest, ErrorNamesHelperAndFileAndNoSecret) {
  if (GetParam().script != nullptr) write_helper(helpers(), "bad", GetParam().script);
  write_secret(docker_file(), R"({"credsStore": "bad"})");
  expect_refused(1, {"cannot install tool:1", docker_file().string(), "docker-credential-bad",
                     GetParam().says});
}

INSTANTIATE_TEST_SUITE_P(
    Helpers, BadHelperTest,
    ::testing::Values(
        BadHelper{"Missing", nullptr, "which is not in PATH"},
        BadHelper{"Fails", "echo the keyring is locked; exit 2", "code 2: the keyring is locked"},
        BadHelper{"FailsWithASecret", "echo '{\"Secret\": \"top-secret\"}'; exit 1", "code 1"},
        BadHelper{"Crashes", "kill -SEGV $$", "signal 11"},
        BadHelper{"PrintsGarbage", "printf '\\033[31mtop-secret\\000'", "not JSON"},
        BadHelper{"PrintsNothing", "exit 0", "not JSON"},
        BadHelper{"PrintsOtherFields", "echo '{\"password\": \"top-secret\"}'", "no Username"},
        BadHelper{"Floods", "exec head -c 1000000 /dev/zero", "more than 65536 bytes"}),
    row_name);

TEST_F(LoginTest, RejectsHelperNameWithPath) {
  write_helper(dir_.path(), "bad", "touch " + (dir_ / "ran").string());
  fs::create_directories(helpers() / "docker-credential-x");
  write_secret(docker_file(), R"({"credsStore": "x/../../docker-credential-bad"})");
  expect_refused(1, {docker_file().string(), "cannot be one"});
  EXPECT_FALSE(fs::exists(dir_ / "ran"));
}

TEST_F(LoginTest, InterruptEndsHangingHelper) {
  const fs::path pid = dir_ / "pid";
  write_helper(helpers(), "slow", "echo $$ > " + pid.string() + "; sleep 1000 & wait");
  write_secret(docker_file(), R"({"credsStore": "slow"})");
  BackgroundProcess pull(command({"env", "pull", "tool:1"}), dir_ / "out");
  ASSERT_TRUE(eventually([&] { return fs::exists(pid) && !read_file(pid).empty(); }));
  pull.send_signal(SIGINT);
  EXPECT_EQ(pull.wait().exit_code, 130) << pull.output();
  const pid_t group = std::stoi(read_file(pid));
  EXPECT_TRUE(eventually([&] { return ::kill(-group, 0) != 0; })) << "with all it started";
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(LoginTest, OpenRegistryRunsNoHelper) {
  registry_->set_auth(auth(Mode::open));
  write_helper(helpers(), "bad", "touch " + (dir_ / "ran").string() + "; exit 1");
  write_secret(docker_file(), R"({"credsStore": "bad"})");
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_FALSE(fs::exists(dir_ / "ran"));
}

}  // namespace
}  // namespace pyro::testing

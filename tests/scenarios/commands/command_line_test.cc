// The command line: arguments, output and exit codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "scenarios/registry_harness.h"
#include "scenarios/transcript.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

class CommandLineTest : public RegistryHarness {
 protected:
  Transcript transcript() const {
    Transcript made;
    made.replace(home().string(), "/home/robin");
    made.replace(dir_.path().string(), "/work");
    made.replace(registry_->host(), "localhost:5000");
    return made;
  }

  void expect_transcript(const std::string& name, const std::vector<Words>& commands) const {
    Transcript made = transcript();
    for (const Words& words : commands) made.add(words, pyro(words));
    made.expect_matches(name);
  }

  /// Two environments of one image with fixed bytes: its digest is in the snapshots.
  void offer_two() const {
    registry_->put(kRepository, "1", image());
    json pinned = oci_entry(registry_->host(), kRepository, "1", "tool:2");
    pinned["oci_digest"] = image().digest();
    pinned["description"] = "Another tool, pinned.";
    json future = oci_entry(registry_->host(), kRepository, "1", "tool:9");
    future["compatibility"] = ">=9.0.0";
    use_catalog({oci_entry(registry_->host()), pinned, future});
  }

  static Image image() { return ImageBuilder().layer(tar_of(sample()), Compression::none).build(); }

  /// With a terminal for standard output and error.
  ProcessResult on_terminal(const Words& words, const Variables& variables = {}) const {
    Command made = command(words, variables);
    std::string line;
    for (const std::string& word : made.argv) line += "'" + word + "' ";
    made.argv = {"script", "-qefc", line, "/dev/null"};
    made.env.emplace("TERM", "xterm");
    return run(made);
  }

  /// Through a shell that first changes its descriptors or limits.
  ProcessResult through_shell(const std::string& script, const Words& words) const {
    Command made = command(words);
    made.argv = joined({"/bin/sh", "-c", script, "sh"}, made.argv);
    return run(made);
  }
};

// Snapshots.

TEST_F(CommandLineTest, HelpMatchesSnapshot) {
  expect_transcript("help", {{},
                             {"--help"},
                             {"env"},
                             {"env", "list", "--help"},
                             {"env", "inspect", "-h"},
                             {"env", "pull", "--help"},
                             {"env", "verify", "--help"},
                             {"env", "prune", "--help"},
                             {"env", "export", "--help"},
                             {"env", "import", "--help"},
                             {"registry", "login", "--help"},
                             {"registry", "logout", "--help"}});
}

TEST_F(CommandLineTest, UsageErrorsMatchSnapshot) {
  expect_transcript("usage_errors", {{"doctr"},
                                     {"env", "lst"},
                                     {"--nope"},
                                     {"env", "list", "--nope"},
                                     {"env", "list", "-x"},
                                     {"env", "list", "debian:12"},
                                     {"env", "list", "--json=yes"},
                                     {"env", "inspect"},
                                     {"env", "inspect", "debian:12", "debian:12-base"},
                                     {"env", "inspect", ""},
                                     {"env", "pull"},
                                     {"env", "pull", "--progress", "loud", "debian:12"},
                                     {"env", "pull", "--max-size", "-1", "debian:12"},
                                     {"env", "pull", "--max-size", "much", "debian:12"},
                                     {"env", "pull", "--lock-timeout", "soon", "debian:12"},
                                     {"env", "pull", "--trust-realm", "https://x/", "debian:12"},
                                     {"env", "pull", "--force", "--repair", "debian:12"},
                                     {"env", "pull", "debian:12", "--cache-dir"},
                                     {"env", "prune", "everything"}});
}

TEST_F(CommandLineTest, ListMatchesSnapshot) {
  expect_transcript("list_built_in", {{"env", "list"}, {"env", "list", "--installed"}});
  offer_two();
  pyro_ok({"env", "pull", "tool:1"});
  expect_transcript("list", {{"env", "list"}, {"env", "list", "--installed"}});
}

TEST_F(CommandLineTest, InspectMatchesSnapshot) {
  offer_two();
  pyro_ok({"env", "pull", "tool:1"});
  expect_transcript("inspect", {{"env", "inspect", "debian:12"},
                                {"env", "inspect", "tool:1"},
                                {"env", "inspect", "tool:2"},
                                {"env", "inspect", "tool:9"}});
}

TEST_F(CommandLineTest, PullMatchesSnapshot) {
  offer_two();
  expect_transcript("pull", {{"env", "pull", "tool:1"},
                             {"env", "pull", "tool:1"},
                             {"env", "pull", "tool:1", "tool:2"},
                             {"env", "pull", "-q", "tool:1", "--force"},
                             {"env", "pull", "--progress", "none", "tool:1", "--force"},
                             {"env", "pull", "--repair", "tool:1"}});
}

TEST_F(CommandLineTest, VerifyMatchesSnapshot) {
  offer_two();
  pyro_ok({"env", "pull", "tool:1", "tool:2"});
  fs::remove(install_dir("tool:2") / "vmlinux");
  expect_transcript(
      "verify", {{"env", "verify", "tool:1"}, {"env", "verify"}, {"env", "verify", "debian:12"}});
}

TEST_F(CommandLineTest, PruneMatchesSnapshot) {
  offer_two();
  pyro_ok({"env", "pull", "tool:1"});
  fs::create_directories(platform_dir() / "broken-1.0.0");
  write_file(platform_dir() / "theirs-1.0.0/environment.json",
             R"({"name": "theirs", "version": "1.0.0", "catalog_file": "/not/loaded.json"})");
  expect_transcript("prune", {{"env", "prune", "--dry-run"}, {"env", "prune"}, {"env", "prune"}});
}

TEST_F(CommandLineTest, ErrorsMatchSnapshot) {
  offer_two();
  registry_->put("team/broken", "1", ImageBuilder().layer("PK\x03\x04", Compression::none).build());
  write_catalog(dir_ / "bad.json", {{{"name", "bad"}}});
  write_file(dir_ / "nonsense.json", "{");
  write_catalog(dir_ / "broken.json",
                {oci_entry(registry_->host(), "team/broken", "1", "broken"),
                 oci_entry(registry_->host(), "team/none", "1", "none"), entry("sourceless")});
  expect_transcript("errors", {{"env", "inspect", "debain:12"},
                               {"env", "inspect", "a\x1b[31mb\nc"},
                               {"env", "pull", "tool:9"},
                               {"env", "list", "--catalog", "missing.json"},
                               {"env", "list", "--catalog", "bad.json"},
                               {"env", "list", "--catalog", "nonsense.json"},
                               {"env", "pull", "broken", "--catalog", "broken.json"},
                               {"env", "pull", "none", "--catalog", "broken.json"},
                               {"env", "pull", "sourceless", "--catalog", "broken.json"},
                               {"env", "list", "--cache-dir", "/dev/null"}});
}

TEST_F(CommandLineTest, VersionOptionPrintsVersion) {
  for (const Words& words :
       std::vector<Words>{{"--version"}, {"env", "--version"}, {"env", "list", "--version"}}) {
    const ProcessResult result = pyro_ok(words);
    EXPECT_TRUE(std::regex_match(result.out, std::regex(R"(pyro \d+\.\d+\.\d+\n)"))) << result.out;
    EXPECT_EQ(result.err, "");
  }
}

// Options and operands.

TEST_F(CommandLineTest, AcceptsGlobalOptionsAnywhere) {
  use_catalog({entry()});
  const std::string other = (dir_ / "other").string();
  for (const Words& words :
       std::vector<Words>{{"--cache-dir", other, "env", "inspect", "tool:1"},
                          {"env", "--cache-dir", other, "inspect", "tool:1"},
                          {"env", "inspect", "--cache-dir", other, "tool:1"},
                          {"env", "inspect", "tool:1", "--cache-dir", other},
                          {"env", "inspect", "tool:1", "--cache-dir=" + other},
                          {"env", "inspect", "--cache-dir=" + other + "/", "--", "tool:1"}}) {
    Words json_words = words;
    json_words.insert(std::find(json_words.begin(), json_words.end(), "inspect") + 1, "--json");
    const ProcessResult result = pyro_ok(json_words);
    EXPECT_EQ(parse_json(result.out)["cache_dir"], other);
  }
}

TEST_F(CommandLineTest, CatalogOptionTakesOneValue) {
  const std::string one = write_catalog(dir_ / "one.json", {entry("one")}).string();
  const std::string two = write_catalog(dir_ / "two.json", {entry("two")}).string();
  EXPECT_EQ(pyro_json({"env", "inspect", "--catalog", one, "one"})["name"], "one");
  EXPECT_EQ(pyro_json({"--catalog", one, "--catalog", two, "env", "inspect", "two"})["name"],
            "two");
  EXPECT_EQ(pyro_json({"--catalog", one, "env", "--catalog", two, "inspect", "one"})["name"],
            "one");
  EXPECT_EQ(pyro({"env", "pull", "--progress", "none", "one", "--catalog", one}).exit_code, 3);
  EXPECT_EQ(pyro({"env", "inspect", "--catalog", one, two}).exit_code, 2);
}

TEST_F(CommandLineTest, TakesOperandsVerbatim) {
  for (const std::string& name : Words{"[a,b]", "a,b", "env", "pull", "@file", "%s", "{}"}) {
    const ProcessResult result = pyro({"env", "inspect", name});
    EXPECT_EQ(result.exit_code, 3) << name;
    expect_says(result.err, {"unknown environment '" + name + "'"});
  }
  EXPECT_EQ(pyro({"env", "inspect", "--", "--json"}).exit_code, 3);
}

TEST_F(CommandLineTest, LaterCatalogsOverrideEarlierOnes) {
  const auto described = [&](const std::string& file, const std::string& text) {
    json made = entry();
    made["description"] = text;
    return write_catalog(file, {made}).string();
  };
  const auto description = [&](const Words& more, const Variables& variables) {
    return pyro_json(joined({"env", "inspect", "tool:1"}, more), 0, variables)["description"];
  };
  const fs::path user = home() / ".config/pyro/catalog.d";
  described(user / "1.json", "first");
  EXPECT_EQ(description({}, {}), "first");
  described(user / "2.json", "second");
  described(user / "not.txt", "never");
  described(user / ".3.json", "never");
  EXPECT_EQ(description({}, {}), "second");
  const std::string a = described(dir_ / "a.json", "a");
  const std::string b = described(dir_ / "b.json", "b");
  const std::string c = described(dir_ / "c.json", "c");
  EXPECT_EQ(description({}, {{"PYRO_CATALOG", a + "::" + b}}), "b");
  EXPECT_EQ(description({"--catalog", c}, {{"PYRO_CATALOG", a + ":" + b}}), "c");
  EXPECT_EQ(description({"--catalog", c, "--catalog", a}, {{"PYRO_CATALOG", b}}), "a");
  EXPECT_EQ(description({}, {{"XDG_CONFIG_HOME", std::nullopt}}), "second") << "~/.config";
}

TEST_F(CommandLineTest, SelectsCacheDirByOptionThenVariable) {
  const auto cache_dir = [&](const Words& more, const Variables& variables) {
    return pyro_json(joined({"env", "inspect", "debian:12"}, more), 0, variables)["cache_dir"]
        .get<std::string>();
  };
  const std::string tail = "/pyro-mcp/environments";
  const Variables none{{"XDG_CACHE_HOME", std::nullopt}};
  EXPECT_EQ(cache_dir({}, none), home().string() + "/.cache" + tail);
  EXPECT_EQ(cache_dir({}, {{"XDG_CACHE_HOME", "relative"}}), home().string() + "/.cache" + tail);
  EXPECT_EQ(cache_dir({}, {{"XDG_CACHE_HOME", "/xdg"}}), "/xdg" + tail);
  const Variables both{{"XDG_CACHE_HOME", "/xdg"}, {"PYRO_ENVIRONMENT_CACHE_DIR", "/own"}};
  EXPECT_EQ(cache_dir({}, both), "/own");
  EXPECT_EQ(cache_dir({"--cache-dir", "/given"}, both), "/given");
  EXPECT_EQ(cache_dir({"--cache-dir", "given/./here"}, both), (dir_ / "given/here").string());
  const ProcessResult homeless =
      pyro({"env", "list"}, {{"HOME", std::nullopt}, {"XDG_CACHE_HOME", std::nullopt}});
  EXPECT_EQ(homeless.exit_code, 1);
  expect_says(homeless.err, {"HOME is not set", "--cache-dir"});
}

TEST_F(CommandLineTest, VerboseNamesCacheCatalogsAndBundle) {
  use_catalog({entry()});
  const ProcessResult result = pyro_ok({"-v", "env", "list", "--runtime-dir", "/bundle"});
  expect_says(result.err, {cache().string(), catalog_file().string(), "/bundle"});
  EXPECT_EQ(result.out, pyro_ok({"env", "list"}).out);
}

// JSON.

TEST_F(CommandLineTest, FailuresPrintOneJsonDocument) {
  write_catalog(dir_ / "bad.json", {{{"name", "bad"}}});
  const struct {
    Words words;
    int exit_code;
    const char* code;
  } rows[] = {
      {{"doctr"}, 2, "usage"},
      {{"env", "inspect"}, 2, "usage"},
      {{"env", "list", "--nope"}, 2, "usage"},
      {{"env", "pull", "debian:12", "--progress", "loud"}, 2, "usage"},
      {{"env", "inspect", "debain:12"}, 3, "not_found"},
      {{"env", "pull", "debain:12"}, 3, "not_found"},
      {{"env", "verify", "debian:12"}, 3, "not_found"},
      {{"env", "list", "--catalog", "bad.json"}, 1, "failed"},
      {{"env", "list", "--catalog", "missing.json"}, 6, "filesystem"},
      {{"env", "prune", "--cache-dir", "/dev/null"}, 6, "filesystem"},
  };
  for (const auto& row : rows) {
    const json document = pyro_json(row.words, row.exit_code);
    ASSERT_EQ(document.size(), 1u) << document;
    ASSERT_EQ(document["error"].size(), 3u) << document;
    EXPECT_EQ(document["error"]["code"], row.code) << document;
    EXPECT_TRUE(document["error"]["message"].is_string());
    EXPECT_TRUE(document["error"]["hint"].is_string() || document["error"]["hint"].is_null());
  }
}

TEST_F(CommandLineTest, JsonOptionBeforeTheCommandIsAUsageErrorInJson) {
  const ProcessResult result = pyro({"--json", "env", "list"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(parse_json(result.out)["error"]["code"], "usage");
}

TEST_F(CommandLineTest, PrintsListAsJson) {
  const json list = pyro_json({"env", "list"});
  ASSERT_EQ(list["environments"].size(), 3u);
  EXPECT_EQ(list["catalog_version"], "4.5.0");
  EXPECT_EQ(list["environments"][0], pyro_json({"env", "inspect", "debian:12"}));
  const json installed = pyro_json({"env", "list", "--installed"});
  EXPECT_EQ(installed, (json{{"catalog_version", "4.5.0"}, {"environments", json::array()}}));
}

TEST_F(CommandLineTest, PrintsEmptyArrayWithNothingToVerify) {
  EXPECT_EQ(pyro_json({"env", "verify"}), json::array());
}

// Streams.

TEST_F(CommandLineTest, WritesDataToStdoutAndMessagesToStderr) {
  offer_two();
  const ProcessResult pulled = pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(pulled.out, install_dir().string() + "\n");
  EXPECT_NE(pulled.err, "");
  const ProcessResult quiet = pyro_ok({"env", "pull", "tool:1", "--force", "-q"});
  EXPECT_EQ(quiet.out, install_dir().string() + "\n");
  EXPECT_EQ(quiet.err, "");
}

TEST_F(CommandLineTest, ColoursOnTerminalOnlyAndNotWithNoColor) {
  if (!find_program("script")) GTEST_SKIP() << "needs script(1) for a terminal";
  expect_hides(pyro_ok({"env", "list"}, {{"TERM", "xterm"}}).out, {"\x1b"});
  expect_says(on_terminal({"env", "list"}).out, {"\x1b["});
  expect_hides(on_terminal({"env", "list"}, {{"NO_COLOR", "1"}}).out, {"\x1b"});
  expect_hides(on_terminal({"env", "list"}, {{"TERM", "dumb"}}).out, {"\x1b"});
}

TEST_F(CommandLineTest, DrawsBarOnTerminalUnlessPlain) {
  if (!find_program("script")) GTEST_SKIP() << "needs script(1) for a terminal";
  offer_two();
  registry_->add_rule({.kind = RequestKind::blob},
                      faults::slow(100'000, std::chrono::milliseconds(30)));
  const ProcessResult result = on_terminal({"env", "pull", "tool:1"}, {{"NO_COLOR", "1"}});
  EXPECT_EQ(result.exit_code, 0);
  expect_says(result.out, {"\r", "%", install_dir().string()});
  const std::string plain =
      on_terminal({"env", "pull", "tool:1", "--force", "--progress", "plain"}, {{"NO_COLOR", "1"}})
          .out;
  expect_hides(plain, {"\x1b"});
}

TEST_F(CommandLineTest, FailsWhenOutputDeviceIsFull) {
  for (const Words& words :
       std::vector<Words>{{"env", "list"}, {"env", "list", "--json"}, {"--version"}}) {
    const ProcessResult result = through_shell("exec \"$@\" >/dev/full", words);
    EXPECT_EQ(result.exit_code, 6);
    expect_says(result.err, {"pyro: error: cannot write the output", "No space left on device"});
    expect_hides(result.err, {"--cache-dir"});
  }
}

TEST_F(CommandLineTest, SucceedsWhenReaderClosesPipe) {
  const ProcessResult result =
      through_shell("(\"$@\"; echo $? >&2) | exec true", {"env", "list", "--json"});
  EXPECT_EQ(result.err, "0\n");
}

TEST_F(CommandLineTest, ClosedStreamsDoNotCorruptInstall) {
  offer_two();
  // Output to a closed stream is lost, which is a failure.
  const std::pair<const char*, int> rows[] = {
      {"exec \"$@\" >&-", 6}, {"exec \"$@\" 2>&-", 0}, {"exec \"$@\" <&- >&- 2>&-", 6}};
  for (const auto& [closed, code] : rows) {
    const ProcessResult result =
        through_shell(closed, {"env", "pull", "tool:1", "--force", "--progress", "json"});
    EXPECT_EQ(result.exit_code, code) << closed << result.err;
    expect_installed(sample());
    EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  }
}

TEST_F(CommandLineTest, BadCatalogErrorNamesFileEntryAndField) {
  const struct {
    const char* field;
    json value;
  } rows[] = {
      {"version", "../1"},
      {"version", ""},
      {"version", 1},
      {"source_profile", "../etc"},
      {"platform", "linux-aarch64"},
      {"oci_registry", "https://registry.example"},
      {"oci_repository", "../../x"},
      {"oci_reference", "a b"},
      {"oci_digest", "sha256:00"},
      {"source_sha256", "zz"},
      {"compatibility", "sometimes"},
      {"default_packages", "bash"},
      {"description", nullptr},
      {"nonsense", "x"},
  };
  for (const auto& row : rows) {
    json made = oci_entry("registry.example");
    made["source_url"] = "https://mirror.example/tool.tar";
    made[row.field] = row.value;
    const std::string file = write_catalog(dir_ / "bad.json", {made}).string();
    const ProcessResult result = pyro({"env", "list", "--catalog", file});
    EXPECT_EQ(result.exit_code, 1) << row.field << result.out;
    expect_says(result.err, {file, "tool:1", row.field});
  }
  for (const char* name : {"../x", "/etc", "A", "a/b", "a:b:c", "", ".."}) {
    const std::string file = write_catalog(dir_ / "bad.json", {entry(name)}).string();
    const ProcessResult result = pyro({"env", "list", "--catalog", file});
    EXPECT_EQ(result.exit_code, 1) << name;
    expect_says(result.err, {file, "environments[0]", "name"});
  }
  const std::string clash =
      write_catalog(dir_ / "bad.json", {entry("tool:1"), entry("tool_1")}).string();
  const ProcessResult result = pyro({"env", "list", "--catalog", clash});
  EXPECT_EQ(result.exit_code, 1);
  expect_says(result.err, {"tool:1", "tool_1"});
}

}  // namespace
}  // namespace pyro::testing

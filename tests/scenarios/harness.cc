// The executable, run as a user would, in a home directory of its own.
#include "scenarios/harness.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "support/artifacts.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Limits of every command. Sanitizers need many times more.
#ifdef PYRO_SANITIZED
constexpr long kMostMemoryKib = std::numeric_limits<long>::max();
#else
constexpr long kMostMemoryKib = 64 * 1024;
#endif

// Overrides the executable of this build: an installed one, or one without a guard.
std::string executable() {
  const char* const other = std::getenv("PYRO_TEST_EXECUTABLE");
  return other == nullptr ? PYRO_EXECUTABLE : other;
}

std::string install_name(const std::string& name, const std::string& version) {
  std::string folder = name;
  std::replace(folder.begin(), folder.end(), ':', '_');
  return folder + "-" + version;
}

}  // namespace

Artifacts other_artifacts(std::uint64_t seed) {
  Artifacts made{.kernel = kernel_with(noise(24 * 1024, seed)),
                 .rootfs = std::string(2 * kMiB + 1000, '\0')};
  const std::string data = noise(300 * 1024, seed + 1000);
  const auto put = [&](std::size_t offset, std::size_t size) {
    std::copy_n(data.begin(), size, made.rootfs.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  put(1024, 100 * 1024);
  put(kMiB - 100, 300 * 1024);
  put(2 * kMiB, 10);
  made.rootfs = file_system_with(std::move(made.rootfs));
  return made;
}

const Artifacts& sample() {
  static const Artifacts artifacts = other_artifacts(1);
  return artifacts;
}

std::string tar_of(const Artifacts& artifacts, const std::string& folder) {
  return TarBuilder()
      .file(folder + "vmlinux", artifacts.kernel)
      .file(folder + "rootfs.ext4", artifacts.rootfs)
      .finish();
}

Image image_of(const Artifacts& artifacts) {
  const auto build = [](const Artifacts& files) {
    return ImageBuilder().layer(tar_of(files)).build();
  };
  static const Image of_sample = build(sample());  // most tests want it
  return &artifacts == &sample() ? of_sample : build(artifacts);
}

json parse_json(const std::string& text) {
  json document = json::parse(text, nullptr, false);
  EXPECT_FALSE(document.is_discarded()) << "not one JSON document: " << text;
  return document;
}

void expect_says(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "missing: " << part << "\nin: " << text;
  }
}

void expect_hides(const std::string& text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets) {
    EXPECT_EQ(text.find(secret), std::string::npos) << "told: " << secret << "\nin: " << text;
  }
}

json entry(const std::string& name) {
  return {{"name", name},
          {"version", "1.0.0"},
          {"description", "A tool for tests."},
          {"default_packages", {"bash", "tool"}},
          {"distribution", "debian"},
          {"distribution_version", "12"},
          {"source_profile", "tool"}};
}

json oci_entry(const std::string& registry, const std::string& repository,
               const std::string& reference, const std::string& name) {
  json made = entry(name);
  made["oci_registry"] = registry;
  made["oci_repository"] = repository;
  made["oci_reference"] = reference;
  return made;
}

json archive_entry(const std::string& source_url, const std::string& name) {
  json made = entry(name);
  made["source_url"] = source_url;
  return made;
}

fs::path write_catalog(const fs::path& file, const std::vector<json>& entries) {
  write_file(file, json{{"catalog_version", "1"}, {"environments", entries}}.dump(2));
  return file;
}

json reference_record(const std::string& name, const std::string& version,
                      const std::string& source, const json& source_digest) {
  return {{"catalog_version", "4.5.0"},
          {"name", name},
          {"version", version},
          {"source", source},
          {"source_digest", source_digest},
          {"installed_at", 1'700'000'000}};
}

std::string reference_json(const json& record) {
  return record.dump(2) + "\n";
}

void write_secret(const fs::path& file, std::string_view text) {
  write_file(file, text);
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
}

std::vector<std::string> without_partials(std::vector<std::string> lines) {
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("partial/"); });
  return lines;
}

std::vector<std::string> without_scaffolding(std::vector<std::string> lines) {
  std::erase_if(lines, [](const std::string& line) {
    const std::string name = line.substr(0, line.find(' '));
    return name == "locks" || name.starts_with("locks/") || name == "staging" ||
           name == "partial" || name == "linux-x86_64" || name == "containers" || name == "used" ||
           name.starts_with("used/");
  });
  return lines;
}

::testing::AssertionResult holds(const fs::path& file, std::string_view bytes) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    return ::testing::AssertionFailure() << file << " is not a regular file";
  }
  const std::string content = read_file(file);
  if (content == bytes) return ::testing::AssertionSuccess();
  const auto [there, wanted] =
      std::mismatch(content.begin(), content.end(), bytes.begin(), bytes.end());
  return ::testing::AssertionFailure()
         << file << " has " << content.size() << " bytes instead of " << bytes.size()
         << " or differs at " << there - content.begin();
}

PyroHarness::PyroHarness() {
  variables_["PYRO_RETRY_DELAY"] = "0.01";
  variables_["PYRO_KEEP_AFTER"] = "0";
  fs::create_directories(home());
}

Command PyroHarness::command(std::vector<std::string> words, const Variables& variables) const {
  Command made{.argv = {executable()}, .clean_env = true, .cwd = dir_.path()};
  made.argv.insert(made.argv.end(), words.begin(), words.end());
  made.env = {{"HOME", home().string()},
              {"XDG_CACHE_HOME", (home() / ".cache").string()},
              {"XDG_CONFIG_HOME", (home() / ".config").string()}};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) made.env[name] = value;
  }
  for (const auto& [name, value] : variables_) made.env[name] = value;
  for (const auto& [name, value] : variables) made.env[name] = value;
  return made;
}

ProcessResult PyroHarness::pyro(std::vector<std::string> words, const Variables& variables) const {
  ProcessResult result = run(command(std::move(words), variables));
  EXPECT_EQ(result.signal, 0);
  EXPECT_FALSE(result.timed_out);
  EXPECT_LE(result.max_rss_kib, kMostMemoryKib);
  return result;
}

ProcessResult PyroHarness::pyro_ok(std::vector<std::string> words,
                                   const Variables& variables) const {
  ProcessResult result = pyro(std::move(words), variables);
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  return result;
}

json PyroHarness::pyro_json(std::vector<std::string> words, int exit_code,
                            const Variables& variables) const {
  words.emplace_back("--json");
  const ProcessResult result = pyro(std::move(words), variables);
  EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
  return parse_json(result.out);
}

void PyroHarness::use_catalog(const std::vector<json>& entries) const {
  write_catalog(catalog_file(), entries);
}

fs::path PyroHarness::install_dir(const std::string& name, const std::string& version) const {
  return platform_dir() / install_name(name, version);
}

json PyroHarness::record(const std::string& name) const {
  return parse_json(read_file(install_dir(name) / "environment.json"));
}

fs::path PyroHarness::install_by_hand(const Artifacts& artifacts, const std::string& name,
                                      const std::string& version) const {
  const fs::path folder = install_dir(name, version);
  write_file(folder / "vmlinux", artifacts.kernel);
  write_file(folder / "rootfs.ext4", artifacts.rootfs);
  const std::string digest = "sha256:" + std::string(64, 'a');
  write_file(
      folder / "environment.json",
      reference_json(reference_record(name, version, "oci://r.example/tool@" + digest, digest)));
  return folder;
}

void PyroHarness::expect_installed(const Artifacts& artifacts, const std::string& name) const {
  EXPECT_TRUE(holds(install_dir(name) / "vmlinux", artifacts.kernel));
  EXPECT_TRUE(holds(install_dir(name) / "rootfs.ext4", artifacts.rootfs));
  const json status = pyro_json({"env", "inspect", name});
  EXPECT_EQ(status.value("installed", false), true) << status;
}

std::vector<std::string> PyroHarness::cache_state() const {
  return without_scaffolding(snapshot(cache()));
}

}  // namespace pyro::testing

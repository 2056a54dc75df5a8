// The executable, run as a user would, in a home directory of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/background_process.h"
#include "support/images.h"
#include "support/process.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro::testing {

/// The artifacts of a small environment.
struct Artifacts {
  std::string kernel;
  std::string rootfs;
};

/// A kernel of 24 KiB; a root file system of 2 MiB, most of it holes, that does not end at a block.
const Artifacts& sample();
/// Different content, same sizes.
Artifacts other_artifacts(std::uint64_t seed);

std::string tar_of(const Artifacts& artifacts, const std::string& folder = {});
/// One layer, tar+gzip.
Image image_of(const Artifacts& artifacts);

using Variables = std::map<std::string, std::optional<std::string>>;

/// Invalid JSON fails the test and returns a discarded value.
nlohmann::json parse_json(const std::string& text);

/// `text` must contain all parts, and none of the secrets.
void expect_says(const std::string& text, const std::vector<std::string>& parts);
void expect_hides(const std::string& text, const std::vector<std::string>& secrets);

/// A catalog entry with everything but a source.
nlohmann::json entry(const std::string& name = "tool:1");
nlohmann::json oci_entry(const std::string& registry, const std::string& repository = "team/tool",
                         const std::string& reference = "1", const std::string& name = "tool:1");
nlohmann::json archive_entry(const std::string& source_url, const std::string& name = "tool:1");

/// Writes a catalog file and returns its path.
std::filesystem::path write_catalog(const std::filesystem::path& file,
                                    const std::vector<nlohmann::json>& entries);

/// The reference's install record, and its text: json.dumps(indent=2, sort_keys=True) + "\n".
nlohmann::json reference_record(const std::string& name, const std::string& version,
                                const std::string& source, const nlohmann::json& source_digest);
std::string reference_json(const nlohmann::json& record);

/// write_file() with mode 0600, as logins write it.
void write_secret(const std::filesystem::path& file, std::string_view text);

/// Removes lines that are no part of a cache's state: lock files, marks of use, and the cache's own
/// folders. Entries in staging remain.
std::vector<std::string> without_scaffolding(std::vector<std::string> lines);

/// Removes partial downloads, which an interrupted pull keeps for the next one.
std::vector<std::string> without_partials(std::vector<std::string> lines);

/// Compares without printing megabytes on failure.
::testing::AssertionResult holds(const std::filesystem::path& file, std::string_view bytes);

/// Names a table's tests by its rows' names.
inline constexpr auto row_name = [](const auto& row) { return std::string(row.param.name); };

class PyroHarness : public ::testing::Test {
 protected:
  PyroHarness();

  /// Runs in an environment with HOME and the given variables only.
  Command command(std::vector<std::string> words, const Variables& variables = {}) const;
  ProcessResult pyro(std::vector<std::string> words, const Variables& variables = {}) const;
  /// Must exit with 0.
  ProcessResult pyro_ok(std::vector<std::string> words, const Variables& variables = {}) const;
  /// Returns standard output, which must be one JSON document.
  nlohmann::json pyro_json(std::vector<std::string> words, int exit_code = 0,
                           const Variables& variables = {}) const;

  /// Writes the user's catalog, which is found without an option.
  void use_catalog(const std::vector<nlohmann::json>& entries) const;
  std::filesystem::path catalog_file() const { return home() / ".config/pyro/catalog.d/test.json"; }

  std::filesystem::path home() const { return dir_ / "home"; }
  std::filesystem::path cache() const { return home() / ".cache/pyro-mcp/environments"; }
  std::filesystem::path platform_dir() const { return cache() / "linux-x86_64"; }
  std::filesystem::path install_dir(const std::string& name = "tool:1",
                                    const std::string& version = "1.0.0") const;
  nlohmann::json record(const std::string& name = "tool:1") const;

  /// An install as the reference would have left it.
  std::filesystem::path install_by_hand(const Artifacts& artifacts,
                                        const std::string& name = "tool:1",
                                        const std::string& version = "1.0.0") const;
  void expect_installed(const Artifacts& artifacts, const std::string& name = "tool:1") const;

  /// snapshot() of the cache without_scaffolding().
  std::vector<std::string> cache_state() const;

  TempDir dir_;
  /// Set for every command; variables given to one command override them.
  Variables variables_;
};

}  // namespace pyro::testing

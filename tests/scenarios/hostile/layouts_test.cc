// Damaged and hostile image layouts: each is refused, or imports exactly the exported artifacts.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "scenarios/hostile_harness.h"
#include "support/artifacts.h"
#include "support/hash.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class HostileLayouts : public HostileHarness {
 protected:
  HostileLayouts() {
    write_file(dir_ / "tool.tar", tar_of(small_));
    use_catalog({archive_entry((dir_ / "tool.tar").string())});
    pyro_ok({"env", "pull", "tool:1"});
    pyro_ok({"env", "export", "tool:1", "-o", file()});
    write_file(dir_ / "tool.tar", tar_of(sample()));
    pyro_ok({"env", "pull", "--force", "tool:1"});
  }

  std::string file() const { return (dir_ / "export.tar").string(); }
  std::string bad_file() const { return (dir_ / "bad.tar").string(); }

  /// Unpacks the export into layout_.
  void unpack() const {
    fs::create_directories(layout_);
    run_checked({.argv = {"tar", "-xf", file(), "-C", layout_.string()}});
  }
  void edit_index(const JsonEdit& edit) const {
    json index = parse_json(read_file(layout_ / "index.json"));
    edit(index);
    write_file(layout_ / "index.json", index.dump());
  }
  fs::path blob(const std::string& digest) const {
    return layout_ / "blobs/sha256" / digest.substr(7);
  }
  std::string manifest_digest() const {
    return parse_json(read_file(layout_ / "index.json"))["manifests"][0]["digest"];
  }
  std::string layer_digest() const {
    return parse_json(read_file(blob(manifest_digest())))["layers"][0]["digest"];
  }

  void expect_bad(const fs::path& layout, int exit_code, const std::vector<std::string>& says) {
    expect_refused(exit_code, says, {"env", "import", "-q", layout.string()});
    expect_installed(sample());
  }

  /// The import either fails and changes nothing, or installs the exported artifacts.
  void expect_refused_or_right(const std::string& bytes, std::size_t at) {
    write_file(bad_file(), bytes);
    const auto before = cache_state();
    const ProcessResult result = pyro({"env", "import", "-q", bad_file()});
    if (result.exit_code == 0) {
      expect_installed(small_);
      pyro_ok({"env", "pull", "--force", "-q", "tool:1"});
      return;
    }
    EXPECT_TRUE(result.exit_code == 5 || result.exit_code == 3 || result.exit_code == 1)
        << at << ": " << result.err;
    EXPECT_EQ(occurrences("pyro: error: ", result.err), 1U) << at << ": " << result.err;
    EXPECT_FALSE(std::ranges::any_of(result.err, is_control)) << at << ": " << result.err;
    EXPECT_EQ(cache_state(), before) << at;
  }

  const Artifacts small_{.kernel = kernel_with("k"), .rootfs = file_system_with(noise(5000, 7))};
  const fs::path layout_ = dir_ / "layout";
};

TEST_F(HostileLayouts, RejectsArchiveCutAnywhere) {
  const std::string whole = read_file(file());
  const std::size_t step = long_tests() ? 97 : whole.size() / 16;
  for (std::size_t size = 0; size < whole.size(); size += step) {
    write_file(bad_file(), whole.substr(0, size));
    expect_bad(bad_file(), 5, {bad_file() + " is " + (size == 0 ? "empty" : "cut short")});
  }
}

TEST_F(HostileLayouts, ChangedByteIsRejectedOrHarmless) {
  const std::string whole = read_file(file());
  const std::size_t step = long_tests() ? 13 : whole.size() / 36;
  for (std::size_t at = 0; at < whole.size(); at += step) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x21);
    expect_refused_or_right(changed, at);
  }
}

TEST_F(HostileLayouts, InsertedOrRemovedByteIsRejectedOrHarmless) {
  const std::string whole = read_file(file());
  for (std::size_t at = 3; at < whole.size(); at += whole.size() / 8) {
    expect_refused_or_right(whole.substr(0, at) + whole.substr(at + 1), at);
    expect_refused_or_right(whole.substr(0, at) + "x" + whole.substr(at), at);
  }
}

TEST_F(HostileLayouts, RejectsLayoutWithoutIndex) {
  unpack();
  fs::remove(layout_ / "index.json");
  expect_bad(layout_, 5, {"it has no index.json"});
}

TEST_F(HostileLayouts, RejectsIndexOf5MiB) {
  unpack();
  write_file(layout_ / "index.json", std::string(5U << 20, ' '));
  expect_bad(layout_, 5, {"index.json has 5242880 bytes; at most 4194304 are read"});
}

TEST_F(HostileLayouts, RejectsMalformedIndex) {
  unpack();
  for (const char* text :
       {"", "[]", "{", "{}", R"({"schemaVersion": 1})", R"({"schemaVersion": 2, "manifests": 7})",
        R"({"schemaVersion": 2, "manifests": [], "manifests": []})"}) {
    write_file(layout_ / "index.json", text);
    expect_bad(layout_, 5, {"cannot use the index of " + layout_.string()});
  }
}

TEST_F(HostileLayouts, RejectsInvalidDigestInIndex) {
  unpack();
  for (const char* digest :
       {"sha256:../../../etc/passwd", "sha512:aa", "md5:aa", "vmlinux", "", "sha256:AAAA"}) {
    edit_index([&](json& index) { index["manifests"][0]["digest"] = digest; });
    expect_bad(layout_, 5, {"digest"});
  }
}

TEST_F(HostileLayouts, RejectsMissingLongerAndChangedBlobs) {
  unpack();
  const fs::path layer = blob(layer_digest());
  const std::string bytes = read_file(layer);
  const std::string start = "cannot read the layer " + layer_digest();
  write_file(layer, bytes + "x");
  expect_bad(layout_, 5, {start, "bytes instead of"});
  write_file(layer, std::string(bytes.size(), 'x'));
  expect_bad(layout_, 5, {start, "its digest is"});
  fs::remove(layer);
  expect_bad(layout_, 5, {start, "it is not there"});
  fs::remove(blob(manifest_digest()));
  expect_bad(layout_, 5, {"cannot read the manifest " + manifest_digest(), "it is not there"});
}

TEST_F(HostileLayouts, RejectsBlobsThatAreNotRegularFiles) {
  unpack();
  const fs::path layer = blob(layer_digest());
  fs::rename(layer, dir_ / "elsewhere");
  fs::create_symlink(dir_ / "elsewhere", layer);
  expect_bad(layout_, 5, {"is not a regular file"});
  fs::remove(layer);
  ASSERT_EQ(::mkfifo(layer.c_str(), 0600), 0);
  expect_bad(layout_, 5, {"is not a regular file"});
  fs::remove(layer);
  fs::create_directory(layer);
  expect_bad(layout_, 5, {"is not a regular file"});
}

TEST_F(HostileLayouts, RejectsTwoImagesOfOneName) {
  unpack();
  edit_index([&](json& index) {
    json other = index["manifests"][0];
    other["digest"] = sha256_digest("another");
    index["manifests"].push_back(other);
  });
  expect_bad(layout_, 5, {"there is more than one image called 'tool:1'"});
}

TEST_F(HostileLayouts, RejectsIndexThatContradictsManifest) {
  unpack();
  edit_index([&](json& index) {
    index["manifests"][0]["annotations"]["io.pyro.environment.version"] = "2.0.0";
  });
  expect_bad(layout_, 5, {"the index calls it tool:1 2.0.0, but its manifest says tool:1 1.0.0"});
  json other = archive_entry("x.tar", "other:1");
  use_catalog({other, archive_entry((dir_ / "tool.tar").string())});
  edit_index([&](json& index) {
    index["manifests"][0]["annotations"] = {{"io.pyro.environment.name", "other:1"},
                                            {"io.pyro.environment.version", "1.0.0"}};
  });
  expect_bad(layout_, 5, {"the index calls it other:1 1.0.0, but its manifest says tool:1 1.0.0"});
}

TEST_F(HostileLayouts, RejectsAbsoluteAndParentMemberNames) {
  const std::string whole = read_file(file());
  for (const char* name : {"../../etc/passwd", "/etc/passwd", "blobs/../../x"}) {
    write_file(bad_file(), TarBuilder().file(name, "x").finish());
    expect_bad(bad_file(), 5, {"a member has"});
  }
}

// 78 MB of names, more than pyro's memory limit.
TEST_F(HostileLayouts, ImportsArchiveWithThousandsOfLongNames) {
  TarBuilder names;
  for (int i = 0; i < 1300; ++i) {
    names.gnu_long_name(std::to_string(i) + std::string(60'000, 'n')).file("x", "");
  }
  write_file(bad_file(), names.unfinished() + read_file(file()));
  pyro_ok({"env", "import", "-q", bad_file()});
  expect_installed(small_);
}

TEST_F(HostileLayouts, EscapesControlCharactersInNames) {
  unpack();
  edit_index([&](json& index) {
    index["manifests"][0]["annotations"] = {{"io.pyro.environment.name", "\x1b[31mred\n"},
                                            {"io.pyro.environment.version", "1"}};
  });
  expect_bad(layout_, 5, {"the index calls it \\x1b[31mred", "its manifest says tool:1"});
}

TEST_F(HostileLayouts, RejectsPathsThatAreNotLayouts) {
  fs::create_directory(layout_);
  expect_bad(layout_, 5, {"is not an image layout", "it has no oci-layout"});
  expect_bad(dir_ / "missing", 6, {"cannot open"});
  write_file(bad_file(), noise(2000, 1));
  expect_bad(bad_file(), 5, {"is not a tar archive"});
  write_file(bad_file(),
             compress(compress(read_file(file()), Compression::gzip), Compression::gzip));
  expect_bad(bad_file(), 5, {"is not a tar archive", "it is gzip data", "unpack it first"});
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  expect_bad(dir_ / "pipe", 6, {"is neither a directory nor a file"});
}

TEST_F(HostileLayouts, RejectsImageForAnotherPlatform) {
  unpack();
  edit_index([&](json& index) { index["manifests"][0]["platform"]["architecture"] = "arm64"; });
  expect_bad(layout_, 3, {"does not say which environments it has"});
}

}  // namespace
}  // namespace pyro::testing

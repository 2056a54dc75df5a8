// Tests of the choice of a base.
#include "store/base_kernel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using testing::write_file;

Environment environment(const std::string& name, EnvironmentKind kind) {
  Environment made;
  made.name = name;
  made.version = "1.0.0";
  made.kind = kind;
  return made;
}

class BasesTest : public ::testing::Test {
 protected:
  BasesTest() {
    nlohmann::json entries = nlohmann::json::array();
    for (const char* const name : {"first", "second", "third", "app"}) {
      nlohmann::json entry{{"name", name},          {"version", "1.0.0"},
                           {"description", ""},     {"default_packages", nlohmann::json::array()},
                           {"distribution", ""},    {"distribution_version", ""},
                           {"source_profile", name}};
      if (name == std::string("app")) entry["kind"] = "container";
      entries.push_back(entry);
    }
    write_file(dir_ / "catalog.json",
               nlohmann::json{{"catalog_version", "1"}, {"environments", entries}}.dump());
    const fs::path file = dir_ / "catalog.json";
    options_.catalog = Catalog::load({&file, 1});
    options_.cache_dir = dir_ / "cache";
    options_.extractor = dir_ / "prefix/bin/pyro";
  }

  void install(const std::string& name, int hours_ago, bool has_initrd = true) const {
    const CacheLayout layout(options_.cache_dir);
    const fs::path directory = layout.install_dir(options_.catalog.require(name));
    write_file(directory / "vmlinux", "kernel of " + name);
    write_file(directory / "rootfs.ext4", "root");
    if (has_initrd) write_file(directory / "initrd.img", "initrd");
    InstallRecord record{};
    record.name = name;
    record.version = "1.0.0";
    write_file(directory / kRecordName, record.render());
    write_file(layout.used_dir() / directory.filename(), "");
    fs::last_write_time(layout.used_dir() / directory.filename(),
                        fs::file_time_type::clock::now() - std::chrono::hours(hours_ago));
  }

  [[nodiscard]] fs::path kernel_dir() const { return dir_ / "prefix/lib/pyro/kernel"; }
  void install_kernel() const {
    write_file(kernel_dir() / "vmlinux", "kernel");
    write_file(kernel_dir() / "initrd.img", "initrd");
  }

  [[nodiscard]] Base choose(const std::optional<std::string>& asked = {}) const {
    const Stores stores(options_);
    return Bases(options_, stores).choose(app_, asked);
  }
  [[nodiscard]] ErrorCode refusal(const std::optional<std::string>& asked = {}) const {
    try {
      static_cast<void>(choose(asked));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::usage;
  }

  testing::TempDir dir_;
  StoreOptions options_;
  Environment app_ = environment("app", EnvironmentKind::container);
};

TEST_F(BasesTest, AskedForEntryOptionsDirectoryAndLastUsedInThisOrder) {
  EXPECT_THROW(static_cast<void>(choose()), NoKernel);
  install("first", 2);
  EXPECT_EQ(choose().name(), "first");
  install("second", 1);
  EXPECT_EQ(choose().name(), "second");
  install("third", 0, /*has_initrd=*/false);
  EXPECT_EQ(choose().name(), "second");
  install_kernel();
  EXPECT_EQ(choose().name(), kernel_dir());
  options_.base = "third";
  EXPECT_EQ(choose().name(), "third");
  app_.base = "first";
  EXPECT_EQ(choose().name(), "first");
  EXPECT_EQ(choose("second").name(), "second");
}

TEST_F(BasesTest, RejectsContainersAndUnknownNames) {
  EXPECT_EQ(refusal("app"), ErrorCode::failed);
  EXPECT_EQ(refusal("none"), ErrorCode::not_found);
}

TEST_F(BasesTest, DirectoryOpensItsFiles) {
  install_kernel();
  const Base base = choose();
  EXPECT_EQ(base.environment, nullptr);
  EXPECT_TRUE(base.kernel);
  EXPECT_TRUE(base.initrd);
  fs::remove(kernel_dir() / "initrd.img");
  EXPECT_FALSE(choose().initrd);
}

TEST_F(BasesTest, GivenDirectoryReplacesThatOfTheExecutable) {
  install_kernel();
  options_.kernel_dir = dir_ / "mine";
  EXPECT_THROW(static_cast<void>(choose()), NoKernel);
  write_file(dir_ / "mine/vmlinux", "kernel");
  EXPECT_EQ(choose().name(), dir_ / "mine");
}

TEST_F(BasesTest, ExecutableIsFoundThroughLinks) {
  install_kernel();
  write_file(dir_ / "prefix/bin/pyro", "program");
  fs::create_directory(dir_ / "elsewhere");
  fs::create_symlink(dir_ / "prefix/bin/pyro", dir_ / "elsewhere/pyro");
  options_.extractor = dir_ / "elsewhere/pyro";
  EXPECT_EQ(choose().name(), fs::canonical(kernel_dir()));
}

TEST_F(BasesTest, RefusesDirectoryAndFilesThatOthersMayWrite) {
  install_kernel();
  for (const fs::path& path :
       {kernel_dir(), kernel_dir() / "vmlinux", kernel_dir() / "initrd.img"}) {
    fs::permissions(path, fs::perms::others_write, fs::perm_options::add);
    EXPECT_EQ(refusal(), ErrorCode::filesystem) << path;
    fs::permissions(path, fs::perms::others_write, fs::perm_options::remove);
  }
  EXPECT_EQ(choose().name(), kernel_dir());
}

TEST_F(BasesTest, RefusesKernelThatIsNoFile) {
  fs::create_directories(kernel_dir() / "vmlinux");
  EXPECT_EQ(refusal(), ErrorCode::filesystem);
}

TEST_F(BasesTest, RecordOfDirectoryHasDigestsOfItsFiles) {
  install_kernel();
  const Stores stores(options_);
  const auto record = record_of_base(app_, options_, stores, {});
  ASSERT_TRUE(record);
  EXPECT_EQ(record->name, kernel_dir());
  EXPECT_EQ(record->digests.size(), 2U);
  InstallRecord install{};
  install.name = "app";
  install.version = "1.0.0";
  install.base = record;
  const auto read = InstallRecord::parse(install.render());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->base, record);
}

TEST_F(BasesTest, NothingIsRecordedOfBaseThatIsNotInstalled) {
  const Stores stores(options_);
  EXPECT_FALSE(record_of_base(app_, options_, stores, {}));
  options_.base = "first";
  EXPECT_FALSE(record_of_base(app_, options_, stores, {}));
}

}  // namespace
}  // namespace pyro

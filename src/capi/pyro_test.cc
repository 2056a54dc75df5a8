// Tests of the C API, called as C would.
#include "pyro/pyro.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/artifacts.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json take(char* document) {
  EXPECT_NE(document, nullptr);
  if (document == nullptr) return {};
  json parsed = json::parse(document);
  pyro_free(document);
  return parsed;
}

class CApi : public ::testing::Test {
 protected:
  CApi() {
    write_file(dir_ / "tool.tar", TarBuilder()
                                      .file("vmlinux", kernel_with("kernel"))
                                      .file("rootfs.ext4", file_system_with("rootfs"))
                                      .finish());
    const json entry{{"name", "tool:1"},         {"version", "1.0.0"},
                     {"description", "A tool"},  {"default_packages", json::array()},
                     {"distribution", "none"},   {"distribution_version", "0"},
                     {"source_profile", "tool"}, {"source_url", (dir_ / "tool.tar").string()}};
    write_file(dir_ / "catalog.json",
               json{{"catalog_version", "1"}, {"environments", {entry}}}.dump());
    store_ = open(options());
    operation_ = pyro_operation_new(&CApi::hear, this);
  }

  ~CApi() override {
    pyro_operation_free(operation_);
    pyro_store_close(store_);
  }

  json options() const {
    return {{"cache_dir", cache().string()},
            {"catalogs", {(dir_ / "catalog.json").string()}},
            {"extractor", PYRO_EXECUTABLE}};
  }

  static pyro_store* open(const json& options) {
    char* error = nullptr;
    pyro_store* const store = pyro_store_open(options.dump().c_str(), nullptr, &error);
    EXPECT_EQ(error, nullptr) << error;
    return store;
  }

  static void hear(void* self, const char* event) {
    static_cast<CApi*>(self)->events_.push_back(json::parse(event));
  }

  fs::path cache() const { return dir_ / "cache"; }
  fs::path install_dir() const { return cache() / "linux-x86_64/tool_1-1.0.0"; }

  TempDir dir_;
  pyro_store* store_ = nullptr;
  pyro_operation* operation_ = nullptr;
  std::vector<json> events_;
};

TEST_F(CApi, ReturnsVersion) {
  EXPECT_STREQ(pyro_version(), PYRO_VERSION);
}

TEST_F(CApi, InstallsVerifiesAndPrunes) {
  EXPECT_FALSE(take(pyro_store_inspect(store_, "tool:1", nullptr))["installed"]);
  const json installed = take(pyro_store_ensure_installed(store_, "tool:1", operation_, nullptr));
  EXPECT_EQ(installed["kernel_image"], (install_dir() / "vmlinux").string());
  EXPECT_EQ(installed["initrd_image"], json());
  EXPECT_EQ(read_file(install_dir() / "rootfs.ext4"), file_system_with("rootfs"));

  const json list = take(pyro_store_list(store_, nullptr));
  EXPECT_EQ(list["environments"].size(), 4u);
  EXPECT_TRUE(list["environments"][3]["installed"]);
  EXPECT_EQ(take(pyro_store_pull(store_, "tool:1", nullptr, nullptr, nullptr))["source"],
            (dir_ / "tool.tar").string());
  EXPECT_EQ(take(pyro_store_verify(store_, "tool:1", nullptr, nullptr))["status"], "ok");

  fs::remove(install_dir() / "vmlinux");
  EXPECT_EQ(take(pyro_store_verify(store_, "tool:1", nullptr, nullptr))["status"], "missing");
  const json planned = take(pyro_store_prune(store_, R"({"dry_run": true})", nullptr));
  EXPECT_EQ(planned["deleted_environment_dirs"], json::array({"tool_1-1.0.0"}));
  EXPECT_TRUE(fs::exists(install_dir()));
  EXPECT_EQ(take(pyro_store_prune(store_, nullptr, nullptr))["count"], 1);
  EXPECT_FALSE(fs::exists(install_dir()));
}

TEST_F(CApi, ReportsProgressEvents) {
  take(pyro_store_pull(store_, "tool:1", nullptr, operation_, nullptr));
  ASSERT_GE(events_.size(), 3u);
  EXPECT_EQ(events_.front()["event"], "started");
  EXPECT_EQ(events_.back()["event"], "finished");
  events_.clear();
  take(pyro_store_pull(store_, "tool:1", nullptr, operation_, nullptr));
  EXPECT_TRUE(events_.empty());
  take(pyro_store_pull(store_, "tool:1", R"({"mode": "force"})", operation_, nullptr));
  EXPECT_FALSE(events_.empty());
}

TEST_F(CApi, SendsEventsOfVerification) {
  take(pyro_store_ensure_installed(store_, "tool:1", nullptr, nullptr));
  take(pyro_store_verify(store_, "tool:1", operation_, nullptr));
  ASSERT_GE(events_.size(), 2u);
  EXPECT_EQ(events_.front()["event"], "operation_started");
  EXPECT_EQ(events_.front()["operation"], "verifying");
  EXPECT_EQ(events_.front()["subject"], "tool:1");
  EXPECT_EQ(events_.back()["event"], "operation_finished");
  EXPECT_GT(events_.back()["done"], 0);
}

TEST_F(CApi, StopEndsPullAsInterrupted) {
  const auto stop_at_once = [](void* operation, const char*) {
    pyro_operation_stop(*static_cast<pyro_operation**>(operation));
  };
  pyro_operation* operation = nullptr;
  operation = pyro_operation_new(stop_at_once, &operation);
  char* error = nullptr;
  EXPECT_EQ(pyro_store_pull(store_, "tool:1", nullptr, operation, &error), nullptr);
  EXPECT_EQ(take(error)["code"], "interrupted");
  EXPECT_FALSE(fs::exists(install_dir()));
  error = nullptr;
  EXPECT_EQ(pyro_store_pull(store_, "tool:1", nullptr, operation, &error), nullptr);
  EXPECT_EQ(take(error)["code"], "interrupted");
  pyro_operation_free(operation);
}

TEST_F(CApi, ServesManyThreads) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      const json installed = take(pyro_store_ensure_installed(store_, "tool:1", nullptr, nullptr));
      EXPECT_EQ(installed["name"], "tool:1");
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(CApi, DescribesStoreAndCatalog) {
  const json described = take(pyro_store_describe(store_, nullptr));
  EXPECT_EQ(described["cache_dir"], cache().string());
  EXPECT_EQ(described["runtime_dir"], json());
  EXPECT_EQ(described["catalog_version"], "4.5.0");
  EXPECT_EQ(described["catalog_files"], json::array({(dir_ / "catalog.json").string()}));
  const json& tool = described["environments"][3];
  EXPECT_EQ(tool["source_profile"], "tool");
  EXPECT_EQ(tool["oci_registry"], json());
  EXPECT_EQ(tool.size(), 16u);
}

TEST_F(CApi, ReadsGivenVariables) {
  const std::string config = "XDG_CONFIG_HOME=" + (dir_ / "config").string();
  const std::string catalog = "PYRO_CATALOG=" + (dir_ / "catalog.json").string();
  const char* const variables[] = {"HOME=/h",      "HOME=/other",   "odd",
                                   config.c_str(), catalog.c_str(), nullptr};
  const auto describe = [&](const char* options) {
    pyro_store* const store =
        pyro_store_open(options, const_cast<char* const*>(variables), nullptr);
    json described = take(pyro_store_describe(store, nullptr));
    pyro_store_close(store);
    return described;
  };
  EXPECT_EQ(describe(nullptr)["cache_dir"], "/h/.cache/pyro-mcp/environments");
  EXPECT_EQ(describe(nullptr)["environments"].size(), 4u);
  EXPECT_EQ(describe(R"({"cache_dir": "/c/"})")["cache_dir"], "/c");
}

TEST_F(CApi, RejectsInvalidOptions) {
  struct Row {
    const char* options;
    const char* complaint;
  };
  const Row rows[] = {
      {"{", "not valid JSON"},
      {"[]", "the options are not an object"},
      {R"({"cache_dir": "/c", "cache_dir": "/d"})", "given twice"},
      {R"({"cache_dir": "/c", "ofline": true})", "there is no field 'ofline'"},
      {R"({"cache_dir": ""})", "'cache_dir' is not a path"},
      {R"({"cache_dir": 1})", "'cache_dir' is not a string"},
      {R"({"cache_dir": "/c\u0000d"})", "'cache_dir' is not a string without a zero byte"},
      {R"({"cache_dir": "/c", "offline": 1})", "'offline' is not true or false"},
      {R"({"cache_dir": "/c", "retries": -1})", "'retries' is not a number from 0 to 1000"},
      {R"({"cache_dir": "/c", "retries": 1001})", "'retries' is not a number from 0 to 1000"},
      {R"({"cache_dir": "/c", "retry_delay": "1"})", "'retry_delay' is not a number of seconds"},
      {R"({"cache_dir": "/c", "retry_delay": 1e300})", "'retry_delay' is not a number of seconds"},
      {R"({"cache_dir": "/c", "rootfs_bytes": 1.5})", "'rootfs_bytes' is not a number of bytes"},
      {R"({"cache_dir": "/c", "catalogs": "/f"})", "'catalogs' is not a list"},
      {R"({"cache_dir": "/c", "trusted_realms": [null]})", "'trusted_realms' is not a string"},
  };
  for (const Row& row : rows) {
    char* error = nullptr;
    EXPECT_EQ(pyro_store_open(row.options, nullptr, &error), nullptr) << row.options;
    const json document = take(error);
    EXPECT_EQ(document["code"], "usage") << row.options;
    EXPECT_NE(document["message"].get<std::string>().find(row.complaint), std::string::npos)
        << document;
  }
}

TEST_F(CApi, AcceptsAllOptions) {
  json all = options();
  all["runtime_dir"] = (dir_ / "bundle").string();
  all["lock_timeout"] = 0.5;
  all["rootfs_bytes"] = 1 << 20;
  all["offline"] = false;
  all["retries"] = 0;
  all["retry_delay"] = 0;
  all["keep_after"] = 2;
  for (const char* name : {"credential_files", "helper_directories", "registries_files",
                           "certificate_directories", "trusted_realms", "stores"}) {
    all[name] = {"/none"};
  }
  for (const char* name : {"https_proxy", "http_proxy", "all_proxy", "no_proxy"}) {
    all[name] = nullptr;
  }
  all["ca_file"] = all["ca_directory"] = "/none";
  pyro_store* const store = open(all);
  EXPECT_EQ(take(pyro_store_inspect(store, "tool:1", nullptr))["name"], "tool:1");
  pyro_store_close(store);
}

TEST_F(CApi, ReturnsErrorDocument) {
  char* error = nullptr;
  EXPECT_EQ(pyro_store_inspect(store_, "tool:2", &error), nullptr);
  const json document = take(error);
  EXPECT_EQ(document["code"], "not_found");
  EXPECT_TRUE(document["message"].get<std::string>().starts_with("unknown environment 'tool:2'"));
  EXPECT_EQ(pyro_store_inspect(store_, "tool:2", nullptr), nullptr);
}

TEST_F(CApi, HandlesNullArguments) {
  char* error = nullptr;
  EXPECT_EQ(pyro_store_list(nullptr, &error), nullptr);
  EXPECT_EQ(take(error)["code"], "usage");
  EXPECT_EQ(pyro_store_inspect(store_, nullptr, &error), nullptr);
  EXPECT_EQ(take(error)["code"], "usage");
  EXPECT_EQ(pyro_store_pull(store_, "tool:1", R"({"mode": "maybe"})", nullptr, &error), nullptr);
  EXPECT_EQ(take(error)["code"], "usage");
  pyro_free(nullptr);
  pyro_store_close(nullptr);
  pyro_operation_stop(nullptr);
  pyro_operation_free(nullptr);
}

}  // namespace
}  // namespace pyro::testing

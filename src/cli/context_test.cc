// Tests of what options and environment variables come to.
#include "cli/context.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <map>

#include "pyro/error.h"

namespace pyro::cli {
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

TEST(Context, CacheDirectory) {
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
    const GlobalOptions options{.cache_dir = c.option, .catalogs = {}, .runtime_dir = {}};
    EXPECT_EQ(store_options(options, variables(c.variables)).cache_dir.string(), c.directory);
  }
}

TEST(Context, WithoutAHomeTheCacheMustBeNamed) {
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

TEST(Context, Credentials) {
  struct Case {
    Values variables;
    std::vector<fs::path> files;
  };
  const Case cases[] = {
      {{{"HOME", "/h"}}, {"/h/.config/containers/auth.json", "/h/.docker/config.json"}},
      {{{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}, {"XDG_RUNTIME_DIR", "/no/such/directory"}},
       {"/x/containers/auth.json", "/h/.docker/config.json"}},
      {{{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "/tmp"}},
       {"/tmp/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"}},
      {{{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "tmp"}},
       {"/h/.config/containers/auth.json", "/h/.docker/config.json"}},
      {{{"HOME", "/h"}, {"DOCKER_CONFIG", "/d"}}, {"/d/config.json"}},
      {{{"HOME", "/h"}, {"DOCKER_CONFIG", "/d"}, {"REGISTRY_AUTH_FILE", "/r"}}, {"/r"}},
      {{}, {}},
  };
  for (const Case& c : cases) {
    const GlobalOptions options{.cache_dir = "/c", .catalogs = {}, .runtime_dir = {}};
    EXPECT_EQ(store_options(options, variables(c.variables)).network.credential_files, c.files);
  }
}

TEST(Context, HelpersAreProgramsOfPathButNotOfHere) {
  const Values values{{"HOME", "/h"}, {"PATH", "/a:.::bin:/b/c:./d"}};
  EXPECT_EQ(store_options({}, variables(values)).network.helper_directories,
            (std::vector<fs::path>{"/a", "/b/c"}));
}

TEST(Context, CertificatesAndBundle) {
  const StoreOptions store = store_options({}, variables({{"HOME", "/h"},
                                                          {"SSL_CERT_FILE", "/f"},
                                                          {"SSL_CERT_DIR", "/d"},
                                                          {"PYRO_RUNTIME_BUNDLE_DIR", "/b/"}}));
  EXPECT_EQ(store.network.ca_file, "/f");
  EXPECT_EQ(store.network.ca_directory, "/d");
  EXPECT_EQ(store.runtime_dir, "/b");
  const GlobalOptions options{.cache_dir = "/c", .catalogs = {}, .runtime_dir = "/o"};
  EXPECT_EQ(store_options(options, variables({{"PYRO_RUNTIME_BUNDLE_DIR", "/b"}})).runtime_dir,
            "/o");
}

class ContextCatalogs : public ::testing::Test {
 protected:
  ContextCatalogs() {
    char name[] = "/tmp/pyro-context-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
  }
  ~ContextCatalogs() override { fs::remove_all(root_); }

  fs::path catalog(const fs::path& name) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << R"({"catalog_version": "1", "environments": []})";
    return root_ / name;
  }

  fs::path root_;
};

TEST_F(ContextCatalogs, AreReadInOrder) {
  const fs::path b = catalog("config/pyro/catalog.d/b.json");
  const fs::path a = catalog("config/pyro/catalog.d/a.json");
  catalog("config/pyro/catalog.d/.hidden.json");
  catalog("config/pyro/catalog.d/b.json.bak");
  const fs::path one = catalog("one.json");
  const fs::path two = catalog("two.json");
  const fs::path option = catalog("option.json");
  const GlobalOptions options{.cache_dir = "/c", .catalogs = {option}, .runtime_dir = {}};
  const Values values{{"XDG_CONFIG_HOME", (root_ / "config").string()},
                      {"PYRO_CATALOG", ":" + one.string() + "::" + two.string() + ":"}};
  EXPECT_EQ(store_options(options, variables(values)).catalog.files(),
            (std::vector{a, b, one, two, option}));
}

TEST_F(ContextCatalogs, DefaultDirectoryIsBelowHome) {
  const fs::path a = catalog(".config/pyro/catalog.d/a.json");
  EXPECT_EQ(store_options({}, variables({{"HOME", root_}})).catalog.files(), std::vector{a});
  std::ofstream(root_ / "file") << "";
  EXPECT_NO_THROW(static_cast<void>(store_options({}, variables({{"HOME", root_ / "none"}}))));
}

TEST_F(ContextCatalogs, OfTheDirectoryAreFiles) {
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

TEST(Context, ColourNeedsATerminal) {
  const Terminal terminal =
      standard_terminal(-1, variables({{"TERM", "xterm"}, {"LANG", "C.UTF-8"}}));
  EXPECT_FALSE(terminal.interactive());
  EXPECT_TRUE(terminal.unicode());
  EXPECT_EQ(terminal.paint(Colour::red, "x"), "x");
  EXPECT_FALSE(standard_terminal(-1, variables({{"LANG", "C.UTF-8"}, {"LC_ALL", "C"}})).unicode());
}

}  // namespace
}  // namespace pyro::cli

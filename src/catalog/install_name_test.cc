// Tests of install_directory_name().
#include "catalog/install_name.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

struct NameCase {
  const char* name;
  const char* version;
  const char* directory;
};

TEST(InstallName, IsTheReferences) {
  constexpr NameCase kCases[] = {
      {"debian:12", "1.0.0", "debian_12-1.0.0"},
      {"debian:12-base", "1.0.0", "debian_12-base-1.0.0"},
      {"debian", "2024.1+b1", "debian-2024.1+b1"},
      {"a", "1-1", "a-1-1"},
      {"a-1", "1", "a-1-1"},
  };
  for (const NameCase& c : kCases) {
    Environment environment;
    environment.name = c.name;
    environment.version = c.version;
    EXPECT_EQ(install_directory_name(environment), c.directory);
  }
}

}  // namespace
}  // namespace pyro

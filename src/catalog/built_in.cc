// The environments that every pyro knows.
#include "catalog/built_in.h"

#include <string>
#include <utility>

namespace pyro {
namespace {

/// What the three have in common stands here once.
Environment debian_12(const std::string& tag, std::string description,
                      std::vector<std::string> packages, std::string profile) {
  Environment environment;
  environment.name = "debian:" + tag;
  environment.version = "1.0.0";
  environment.description = std::move(description);
  environment.default_packages = std::move(packages);
  environment.distribution = "debian";
  environment.distribution_version = "12";
  environment.source_profile = std::move(profile);
  environment.oci_registry = "registry-1.docker.io";
  environment.oci_repository = "thalesmaciel/pyro-environment-debian-" + tag;
  environment.oci_reference = "1.0.0";
  return environment;
}

}  // namespace

std::vector<Environment> built_in_environments() {
  return {
      debian_12("12", "Debian 12 environment with Git preinstalled for common agent workflows.",
                {"bash", "coreutils", "git"}, "debian-git"),
      debian_12("12-base", "Minimal Debian 12 environment for shell and core Unix tooling.",
                {"bash", "coreutils"}, "debian-base"),
      debian_12("12-build", "Debian 12 environment with Git and common build tools preinstalled.",
                {"bash", "coreutils", "git", "gcc", "make", "cmake", "python3"}, "debian-build"),
  };
}

}  // namespace pyro

// Pushes images into real registries with skopeo.
#include "support/skopeo.h"

#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

using Arguments = std::vector<std::string>;

void append(Arguments& arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
}

void append_connection(Arguments& arguments, const SkopeoOptions& options,
                       const std::string& prefix) {
  if (options.certificate_dir.empty()) {
    arguments.push_back("--" + prefix + "tls-verify=false");
  } else {
    append(arguments, {"--" + prefix + "cert-dir", options.certificate_dir.string()});
  }
  if (options.user.empty()) {
    arguments.push_back("--" + prefix + "no-creds");
  } else {
    append(arguments, {"--" + prefix + "creds", options.user + ":" + options.password});
  }
}

// The policy of the machine, the credentials of its user and the cache of what is where (root's is
// below /var, hence the pretended user number) are none of the tests' business.
Command skopeo(Arguments arguments, const TempDir& dir) {
  arguments.insert(arguments.begin(),
                   {"skopeo", "--insecure-policy", "--tmpdir", dir.path().string()});
  return {.argv = std::move(arguments),
          .env = {{"REGISTRY_AUTH_FILE", (dir / "auth.json").string()},
                  {"HOME", dir.path().string()},
                  {"XDG_DATA_HOME", dir.path().string()},
                  {"_CONTAINERS_ROOTLESS_UID", "1"}}};
}

}  // namespace

std::string push_layout(const std::filesystem::path& layout, const std::string& tag,
                        const std::string& destination, const SkopeoOptions& options) {
  const TempDir dir;
  const auto digest_file = dir / "digest";
  Arguments arguments{"copy", "--quiet", "--digestfile", digest_file.string()};
  if (!options.format.empty()) append(arguments, {"--format", options.format});
  if (!options.compression.empty()) {
    append(arguments, {"--dest-compress-format", options.compression});
  }
  if (options.all) arguments.push_back("--all");
  append_connection(arguments, options, "dest-");
  append(arguments, {"oci:" + layout.string() + ":" + tag, "docker://" + destination});
  run_checked(skopeo(std::move(arguments), dir));
  return read_file(digest_file);
}

std::string push_image(const Image& image, const std::string& destination,
                       const SkopeoOptions& options) {
  const TempDir dir;
  write_oci_layout(image, dir / "layout", "image");
  return push_layout(dir / "layout", "image", destination, options);
}

void skopeo_copy(const std::string& source, const std::string& destination,
                 const SkopeoOptions& options) {
  const TempDir dir;
  Arguments arguments{"copy", "--quiet"};
  if (options.all) arguments.push_back("--all");
  if (source.starts_with("docker://")) append_connection(arguments, options, "src-");
  if (destination.starts_with("docker://")) append_connection(arguments, options, "dest-");
  append(arguments, {source, destination});
  run_checked(skopeo(std::move(arguments), dir));
}

ProcessResult skopeo_inspect(const std::string& source, bool raw, const SkopeoOptions& options) {
  const TempDir dir;
  Arguments arguments{"inspect"};
  if (raw) arguments.push_back("--raw");
  const bool is_local = source.starts_with("oci:") || source.starts_with("oci-archive:");
  if (!is_local) append_connection(arguments, options, "");
  arguments.push_back(is_local ? source : "docker://" + source);
  return run(skopeo(std::move(arguments), dir));
}

}  // namespace pyro::testing

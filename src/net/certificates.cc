// Certificates out of files.
#include "net/certificates.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "base/oci_names.h"
#include "base/regular_file.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

/// All authorities that a distribution ships are a quarter of a MiB.
constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;

Error unusable(const fs::path& file, const std::string& why) {
  Error error(ErrorCode::failed, why);
  error.add_context("cannot use the certificates in " + file.string());
  return error;
}

std::string read_file(const fs::path& file) {
  return read_required_file(file, kMaxFileBytes, "cannot use the certificates in");
}

/// Sorted; nothing where there is no such directory.
std::vector<fs::path> files_in(const fs::path& directory, std::error_code& error) {
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->path().filename().string().starts_with('.')) files.push_back(entry->path());
  }
  const bool is_absent =
      error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  const bool is_closed = error == std::errc::permission_denied;
  if (error && !is_absent && !is_closed) throw unusable(directory, error.message());
  std::ranges::sort(files);
  return files;
}

std::vector<std::string> names_of(const Url& url) {
  const std::string name = url.authority();
  if (name == "." || name == "..") return {};  // a redirect's target may be called anything
  const std::string port = ":" + std::to_string(url.port);
  std::vector names{name};
  if (!name.ends_with(port)) names.push_back(name + port);
  if (is_docker_hub(name)) names.emplace_back("docker.io");
  return names;
}

void require_partner(const std::vector<fs::path>& files, const fs::path& file,
                     const char* extension, const char* what) {
  const fs::path partner = fs::path(file).replace_extension(extension);
  if (std::ranges::find(files, partner) != files.end()) return;
  throw unusable(
      file, std::string("its ") + what + ", " + partner.filename().string() + ", is not beside it");
}

/// The directory itself, or the one above it where nobody may see what is in there.
const fs::path& find_closed(const fs::path& directory, const fs::path& above) {
  const bool may_enter = ::faccessat(AT_FDCWD, above.c_str(), X_OK, AT_EACCESS) == 0;
  return may_enter ? directory : above;
}

void take_directory(const fs::path& directory, const fs::path& above, HostCertificates& found) {
  std::error_code error;
  const auto files = files_in(directory, error);
  if (error == std::errc::permission_denied) {
    found.closed.push_back(find_closed(directory, above));
  }
  for (const fs::path& file : files) {
    if (file.extension() == ".crt") found.authorities += read_certificates(file) + "\n";
    if (file.extension() == ".key") require_partner(files, file, ".cert", "certificate");
    if (file.extension() != ".cert") continue;
    require_partner(files, file, ".key", "key");
    if (found.client_certificate) continue;
    static_cast<void>(read_certificates(file));
    found.client_certificate = file;
    found.client_key = fs::path(file).replace_extension(".key");
  }
}

}  // namespace

std::string read_certificates(const fs::path& file) {
  std::string text = read_file(file);
  if (text.empty()) throw unusable(file, "it is empty");
  for (const char* kind : {"CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"}) {
    if (text.find(std::string("-----BEGIN ") + kind + "-----") != text.npos) return text;
  }
  throw unusable(file, "there is no certificate in it; PEM is what is read");
}

HostCertificates find_host_certificates(const std::vector<fs::path>& directories, const Url& url) {
  HostCertificates found;
  for (const fs::path& directory : directories) {
    for (const std::string& name : names_of(url)) {
      take_directory(directory / name, directory, found);
    }
  }
  return found;
}

}  // namespace pyro

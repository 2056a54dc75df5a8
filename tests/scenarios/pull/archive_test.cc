// Environments from archives: paths, file URLs, and HTTP servers with and without faults.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>

#include "scenarios/harness.h"
#include "support/certificates.h"
#include "support/hash.h"
#include "support/http_server.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kPath[] = "/environments/tool.tar";

class ArchiveTest : public PyroHarness {
 protected:
  ArchiveTest() { variables_["SSL_CERT_FILE"] = authority_.certificate_file().string(); }

  /// Answers requests for kPath with `response`, over https by default.
  void serve(const HttpResponse& response, bool tls = true) {
    HttpServerOptions options;
    if (tls) options.tls = authority_.issue();
    server_ = std::make_unique<HttpServer>(options, [this, response](const HttpRequest& request) {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      return request.path == kPath ? response : HttpResponse{.status = 404, .body = "no such\n"};
    });
  }
  void serve_archive(const std::string& bytes, bool tls = true) {
    serve({.headers = {{"Content-Type", "application/octet-stream"}}, .body = bytes}, tls);
  }

  std::vector<HttpRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  void expect_record(const std::string& source, const std::string& archive) const {
    EXPECT_EQ(record()["source"], source);
    EXPECT_EQ(record()["source_digest"], sha256_digest(archive));
  }

  CertificateAuthority authority_{dir_ / "authority"};
  std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::unique_ptr<HttpServer> server_;
};

struct Format {
  const char* name;
  Compression compression;

  friend void PrintTo(const Format& self, std::ostream* out) { *out << self.name; }
};

class ArchiveFormatTest : public ArchiveTest, public ::testing::WithParamInterface<Format> {
 protected:
  const std::string archive_ = compress(tar_of(sample(), "environment/"), GetParam().compression);
};

TEST_P(ArchiveFormatTest, InstallsFromPath) {
  const fs::path file = dir_ / "archives/tool.tar";
  write_file(file, archive_);
  use_catalog({archive_entry(file.string())});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  expect_record(file.string(), archive_);
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
}

TEST_P(ArchiveFormatTest, InstallsFromFileUrl) {
  const fs::path file = dir_ / "archives/a tool.tar";
  write_file(file, archive_);
  const std::string url = "file://" + (dir_ / "archives/a%20tool.tar").string();
  json made = archive_entry(url);
  made["source_sha256"] = sha256_digest(archive_).substr(7);
  use_catalog({made});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  expect_record(url, archive_);
}

TEST_P(ArchiveFormatTest, InstallsOverHttps) {
  serve_archive(archive_);
  use_catalog({archive_entry(server_->url() + kPath)});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  expect_record(server_->url() + kPath, archive_);
  ASSERT_EQ(requests().size(), 1u);
  EXPECT_EQ(requests()[0].header("Accept-Encoding").value_or("identity"), "identity");
}

INSTANTIATE_TEST_SUITE_P(Formats, ArchiveFormatTest,
                         ::testing::Values(Format{"Plain", Compression::none},
                                           Format{"Gzip", Compression::gzip},
                                           Format{"Zstd", Compression::zstd},
                                           Format{"Xz", Compression::xz},
                                           Format{"Bzip2", Compression::bzip2}),
                         row_name);

TEST_F(ArchiveTest, ResolvesPathRelativeToCatalog) {
  write_file(dir_ / "team/archives/tool.tar", tar_of(sample()));
  const fs::path catalog =
      write_catalog(dir_ / "team/catalog.json", {archive_entry("archives/tool.tar")});
  pyro_ok({"env", "pull", "tool:1", "--catalog", catalog.string()});
  EXPECT_TRUE(holds(install_dir() / "vmlinux", sample().kernel));
}

TEST_F(ArchiveTest, AcceptsChecksumWithAndWithoutPrefix) {
  const std::string archive = tar_of(sample());
  for (const char* const prefix : {"sha256:", ""}) {
    write_file(dir_ / "tool.tar", archive);
    json made = archive_entry((dir_ / "tool.tar").string());
    made["source_sha256"] = prefix + sha256_digest(archive).substr(7);
    use_catalog({made});
    pyro_ok({"env", "pull", "tool:1", "--force"});
  }
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"}).count("outdated"), 0u);
}

TEST_F(ArchiveTest, ChangedChecksumMakesInstallOutdated) {
  json made = archive_entry((dir_ / "tool.tar").string());
  const std::string archive = tar_of(sample());
  write_file(dir_ / "tool.tar", tar_of(other_artifacts(2)));
  use_catalog({made});
  pyro_ok({"env", "pull", "tool:1"});
  write_file(dir_ / "tool.tar", archive);
  made["source_sha256"] = sha256_digest(archive);
  use_catalog({made});
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"}).value("outdated", false), true);
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(ArchiveTest, SecretsInUrlAreSentAndNeverShown) {
  const std::string archive = tar_of(sample());
  serve_archive(archive);
  const std::string url = "https://robin:p%40ss-w0rd@" + server_->host() + kPath;
  use_catalog({archive_entry(url + "?signature=top-secret#part")});
  const ProcessResult pulled = pyro_ok({"env", "pull", "tool:1", "-v"});
  expect_record(server_->url() + kPath, archive);
  ASSERT_EQ(requests().size(), 1u);
  EXPECT_EQ(requests()[0].query, "signature=top-secret");
  EXPECT_EQ(requests()[0].header("Authorization").value_or(""),
            "Basic " + base64("robin:p@ss-w0rd"));
  const std::vector<std::string> secrets{"robin", "w0rd", "top-secret", "part",
                                         base64("robin:p@ss-w0rd")};
  expect_hides(pulled.out + pulled.err, secrets);
  expect_hides(read_file(install_dir() / "environment.json"), secrets);
  for (const char* command : {"inspect", "pull"}) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--json"}}) {
      std::vector<std::string> words{"env", command, "tool:1"};
      words.insert(words.end(), more.begin(), more.end());
      const ProcessResult result = pyro_ok(words);
      expect_hides(result.out + result.err, secrets);
    }
  }
  server_.reset();
  const ProcessResult failed = pyro({"env", "pull", "tool:1", "--force"});
  EXPECT_EQ(failed.exit_code, 4);
  expect_hides(failed.out + failed.err, secrets);
}

TEST_F(ArchiveTest, InstallsOverPlainHttpFromLoopback) {
  const std::string archive = tar_of(sample());
  serve_archive(archive, false);
  use_catalog({archive_entry(server_->url() + kPath)});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(ArchiveTest, RedirectsAreFollowed) {
  serve_archive(tar_of(sample()));
  const std::string target = server_->url() + kPath + "?signature=top-secret";
  HttpServer front({.tls = authority_.issue()}, [&](const HttpRequest& request) {
    if (request.path == "/1") return HttpResponse{.status = 302, .headers = {{"Location", "2"}}};
    return HttpResponse{.status = 308, .headers = {{"Location", target}}};
  });
  use_catalog({archive_entry("https://robin:secret@" + front.host() + "/1")});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_EQ(record()["source"], front.url() + "/1");
  ASSERT_EQ(requests().size(), 1u);
  EXPECT_FALSE(requests()[0].header("Authorization")) << "another origin";
}

TEST_F(ArchiveTest, PrefersRegistryOverArchive) {
  json made = oci_entry("localhost:" + std::to_string(unused_port()));
  write_file(dir_ / "tool.tar", tar_of(sample()));
  made["source_url"] = (dir_ / "tool.tar").string();
  use_catalog({made});
  EXPECT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 4);
}

// Failures.

struct BadArchive {
  const char* name;
  std::function<HttpResponse()> answer;
  int exit_code;
  std::vector<std::string> says;

  friend void PrintTo(const BadArchive& self, std::ostream* out) { *out << self.name; }
};

std::string zipped() {
  return compress(tar_of(sample()), Compression::gzip);
}

const std::vector<BadArchive> kBad = {
    {"NotFound", [] { return HttpResponse{.status = 404, .body = "no"}; }, 4, {"404", kPath}},
    {"Fails", [] { return HttpResponse{.status = 500, .body = "no"}; }, 4, {"500", kPath}},
    {"NoContent", [] { return HttpResponse{.status = 204}; }, 5, {"did not contain vmlinux"}},
    {"CutOff", [] { return HttpResponse{.body = zipped(), .cut_after = 5000}; }, 4, {"localhost"}},
    {"Truncated",
     [] { return HttpResponse{.body = zipped().substr(0, 5000)}; },
     5,
     {"archive https://localhost", "gzip"}},
    {"TruncatedTar",
     [] { return HttpResponse{.body = tar_of(sample()).substr(0, 50'000)}; },
     5,
     {"archive https://localhost", "tar"}},
    {"Page",
     [] {
       return HttpResponse{.headers = {{"Content-Type", "text/html"}},
                           .body = "<!DOCTYPE html><html>Please sign in</html>"};
     },
     4,
     {"answered with a web page (text/html), not with an archive", "captive portal"}},
    {"NoKernel",
     [] { return HttpResponse{.body = TarBuilder().file("rootfs.ext4", "r").finish()}; },
     5,
     {"environment archive did not contain vmlinux"}},
    {"NoRootfs",
     [] { return HttpResponse{.body = TarBuilder().file("vmlinux", "k").finish()}; },
     5,
     {"environment archive did not contain rootfs.ext4"}},
    {"RedirectToPlainHttp",
     [] {
       return HttpResponse{.status = 302, .headers = {{"Location", "http://localhost:1/x"}}};
     },
     4,
     {"redirects from https to plain http"}},
    {"RedirectToAFile",
     [] {
       return HttpResponse{.status = 302, .headers = {{"Location", "file:///etc/passwd"}}};
     },
     4,
     {"redirects"}},
    {"RedirectWithoutEnd",
     [] {
       return HttpResponse{.status = 302, .headers = {{"Location", kPath}}};
     },
     4,
     {"redirects without end"}},
};

class BadArchiveTest : public ArchiveTest, public ::testing::WithParamInterface<BadArchive> {
 protected:
  void expect_refused(const std::vector<std::string>& words) {
    serve(GetParam().answer());
    use_catalog({archive_entry(server_->url() + kPath + "?signature=top-secret")});
    const auto before = cache_state();
    const ProcessResult result = pyro(words);
    EXPECT_EQ(result.exit_code, GetParam().exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    expect_says(result.err, {"pyro: error: cannot install tool:1"});
    expect_says(result.err, GetParam().says);
    expect_hides(result.err, {"top-secret"});
    EXPECT_EQ(cache_state(), before);
  }
};

TEST_P(BadArchiveTest, LeavesAnEmptyCacheEmpty) {
  expect_refused({"env", "pull", "tool:1"});
}

TEST_P(BadArchiveTest, LeavesAnOlderInstallAlone) {
  install_by_hand(other_artifacts(20));
  expect_refused({"env", "pull", "--force", "tool:1"});
  expect_installed(other_artifacts(20));
}

INSTANTIATE_TEST_SUITE_P(Archives, BadArchiveTest, ::testing::ValuesIn(kBad), row_name);

TEST_F(ArchiveTest, IgnoresContentEncoding) {
  for (const char* const coding : {"gzip", "x-gzip", "aws-chunked"}) {
    for (const bool is_pinned : {true, false}) {
      serve({.headers = {{"Content-Encoding", coding}}, .body = zipped()});
      json made = archive_entry(server_->url() + kPath);
      if (is_pinned) made["source_sha256"] = sha256_digest(zipped());
      use_catalog({made});
      pyro_ok({"env", "pull", "--force", "tool:1"});
      expect_installed(sample());
      expect_record(server_->url() + kPath, zipped());
    }
  }
}

TEST_F(ArchiveTest, NamesContentEncodingOnChecksumMismatch) {
  serve({.headers = {{"Content-Encoding", "gzip"}}, .body = zipped()});
  json made = archive_entry(server_->url() + kPath);
  made["source_sha256"] = sha256_digest(tar_of(sample()));
  use_catalog({made});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"the catalog pins", "Content-Encoding gzip, which was not asked for"});
}

TEST_F(ArchiveTest, RejectsWrongChecksum) {
  const std::string archive = tar_of(sample());
  serve_archive(archive);
  write_file(dir_ / "tool.tar", archive);
  const std::string wrong = sha256_digest("something else");
  for (const std::string& url : {server_->url() + kPath, (dir_ / "tool.tar").string()}) {
    json made = archive_entry(url);
    made["source_sha256"] = wrong;
    use_catalog({made});
    const ProcessResult result = pyro({"env", "pull", "tool:1"});
    EXPECT_EQ(result.exit_code, 5);
    expect_says(result.err, {"cannot install tool:1", wrong, sha256_digest(archive)});
    EXPECT_TRUE(cache_state().empty());
  }
}

TEST_F(ArchiveTest, ReportsWrongChecksumBeforeDamage) {
  serve_archive("neither");
  json made = archive_entry(server_->url() + kPath);
  made["source_sha256"] = sha256_digest("something else");
  use_catalog({made});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"the catalog pins"});
}

TEST_F(ArchiveTest, RejectsUntrustedCertificate) {
  serve_archive(tar_of(sample()));
  use_catalog({archive_entry(server_->url() + kPath)});
  const ProcessResult result = pyro({"env", "pull", "tool:1"}, {{"SSL_CERT_FILE", std::nullopt}});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {"the certificate of " + server_->host()});
  EXPECT_TRUE(requests().empty());
}

TEST_F(ArchiveTest, HttpsUrlFailsAtPlainHttpServer) {
  serve_archive(tar_of(sample()), false);
  use_catalog({archive_entry("https://" + server_->host() + kPath)});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 4);
  expect_says(result.err, {server_->host()});
  EXPECT_TRUE(requests().empty());
}

struct BadSource {
  const char* name;
  std::string url;
  int exit_code;
  std::vector<std::string> says;

  friend void PrintTo(const BadSource& self, std::ostream* out) { *out << self.name; }
};

class BadSourceTest : public ArchiveTest, public ::testing::WithParamInterface<BadSource> {};

TEST_P(BadSourceTest, IsRefused) {
  write_file(dir_ / "short.tar", tar_of(sample()).substr(0, 700));
  fs::create_directories(dir_ / "folder");
  run_checked({.argv = {"mkfifo", (dir_ / "pipe").string()}});
  const fs::path catalog = write_catalog(dir_ / "catalog.json", {archive_entry(GetParam().url)});
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--catalog", catalog.string()});
  EXPECT_EQ(result.exit_code, GetParam().exit_code) << result.err;
  expect_says(result.err, GetParam().says);
  expect_hides(result.err, {"top-secret"});
  EXPECT_TRUE(cache_state().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Sources, BadSourceTest,
    ::testing::Values(
        BadSource{"MissingFile", "nothing.tar", 6, {"nothing.tar", "No such file"}},
        BadSource{"Folder", "folder", 5, {"folder has no vmlinux"}},
        BadSource{"Pipe", "pipe", 6, {"pipe", "not a regular file"}},
        BadSource{"Device", "/dev/zero", 6, {"/dev/zero", "not a regular file"}},
        BadSource{"Truncated", "short.tar", 5, {"archive", "short.tar", "tar"}},
        BadSource{"HttpFromRemoteHost",
                  "http://mirror.example/tool.tar",
                  1,
                  {"catalog.json", "tool:1", "source_url", "source_sha256"}},
        BadSource{"HttpFromNameLikeLoopback",
                  "http://127.0.0.1.example/tool.tar",
                  1,
                  {"catalog.json", "source_url"}},
        BadSource{"OtherScheme", "ftp://mirror.example/tool.tar", 1, {"source_url", "ftp"}},
        BadSource{"FileUrlOfAnotherHost", "file://server/tool.tar", 1, {"source_url"}},
        BadSource{"PasswordInABadUrl", "https://robin:top-secret@/x", 1, {"source_url"}},
        BadSource{"Empty", "", 1, {"source_url", "empty"}}),
    row_name);

}  // namespace
}  // namespace pyro::testing

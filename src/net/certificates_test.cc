#include "net/certificates.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::string pem(const std::string& content) {
  return "-----BEGIN CERTIFICATE-----\n" + content + "\n-----END CERTIFICATE-----\n";
}

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() {
    char name[] = "/tmp/pyro-certificates-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
  }
  ~CertificatesTest() override { fs::remove_all(root_); }

  fs::path write(const fs::path& name, const std::string& content) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << content;
    return root_ / name;
  }

  [[nodiscard]] HostCertificates find(const std::string& url) const {
    return find_host_certificates({root_ / "none", root_ / "a", root_ / "b"}, *Url::parse(url));
  }

  [[nodiscard]] std::string error_of(const std::string& url) const {
    try {
      static_cast<void>(find(url));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      return error.what();
    }
    return "no error";
  }

  fs::path root_;
};

TEST_F(CertificatesTest, AreThoseOfTheHostAlone) {
  write("a/registry.example:5000/2.crt", pem("two"));
  write("a/registry.example:5000/1.crt", pem("one"));
  write("b/registry.example:5000/x.crt", pem("three"));
  write("b/registry.example:5000/.hidden.crt", pem("hidden"));
  write("b/registry.example:5000/note.txt", "no certificate");
  write("a/registry.example/ca.crt", pem("default port"));
  write("b/registry.example:443/ca.crt", pem("named port"));
  write("a/[::1]:5000/ca.crt", pem("six"));
  EXPECT_EQ(find("https://registry.example:5000/v2/").authorities,
            pem("one") + "\n" + pem("two") + "\n" + pem("three") + "\n");
  EXPECT_EQ(find("https://Registry.Example/").authorities,
            pem("default port") + "\n" + pem("named port") + "\n");
  EXPECT_EQ(find("https://[::1]:5000").authorities, pem("six") + "\n");
  EXPECT_EQ(find("https://other.example").authorities, "");
  write("a/above.crt", pem("of nobody"));
  write("above.crt", pem("of nobody"));
  EXPECT_EQ(find("https://./").authorities + find("https://../").authorities, "");
  EXPECT_FALSE(find("https://registry.example:5000").client_certificate);
}

TEST_F(CertificatesTest, DockerHubGoesByItsNameToo) {
  write("a/docker.io/ca.crt", pem("name"));
  write("b/registry-1.docker.io/ca.crt", pem("host"));
  EXPECT_EQ(find("https://registry-1.docker.io/v2/").authorities,
            pem("name") + "\n" + pem("host") + "\n");
  EXPECT_EQ(find("https://auth.docker.io").authorities, "");
}

TEST_F(CertificatesTest, ThePairToShow) {
  const fs::path certificate = write("a/r.example/client.cert", pem("me"));
  const fs::path key = write("a/r.example/client.key", "key");
  write("b/r.example/another.cert", pem("me too"));
  write("b/r.example/another.key", "key");
  const HostCertificates found = find("https://r.example");
  EXPECT_EQ(found.client_certificate, certificate);
  EXPECT_EQ(found.client_key, key);
  EXPECT_EQ(found.authorities, "");
}

TEST_F(CertificatesTest, HalvesOfAPairAreTold) {
  const fs::path certificate = write("a/one.example/client.cert", pem("me"));
  EXPECT_EQ(error_of("https://one.example"), "cannot use the certificates in " +
                                                 certificate.string() +
                                                 ": its key, client.key, is not beside it");
  const fs::path key = write("a/two.example/client.key", "key");
  EXPECT_EQ(error_of("https://two.example"),
            "cannot use the certificates in " + key.string() +
                ": its certificate, client.cert, is not beside it");
}

TEST_F(CertificatesTest, UnusableFilesAreNamed) {
  const std::string about = "cannot use the certificates in ";
  const fs::path empty = write("a/r.example/ca.crt", "");
  EXPECT_EQ(error_of("https://r.example"), about + empty.string() + ": it is empty");
  write("a/r.example/ca.crt", "MIIB...");
  EXPECT_EQ(error_of("https://r.example"),
            about + empty.string() + ": there is no certificate in it; PEM is what is read");
  fs::remove(empty);
  fs::create_directory(empty);
  EXPECT_EQ(error_of("https://r.example"), about + empty.string() + ": it is not a regular file");
  EXPECT_THROW(static_cast<void>(read_certificates(root_ / "nothing")), Error);
}

/// Modes bind everybody but root, who is nobody as long as this lives.
class AsNobody {
 public:
  AsNobody() {
    if (is_root_) become(65534);
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
  ~AsNobody() {
    if (is_root_) become(0);
  }

 private:
  static void become(uid_t user) { EXPECT_EQ(::seteuid(user), 0); }

  bool is_root_ = ::geteuid() == 0;
};

TEST_F(CertificatesTest, DirectoriesOfOthersArePassedOver) {
  fs::permissions(root_, fs::perms(0755));
  write("a/r.example/ca.crt", pem("closed"));
  write("b/r.example/ca.crt", pem("open"));
  fs::permissions(root_ / "a", fs::perms(0));
  {
    const AsNobody nobody;
    const HostCertificates found = find("https://r.example");
    EXPECT_EQ(found.authorities, pem("open") + "\n");
    ASSERT_FALSE(found.closed.empty());
    for (const fs::path& closed : found.closed) EXPECT_EQ(closed, root_ / "a");
  }
  fs::permissions(root_ / "a", fs::perms(0755));
  fs::permissions(root_ / "a/r.example", fs::perms(0));
  {
    const AsNobody nobody;
    EXPECT_EQ(find("https://r.example").closed, std::vector{root_ / "a/r.example"});
  }
  fs::permissions(root_ / "a/r.example", fs::perms(0755));
  fs::permissions(root_ / "a/r.example/ca.crt", fs::perms(0));
  const AsNobody nobody;
  EXPECT_EQ(error_of("https://r.example"), "cannot use the certificates in " +
                                               (root_ / "a/r.example/ca.crt").string() +
                                               ": Permission denied");
}

TEST_F(CertificatesTest, AFileInPlaceOfTheDirectoryIsNone) {
  write("a/r.example", pem("no directory"));
  EXPECT_EQ(find("https://r.example").authorities, "");
}

}  // namespace
}  // namespace pyro

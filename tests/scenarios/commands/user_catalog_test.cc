// The user's environments: `env add`, pull and `env remove`; and sources that are refused.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>

#include "scenarios/held_lock.h"
#include "scenarios/hostile_harness.h"
#include "scenarios/private_mount.h"
#include "support/artifacts.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

const std::string kHex(64, 'a');

class AddTest : public HostileHarness {
 protected:
  fs::path user_file() const { return home() / ".config/pyro/catalog.d/user.json"; }

  json entries() const { return parse_json(read_file(user_file()))["environments"]; }

  std::string reference(const std::string& tail = ":1") const {
    return registry_->host() + "/" + kRepository + tail;
  }

  void write_artifacts(const fs::path& directory, const Artifacts& artifacts = sample()) const {
    write_file(directory / "vmlinux", artifacts.kernel);
    write_file(directory / "rootfs.ext4", artifacts.rootfs);
  }

  /// Refused, and no file was made or changed for it.
  void expect_add_refused(int exit_code, const Words& says, const Words& words) {
    const auto before = configuration();
    Words all{"env", "add"};
    all.insert(all.end(), words.begin(), words.end());
    expect_refused(exit_code, says, all);
    EXPECT_EQ(configuration(), before);
  }

  /// Without the lock file, which holds the last owner's process id.
  std::vector<std::string> configuration() const {
    auto lines = snapshot(home() / ".config");
    std::erase_if(lines, [](const std::string& line) {
      return line.find(".user.json.lock ") != std::string::npos;
    });
    return lines;
  }
};

// --- accepted sources ---

TEST_F(AddTest, AddsImageInRegistry) {
  registry_->put(kRepository, "1", image_of(sample()));
  const ProcessResult added =
      pyro_ok({"env", "add", "mine:1", reference(), "--description", "My own."});
  EXPECT_EQ(added.out, "");
  expect_says(added.err, {"added mine:1", user_file().string(), "pyro env pull mine:1"});
  EXPECT_TRUE(registry_->requests().empty()) << "adding asks nobody";
  EXPECT_FALSE(fs::exists(cache()));
  const json status = pyro_json({"env", "inspect", "mine:1"});
  EXPECT_EQ(status["version"], "1.0.0");
  EXPECT_EQ(status["description"], "My own.");
  EXPECT_EQ(status["oci_registry"], registry_->host());
  EXPECT_EQ(status["oci_repository"], kRepository);
  EXPECT_EQ(status["oci_reference"], "1");
  pyro_ok({"env", "pull", "mine:1"});
  expect_installed(sample(), "mine:1");
  EXPECT_EQ(record("mine:1")["catalog_file"], user_file().string());
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 0);
}

TEST_F(AddTest, AddsImageByDigest) {
  const Image image = image_of(sample());
  registry_->put(kRepository, "1", image);
  pyro_ok({"env", "add", "both", reference(":1@" + image.digest()), "--version", "2.1"});
  pyro_ok({"env", "add", "digest", reference("@" + image.digest())});
  pyro_ok({"env", "add", "tag", reference("")});
  EXPECT_EQ(entries()[0]["oci_reference"], "1");
  EXPECT_EQ(entries()[0]["oci_digest"], image.digest());
  EXPECT_EQ(entries()[0]["version"], "2.1");
  EXPECT_EQ(entries()[1]["oci_reference"], image.digest());
  EXPECT_EQ(entries()[2]["oci_reference"], "latest");
  pyro_ok({"env", "pull", "both", "digest"});
  EXPECT_EQ(registry_->count(RequestKind::manifest, "1"), 0) << "the tag is never asked for";
}

// As in pyro's install records, and as skopeo and podman write them.
TEST_F(AddTest, AcceptsSchemesOfRegistries) {
  registry_->put(kRepository, "1", image_of(sample()));
  pyro_ok({"env", "add", "a", "oci://" + reference()});
  pyro_ok({"env", "add", "b", "docker://" + reference()});
  EXPECT_EQ(entries()[0]["oci_registry"], registry_->host());
  EXPECT_EQ(entries()[1]["oci_registry"], registry_->host());
  EXPECT_EQ(entries()[1]["oci_repository"], kRepository);
  EXPECT_EQ(entries()[1]["oci_reference"], "1");
  pyro_ok({"env", "pull", "b"});
  expect_installed(sample(), "b");
}

TEST_F(AddTest, DirectoryIsCopiedIntoTheCache) {
  const fs::path out = dir_ / "out";
  write_artifacts(out);
  fs::resize_file(out / "rootfs.ext4", 4096);  // only holes follow
  fs::resize_file(out / "rootfs.ext4", std::uintmax_t{1} << 30);
  write_file(out / "initrd.img", "initrd");
  write_file(out / "notes.txt", "mine");
  pyro_ok({"env", "add", "mine:1", "./out"});  // commands run in dir_
  const json pulled = pyro_json({"env", "pull", "mine:1"});
  EXPECT_EQ(pulled["source"], out.string());
  EXPECT_EQ(pulled["installed_digest"], nullptr);
  EXPECT_LT(pulled.value("installed_bytes", 0), 1 << 20) << "holes stay holes";
  const fs::path install = install_dir("mine:1");
  EXPECT_TRUE(holds(install / "vmlinux", sample().kernel));
  EXPECT_TRUE(holds(install / "initrd.img", "initrd"));
  EXPECT_EQ(fs::file_size(install / "rootfs.ext4"), std::uintmax_t{1} << 30);
  EXPECT_FALSE(fs::exists(install / "notes.txt"));
  EXPECT_FALSE(fs::is_symlink(install / "vmlinux"));
  EXPECT_EQ(record("mine:1")["artifacts"].size(), 3U);
  EXPECT_EQ(pyro_json({"env", "verify", "mine:1"})[0]["status"], "ok");
  // The install does not depend on the directory.
  fs::remove_all(out);
  EXPECT_EQ(pyro_json({"env", "verify", "mine:1"})[0]["status"], "ok");
  const ProcessResult again = pyro({"env", "pull", "--force", "mine:1"});
  EXPECT_EQ(again.exit_code, 6);
  EXPECT_EQ(pyro_json({"env", "verify", "mine:1"})[0]["status"], "ok");
}

TEST_F(AddTest, DirectoryIsReadAgainWithForce) {
  write_artifacts(dir_ / "out");
  pyro_ok({"env", "add", "mine", (dir_ / "out").string() + "/"});
  pyro_ok({"env", "pull", "mine"});
  write_artifacts(dir_ / "out", other_artifacts(5));
  pyro_ok({"env", "pull", "mine"});
  expect_installed(sample(), "mine");
  pyro_ok({"env", "pull", "--force", "mine"});
  expect_installed(other_artifacts(5), "mine");
  fs::remove(dir_ / "out/rootfs.ext4");
  const ProcessResult broken = pyro({"env", "pull", "--force", "mine"});
  EXPECT_EQ(broken.exit_code, 5);
  expect_says(broken.err, {"out has no rootfs.ext4"});
  expect_installed(other_artifacts(5), "mine");
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
}

TEST_F(AddTest, DirectoryAboveMaxSizeIsRejected) {
  write_artifacts(dir_ / "out");
  pyro_ok({"env", "add", "mine", "./out"});
  const ProcessResult result = pyro({"env", "pull", "mine", "--max-size", "1MiB"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"rootfs.ext4 is 2 MiB", "the limit is 1 MiB"});
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(AddTest, DirectoryForPinnedArchiveIsRejected) {
  write_artifacts(dir_ / "out");
  pyro_ok({"env", "add", "mine", "./out", "--sha256", std::string(64, 'a')});
  const ProcessResult result = pyro({"env", "pull", "mine"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"pins an archive", "is a directory"});
}

TEST_F(AddTest, InstallsFromBundleOfOneProfile) {
  write_artifacts(dir_ / "bundle/profiles/debian-git");
  write_file(dir_ / "bundle/manifest.json", "{}");
  fs::create_directories(dir_ / "bundle/profiles/empty");
  pyro_ok({"env", "add", "one", "./bundle"});
  pyro_ok({"env", "pull", "one"});
  expect_installed(sample(), "one");
  write_artifacts(dir_ / "bundle/profiles/debian-base");
  expect_add_refused(2, {"several profiles: debian-base, debian-git", "/profiles/debian-base"},
                     {"two", "./bundle"});
  pyro_ok({"env", "add", "two", "./bundle/profiles/debian-base"});
}

TEST_F(AddTest, InstallsFromArchiveByPathAndUrl) {
  write_file(dir_ / "vm.tar", tar_of(sample()));
  write_file(home() / "vm.tar", tar_of(sample()));
  const std::string sum = sha256_digest(tar_of(sample())).substr(7);
  pyro_ok({"env", "add", "a", "./vm.tar"});
  pyro_ok({"env", "add", "b", (dir_ / "vm.tar").string(), "--sha256", sum});
  pyro_ok({"env", "add", "c", "file://" + (dir_ / "vm.tar").string(), "--sha256", "sha256:" + sum});
  pyro_ok({"env", "add", "d", "~/vm.tar"});
  pyro_ok({"env", "pull", "a", "b", "c", "d"});
  for (const char* name : {"a", "b", "c", "d"}) expect_installed(sample(), name);
  pyro_ok({"env", "add", "wrong", "./vm.tar", "--sha256", std::string(64, 'a')});
  EXPECT_EQ(pyro({"env", "pull", "wrong"}).exit_code, 5);
}

TEST_F(AddTest, InstallsFromImageLayout) {
  write_oci_layout(image_of(sample()), dir_ / "layout", "1");
  const std::string place = "oci:" + (dir_ / "layout").string();
  pyro_ok({"env", "add", "a", "./layout"});
  pyro_ok({"env", "add", "b", "oci:layout"});
  write_oci_layout(image_of(other_artifacts(2)), dir_ / "layout", "team:2");
  pyro_ok({"env", "add", "c", "oci:./layout/:team:2"});
  EXPECT_EQ(entries()[0]["source_url"], place);
  EXPECT_EQ(entries()[1]["source_url"], place);
  EXPECT_EQ(entries()[2]["source_url"], place + ":team:2");
  pyro_ok({"env", "pull", "c"});
  expect_installed(other_artifacts(2), "c");
  expect_add_refused(3, {"more than one image", "choose one of: 1, team:2"}, {"d", "./layout"});
  expect_add_refused(2, {"is for archives"}, {"d", "oci:layout:1", "--sha256", kHex});
}

TEST_F(AddTest, InstallsFromImageLayoutInTar) {
  write_oci_layout(image_of(sample()), dir_ / "layout", "1");
  pyro_ok({"env", "add", "a", "./layout"});
  pyro_ok({"env", "pull", "a"});
  pyro_ok({"env", "export", "a", "-o", (dir_ / "export.tar").string()});
  const std::string place = "oci-archive:" + (dir_ / "export.tar").string();
  pyro_ok({"env", "add", "b", "./export.tar"});
  pyro_ok({"env", "add", "c", "oci-archive:export.tar:a"});
  EXPECT_EQ(entries()[1]["source_url"], place);
  EXPECT_EQ(entries()[2]["source_url"], place + ":a");
  pyro_ok({"env", "pull", "b", "c"});
  expect_installed(sample(), "b");
  expect_installed(sample(), "c");
}

// Old tars have no magic number; compressed archives are checked by the pull only.
TEST_F(AddTest, AcceptsOldAndCompressedTars) {
  write_file(dir_ / "v7.tar", TarBuilder()
                                  .tweak({.magic = TarMagic::v7})
                                  .file("vmlinux", sample().kernel)
                                  .file("rootfs.ext4", sample().rootfs)
                                  .finish());
  pyro_ok({"env", "add", "v7", "./v7.tar"});
  pyro_ok({"env", "pull", "v7"});
  expect_installed(sample(), "v7");
  for (const Compression compression :
       {Compression::gzip, Compression::zstd, Compression::xz, Compression::bzip2}) {
    const std::string name = "vm" + file_suffix(compression);
    write_file(dir_ / name, compress(tar_of(sample()), compression));
    pyro_ok({"env", "add", name, "./" + name});
  }
  pyro_ok({"env", "add", "later", "file:///is/not/there.tar"});
}

struct NoArchive {
  const char* name;
  std::string bytes;
  Words says;

  friend void PrintTo(const NoArchive& self, std::ostream* out) { *out << self.name; }
};

class NoArchiveTest : public AddTest, public ::testing::WithParamInterface<NoArchive> {};

TEST_P(NoArchiveTest, ErrorNamesTheFormat) {
  const fs::path file = dir_ / "file";
  write_file(file, GetParam().bytes);
  Words says = GetParam().says;
  says.push_back(file.string());
  expect_add_refused(5, says, {"mine", "./file"});
  expect_add_refused(5, says, {"mine", "file://" + file.string()});
  expect_add_refused(5, says, {"mine", "file://" + file.string() + "#sha256=" + kHex});
}

INSTANTIATE_TEST_SUITE_P(
    Files, NoArchiveTest,
    ::testing::Values(
        NoArchive{"Empty", "", {"is empty"}},
        NoArchive{"FileSystem",
                  file_system_with(noise(5000, 1)),
                  {"it is an ext2, ext3 or ext4 file system", "as rootfs.ext4", "directory"}},
        NoArchive{"Kernel", kernel_with("k"), {"it is an ELF file", "as vmlinux", "directory"}},
        NoArchive{"Qcow2", "QFI\xfb" + std::string(600, 'q'), {"it is a qcow2 disk image", "tar"}},
        NoArchive{"Zip", "PK\3\4" + std::string(600, 'z'), {"it is a zip archive", "a tar"}},
        NoArchive{"Page", "<!DOCTYPE html><title>Log in", {"it is an HTML page"}},
        NoArchive{"LfsPointer",
                  "version https://git-lfs.github.com/spec/v1\noid sha256:",
                  {"a Git LFS pointer"}},
        NoArchive{"Noise", noise(2000, 1), {"is not an archive", "a tar"}},
        NoArchive{"Zeros", std::string(2000, '\0'), {"is not an archive"}}),
    row_name);

// Modes bind root, too.
TEST_F(AddTest, RejectsUnreadableSource) {
  write_artifacts(dir_ / "closed");
  write_file(dir_ / "closed.tar", "tar");
  for (const char* name : {"closed", "closed.tar"}) {
    fs::permissions(dir_ / name, fs::perms(0));
    Command command = this->command({"env", "add", "mine", std::string("./") + name});
    const Words drop{"setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"};
    if (::geteuid() == 0) command.argv.insert(command.argv.begin(), drop.begin(), drop.end());
    const ProcessResult result = run(command);
    EXPECT_EQ(result.exit_code, 6) << result.err;
    expect_says(result.err, {(dir_ / name).string(), "Permission denied"});
    fs::permissions(dir_ / name, fs::perms(0755));
  }
}

TEST_F(AddTest, TakesChecksumFromUrlFragment) {
  write_file(dir_ / "vm.tar", tar_of(sample()));
  const std::string url = "file://" + (dir_ / "vm.tar").string();
  const std::string sum = sha256_digest(tar_of(sample())).substr(7);
  pyro_ok({"env", "add", "a", url + "#sha256=" + sum});
  EXPECT_EQ(entries()[0]["source_url"], url);
  EXPECT_EQ(entries()[0]["source_sha256"], sum);
  pyro_ok({"env", "add", "b", url + "#sha256=" + sum, "--sha256", sum});
  pyro_ok({"env", "pull", "a", "b"});
  expect_add_refused(2, {"another one"}, {"c", url + "#sha256=" + sum, "--sha256", kHex});
  pyro_ok({"env", "add", "wrong", url + "#sha256=" + kHex});
  EXPECT_EQ(pyro({"env", "pull", "wrong"}).exit_code, 5);
  use_catalog({archive_entry(url + "#sha256=" + kHex, "team:1")});
  EXPECT_EQ(pyro({"env", "pull", "team:1"}).exit_code, 5);
}

TEST_F(AddTest, HidesSecretsInUrl) {
  const std::string url = "https://robin:top-secret@r.example/vm.tar?signature=top-secret";
  const ProcessResult added = pyro_ok({"env", "add", "mine", url});
  expect_hides(added.err + added.out, {"top-secret"});
  for (const Words& words :
       {Words{"env", "list"}, Words{"env", "inspect", "mine"}, Words{"env", "list", "--json"},
        Words{"env", "inspect", "mine", "--json"}, Words{"env", "remove", "mine", "--json"}}) {
    expect_hides(pyro_ok(words).out, {"top-secret"});
  }
  pyro_ok({"env", "add", "mine", url});
  EXPECT_EQ(fs::status(user_file()).permissions(), fs::perms(0600));
}

TEST_F(AddTest, PrintsJson) {
  const json added = pyro_json({"env", "add", "mine", reference(), "--version", "3"});
  EXPECT_EQ(added, (json{{"name", "mine"},
                         {"version", "3"},
                         {"catalog_file", user_file().string()},
                         {"replaced", false}}));
  EXPECT_EQ(pyro_json({"env", "add", "mine", reference()}, 1)["error"]["code"], "failed");
  EXPECT_EQ(pyro_json({"env", "add", "mine", reference(), "--force"})["replaced"], true);
  EXPECT_EQ(pyro_json({"env", "add", "mine", "short"}, 2)["error"]["code"], "usage");
}

TEST_F(AddTest, ReplacedEntryHintsAtForcedPull) {
  registry_->put(kRepository, "1", image_of(sample()));
  registry_->put(kRepository, "2", image_of(other_artifacts(2)));
  pyro_ok({"env", "add", "mine", reference(":1")});
  pyro_ok({"env", "pull", "mine"});
  expect_says(pyro_ok({"env", "add", "mine", reference(":2"), "--force"}).err,
              {"pyro env pull --force mine"});
  pyro_ok({"env", "pull", "--force", "mine"});
  expect_installed(other_artifacts(2), "mine");
}

// --- refused sources ---

struct BadSource {
  const char* name;
  std::string source;
  int exit_code;
  Words says;

  friend void PrintTo(const BadSource& self, std::ostream* out) { *out << self.name; }
};

const std::vector<BadSource> kBadSources = {
    {"Empty", "", 2, {"empty"}},
    {"Spaces", "  ", 2, {"empty"}},
    {"ShortName", "ubuntu", 2, {"which registry", "docker.io/library/ubuntu"}},
    {"ShortNameWithTag", "ubuntu:22.04", 2, {"docker.io/library/ubuntu:22.04"}},
    {"NameWithoutAHost", "team/tool:1", 2, {"docker.io/team/tool:1"}},
    {"HubWithoutLibrary", "docker.io/ubuntu", 2, {"library/ubuntu"}},
    {"Capitals", "UPPER/case", 2, {"which registry"}},
    {"RepositoryInCapitals", "r.example/Team/Tool", 2, {"not a repository"}},
    {"PortOfLetters", "host:port/x", 2, {"not a registry"}},
    {"Port0", "host:0/x", 2, {"not a registry"}},
    {"Port65536", "host:65536/x", 2, {"not a registry"}},
    {"NoPort", "host:/x", 2, {"not a registry"}},
    {"BareIpv6", "::1/x", 2, {"not a registry"}},
    {"NameOf256", "r.example/" + std::string(246, 'a'), 2, {"255"}},
    {"TagOf129", "r.example/x:" + std::string(129, 'a'), 2, {"not a tag"}},
    {"TagWithADot", "r.example/x:.a", 2, {"not a tag"}},
    {"TagWithADash", "r.example/x:-a", 2, {"not a tag"}},
    {"DigestOf63", "r.example/x@sha256:" + kHex.substr(1), 2, {"no digest"}},
    {"DigestOf65", "r.example/x@sha256:" + kHex + "a", 2, {"no digest"}},
    {"DigestInCapitals", "r.example/x@sha256:" + std::string(64, 'A'), 2, {"no digest"}},
    {"DigestMd5", "r.example/x@md5:" + kHex.substr(32), 2, {"no digest"}},
    {"DigestSha512", "r.example/x@sha512:" + kHex, 2, {"no digest"}},
    {"TwoDigests", "r.example/x@sha256:" + kHex + "@sha256:" + kHex, 2, {"no digest"}},
    {"DoubleSlash", "r.example/a//b", 2, {"not a repository"}},
    {"Upwards", "r.example/a/../b", 2, {"not a repository"}},
    {"Dot", "r.example/a/./b", 2, {"not a repository"}},
    {"SlashAtTheEnd", "r.example/a/", 2, {"not a repository"}},
    {"ThreeUnderscores", "r.example/a___b", 2, {"not a repository"}},
    {"MixedSeparators", "r.example/a.-b", 2, {"not a repository"}},
    {"Escaped", "r.example/%2e%2e/x", 2, {"not a repository"}},
    {"LineBreak", "r.example/a\nb", 2, {"not a repository"}},
    {"EscapeSequence", "r.example/a\x1b[2J", 2, {"not a repository"}},
    {"BidiOverride",
     "r.example/a\xe2\x80\xae"
     "b",
     2,
     {"not a repository"}},
    {"NotAscii", "r\xc3\xa9gistry.example/x", 2, {"not a registry"}},
    {"NotUtf8", "r.example/\xff\xfe", 2, {"not a repository"}},
    {"PasswordInAReference", "robin:top-secret@r.example/x:1", 2, {"no digest"}},
    {"UrlOfFtp", "ftp://robin:top-secret@r.example/x.tar", 2, {"ftp"}},
    {"UrlWithRawUtf8", "https://r.example/\xc3\xbc.tar.gz", 2, {"beyond ASCII", "%C3%BC"}},
    {"UrlWithTwoAts", "https://robin@top-secret@r.example/x.tar", 2, {"two '@'", "%40"}},
    {"ShortNameBehindDockerScheme", "docker://ubuntu", 2, {"docker.io/library/ubuntu"}},
    {"DockerSchemeWithoutReference", "docker://", 2, {"empty"}},
    {"UrlOverPlainHttp", "http://far.example/x.tar", 2, {"http is fetched only with"}},
    {"UrlWithoutAHost", "https:///x.tar", 2, {"needs a host"}},
    {"UrlWithALineBreak", "https://r.example/a\r\nb", 2, {"control"}},
    {"UrlOfFileOnAnotherHost", "file://server/x.tar", 2, {"file URL"}},
    {"UrlWithAFragment", "https://r.example/x.tar#part", 2, {"sha256=HEX", "%23"}},
    {"UrlWithAnotherChecksum", "https://r.example/x.tar#sha512=" + kHex, 2, {"sha256=HEX"}},
    {"UrlWithHalfAChecksum", "https://r.example/x.tar#sha256=abc", 2, {"64 lower-case"}},
    {"NoSuchPath", "./nothing", 6, {"nothing", "No such file"}},
    {"EmptyFolder", "./folder", 5, {"holds no environment", "vmlinux and rootfs.ext4"}},
    {"FolderWithoutRootfs", "./half", 5, {"holds no environment"}},
    {"FolderWithPipes", "./pipes", 5, {"holds no environment"}},
    {"FolderWithoutTheDotSlash", "folder", 2, {"write ./folder"}},
    {"Pipe", "./pipe", 6, {"neither a file nor a directory"}},
    {"Device", "/dev/zero", 6, {"neither a file nor a directory"}},
    {"Socket", "./socket", 6, {"neither a file nor a directory"}},
    {"LayoutWithoutAPath", "oci:", 2, {"no path behind 'oci:'", "oci:DIR"}},
    {"LayoutArchiveWithoutAPath", "oci-archive::1", 2, {"no path behind 'oci-archive:'"}},
    {"LayoutMissing", "oci:./nothing", 6, {"nothing", "No such file"}},
    {"LayoutWithoutLayoutFile", "oci:./half", 5, {"half is not an image layout"}},
    {"LayoutWithoutThatImage", "oci:./layout:2", 3, {"has no image '2'", "it has: 1"}},
    {"LayoutWithAColonInItsName", "./a:layout", 2, {"what follows a ':' is a tag"}},
    {"DanglingLink", "./dangling", 6, {"No such file"}},
    {"LinkToItself", "./circle", 6, {"circle"}},
    {"HomeOfAnotherUser", "~nobody/x", 2, {"which registry"}},
};

class BadSourceTest : public AddTest, public ::testing::WithParamInterface<BadSource> {};

TEST_P(BadSourceTest, IsRefused) {
  fs::create_directories(dir_ / "folder");
  write_file(dir_ / "half/vmlinux", "kernel");
  fs::create_directories(dir_ / "pipes");
  for (const char* pipe : {"pipe", "pipes/vmlinux", "pipes/rootfs.ext4"}) {
    ASSERT_EQ(::mkfifo((dir_ / pipe).c_str(), 0644), 0);
  }
  write_oci_layout(image_of(sample()), dir_ / "layout", "1");
  fs::create_directory_symlink("layout", dir_ / "a:layout");
  ASSERT_EQ(::mknod((dir_ / "socket").c_str(), S_IFSOCK | 0644, 0), 0);
  fs::create_symlink("gone", dir_ / "dangling");
  fs::create_symlink("circle", dir_ / "circle");
  expect_add_refused(GetParam().exit_code, GetParam().says, {"mine", GetParam().source});
}

INSTANTIATE_TEST_SUITE_P(Sources, BadSourceTest, ::testing::ValuesIn(kBadSources), row_name);

TEST_F(AddTest, RejectsInvalidNames) {
  for (const std::string& name :
       {std::string(), std::string(" "), std::string("Mine"), std::string("../x"),
        std::string("a:b:c"), std::string("a\nb"), std::string("\x1b[2J"), std::string("\xff\xfe"),
        std::string("mine:"), std::string("a/b"), std::string(100'000, 'a')}) {
    const ProcessResult result = pyro({"env", "add", name, "r.example/x:1"});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_FALSE(std::ranges::any_of(result.err, is_control)) << result.err;
  }
  EXPECT_FALSE(fs::exists(home() / ".config"));
}

TEST_F(AddTest, RejectsInvalidUsage) {
  expect_add_refused(2, {"needs a SOURCE"}, {"mine"});
  expect_add_refused(2, {"unexpected argument 'x'"}, {"mine", "r.example/x", "x"});
  expect_add_refused(2, {"'--sha256'", "hexadecimal"}, {"mine", "./x", "--sha256", "abc"});
  expect_add_refused(2, {"is for archives"}, {"mine", "r.example/x:1", "--sha256", kHex});
  expect_add_refused(2, {"is not a version"}, {"mine", "r.example/x:1", "--version", "a/b"});
}

TEST_F(AddTest, RejectsTakenNames) {
  pyro_ok({"env", "add", "mine", "r.example/x:1"});
  expect_add_refused(1, {"mine", user_file().string(), "--force"}, {"mine", "r.example/x:2"});
  expect_add_refused(1, {"debian:12", "built in", "--force"}, {"debian:12", "r.example/x:2"});
  expect_add_refused(1, {"debian:12", "debian_12", "one directory"},
                     {"debian_12", "r.example/x:2", "--force"});
  const fs::path team = write_catalog(dir_ / "team.json", {entry("team:1")});
  expect_add_refused(1, {team.string(), "counts more"},
                     {"team:1", "r.example/x:1", "--force", "--catalog", team.string()});
}

TEST_F(AddTest, ReportsBrokenCatalogAndKeepsIt) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string(R"({"catalog_version": "1"})"),
        std::string(R"({"catalog_version": "1", "environments": [], "own": 1})"),
        std::string(4096, '\0')}) {
    write_file(user_file(), text);
    expect_add_refused(1, {user_file().string()}, {"mine", "r.example/x:1"});
    expect_refused(1, {user_file().string()}, {"env", "remove", "mine"});
    EXPECT_EQ(read_file(user_file()), text);
  }
  fs::remove(user_file());
  ASSERT_EQ(::mkfifo(user_file().c_str(), 0644), 0);
  const ProcessResult pipe = pyro({"env", "add", "mine", "r.example/x:1"});
  EXPECT_EQ(pipe.exit_code, 6);
  expect_says(pipe.err, {user_file().string(), "not a regular file"});
}

TEST_F(AddTest, ReportsUnwritableCatalog) {
  pyro_ok({"env", "add", "mine", "r.example/x:1"});
  std::unique_ptr<PrivateMount> mounted;
  if (::geteuid() == 0) {
    mounted = PrivateMount::read_only(home() / ".config");
    if (!mounted) GTEST_SKIP() << "root may not mount here, and no mode stops root";
  } else {
    fs::permissions(user_file().parent_path(), fs::perms(0555));
  }
  expect_add_refused(6, {"cannot change the catalog " + user_file().string()},
                     {"other", "r.example/x:1"});
  expect_refused(6, {user_file().string()}, {"env", "remove", "mine"});
  expect_hides(pyro({"env", "remove", "mine"}).err, {"--cache-dir"});
}

TEST_F(AddTest, FailsWithoutHome) {
  const ProcessResult result =
      pyro({"env", "add", "mine", "r.example/x:1", "--cache-dir", cache().string()},
           {{"HOME", std::nullopt}, {"XDG_CONFIG_HOME", std::nullopt}});
  EXPECT_EQ(result.exit_code, 1);
  expect_says(result.err, {"HOME is not set"});
}

TEST_F(AddTest, RemovesInstallWithoutHome) {
  install_by_hand(sample(), "debian:12");
  pyro_ok({"env", "remove", "debian:12", "--cache-dir", cache().string()},
          {{"HOME", std::nullopt}, {"XDG_CONFIG_HOME", std::nullopt}});
  EXPECT_FALSE(fs::exists(install_dir("debian:12")));
}

// --- concurrent changes ---

TEST_F(AddTest, EightConcurrentAddsLoseNothing) {
  constexpr int kProcesses = 8;
  std::vector<std::unique_ptr<BackgroundProcess>> processes;
  for (int i = 0; i < kProcesses; ++i) {
    const std::string number = std::to_string(i);
    processes.push_back(std::make_unique<BackgroundProcess>(
        command({"env", "add", "mine:" + number, "r.example/x:" + number}), dir_ / number));
  }
  for (const auto& process : processes) EXPECT_EQ(process->wait().exit_code, 0);
  EXPECT_EQ(entries().size(), std::size_t{kProcesses});
  EXPECT_EQ(pyro_json({"env", "list"})["environments"].size(), 3U + kProcesses);
}

/// Whether the process has a handler for SIGINT.
bool catches_interrupts(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigCgt:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
  }
  return false;
}

TEST_F(AddTest, InterruptEndsWaitForCatalogLock) {
  pyro_ok({"env", "add", "mine", "r.example/x:1"});
  const std::string before = read_file(user_file());
  const HeldLock lock(user_file().parent_path() / ".user.json.lock");
  BackgroundProcess waiting(command({"env", "add", "other", "r.example/x:1"}), dir_ / "waiting");
  ASSERT_TRUE(eventually([&] { return catches_interrupts(waiting.pid()); }));
  waiting.send_signal(SIGINT);
  EXPECT_EQ(waiting.wait().exit_code, 130);
  EXPECT_EQ(read_file(user_file()), before);
}

// --- env remove ---

class RemoveTest : public AddTest {
 protected:
  void add_and_pull(const std::string& name) const {
    registry_->put(kRepository, "1", image_of(sample()));
    pyro_ok({"env", "add", name, reference()});
    pyro_ok({"env", "pull", name});
  }
};

TEST_F(RemoveTest, RemovesInstallPreparedStateAndEntry) {
  add_and_pull("mine:1");
  write_file(cache() / "prepared/mine_1/none/memory", std::string(100'000, 'm'));
  write_file(cache() / "used/mine_1-1.0.0", "");
  const ProcessResult removed = pyro_ok({"env", "remove", "mine:1"});
  expect_says(removed.out, {"removed mine_1-1.0.0", "removed prepared/mine_1",
                            "removed mine:1 from the list", "reclaimed "});
  EXPECT_TRUE(fs::is_empty(platform_dir()));
  EXPECT_TRUE(fs::is_empty(cache() / "prepared"));
  EXPECT_FALSE(fs::exists(cache() / "used/mine_1-1.0.0"));
  EXPECT_TRUE(entries().empty());
  EXPECT_EQ(pyro({"env", "inspect", "mine:1"}).exit_code, 3);
  EXPECT_EQ(pyro({"env", "remove", "mine:1"}).exit_code, 3);
}

TEST_F(RemoveTest, RemovesAllVersions) {
  add_and_pull("mine");
  pyro_ok({"env", "add", "mine", reference(), "--version", "2.0.0", "--force"});
  pyro_ok({"env", "pull", "mine"});
  const json removed = pyro_json({"env", "remove", "mine"});
  EXPECT_EQ(removed["removed"], json({"mine-1.0.0", "mine-2.0.0"}));
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(RemoveTest, KeepsBuiltInEntry) {
  install_by_hand(sample(), "debian:12");
  const json removed = pyro_json({"env", "remove", "debian:12"});
  EXPECT_EQ(removed["entry_removed"], false);
  EXPECT_EQ(removed["removed"], json({"debian_12-1.0.0"}));
  EXPECT_GT(removed.value("bytes_reclaimed", 0), 0);
  EXPECT_EQ(pyro_json({"env", "inspect", "debian:12"})["installed"], false);
  const ProcessResult again = pyro({"env", "remove", "debian:12"});
  EXPECT_EQ(again.exit_code, 3);
  expect_says(again.err, {"debian:12", "is not installed"});
}

TEST_F(RemoveTest, RestoresOverriddenEntry) {
  pyro_ok({"env", "add", "debian:12", "r.example/x:1", "--force"});
  EXPECT_EQ(pyro_json({"env", "inspect", "debian:12"})["oci_registry"], "r.example");
  pyro_ok({"env", "remove", "debian:12"});
  EXPECT_EQ(pyro_json({"env", "inspect", "debian:12"})["oci_registry"], "registry-1.docker.io");
}

TEST_F(RemoveTest, KeepsInstallInUseAndItsEntry) {
  add_and_pull("mine");
  const auto before = cache_state();
  {
    const auto used = HeldLock::of_use(cache(), install_dir("mine"));
    expect_refused(75, {"mine", "in use"}, {"env", "remove", "mine"});
  }
  {
    const HeldLock pulled(cache() / "locks/mine-1.0.0.lock");
    expect_refused(75, {"mine", "in use"}, {"env", "remove", "mine"});
  }
  EXPECT_EQ(cache_state(), before);
  EXPECT_EQ(entries().size(), 1U);
  pyro_ok({"env", "remove", "mine"});
}

TEST_F(RemoveTest, KeepsAllVersionsWhenOneIsInUse) {
  install_by_hand(sample(), "debian:12", "1.0.0");
  install_by_hand(sample(), "debian:12", "2.0.0");
  const auto before = cache_state();
  {
    const auto used = HeldLock::of_use(cache(), install_dir("debian:12", "2.0.0"));
    expect_refused(75, {"debian:12", "in use"}, {"env", "remove", "debian:12"});
  }
  EXPECT_EQ(cache_state(), before);
  EXPECT_EQ(pyro_json({"env", "remove", "debian:12"})["removed"],
            json({"debian_12-1.0.0", "debian_12-2.0.0"}));
}

TEST_F(RemoveTest, ContinuesAfterNameThatFails) {
  add_and_pull("mine");
  pyro_ok({"env", "add", "other", "r.example/x:1"});
  const ProcessResult removed = pyro({"env", "remove", "unknown", "mine", "other", "--json"});
  EXPECT_EQ(removed.exit_code, 3);
  const json document = parse_json(removed.out);
  ASSERT_EQ(document.size(), 3U);
  EXPECT_EQ(document[0]["error"]["code"], "not_found");
  EXPECT_EQ(document[1]["entry_removed"], true);
  EXPECT_EQ(document[2]["removed"], json::array());
  EXPECT_TRUE(entries().empty());
}

TEST_F(RemoveTest, LinksAreNotFollowed) {
  write_artifacts(dir_ / "outside");
  pyro_ok({"env", "add", "mine", "r.example/x:1"});
  fs::create_directories(platform_dir());
  fs::create_directory_symlink(dir_ / "outside", install_dir("mine"));
  fs::create_directories(cache() / "prepared");
  fs::create_directory_symlink(dir_ / "outside", cache() / "prepared/mine");
  pyro_ok({"env", "remove", "mine"});
  EXPECT_TRUE(holds(dir_ / "outside/vmlinux", sample().kernel));
  EXPECT_TRUE(fs::is_symlink(install_dir("mine"))) << "it is nobody's install";
}

}  // namespace
}  // namespace pyro::testing

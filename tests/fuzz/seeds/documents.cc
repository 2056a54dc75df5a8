// Seeds of texts.
#include "seeds/corpus.h"
#include "support/images.h"

namespace pyro::testing {
namespace {

void references(const std::filesystem::path& root) {
  const Corpus corpus(root, "reference");
  corpus.add("tag", "registry.example:5000\nteam/environment\n1.0.0");
  corpus.add("digest", "127.0.0.1:5000\nteam/a__b/c-d.e\n" + kDigest);
  corpus.add("ipv6", "[::1]:5000\nx\nlatest");
  corpus.add("upwards", "localhost\n../../x\n..");
  corpus.add("port", "localhost:65536\nTeam//x\n-x");
}

void digests(const std::filesystem::path& root) {
  const Corpus corpus(root, "digest");
  corpus.add("good", kDigest);
  corpus.add("upper-case", "sha256:" + std::string(64, 'A'));
  corpus.add("short", kDigest.substr(0, 70));
  corpus.add("sha512", "sha512:" + kHex + kHex);
}

void challenges(const std::filesystem::path& root) {
  const Corpus corpus(root, "challenge");
  corpus.add("bearer", R"(Bearer realm="https://h/token",service="h",scope="repository:a/b:pull")");
  corpus.add("both", "Basic realm=\"x\"\nBearer realm=\"y\", charset=UTF-8");
  corpus.add("token68", R"(Negotiate YWJj==, NTLM, Basic realm="a\"b\\c")");
  corpus.add("lists", R"(,, Bearer ,realm="x",, ,scope=y,)");
  corpus.add("unquoted", R"(Bearer realm="x\)");
}

void registries_files(const std::filesystem::path& root) {
  const Corpus corpus(root, "registries_conf");
  corpus.add("rule", R"([[registry]]
prefix = "r.example/team"
location = "internal.example:5000/copies"
insecure = true
)");
  corpus.add("mirrors", R"([[registry]]
location = "docker.io"
[[registry.mirror]]
location = "m.example/hub"
pull-from-mirror = "all"
[[registry.mirror]]
location = "[::1]:5000"
insecure = true
)");
  corpus.add("wildcard", "[[registry]]\nprefix = \"*.example\"\nblocked = true\n");
  corpus.add("both",
             "[[registry]]\nlocation = \"r.example\"\n[[registry]]\nlocation = "
             "\"r.example\"\nblocked = true\n");
  corpus.add("path",
             "[[registry]]\nlocation = \"r.example:5000/../x@y\"\nmirror-by-digest-only "
             "= true\n");
  corpus.add("version-1", "[registries.search]\nregistries = [\"docker.io\"]\n");
  corpus.add("helpers", "credential-helpers = [\"secretservice\"]\n[aliases]\n\"a\" = \"b/c\"\n");
  corpus.add("broken", "[[registry]\nlocation = ");
}

void credential_files(const std::filesystem::path& root) {
  const Corpus corpus(root, "credential_file");
  corpus.add("auth", R"({"auths": {"r.example": {"auth": "cm9iaW46c2VjcmV0"}}})");
  corpus.add("hub", R"({"auths": {"https://index.docker.io/v1/": {"auth": "YTpiOmM="}}})");
  corpus.add("token", R"({"auths": {"R.EXAMPLE:5000": {"identitytoken": "t"}}, "x": null})");
  corpus.add("plain", R"({"auths": {"r.example/team": {"username": "a", "password": "b"},
"http://r.example/v2/": {}}})");
  corpus.add("helpers", R"({"credHelpers": {"r.example": "pass"}, "credsStore": "secretservice"})");
  corpus.add("no-colon", R"({"auths": {"r.example": {"auth": "cm9iaW4="}}})");
  corpus.add("twice", R"({"auths": {"r.example": {}, "r.example": {}}})");
  corpus.add("types", R"({"auths": {"r.example": []}, "credHelpers": 1})");
  corpus.add("cut", R"({"auths": {"r.example": {"auth": "cm9i)");
}

void redirects(const std::filesystem::path& root) {
  const Corpus corpus(root, "redirect");
  corpus.add("elsewhere",
             "https://r.example/v2/a/blobs/b\nrhttps://cdn.example/x?sig=1\nr/y\n"
             "rhttps://r.example/back\n");
  corpus.add("to-plain", "https://r.example/x\nrhttp://r.example/x\n");
  corpus.add("inwards", "https://r.example/x\nphttp://127.0.0.1/\nrhttps://10.0.0.1/\n");
  corpus.add("public", "https://r.example/x\nphttps://cdn.example/\nrhttps://10.0.0.1/\n");
  corpus.add("loopback",
             "http://localhost:5000/x\nrhttp://127.0.0.1:5000/\nrhttp://far.example/\n");
  corpus.add("user", "https://robin:se%63ret@r.example/x\nrhttps://eve:x@r.example/y\n");
  corpus.add("relative",
             "https://[::1]:8443/a/b?c#d\nr../../x y\xc3\xbc\nr?q\nr//other.example/z\ns.\n");
  corpus.add("odd",
             "https://a\\@b/\nrhttps:r.example\nrhttps://r.example:0/\nrfile:///etc/passwd\n");
  corpus.add("two-ats", "https://a@b@r.example/\nn\n");
}

void ranges(const std::filesystem::path& root) {
  const Corpus corpus(root, "range");
  corpus.add("whole", "w9");
  corpus.add("resumed", "w3\nr2\nr9");
  corpus.add("ignored", "w3\nw5\nw9");
  corpus.add("shifted", "w3\ns9\nw9");
  corpus.add("lies", "w3\nl4\nr9");
  corpus.add("refused", "w3\nn0\nw9");
  corpus.add("errors", "e1\nw2\ne1\nr1\nr9");
  corpus.add("header", "w3\nh1bytes 333-999/1000\nr9");
  corpus.add("header-odd", "w3\nh1bytes 333-999999999999999999999/*\nh0bytes -1-5/3\nr9");
}

void token_answers(const std::filesystem::path& root) {
  const Corpus corpus(root, "token");
  const std::string request = "https://auth.example/token?a=b\nregistry\nrepository:a/b:pull\n0\n";
  corpus.add("token", request + R"({"token": "T", "expires_in": 60})");
  corpus.add("access-token", request + R"({"token": "", "access_token": "T"})");
  corpus.add("line-break", request + R"({"token": "T\r\nX: y"})");
  corpus.add("none", request + R"({"token": 5, "access_token": null})");
  corpus.add("list", request + R"([{"token": "T"}])");
  corpus.add("twice", request + R"({"token": "T", "token": "U"})");
  corpus.add("cut", request + R"({"token": "T)");
  corpus.add("scopes", "http://[::1]:5001/\na&b=c#d\n x:1  y:2,3 \n0\n{}");
  corpus.add("refused",
             "https://auth.example/\n\n\n6\n"
             R"({"errors": [{"code": "DENIED", "message": "no"}]})");
  corpus.add("busy", "https://auth.example/\n\n\n9\n");
}

void manifests(const std::filesystem::path& root) {
  const Corpus corpus(root, "manifest");
  const std::string oci_index = "1";  // places in the target's list of media types
  const std::string oci_manifest = "2";
  const std::string docker_list = "3";
  const std::string docker_manifest = "4";
  const Image oci = ImageBuilder().layer("tar").layer("tar", Compression::zstd).build();
  const Image docker = ImageBuilder(ImageFormat::docker).layer("tar").build();
  corpus.add("oci", oci_manifest + oci.root.bytes);
  corpus.add("oci-by-itself", "0" + oci.root.bytes);
  corpus.add("docker", docker_manifest + docker.root.bytes);
  corpus.add("contradiction", docker_manifest + oci.root.bytes);
  const Image index = IndexBuilder()
                          .add(docker, Platform{"linux", "arm64", "v8"})
                          .add(oci, std::nullopt)
                          .add_attestation(oci, oci.digest())
                          .build();
  corpus.add("index", oci_index + index.root.bytes);
  const auto list = IndexBuilder(ImageFormat::docker).add(docker, Platform{}).build();
  corpus.add("list", docker_list + list.root.bytes);
  corpus.add("schema-1", R"(0{"schemaVersion": 1, "fsLayers": []})");
  corpus.add("both", R"(0{"schemaVersion": 2, "layers": [], "manifests": []})");
  corpus.add("twice", R"(0{"schemaVersion": 2, "layers": [], "layers": []})");
  corpus.add("sizes", R"(0{"schemaVersion": 2, "layers": [{"digest": ")" + kDigest +
                          R"(", "size": 9007199254740993}]})");
  corpus.add("deep", "0" + std::string(65, '[') + std::string(65, ']'));
}

std::string catalog_of(const std::string& fields) {
  return R"({"catalog_version": "4.5.0", "environments": [{"name": "debian:12",
"version": "1.0.0", "description": "x", "default_packages": ["bash"], "distribution": "debian",
"distribution_version": "12", "source_profile": "debian")" +
         fields + "}]}";
}

void catalogs(const std::filesystem::path& root) {
  const Corpus corpus(root, "catalog");
  corpus.add("smallest", catalog_of(""));
  corpus.add("oci", catalog_of(R"(, "oci_registry": "r.example:5000", "oci_repository": "a/b",
"oci_reference": "1.0", "oci_digest": ")" +
                               kDigest + R"(", "compatibility": ">=4.5.0,<5.0.0")"));
  corpus.add("archive", catalog_of(R"(, "source_url": "https://h/x.tar.zst", "source_sha256": ")" +
                                   kHex + R"(", "platform": "linux-x86_64")"));
  corpus.add("path", catalog_of(R"(, "source_url": "../x.tar.gz", "source_digest": null)"));
  corpus.add("file", catalog_of(R"(, "source_url": "file:///x%20y.tar")"));
  corpus.add("unknown", catalog_of(R"(, "oci_registri": "x")"));
  corpus.add("empty", R"({"catalog_version": "1", "environments": []})");
  corpus.add("list", "[]");
}

void install_records(const std::filesystem::path& root) {
  const Corpus corpus(root, "install_record");
  const std::string reference = R"({
  "catalog_version": "4.5.0",
  "installed_at": 1700000000,
  "name": "debian:12",
  "source": "oci://r.example/a@)" +
                                kDigest +
                                R"(",
  "source_digest": null,
  "version": "1.0.0")";
  corpus.add("reference", reference + "\n}\n");
  corpus.add("ours", reference + R"(, "catalog_file": "/etc/c\u00e4t.json", "oci_digest": ")" +
                         kDigest + R"(", "artifacts": {"vmlinux": {"size": 7, "digest": ")" +
                         kDigest + "\"}}}");
  corpus.add("wrong-types", R"({"name": "x", "version": "1", "installed_at": 1e9, "source": 1,
"oci_digest": "x", "artifacts": {"vmlinux": 1, "y": {"size": -1}}})");
  corpus.add("cut", reference);
}

void state_manifests(const std::filesystem::path& root) {
  const Corpus corpus(root, "prepared_state");
  const std::string begin = R"({"conditions": @conditions@, "booted_on": @kind@)";
  const std::string files = R"(, "files": @files@)";
  corpus.add("good", begin + files + R"(, "artifacts": @artifacts@})");
  corpus.add("without-digests", begin + files + "}");
  corpus.add("without-files", begin + "}");
  corpus.add("impossible", begin + files + R"(, "impossible": ""})");
  corpus.add("of-another-machine",
             R"({"conditions": @conditions@, "booted_on": {"type": "q35"})" + files + "}");
  corpus.add("wrong-types", R"({"conditions": [1], "booted_on": 7, "files": "x",
"artifacts": {"memory": {"size": -1, "digest": 7}, "devices": []}})");
  corpus.add("list", "[@conditions@]");
  corpus.add("cut", begin + files);
}

}  // namespace

void write_documents(const std::filesystem::path& root) {
  references(root);
  digests(root);
  challenges(root);
  manifests(root);
  registries_files(root);
  credential_files(root);
  redirects(root);
  ranges(root);
  token_answers(root);
  catalogs(root);
  install_records(root);
  state_manifests(root);

  const Corpus configs(root, "container_config");
  const std::string layers = R"("rootfs":{"type":"layers","diff_ids":["sha256:)" + kHex + R"("]}})";
  configs.add("full", R"({"os":"linux","architecture":"amd64","config":{"Env":["PATH=/bin","A="],)"
                      R"("Entrypoint":["/e"],"Cmd":["a","b c"],"WorkingDir":"/w","User":"u:g",)"
                      R"("StopSignal":"SIGTERM","Labels":{"a":"b"}},)" +
                          layers);
  configs.add("none", "{" + layers);
  configs.add("nulls", R"({"config":{"Env":null,"Cmd":null},)" + layers);
  configs.add("types", R"({"config":{"Env":"A=b","User":0},)" + layers);
  configs.add("relative", R"({"config":{"WorkingDir":"w"},)" + layers);
}

}  // namespace pyro::testing

// `env list --outdated`: newer images behind the references of installs.
#include <gtest/gtest.h>

#include "scenarios/registry_harness.h"
#include "support/http_server.h"
#include "support/real_registry.h"
#include "support/skopeo.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

class UpdatesTest : public RegistryHarness {
 protected:
  UpdatesTest() { variables_["PYRO_RETRIES"] = "1"; }

  /// The entry of `name` in the report.
  json update_of(const std::string& name = "tool:1", int exit_code = 0) const {
    const json document = pyro_json({"env", "list", "--outdated"}, exit_code);
    for (const json& one : document["environments"]) {
      if (one["name"] == name) return one;
    }
    ADD_FAILURE() << "nothing is said of " << name;
    return json::object();
  }

  void expect_update(const json& update, const json& newest, const json& newer) const {
    EXPECT_EQ(update["newest_digest"], newest) << update;
    EXPECT_EQ(update["newer_available"], newer) << update;
    EXPECT_EQ(update["error"], nullptr) << update;
  }

  static Image index_of(const Image& image, std::uint64_t seed) {
    const Image other = ImageBuilder()
                            .platform({"linux", "arm64", ""})
                            .layer(tar_of(other_artifacts(seed)))
                            .build();
    return IndexBuilder().add(other, Platform{"linux", "arm64", ""}).add(image, Platform{}).build();
  }
};

TEST_F(UpdatesTest, FindsNewImageByHeadRequestsOnly) {
  const Image old = image_of(sample());
  const Image fresh = image_of(other_artifacts(2));
  offer(old);
  pyro_ok({"env", "pull", "tool:1"});
  registry_->forget_requests();
  expect_update(update_of(), old.digest(), false);
  const ProcessResult none = pyro_ok({"env", "list", "--outdated"});
  EXPECT_EQ(none.out, "");
  expect_says(none.err, {"nothing that is installed has a newer image"});

  registry_->put(kRepository, "1", fresh);
  const auto before = cache_state();
  const json update = update_of();
  expect_update(update, fresh.digest(), true);
  EXPECT_EQ(update["installed_digest"], old.digest());
  expect_says(pyro_ok({"env", "list", "--outdated"}).out,
              {"NEWEST", "tool:1", old.digest(), fresh.digest()});
  for (const RecordedRequest& request : registry_->requests()) {
    EXPECT_EQ(request.request.method, "HEAD");
  }
  EXPECT_EQ(cache_state(), before);

  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  pyro_ok({"env", "pull", "--force", "tool:1"});
  expect_update(update_of(), fresh.digest(), false);
}

TEST_F(UpdatesTest, FallsBackToGetWhereHeadIsUseless) {
  const Image old = image_of(sample());
  const Image fresh = image_of(other_artifacts(2));
  const Fault useless[] = {faults::status(405), faults::status(501),
                           faults::without_header("Docker-Content-Digest"),
                           faults::header("Docker-Content-Digest", "nonsense")};
  for (const Fault& fault : useless) {
    registry_->clear_rules();
    offer(old);
    pyro_ok({"env", "pull", "--force", "tool:1"});
    registry_->add_rule({.kind = RequestKind::manifest, .method = "HEAD"}, fault);
    expect_update(update_of(), old.digest(), false);
    registry_->put(kRepository, "1", fresh);
    registry_->forget_requests();
    expect_update(update_of(), fresh.digest(), true);
    EXPECT_EQ(registry_->count(RequestKind::blob) + registry_->count(RequestKind::config), 0);
  }
}

TEST_F(UpdatesTest, ComparesDigestOfIndex) {
  const Image image = image_of(sample());
  const Image index = index_of(image, 3);
  offer(index);
  pyro_ok({"env", "pull", "tool:1"});
  registry_->forget_requests();
  expect_update(update_of(), index.digest(), false);
  EXPECT_EQ(registry_->count(RequestKind::manifest), 1);
  const Image fresh = index_of(image_of(other_artifacts(2)), 3);
  registry_->put(kRepository, "1", fresh);
  expect_update(update_of(), fresh.digest(), true);
}

// The Python reference records the manifest's digest only.
TEST_F(UpdatesTest, FindsRecordedManifestInIndex) {
  const Image image = image_of(sample());
  const Image index = index_of(image, 3);
  offer(index);
  const auto install = install_by_hand(sample());
  json record = reference_record("tool:1", "1.0.0", "oci://r/x@" + image.digest(), image.digest());
  write_file(install / "environment.json", reference_json(record));
  expect_update(update_of(), index.digest(), false);
  const Image fresh = index_of(image_of(other_artifacts(2)), 3);
  registry_->put(kRepository, "1", fresh);
  expect_update(update_of(), fresh.digest(), true);
}

TEST_F(UpdatesTest, PinnedImagesNeedNoRequest) {
  const Image old = image_of(sample());
  const Image fresh = image_of(other_artifacts(2));
  registry_->put(kRepository, "1", old);
  const auto entries = [&](const std::string& pin) {
    json pinned = oci_entry(registry_->host(), kRepository, "1", "pinned");
    pinned["oci_digest"] = pin;
    return std::vector<json>{pinned,
                             oci_entry(registry_->host(), kRepository, old.digest(), "named")};
  };
  use_catalog(entries(old.digest()));
  pyro_ok({"env", "pull", "pinned", "named"});
  registry_->put(kRepository, "1", fresh);
  registry_->forget_requests();
  expect_update(update_of("pinned"), old.digest(), false);
  expect_update(update_of("named"), old.digest(), false);
  use_catalog(entries(fresh.digest()));
  expect_update(update_of("pinned"), fresh.digest(), true);
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(UpdatesTest, ArchivesHaveNoUpdates) {
  write_file(dir_ / "vm.tar", tar_of(sample()));
  use_catalog({archive_entry((dir_ / "vm.tar").string())});
  pyro_ok({"env", "pull", "tool:1"});
  expect_update(update_of(), nullptr, nullptr);
  EXPECT_EQ(pyro_ok({"env", "list", "--outdated"}).out, "");
}

TEST_F(UpdatesTest, FailureOfOneRegistryKeepsOtherResults) {
  const Image old = image_of(sample());
  registry_->put(kRepository, "1", old);
  const std::string dead = "localhost:" + std::to_string(unused_port());
  const auto at = [&](const std::string& name, const std::string& host) {
    return oci_entry(host, kRepository, "1", name);
  };
  use_catalog({at("a-dead", registry_->host()), at("b-good", registry_->host())});
  pyro_ok({"env", "pull", "a-dead", "b-good"});
  use_catalog({at("a-dead", dead), at("b-good", registry_->host())});
  const Image fresh = image_of(other_artifacts(2));
  registry_->put(kRepository, "1", fresh);
  const json broken = update_of("a-dead", 4);
  EXPECT_EQ(broken["newest_digest"], nullptr);
  EXPECT_EQ(broken["newer_available"], nullptr);
  EXPECT_EQ(broken["error"]["code"], "network");
  expect_update(update_of("b-good", 4), fresh.digest(), true);
  const ProcessResult told = pyro({"env", "list", "--outdated"});
  EXPECT_EQ(told.exit_code, 4);
  expect_says(told.out, {"b-good", fresh.digest()});
  expect_says(told.err, {"a-dead", dead});
}

struct Refusal {
  const char* name;
  Fault fault;
  std::vector<std::string> says;

  friend void PrintTo(const Refusal& self, std::ostream* out) { *out << self.name; }
};

class FailedUpdateCheck : public UpdatesTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(FailedUpdateCheck, IsReportedAndChangesNothing) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  registry_->add_rule({.kind = RequestKind::manifest}, GetParam().fault);
  const auto before = cache_state();
  const ProcessResult result = pyro({"env", "list", "--outdated"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_EQ(result.out, "");
  expect_says(result.err, GetParam().says);
  EXPECT_EQ(cache_state(), before);
  EXPECT_FALSE(update_of("tool:1", 4)["error"].is_null());
}

INSTANTIATE_TEST_SUITE_P(
    Answers, FailedUpdateCheck,
    ::testing::Values(
        Refusal{"Gone", faults::status(404), {"it does not exist"}},
        Refusal{"Forbidden", faults::status(403), {"403"}},
        Refusal{"Broken", faults::status(500), {"500"}},
        Refusal{"TooOften", faults::status(429), {"429"}},
        Refusal{"LoginPage", faults::html(), {"web page"}},
        Refusal{"RedirectToPlainHttp", faults::redirect(RedirectFault::To::plain), {"plain http"}}),
    row_name);

TEST_F(UpdatesTest, ChecksRegistryWithLogin) {
  registry_->set_auth(auth(AuthOptions::Mode::bearer));
  offer(image_of(sample()));
  log_in(registry_->host());
  pyro_ok({"env", "pull", "tool:1"});
  const Image fresh = image_of(other_artifacts(2));
  registry_->put(kRepository, "1", fresh);
  expect_update(update_of(), fresh.digest(), true);
  log_in(registry_->host(), kUser, "wr0ng");
  const ProcessResult refused = pyro({"env", "list", "--outdated"});
  EXPECT_EQ(refused.exit_code, 4);
  expect_hides(refused.err, {"wr0ng"});
}

TEST_F(UpdatesTest, VeryVerboseLogsEveryRequest) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"});
  const std::string line = " https://" + registry_->host() + "/v2/";
  expect_says(pyro_ok({"env", "list", "--outdated", "-vv"}).err, {"HEAD" + line + "team/tool/"});
  const ProcessResult examined =
      pyro({"doctor", "--check-registry", "--environment", "tool:1", "-vv"});
  expect_says(examined.err, {"GET" + line + ": 200"});
}

TEST_F(UpdatesTest, SendsNoRequestWithNothingInstalled) {
  offer(image_of(sample()));
  EXPECT_EQ(pyro_json({"env", "list", "--outdated"})["environments"], json::array());
  EXPECT_TRUE(registry_->requests().empty());
}

class RealUpdatesTest : public PyroHarness {
 protected:
  RealUpdatesTest() { variables_["SSL_CERT_FILE"] = authority_.certificate_file().string(); }

  json update() const { return pyro_json({"env", "list", "--outdated"})["environments"].at(0); }

  CertificateAuthority authority_{dir_ / "authority"};
};

TEST_F(RealUpdatesTest, FindsNewImageBehindTag) {
  const RealRegistry registry(authority_);
  const SkopeoOptions options{.certificate_dir = authority_.certificate_dir()};
  const std::string place = registry.host() + "/team/tool:1";
  const std::string old = push_image(image_of(sample()), place, options);
  pyro_ok({"env", "add", "mine", place});
  pyro_ok({"env", "pull", "mine"});
  EXPECT_EQ(update()["newer_available"], false);
  EXPECT_EQ(update()["newest_digest"], old);
  const std::string fresh = push_image(image_of(other_artifacts(2)), place, options);
  EXPECT_EQ(update()["newer_available"], true);
  EXPECT_EQ(update()["installed_digest"], old);
  EXPECT_EQ(update()["newest_digest"], fresh);
  pyro_ok({"env", "pull", "--force", "mine"});
  EXPECT_EQ(update()["newer_available"], false);
  EXPECT_EQ(update()["newest_digest"], fresh);
  expect_installed(other_artifacts(2), "mine");
}

}  // namespace
}  // namespace pyro::testing

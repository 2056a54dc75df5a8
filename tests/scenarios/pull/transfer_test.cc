// Retry and resume of transfers, within a process and by the next one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

using nlohmann::json;
using To = RedirectFault::To;

constexpr Match kManifest{.kind = RequestKind::manifest};
constexpr Match kAnyBlob{.kind = RequestKind::blob};

Match the(Match match, int first, int last) {
  match.first = first;
  match.last = last;
  return match;
}

/// Like a partial file whose pull began to write some time after the start of the transfer.
void punch_hole(const std::filesystem::path& file, off_t size) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size), 0);
  ::close(fd);
}

class TransferTest : public RegistryHarness {
 protected:
  TransferTest() {
    image_ = image_of(sample());
    for (const auto& [digest, blob] : image_.blobs) blob_size_ = std::max(blob_size_, blob.size());
    offer(image_);
  }

  std::vector<std::string> ranges() const {
    std::vector<std::string> ranges;
    for (const RecordedRequest& one : registry_->requests()) {
      if (one.kind != RequestKind::blob) continue;
      ranges.push_back(one.request.header("Range").value_or("all"));
    }
    return ranges;
  }

  std::size_t partials() const {
    const std::filesystem::path folder = cache() / "partial";
    return std::filesystem::exists(folder) ? files_in(folder).size() : 0;
  }

  static std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry);
    return files;
  }

  void expect_clean_install() {
    expect_installed(sample());
    EXPECT_EQ(partials(), 0U);
    EXPECT_TRUE(std::filesystem::is_empty(cache() / "staging"));
  }

  Image image_;
  std::size_t blob_size_ = 0;  // of the layer, the largest there is
};

// --- within a process ---

struct Passing {
  const char* name;
  Match when;
  Fault then;

  friend void PrintTo(const Passing& self, std::ostream* out) { *out << self.name; }
};

class TransientFault : public TransferTest, public ::testing::WithParamInterface<Passing> {};

TEST_P(TransientFault, IsRetried) {
  registry_->add_rule(GetParam().when, GetParam().then);
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  EXPECT_NE(result.err.find("trying again in"), std::string::npos) << result.err;
  expect_clean_install();
}

TEST_P(TransientFault, FailsWithZeroRetries) {
  registry_->add_rule(GetParam().when, GetParam().then);
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--retries", "0"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
}

const std::vector<Passing> kPassing = {
    {"Manifest408", the(kManifest, 1, 2), faults::status(408)},
    {"Manifest429", the(kManifest, 1, 2), faults::status(429)},
    {"Manifest429WithPause", the(kManifest, 1, 1), faults::status(429, {{"Retry-After", "1"}})},
    {"Manifest500", the(kManifest, 1, 3), faults::status(500)},
    {"Manifest502", the(kManifest, 1, 1), faults::status(502)},
    {"Manifest503", the(kManifest, 1, 3), faults::status(503)},
    {"Manifest504", the(kManifest, 1, 1), faults::status(504)},
    {"ManifestCutOff", the(kManifest, 1, 2), faults::cut_after(20)},
    {"ManifestReset", the(kManifest, 1, 2), faults::cut_after(0, Ending::reset)},
    {"LayerFails", the(kAnyBlob, 1, 2), faults::status(503)},
    {"LayerResetAtOnce", the(kAnyBlob, 1, 1), faults::cut_after(0, Ending::reset)},
    {"LayerCutAfterOneByte", the(kAnyBlob, 1, 1), faults::cut_after(1)},
    {"LayerCutInTheMiddle", the(kAnyBlob, 1, 1), faults::cut_after(200'000)},
    {"LayerCutInTheMiddleByReset", the(kAnyBlob, 1, 1), faults::cut_after(200'000, Ending::reset)},
    {"LayerWithoutLengthCut",
     the(kAnyBlob, 1, 1),
     {.no_length = true, .cut_after = 100'000, .ending = Ending::no_close_notify}},
    {"LayerChunkedCut", the(kAnyBlob, 1, 1), {.chunked = true, .cut_after = 100'000}},
};

INSTANTIATE_TEST_SUITE_P(Faults, TransientFault, ::testing::ValuesIn(kPassing), row_name);

TEST_F(TransferTest, ResumesAtTheNextByte) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(200'000));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(ranges(), (std::vector<std::string>{"all", "bytes=200000-"}));
  expect_clean_install();
}

TEST_F(TransferTest, RetriesWithoutLimitWhileBytesArrive) {
  registry_->add_rule({.kind = RequestKind::blob}, faults::cut_after(70'000));
  pyro_ok({"env", "pull", "tool:1", "--retries", "1"});
  EXPECT_GE(ranges().size(), blob_size_ / 70'000);
  expect_clean_install();
}

TEST_F(TransferTest, GivesUpWhenNoBytesArrive) {
  registry_->add_rule(the(kAnyBlob, 2, 99), faults::cut_after(0));
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(1000));
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--retries", "3"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_EQ(ranges().size(), 4U);
  expect_says(result.err, {"gave up after 4 tries"});
}

struct Resumption {
  const char* name;
  Fault then;  ///< What the request for the rest meets.
  std::size_t requests;

  friend void PrintTo(const Resumption& self, std::ostream* out) { *out << self.name; }
};

class ResumptionTest : public TransferTest, public ::testing::WithParamInterface<Resumption> {};

TEST_P(ResumptionTest, InstallsTheRightBytes) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(100'000));
  registry_->add_rule({.kind = RequestKind::blob, .ranged = true}, GetParam().then);
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(ranges().size(), GetParam().requests);
  expect_clean_install();
}

const std::vector<Resumption> kResumptions = {
    {"RangeIgnored", {.ignore_range = true}, 2},
    {"RangeBeginsEarlier", {.shift_range = -100}, 3},
    {"RangeBeginsLater", {.shift_range = 100}, 3},
    {"NoContentRange", {.drop_headers = {"Content-Range"}}, 3},
    {"Multipart", faults::header("Content-Type", "multipart/byteranges; boundary=x"), 3},
    {"AnotherTotal", faults::header("Content-Range", "bytes 100000-444191/999999"), 3},
    {"NotSatisfiable", faults::status(416, {{"Content-Range", "bytes */444192"}}), 3},
    {"TwoContentRanges", {.add_headers = {{"Content-Range", "bytes 0-1/2"}}}, 3},
};

INSTANTIATE_TEST_SUITE_P(Answers, ResumptionTest, ::testing::ValuesIn(kResumptions), row_name);

TEST_F(TransferTest, WrongRemainderRestartsTransferOnce) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(100'000));
  registry_->add_rule(the(kAnyBlob, 2, 2), faults::flip_byte_at(300'000));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(ranges(), (std::vector<std::string>{"all", "bytes=100000-", "all"}));
  expect_clean_install();
}

TEST_F(TransferTest, FailsOnSecondWrongRemainder) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(100'000));
  registry_->add_rule(the(kAnyBlob, 2, 99), faults::flip_byte_at(300'000));
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_EQ(ranges().size(), 3U);
  EXPECT_EQ(partials(), 0U);
}

TEST_F(TransferTest, ResumesAtRegistryNotAtRedirectTarget) {
  FakeRegistryOptions options;
  options.links_work_once = true;
  start_registry(options);
  offer(image_);
  registry_->add_rule(kAnyBlob, faults::redirect(To::cdn));
  registry_->add_rule(the({.kind = RequestKind::redirected}, 1, 2), faults::cut_after(100'000));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(ranges().size(), 3U) << "each link works once";
  EXPECT_FALSE(registry_->saw_authorization(Listener::cdn));
  expect_clean_install();
}

TEST_F(TransferTest, RenewsTokenThatExpiresDuringTransfer) {
  registry_->set_auth(auth(AuthOptions::Mode::bearer));
  log_in(registry_->host());
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(100'000));
  registry_->add_rule(the({.kind = RequestKind::blob, .ranged = true}, 1, 1),
                      faults::challenge({"Bearer realm=\"" + registry_->token_realm() +
                                         "\",error=\"invalid_token\""}));
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(registry_->count(RequestKind::token), 2);
  expect_clean_install();
}

TEST_F(TransferTest, GivesUpOnRetryAfterAbove60s) {
  for (const char* asked : {"61", "3600"}) {
    registry_->clear_rules();
    registry_->add_rule(kManifest, faults::status(429, {{"Retry-After", asked}}));
    registry_->forget_requests();
    const ProcessResult result = pyro({"env", "pull", "tool:1"});
    EXPECT_EQ(result.exit_code, 4) << result.err;
    expect_says(result.err, {std::string(asked) + " s"});
    EXPECT_EQ(registry_->count(RequestKind::manifest), 1);
  }
}

TEST_F(TransferTest, RetriesOnUnusableRetryAfter) {
  for (const char* asked : {"abc", "-1", "Thu, 01 Jan 1970 00:00:00 GMT", "0"}) {
    registry_->clear_rules();
    registry_->add_rule(the(kManifest, 1, 1), faults::status(503, {{"Retry-After", asked}}));
    pyro_ok({"env", "pull", "tool:1", "--force"});
  }
}

TEST_F(TransferTest, DoesNotRetryPermanentStatuses) {
  for (const int status : {400, 401, 403, 404, 405, 451, 501}) {
    registry_->clear_rules();
    registry_->forget_requests();
    registry_->add_rule(kAnyBlob, faults::status(status));
    EXPECT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 4);
    EXPECT_LE(ranges().size(), 2U) << status;
  }
}

TEST_F(TransferTest, ReportsRetryInJsonProgress) {
  registry_->add_rule(the(kManifest, 1, 1), faults::status(503));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1", "--progress", "json"});
  expect_says(result.err, {"\"event\":\"retrying\"", "\"pause_seconds\":"});
}

// --- by the next process ---

TEST_F(TransferTest, NextPullResumesBrokenTransfer) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(300'000));
  EXPECT_EQ(pyro({"env", "pull", "tool:1", "--retries", "0"}).exit_code, 4);
  EXPECT_EQ(partials(), 1U);
  registry_->forget_requests();
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(ranges(), (std::vector<std::string>{"bytes=300000-"}));
  expect_clean_install();
}

TEST_F(TransferTest, NextPullFetchesMissingStartAgain) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(300'000));
  EXPECT_EQ(pyro({"env", "pull", "tool:1", "--retries", "0"}).exit_code, 4);
  punch_hole(files_in(cache() / "partial")[0], 65'536);
  registry_->forget_requests();
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(ranges(), (std::vector<std::string>{"all", "bytes=300000-"}));
  expect_clean_install();
}

TEST_F(TransferTest, DoesNotKeepShortTransfer) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(300'000));
  const Variables patient{{"PYRO_KEEP_AFTER", "60"}};
  EXPECT_EQ(pyro({"env", "pull", "tool:1", "--retries", "0"}, patient).exit_code, 4);
  EXPECT_EQ(partials(), 0U);
}

TEST_F(TransferTest, NextPullResumesAfterKill) {
  registry_->add_rule(kAnyBlob, faults::held_after(300'000));
  BackgroundProcess pull(command({"env", "pull", "tool:1"}), dir_ / "out");
  pull.wait_until("something arrived", [&] {
    return partials() == 1 && std::filesystem::file_size(files_in(cache() / "partial")[0]) > 0;
  });
  pull.send_signal(SIGKILL);
  pull.wait();
  registry_->clear_rules();
  registry_->forget_requests();
  pyro_ok({"env", "pull", "tool:1"});
  ASSERT_EQ(ranges().size(), 1U);
  EXPECT_NE(ranges()[0], "all");
  expect_installed(sample());
}

struct Leftover {
  const char* name;
  /// Damages the partial file of an interrupted pull.
  std::function<void(const std::filesystem::path& partial, std::size_t blob_size)> spoil;

  friend void PrintTo(const Leftover& self, std::ostream* out) { *out << self.name; }
};

class LeftoverTest : public TransferTest, public ::testing::WithParamInterface<Leftover> {};

TEST_P(LeftoverTest, IsNeverTrusted) {
  registry_->add_rule(the(kAnyBlob, 1, 1), faults::cut_after(300'000));
  EXPECT_EQ(pyro({"env", "pull", "tool:1", "--retries", "0"}).exit_code, 4);
  ASSERT_EQ(partials(), 1U);
  GetParam().spoil(files_in(cache() / "partial")[0], blob_size_);
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  const json pruned = pyro_json({"env", "prune"});
  EXPECT_TRUE(pruned["failed"].empty()) << pruned;
  EXPECT_EQ(partials(), 0U);
}

namespace fs = std::filesystem;

const std::vector<Leftover> kLeftovers = {
    {"AsItWas", [](const auto&, auto) {}},
    {"Empty", [](const auto& file, auto) { fs::resize_file(file, 0); }},
    {"WithATailOfZeros", [](const auto& file, auto) { fs::resize_file(file, 310'000); }},
    {"Longer", [](const auto& file, auto size) { fs::resize_file(file, size + 1); }},
    {"AsLongAsTheBlob", [](const auto& file, auto size) { fs::resize_file(file, size); }},
    {"WithoutItsFront", [](const auto& file, auto) { punch_hole(file, 131'072); }},
    {"WithAFrontOfAFewBytes", [](const auto& file, auto) { punch_hole(file, 4096); }},
    {"AllHole", [](const auto& file, auto) { punch_hole(file, 303'104); }},
    {"OtherBytes", [](const auto& file, auto) { write_file(file, std::string(300'000, 'x')); }},
    {"ADirectory",
     [](const auto& file, auto) {
       fs::remove(file);
       fs::create_directory(file);
     }},
    {"ALink",
     [](const auto& file, auto) {
       const fs::path target = file.parent_path() / "elsewhere";
       fs::rename(file, target);
       fs::create_symlink(target, file);
     }},
    {"AFifo",
     [](const auto& file, auto) {
       fs::remove(file);
       ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
     }},
};

INSTANTIATE_TEST_SUITE_P(States, LeftoverTest, ::testing::ValuesIn(kLeftovers), row_name);

TEST_F(TransferTest, KeepsNothingOfRefusedBlob) {
  registry_->add_rule(kAnyBlob, faults::flip_byte_at(300'000));
  EXPECT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 5);
  EXPECT_EQ(partials(), 0U);
}

}  // namespace
}  // namespace pyro::testing

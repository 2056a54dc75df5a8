// Machines that boot in tests.
#include "scenarios/machine_harness.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string_view>

#include "support/file_descriptor.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Enough for the environment's kernel and what tests write; a small state is quickly made.
constexpr const char* kMemory = "192";

std::string monitor() {
  for (const char* const path : {"/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64",
                                 "/bin/qemu-system-x86_64"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

std::string what_is_missing() {
  if (monitor().empty()) return "needs qemu-system-x86_64 (tools/install-deps test)";
  if (!fs::exists(environment_dir() / kRootfs)) {
    return "needs an environment to boot (tools/build-test-environment)";
  }
  return {};
}

fs::path shared_home() {
  return fs::path(PYRO_MACHINES_DIR) / "home";
}

json machine_entry() {
  return archive_entry((environment_dir() / "none.tar").string());
}

// As the reference's own build would have left it.
void write_record(const fs::path& install) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  write_file(install / "environment.json",
             reference_json(
                 reference_record("tool:1", "1.0.0", "oci://r.example/tool@" + digest, digest)));
}

bool is_older(const fs::path& file, const fs::path& other) {
  std::error_code error;
  return fs::last_write_time(file, error) < fs::last_write_time(other) || error;
}

void fill_shared_cache(const fs::path& install) {
  if (!is_older(install / "environment.json", environment_dir() / kRootfs)) return;
  fs::remove_all(shared_home());
  fs::create_directories(install);
  for (const char* const name : {kKernel, kRootfs, kInitrd}) {
    copy_sparse(environment_dir() / name, install / name);
  }
  write_catalog(shared_home() / ".config/pyro/catalog.d/test.json", {machine_entry()});
  write_record(install);
}

json identity_of(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) throw std::runtime_error("no " + file.string());
  return {{"device", status.st_dev},
          {"inode", status.st_ino},
          {"size", status.st_size},
          {"modified_ns", status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec}};
}

// As pyro does it.
void seal(json& manifest, std::string_view key) {
  manifest.erase("hmac");
  const std::string text = manifest.dump();
  std::array<unsigned char, 32> hmac{};
  ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), hmac.data(), nullptr);
  std::ostringstream hex;
  for (const unsigned byte : hmac) hex << std::hex << std::setw(2) << std::setfill('0') << byte;
  manifest["hmac"] = "sha256:" + hex.str();
}

}  // namespace

void copy_sparse(const fs::path& from, const fs::path& to) {
  const ProcessResult copied =
      run({.argv = {"cp", "-r", "--sparse=always", from.string(), to.string()}});
  if (copied.exit_code != 0) throw std::runtime_error(copied.err);
}

const fs::path& environment_dir() {
  static const fs::path directory = PYRO_TEST_ENVIRONMENT;
  return directory;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

fs::path MachineHarness::shared_cache() {
  return shared_home() / ".cache/pyro-mcp/environments";
}

fs::path MachineHarness::shared_install() {
  return shared_cache() / "linux-x86_64/tool_1-1.0.0";
}

fs::path MachineHarness::shared_catalog() {
  return shared_home() / ".config/pyro/catalog.d/test.json";
}

fs::path MachineHarness::shared_state() {
  return shared_cache() / "prepared/tool_1/1-192-none";
}

// Each test is a process: the first one makes it, the others wait.
void MachineHarness::SetUpTestSuite() {
  if (!what_is_missing().empty()) return;
  fs::create_directories(PYRO_MACHINES_DIR);
  const FileDescriptor lock(::open(PYRO_MACHINES_DIR "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ::flock(lock.get(), LOCK_EX);
  fill_shared_cache(shared_install());
  struct Preparation : MachineHarness {
    using MachineHarness::prepare;
    void TestBody() override {}
  };
  Preparation().prepare();
}

void MachineHarness::SetUp() {
  if (const std::string missing = what_is_missing(); !missing.empty()) GTEST_SKIP() << missing;
}

MachineHarness::MachineHarness() {
  variables_["PYRO_QEMU"] = monitor();
  variables_["PYRO_KVM"] = "off";
  variables_["PYRO_PREPARE"] = "never";
  variables_["PYRO_STATE_KEY"] = kStateKey;
  variables_["XDG_CACHE_HOME"] = (shared_home() / ".cache").string();
  variables_["XDG_CONFIG_HOME"] = (shared_home() / ".config").string();
}

void MachineHarness::prepare(const std::vector<std::string>& options) const {
  std::vector<std::string> words{"prepare", "--memory", kMemory};
  words.insert(words.end(), options.begin(), options.end());
  words.emplace_back("tool:1");
  const ProcessResult prepared = run(command(words));
  ASSERT_EQ(prepared.exit_code, 0) << prepared.out << prepared.err << prepared.signal;
}

Command MachineHarness::run_command(const std::vector<std::string>& words,
                                    const std::vector<std::string>& options) const {
  std::vector<std::string> all{"run", "--memory", kMemory};
  all.insert(all.end(), options.begin(), options.end());
  all.insert(all.end(), {"tool:1", "--"});
  all.insert(all.end(), words.begin(), words.end());
  return command(all);
}

ProcessResult MachineHarness::run_in_guest(const std::vector<std::string>& words,
                                           const std::vector<std::string>& options,
                                           const std::string& input) const {
  Command whole = run_command(words, options);
  whole.stdin_text = input;
  ProcessResult result = run(whole);
  EXPECT_FALSE(result.timed_out) << result.err;
  EXPECT_EQ(result.signal, 0) << result.err;
  return result;
}

ProcessResult MachineHarness::run_script(const std::string& script,
                                         const std::vector<std::string>& options,
                                         const std::string& input) const {
  return run_in_guest({"sh", "-c", script}, options, input);
}

void MachineHarness::use_own_cache() {
  variables_.erase("XDG_CACHE_HOME");
  variables_.erase("XDG_CONFIG_HOME");
  variables_.erase("PYRO_PREPARE");
  use_catalog({machine_entry()});
  fs::create_directories(install_dir());
  for (const char* const name : {kKernel, kRootfs, kInitrd}) {
    std::error_code other_device;
    fs::create_hard_link(shared_install() / name, install_dir() / name, other_device);
    if (other_device) copy_sparse(shared_install() / name, install_dir() / name);
  }
  write_record(install_dir());
}

void MachineHarness::take_state(const std::function<void(const fs::path& state)>& spoil) {
  const fs::path state = cache() / "prepared/tool_1/1-192-none";
  fs::create_directories(state.parent_path());
  copy_sparse(shared_state(), state);
  spoil(state);
  json manifest = parse_json(read_file(state / "manifest.json"));
  for (const char* const name : {"memory", "devices"}) {
    manifest["files"][name]["identity"] = identity_of(state / name);
  }
  seal(manifest, kStateKey);
  write_file(state / "manifest.json", manifest.dump());
}

std::vector<pid_t> MachineHarness::children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(") ");
    if (name_end == text.npos) continue;
    if (std::stol(text.substr(name_end + 4)) == parent) {
      children.push_back(static_cast<pid_t>(std::stol(text)));
    }
  }
  return children;
}

}  // namespace pyro::testing

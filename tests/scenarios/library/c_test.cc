// The C API of machines and workspaces, called as C would, and the Python module above it.
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include "pyro/pyro.h"
#include "scenarios/machine_harness.h"

namespace pyro::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json take(char* document) {
  EXPECT_NE(document, nullptr);
  if (document == nullptr) return {};
  json parsed = json::parse(document);
  pyro_free(document);
  return parsed;
}

json store_options_of(const std::filesystem::path& cache, const std::filesystem::path& catalog) {
  return {{"cache_dir", cache.string()}, {"catalogs", {catalog.string()}}};
}

class CMachineTest : public MachineHarness {
 protected:
  void SetUp() override {
    MachineHarness::SetUp();
    if (IsSkipped()) return;
    std::string path = std::string("PATH=") + std::getenv("PATH");
    std::string key = std::string("PYRO_STATE_KEY=") + kStateKey;
    const std::array<char*, 3> variables{path.data(), key.data(), nullptr};
    json options = store_options_of(shared_cache(), shared_catalog());
    options["extractor"] = PYRO_EXECUTABLE;
    store_ = pyro_store_open(options.dump().c_str(), variables.data(), nullptr);
    machine_ = pyro_machine_start(store_, "tool:1", R"({"memory_mib": 192, "kvm": "never"})",
                                  nullptr, nullptr);
    ASSERT_NE(machine_, nullptr);
  }

  ~CMachineTest() override {
    pyro_machine_free(machine_);
    pyro_store_close(store_);
  }

  json run(const json& command) {
    const pyro_streams streams{-1, &CMachineTest::hear, this};
    return take(pyro_machine_run(machine_, command.dump().c_str(), &streams, nullptr, nullptr));
  }

  static void hear(void* self, int stream, const char* bytes, size_t size) {
    static_cast<CMachineTest*>(self)->heard_[stream].append(bytes, size);
  }

  template <typename Call>
  static json failure(const Call& call) {
    char* error = nullptr;
    EXPECT_EQ(call(&error), nullptr);
    return take(error);
  }

  pyro_store* store_ = nullptr;
  pyro_machine* machine_ = nullptr;
  std::map<int, std::string> heard_;
};

TEST_F(CMachineTest, RunsCommandsAndPassesStreamsOn) {
  EXPECT_EQ(take(pyro_machine_describe(machine_, nullptr))["started"], "warm");
  const json report = run({{"command", {"sh", "-c", "echo out; echo err >&2; exit 3"}}});
  EXPECT_EQ(report["exit_code"], 3);
  EXPECT_EQ(report["refusal"], nullptr);
  EXPECT_EQ(heard_[1], "out\n");
  EXPECT_EQ(heard_[2], "err\n");
  EXPECT_EQ(take(pyro_machine_run(machine_, R"({"command": ["true"]})", nullptr, nullptr,
                                  nullptr))["exit_code"],
            0);
}

TEST_F(CMachineTest, PublishedPortsAreDescribed) {
  pyro_machine* const other = pyro_machine_start(
      store_, "tool:1", R"({"memory_mib": 192, "kvm": "never", "publish": ["0:8080"]})", nullptr,
      nullptr);
  ASSERT_NE(other, nullptr);
  const json ports = take(pyro_machine_describe(other, nullptr))["ports"];
  pyro_machine_free(other);
  ASSERT_EQ(ports.size(), 1u);
  EXPECT_EQ(ports[0]["address"], "127.0.0.1");
  EXPECT_GT(ports[0]["port"], 0);
  EXPECT_EQ(ports[0]["guest_port"], 8080);
  EXPECT_EQ(failure([&](char** error) -> char* {
              EXPECT_EQ(
                  pyro_machine_start(store_, "tool:1", R"({"publish": ["80"]})", nullptr, error),
                  nullptr);
              return nullptr;
            })["code"],
            "usage");
}

TEST_F(CMachineTest, OperationStopsCommand) {
  pyro_operation* const operation = pyro_operation_new(nullptr, nullptr);
  std::thread user([&] {
    ::usleep(200'000);
    pyro_operation_stop(operation);
  });
  const json report = take(
      pyro_machine_run(machine_, R"({"command": ["sleep", "1000"]})", nullptr, operation, nullptr));
  user.join();
  pyro_operation_free(operation);
  EXPECT_EQ(report["interrupted"], true);
  EXPECT_EQ(report["signal"], 2);
}

TEST_F(CMachineTest, CopiesBothWays) {
  write_file(dir_ / "in", "content");
  const std::string in = (dir_ / "in").string();
  const std::string out = (dir_ / "out").string();
  EXPECT_EQ(take(pyro_machine_copy_in(machine_, in.c_str(), "/file", nullptr, nullptr,
                                      nullptr))["left_out"],
            0);
  take(pyro_machine_copy_out(machine_, "/file", out.c_str(), nullptr, nullptr, nullptr));
  EXPECT_EQ(read_file(out), "content");
}

TEST_F(CMachineTest, RejectsBadRequests) {
  EXPECT_EQ(failure([&](char** error) {
              return pyro_machine_run(nullptr, "{}", nullptr, nullptr, error);
            })["code"],
            "usage");
  EXPECT_THAT(failure([&](char** error) {
                return pyro_machine_run(machine_, R"({"colour": 1})", nullptr, nullptr, error);
              })["message"]
                  .get<std::string>(),
              HasSubstr("no field 'colour'"));
  EXPECT_EQ(failure([&](char** error) {
              return pyro_machine_copy_in(machine_, nullptr, "/x", nullptr, nullptr, error);
            })["code"],
            "usage");
  for (const char* const options :
       {R"({"cpus": 0})", R"({"cpus": 65})", R"({"network": "all"})", R"({"kvm": true})"}) {
    EXPECT_EQ(failure([&](char** error) {
                return pyro_machine_start(store_, "tool:1", options, nullptr, error);
              })["code"],
              "usage")
        << options;
  }
}

TEST_F(CMachineTest, StoppedMachineFails) {
  pyro_machine_stop(machine_);
  EXPECT_THAT(failure([&](char** error) {
                return pyro_machine_run(machine_, R"({"command": ["true"]})", nullptr, nullptr,
                                        error);
              })["message"]
                  .get<std::string>(),
              HasSubstr("stopped"));
}

/// Workspaces of the test alone.
class CWorkspacesTest : public CMachineTest {
 protected:
  void SetUp() override {
    CMachineTest::SetUp();
    if (IsSkipped()) return;
    workspaces_ = pyro_workspaces_open(store_, (dir_ / "workspaces").c_str(), nullptr);
    ASSERT_NE(workspaces_, nullptr);
  }

  void TearDown() override {
    if (IsSkipped()) return;
    ask("remove", {{"force", true}});
    EXPECT_EQ(ask("list")["workspaces"], json::array());
    pyro_workspaces_close(workspaces_);
  }

  json ask(const char* request, const json& fields = json::object()) {
    return take(
        pyro_workspaces_call(workspaces_, request, "w", fields.dump().c_str(), nullptr, nullptr));
  }

  pyro_workspaces* workspaces_ = nullptr;
};

TEST_F(CWorkspacesTest, RequestsAndCommandsAreAnswered) {
  const json created = ask(
      "create", {{"environment", "tool:1"}, {"memory_mib", 192}, {"disk_mib", 128}, {"ttl", 3600}});
  EXPECT_EQ(created["is_new"], true);
  const pyro_streams streams{-1, &CMachineTest::hear, this};
  const json report = take(pyro_workspaces_run(
      workspaces_, "w", R"({"command": ["sh", "-c", "pwd; echo x > file; exit 3"]})", &streams,
      nullptr, nullptr));
  EXPECT_EQ(report["exit_code"], 3);
  EXPECT_EQ(heard_[1], "/workspace\n");
  EXPECT_EQ(ask("diff")["files"][0]["path"], "file");
  EXPECT_EQ(ask("status")["unexported_changes"], false) << "the difference told all of them";
  EXPECT_EQ(ask("snapshot", {{"snapshot", "s"}})["name"], "s");
  const auto failure_of = [&](const char* request, const char* fields) {
    return failure([&](char** error) {
      return pyro_workspaces_call(workspaces_, request, "w", fields, nullptr, error);
    });
  };
  EXPECT_EQ(failure_of("reset", R"({"to": "none"})")["code"], "not_found");
  EXPECT_EQ(failure_of("reset", R"({"colour": 1})")["code"], "usage");
  EXPECT_EQ(failure_of("paint", "{}")["code"], "usage");
}

#ifndef PYRO_SANITIZED  // a sanitizer's runtime must come with the program, which is Python
class PythonTest : public MachineHarness {
 protected:
  void expect_passes(const std::string& tests) const {
    json store = store_options_of(shared_cache(), shared_catalog());
    store["extractor"] = PYRO_EXECUTABLE;
    const ProcessResult result = pyro::testing::run({.argv = {PYRO_PYTHON_TESTS "/" + tests},
                                                     .env = {{"PATH", std::getenv("PATH")},
                                                             {"PYTHONDONTWRITEBYTECODE", "1"},
                                                             {"HOME", home().string()},
                                                             {"PYRO_STATE_KEY", kStateKey},
                                                             {"PYTHONPATH", PYRO_PYTHON_MODULE},
                                                             {"PYRO_LIBRARY", PYRO_SHARED_LIBRARY},
                                                             {"PYRO_TEST_STORE", store.dump()}}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
};

TEST_F(PythonTest, ModuleRunsMachines) {
  expect_passes("machines_test.py");
}

TEST_F(PythonTest, ModuleKeepsWorkspaces) {
  expect_passes("workspaces_test.py");
}
#endif

}  // namespace
}  // namespace pyro::testing

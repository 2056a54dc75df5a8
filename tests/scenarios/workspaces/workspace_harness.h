// Workspaces in tests: each test has a directory of its own for them, and leaves no process behind.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "scenarios/machine_harness.h"

namespace pyro::testing {

/// A test with workspaces of its own, in the environment tool:1.
class WorkspaceHarness : public MachineHarness {
 protected:
  using Words = std::vector<std::string>;

  // Of its own, where the first boot leaves a state for the next ones.
  void SetUp() override {
    MachineHarness::SetUp();
    if (!IsSkipped()) use_own_cache();
  }

  void TearDown() override {
    if (IsSkipped()) return;
    for (const std::string& name : names()) pyro({"workspace", "delete", "--force", name});
    EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }))
        << "nothing outlives a workspace";
    EXPECT_EQ(entries(), Words());
  }

  [[nodiscard]] std::filesystem::path workspaces() const {
    return home() / ".local/state/pyro/workspaces";
  }

  [[nodiscard]] Words entries() const {
    Words found;
    if (!std::filesystem::exists(workspaces())) return found;
    for (const auto& entry : std::filesystem::directory_iterator(workspaces())) {
      found.push_back(entry.path().filename());
    }
    std::ranges::sort(found);
    return found;
  }

  [[nodiscard]] Words names() const {
    Words found;
    const nlohmann::json document = pyro_json({"workspace", "list"});
    for (const nlohmann::json& one : document["workspaces"]) found.push_back(one["name"]);
    return found;
  }

  /// In the order in which they were made.
  [[nodiscard]] Words snapshots(const std::string& name = "w") const {
    Words found;
    const nlohmann::json document = pyro_json({"workspace", "snapshots", name});
    for (const nlohmann::json& one : document["snapshots"]) found.push_back(one["name"]);
    return found;
  }

  /// Supervisors of this test's workspaces, and what they started.
  [[nodiscard]] std::vector<pid_t> processes_of_workspaces() const {
    std::vector<pid_t> found;
    const std::string mark = "HOME=" + home().string();
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != name.npos) continue;
      const pid_t pid = std::stoi(name);
      if (content_of(entry.path() / "cmdline").find("__supervise") == std::string::npos) continue;
      if (content_of(entry.path() / "environ").find(mark) == std::string::npos) continue;
      found.push_back(pid);
      for (const pid_t child : children_of(pid)) found.push_back(child);
    }
    return found;
  }

  /// Empty for a process that has ended meanwhile.
  static std::string content_of(const std::filesystem::path& file) try {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  } catch (const std::exception&) {
    return {};
  }

  /// Supervisor and machine.
  [[nodiscard]] pid_t supervisor() const { return processes_of_workspaces().at(0); }
  [[nodiscard]] pid_t monitor() const { return processes_of_workspaces().at(1); }

  void create(const std::string& name = "w", const Words& options = {}) const {
    Words words{"workspace", "create", name,     "--environment", "tool:1",
                "--memory",  "192",    "--disk", "128M"};
    words.insert(words.end(), options.begin(), options.end());
    EXPECT_EQ(pyro_ok(words).out, name + "\n");
  }

  [[nodiscard]] Command exec_command(const Words& words, const Words& options = {},
                                     const std::string& name = "w") const {
    Words all{"workspace", "exec", name};
    all.insert(all.end(), options.begin(), options.end());
    all.push_back("--");
    all.insert(all.end(), words.begin(), words.end());
    return command(all);
  }

  ProcessResult exec(const Words& words, const Words& options = {},
                     const std::string& input = {}) const {
    Command made = exec_command(words, options);
    made.stdin_text = input;
    return run(made);
  }
  /// With the guest's sh.
  ProcessResult script(const std::string& text, const Words& options = {}) const {
    return exec({"sh", "-c", text}, options);
  }

  ProcessResult script_in(const std::string& name, const std::string& text,
                          const Words& options = {}) const {
    return run(exec_command({"sh", "-c", text}, options, name));
  }

  [[nodiscard]] nlohmann::json status(const std::string& name = "w") const {
    return pyro_json({"workspace", "status", name});
  }

  /// The process of that number, as ps tells.
  [[nodiscard]] nlohmann::json process(unsigned number, const std::string& name = "w") const {
    const nlohmann::json document = pyro_json({"workspace", "ps", name});
    for (const nlohmann::json& one : document["processes"]) {
      if (one["process"] == number) return one;
    }
    return nullptr;
  }
};

}  // namespace pyro::testing

// pyro run: a command in a machine of its own.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/guest_variables.h"
#include "pyro/machine.h"

namespace pyro::cli {

class RunCommand : public Command {
 public:
  /// What the executable says when it fails itself: the other codes are the command's.
  static constexpr int kFailed = 125;

  void declare(Arguments& arguments) override;
  int run(Context& context, const std::vector<std::string>& operands) override;

 protected:
  virtual void declare_streams(Arguments& arguments);
  [[nodiscard]] virtual std::vector<std::string> command_of(const Context& context) const;

  RunOptions options_;
  bool interactive_ = false;

 private:
  void choose_input();
  void take_terminal(const Context& context);
  RunReport run_for_people(const Context& context, EnvironmentStore& store,
                           const std::string& name);
  RunReport run_for_json(const Context& context, EnvironmentStore& store, const std::string& name);
  void set_timeout(const std::string& text);

  GuestVariables variables_;
  bool no_input_ = false;
  bool require_kvm_ = false;
};

}  // namespace pyro::cli

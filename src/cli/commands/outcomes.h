// The results of one command over several names, some of which may have failed.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_output.h"
#include "pyro/error.h"

namespace pyro::cli {

/// One name is just done: its failure is the command's. Of several, every one is tried; a failure
/// is told on stderr and stands among the payloads as {"name", "error"}, and the first one's code
/// is the exit code. What is left when somebody interrupts counts as interrupted.
class Outcomes {
 public:
  explicit Outcomes(const Context& context) : context_(context) {}

  /// `each` returns the payload of a name, null where there is nothing to say, or throws.
  void for_each(const std::vector<std::string>& names,
                const std::function<Json(const std::string& name)>& each);

  /// Something was wrong with a name, though there is a payload.
  void note(ErrorCode code) noexcept;

  [[nodiscard]] const Json& payloads() const noexcept { return payloads_; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  void add(Json payload);
  void add_failure(const std::string& name, const Error& error);

  const Context& context_;
  Json payloads_ = Json::array();
  int exit_code_ = kDone;
};

}  // namespace pyro::cli

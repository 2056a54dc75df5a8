// The options of commands that install: how, and whether, progress is shown.
#pragma once

#include <memory>
#include <string_view>

#include "cli/arguments.h"
#include "cli/context.h"
#include "cli/progress.h"

namespace pyro::cli {

class ProgressArguments {
 public:
  void declare(Arguments& arguments);

  /// What progress is shown with, notes if they are asked for; null when nothing is to be shown.
  [[nodiscard]] std::unique_ptr<ProgressView> make_view(const Context& context) const;

  /// "NAME: what", where people are told.
  void say(const Context& context, std::string_view name, std::string_view what) const;

 private:
  ProgressKind kind_ = ProgressKind::automatic;
  bool quiet_ = false;
};

/// For what has no progress: warnings, and notes if they are asked for.
[[nodiscard]] std::unique_ptr<ProgressView> make_remarks(const Context& context);

/// For commands that leave no choice: progress where people look at what they say, and remarks
/// beside a JSON document.
[[nodiscard]] std::unique_ptr<ProgressView> make_view_beside(bool json, const Context& context);

}  // namespace pyro::cli

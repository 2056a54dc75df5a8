// How, and whether, progress is shown.
#include "cli/commands/progress_arguments.h"

#include "cli/printable.h"

namespace pyro::cli {

void ProgressArguments::declare(Arguments& arguments) {
  arguments.value(
      "--progress", "KIND", [this](const std::string& text) { set_kind(text); },
      "How to show progress: auto, tty, plain, json or none");
  arguments.flag("-q,--quiet", quiet_, "Show neither progress nor warnings");
}

void ProgressArguments::set_kind(const std::string& text) {
  const auto kind = parse_progress_kind(text);
  if (!kind) refuse_value("--progress", text, "one of: auto, tty, plain, json, none");
  kind_ = *kind;
}

std::unique_ptr<ProgressView> ProgressArguments::make_view(const Context& context) const {
  if (quiet_) return nullptr;
  auto view = make_progress(kind_, context.err);
  view->show_notes(context.verbose);
  return view;
}

void ProgressArguments::say(const Context& context, std::string_view name,
                            std::string_view what) const {
  if (quiet_ || kind_ == ProgressKind::json || kind_ == ProgressKind::none) return;
  context.err.try_write(context.err.paint(Colour::bold, printable(name)) + ": " +
                        std::string(what) + '\n');
}

}  // namespace pyro::cli

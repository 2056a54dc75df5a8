// How, and whether, progress is shown.
#include "cli/commands/progress_arguments.h"

#include "cli/printable.h"

namespace pyro::cli {
namespace {

std::unique_ptr<ProgressView> make_view_of(ProgressKind kind, const Context& context) {
  auto view = make_progress(kind, context.err);
  view->set_verbosity(context.verbosity);
  return view;
}

}  // namespace

void ProgressArguments::declare(Arguments& arguments) {
  arguments.choice(
      "--progress", "KIND", {"auto", "tty", "plain", "json", "none"},
      [this](const std::string& text) { kind_ = *parse_progress_kind(text); },
      "How to show progress: auto, tty, plain, json or none");
  arguments.flag("-q,--quiet", quiet_, "Show neither progress nor warnings");
}

std::unique_ptr<ProgressView> ProgressArguments::make_view(const Context& context) const {
  return quiet_ ? nullptr : make_view_of(kind_, context);
}

void ProgressArguments::say(const Context& context, std::string_view name,
                            std::string_view what) const {
  if (quiet_ || kind_ == ProgressKind::json || kind_ == ProgressKind::none) return;
  context.err.try_write(context.err.paint(Colour::bold, printable(name)) + ": " +
                        std::string(what) + '\n');
}

std::unique_ptr<ProgressView> make_remarks(const Context& context) {
  return make_view_of(ProgressKind::none, context);
}

std::unique_ptr<ProgressView> make_view_beside(bool json, const Context& context) {
  return make_view_of(json ? ProgressKind::none : ProgressKind::automatic, context);
}

}  // namespace pyro::cli

// The choice between the ways to show a pull.
#include "cli/progress.h"

#include "cli/error_output.h"
#include "cli/progress_bar.h"
#include "cli/progress_json.h"
#include "cli/progress_plain.h"

namespace pyro::cli {
namespace {

/// No progress; neither a warning nor a note is progress.
class RemarksOnly : public ProgressView {
 public:
  explicit RemarksOnly(const Terminal& terminal) : terminal_(terminal) {}

  void warning(std::string_view text) noexcept override {
    terminal_.try_write(render_warning(text, terminal_));
  }

 private:
  void show_note(std::string_view text) noexcept override {
    terminal_.try_write(render_note(text));
  }

  const Terminal& terminal_;
};

}  // namespace

std::optional<ProgressKind> parse_progress_kind(std::string_view text) {
  if (text == "auto") return ProgressKind::automatic;
  if (text == "tty") return ProgressKind::tty;
  if (text == "plain") return ProgressKind::plain;
  if (text == "json") return ProgressKind::json;
  if (text == "none") return ProgressKind::none;
  return std::nullopt;
}

std::string waiting_text(std::optional<int> holder) {
  const std::string who = holder ? "process " + std::to_string(*holder) : "another process";
  return "waiting for " + who + ", which is at work on it";
}

std::unique_ptr<ProgressView> make_progress(ProgressKind kind, const Terminal& terminal) {
  if (kind == ProgressKind::automatic) {
    kind = terminal.interactive() ? ProgressKind::tty : ProgressKind::plain;
  }
  const Clock clock = std::chrono::steady_clock::now;
  switch (kind) {
    case ProgressKind::tty:
      return std::make_unique<ProgressBar>(terminal, clock);
    case ProgressKind::json:
      return std::make_unique<ProgressJson>(
          [&terminal](const Json& event) { terminal.try_write(render_json_line(event)); }, clock);
    case ProgressKind::none:
      return std::make_unique<RemarksOnly>(terminal);
    case ProgressKind::plain:
    case ProgressKind::automatic:
      break;
  }
  return std::make_unique<ProgressPlain>(terminal, clock);
}

}  // namespace pyro::cli

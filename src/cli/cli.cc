// The command line: finds the command, runs it, turns what it throws into text and an exit code.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/errors.h"
#include "base/reference.h"
#include "cli/command.h"
#include "cli/commands/commands.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/image_names.h"
#include "cli/signals.h"
#include "front/documents.h"
#include "front/text.h"
#include "pyro/error.h"
#include "pyro/workspace.h"

namespace pyro::cli {
namespace {

constexpr const char* kVersionLine = "pyro " PYRO_VERSION "\n";

/// One call of pyro.
class Invocation {
 public:
  Invocation(const Variables& variables, const Terminal& out, const Terminal& err)
      : variables_(variables), out_(out), err_(err) {}

  int run(const Words& words) {
    if (!words.empty() && words.front() == kCompleteWord) {
      return print(render(
          complete({words.begin() + 1, words.end()}, {environment_names(), workspace_names()})));
    }
    Words rest = take_globals("", words);
    if (!rest.empty() && rest.front() == kHelpWord) {
      globals_.help = true;
      rest.erase(rest.begin());
    }
    if (!rest.empty() && rest.front() == kVersionWord) globals_.version = true;
    if (globals_.version) return print(kVersionLine);
    if (rest.empty()) return print(globals_.help ? full_help(out_) : overview(out_));
    const std::string group = group_called(rest.front());
    if (const CommandEntry* const entry = find("", group)) {
      return run_command(*entry, {rest.begin() + 1, rest.end()});
    }
    if (!is_group(group)) fail_unknown("", group);
    rest = take_globals(group, {rest.begin() + 1, rest.end()});
    if (globals_.version) return print(kVersionLine);
    if (rest.empty()) return print(group_help(group, out_));
    // A second name may have two words: "sync push".
    if (rest.size() > 1 && find(group, rest[0] + ' ' + rest[1]) != nullptr) {
      rest[1] = rest[0] + ' ' + rest[1];
      rest.erase(rest.begin());
    }
    const CommandEntry* const entry = find(group, rest.front());
    if (entry == nullptr) fail_unknown(group, rest.front());
    return run_command(*entry, {rest.begin() + 1, rest.end()});
  }

  /// Whether to report errors as JSON, even for `words` that cannot be parsed.
  [[nodiscard]] bool wants_json(const Words& words) const {
    const auto end = std::ranges::find(words, "--");
    return json_.value_or(std::find(words.begin(), end, "--json") != end);
  }

  /// The exit code of `error`, which the command, if it is known, may have one of its own for.
  [[nodiscard]] int exit_code_of(const Error& error) const {
    const bool own = entry_ != nullptr && entry_->guest_command_failure &&
                     error.code() != ErrorCode::interrupted;
    return own ? *entry_->guest_command_failure : exit_code(error.code());
  }

 private:
  int print(const std::string& text) {
    out_.write(text);
    return kDone;
  }

  /// The names in the catalogs; none where a catalog cannot be loaded.
  [[nodiscard]] KnownNames::Environments environment_names() const {
    return [this](const Words& globals) -> std::vector<Candidate> {
      std::vector<Candidate> names;
      GlobalOptions options;
      Arguments arguments;
      declare(arguments, options);
      try {
        arguments.parse_leading(globals);
        for (const EnvironmentStatus& status : EnvironmentStore(options_of(options)).list()) {
          names.push_back({status.environment.name, description_of(status)});
        }
      } catch (const Error&) {
        return {};  // completion prints no errors
      }
      return names;
    };
  }

  [[nodiscard]] KnownNames::Workspaces workspace_names() const {
    return [this]() -> std::vector<Candidate> {
      std::vector<Candidate> names;
      try {
        const Workspaces workspaces(find_workspaces_directory(variables_), {}, {});
        for (const WorkspaceStatus& status : workspaces.list()) {
          names.push_back({status.name, status.environment});
        }
      } catch (const Error&) {
        return {};  // completion prints no errors
      }
      return names;
    };
  }

  [[nodiscard]] StoreOptions options_of(const GlobalOptions& globals) const {
    StoreOptions options = store_options(globals, variables_);
    options.stores.emplace_back(kHostStore);
    return options;
  }

  static std::string description_of(const EnvironmentStatus& status) {
    const std::string& description = status.environment.description;
    return status.installed ? "installed: " + description : description;
  }

  /// Reads the options before the first operand; returns the rest.
  Words take_globals(std::string_view group, const Words& words) try {
    Arguments arguments;
    declare(arguments, globals_);
    arguments.parse_leading(words);
    return arguments.operands();
  } catch (Error& error) {
    entry_ = first_command(group, words);
    error.add_hint("options of a command stand after it; see 'pyro --help'");
    throw;
  }

  /// The command among `words`, when the options before it cannot be parsed.
  static const CommandEntry* first_command(std::string_view group, const Words& words) {
    for (const std::string& word : words) {
      if (word == "--" || (group.empty() && is_group(word))) break;
      if (const CommandEntry* const entry = find(group, word)) return entry;
    }
    return nullptr;
  }

  static bool is_group(const std::string& word) {
    return !word.empty() && std::ranges::any_of(all_commands(), [&](const auto* entry) {
      return entry->group == word;
    });
  }

  static const CommandEntry* find(std::string_view group, std::string_view name) {
    const auto commands = all_commands();
    const auto found = std::ranges::find_if(commands, [&](const CommandEntry* entry) {
      return entry->group == group && entry->is_called(name);
    });
    return found == commands.end() ? nullptr : *found;
  }

  [[noreturn]] static void fail_unknown(const std::string& group, const std::string& word) {
    const std::string before = group.empty() ? "" : group + ' ';
    Error error(ErrorCode::usage, "unknown command '" + before + word + "'");
    Words known;
    if (group.empty()) known = {std::string(kHelpWord), std::string(kVersionWord)};
    std::string elsewhere;
    for (const CommandEntry* const entry : all_commands()) {
      const std::string name(entry->name);
      if (entry->is_called(word)) error.add_hint(suggestion("pyro " + entry->words()));
      if (entry->group == group) known.push_back(name);
      if (group.empty() && !entry->group.empty()) known.emplace_back(entry->group);
      if (elsewhere.empty() && !nearest_word(word, {name}).empty()) elsewhere = entry->words();
    }
    const std::string here = nearest_word(word, known);
    const std::string meant = here.empty() ? elsewhere : before + here;
    if (!meant.empty()) error.add_hint(suggestion("pyro " + meant));
    throw error.add_hint("see 'pyro " + before + "--help'");
  }

  int run_command(const CommandEntry& entry, const Words& words) try {
    entry_ = &entry;
    const std::unique_ptr<Command> command = entry.make();
    Arguments arguments;
    command->declare(arguments);
    declare(arguments, globals_);
    std::optional<Words> guest_command;
    if (entry.guest_command_failure) {
      guest_command = arguments.parse_before_command(words, entry.max_operands);
    } else {
      arguments.parse(words);
    }
    json_ = command->json();
    if (globals_.version) return print(kVersionLine);
    if (globals_.help) return print(command_help(entry, out_));
    check_operands(entry, arguments.operands());
    const SignalWatch signals;
    Context context{options_of(globals_),
                    signals.token(),
                    out_,
                    err_,
                    globals_.verbosity,
                    variables_,
                    guest_command,
                    [this] { return options_of(globals_).catalog; }};
    context.store.on_warning = [this](std::string_view text) {
      err_.try_write(render_warning(text, err_));
    };
    if (globals_.verbosity > 0) tell_surroundings(context);
    return command->run(context, with_names(entry, arguments.operands(), context));
  } catch (Error& error) {
    if (error.code() == ErrorCode::usage) error.add_hint("see 'pyro " + entry.words() + " --help'");
    throw;
  }

  /// Operands with references to images as the names of their entries.
  Words with_names(const CommandEntry& entry, Words operands, Context& context) const {
    if (entry.operand_use == OperandUse::other) return operands;
    for (std::string& operand : operands) {
      operand = entry_name(operand);
      if (entry.operand_use != OperandUse::images) continue;
      add_image(context, operand);
    }
    return operands;
  }

  static void check_operands(const CommandEntry& entry, const Words& operands) {
    if (operands.size() < entry.min_operands) {
      const Operand missing = operands_of(entry).at(operands.size());
      throw Error(ErrorCode::usage, "'pyro " + entry.words() + "' needs " +
                                        (missing.is_choice() ? "one of " : "a ") + missing.what);
    }
    if (operands.size() > entry.max_operands) {
      throw Error(ErrorCode::usage, "unexpected argument '" + operands[entry.max_operands] + "'");
    }
  }

  static void tell_surroundings(const Context& context) {
    std::string text = "pyro: cache " + printable(context.store.cache_dir.string()) + '\n';
    for (const std::filesystem::path& store : context.store.stores) {
      std::error_code none;
      if (std::filesystem::exists(store, none)) {
        text += "pyro: store " + printable(store.string()) + '\n';
      }
    }
    for (const std::filesystem::path& file : context.store.catalog.files()) {
      text += "pyro: catalog " + printable(file.string()) + '\n';
    }
    if (context.store.runtime_dir) {
      text += "pyro: runtime bundle " + printable(context.store.runtime_dir->string()) + '\n';
    }
    context.err.try_write(text);
  }

  const Variables& variables_;
  const Terminal& out_;
  const Terminal& err_;
  GlobalOptions globals_;
  const CommandEntry* entry_ = nullptr;
  std::optional<bool> json_;  // once the words are parsed
};

void report(const Error& error, bool json, const Terminal& out, const Terminal& err) {
  if (json) out.try_write(render_json({{"error", error_payload(error)}}));
  err.try_write(render_error(error, err));
}

}  // namespace

void declare(Arguments& arguments, GlobalOptions& options) {
  arguments.path("--cache-dir", "DIR", options.cache_dir, "Keep environments in DIR");
  arguments.paths("--store", "DIR", options.stores,
                  "Also use the installs in DIR, which is only read;\nmay be repeated");
  arguments.paths("--catalog", "FILE", options.catalogs,
                  "Add the environments of a catalog file; may be repeated");
  arguments.path("--runtime-dir", "DIR", options.runtime_dir,
                 "Install from the runtime bundle in DIR if it has the\nenvironment");
  arguments.path("--ca-file", "FILE", options.ca_file,
                 "Trust the certificate authorities in FILE (PEM) instead of\nthe system's");
  arguments.value(
      "--trust-realm", "HOST",
      [&](const std::string& text) {
        if (!is_oci_registry(text)) {
          refuse_value("--trust-realm", text, "a host like auth.example.org");
        }
        options.trusted_realms.push_back(text);
      },
      "Send registry credentials to this token server, too;\nmay be repeated");
  arguments.flag("--offline", options.offline, "Send no requests");
  arguments.counter("-v,--verbose", options.verbosity,
                    "Show the cache and catalogs that are used, and further\ninformation; -vv: "
                    "also every request");
  if (!arguments.knows("--version")) {
    arguments.flag("--version", options.version, "Print the version");
  }
  arguments.flag("-h,--help", options.help, "Print this help");
}

int run(const Words& words, const Variables& variables, const Terminal& out,
        const Terminal& err) noexcept {
  Invocation invocation(variables, out, err);
  try {
    return invocation.run(words);
  } catch (...) {
    const Error error = caught_error();
    report(error, invocation.wants_json(words), out, err);
    return invocation.exit_code_of(error);
  }
}

}  // namespace pyro::cli

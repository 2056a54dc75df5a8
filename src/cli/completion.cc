// Shell completion: the candidates for a word, and the scripts that ask for them.
#include "cli/completion.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "front/text.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

using Row = Arguments::Row;

// bash splits words at ':' and '='. The script joins them for the request and removes the part that
// bash has already from the answers.
constexpr std::string_view kBash = R"script(# bash completion of pyro
#   source <(pyro completion bash)

__pyro_words() {
  local rest=$COMP_LINE word i
  words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
      words+=("$word")
    else
      words[${#words[@]} - 1]+=$word
    fi
    rest=${rest#*"$word"}
  done
}

__pyro() {
  local -a words answers
  local current kept='' line paths
  COMPREPLY=()
  __pyro_words
  current=${words[${#words[@]} - 1]}
  mapfile -t answers < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  paths=${answers[0]:-none}
  if [[ $current == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]]; then
    kept=${current%"${current##*[:=]}"}
  fi
  for line in "${answers[@]:1}"; do
    line=${line%%$'\t'*}
    COMPREPLY+=("${line#"$kept"}")
  done
  case $paths in
    files) compopt -o filenames; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "${current#"$kept"}") ;;
    directories) compopt -o filenames; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "${current#"$kept"}") ;;
  esac
}

complete -F __pyro pyro
)script";

constexpr std::string_view kZsh = R"script(#compdef pyro
# zsh completion of pyro
#   source <(pyro completion zsh), or as a file called _pyro in a directory of $fpath

_pyro() {
  local -a answers texts shown
  local line text meaning
  answers=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  for line in "${(@)answers[2,-1]}"; do
    text=${line%%$'\t'*}
    meaning=${line#*$'\t'}
    texts+=("$text")
    shown+=("$text${meaning:+  -- $meaning}")
  done
  (( $#texts )) && compadd -l -d shown -a texts
  case $answers[1] in
    files) compset -P '*='; _files ;;
    directories) compset -P '*='; _files -/ ;;
  esac
}

if [ "$funcstack[1]" = _pyro ]; then
  _pyro "$@"
else
  compdef _pyro pyro
fi
)script";

constexpr std::string_view kFish = R"script(# fish completion of pyro
#   pyro completion fish | source

function __pyro_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l answers ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
  printf '%s\n' $answers[2..-1]
  switch "$answers[1]"
    case files
      complete -C "'' $current"  # __fish_complete_path knows neither ~ nor variables
    case directories
      __fish_complete_directories "$current"
  end
end

complete -c pyro -f -a '(__pyro_complete)'
)script";

Words split(std::string_view text, char separator) {
  Words pieces;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    pieces.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return pieces;
}

/// The words before the cursor, understood.
struct Walk {
  void step(const std::string& word) {
    if (in_guest_command) return;
    const Row* const option = std::exchange(expecting, nullptr);
    if (option != nullptr && takes(*option, word)) {
      if (is_global(*option)) global_words.push_back(word);
    } else if (word == "--") {
      in_guest_command = true;
    } else if (word.size() > 1 && word.front() == '-') {
      take_option(word);
    } else {
      take_operand(word);
    }
  }

  /// Whether `word` is the value of the option in front of it.
  static bool takes(const Row& option, const std::string& word) {
    return option.implied.empty() ||
           std::ranges::find(option.choices, word) != option.choices.end();
  }

  void take_option(const std::string& word) {
    const Row* const row = find(word.substr(0, word.find('=')));
    if (row == nullptr) return;
    if (is_global(*row)) global_words.push_back(word);
    if (!row->placeholder.empty() && word.find('=') == word.npos) expecting = row;
  }

  void take_operand(const std::string& word) {
    if (entry != nullptr) {
      in_guest_command = ++operands > entry->max_operands && entry->guest_command_failure;
      return;
    }
    if (group.empty() && word == kHelpWord) return;
    for (const CommandEntry* const command : all_commands()) {
      if (command->group == group && command->is_called(word)) {
        entry = command;
        own = options_of(*command);
        return;
      }
    }
    if (group.empty()) group = group_called(word);
  }

  [[nodiscard]] const Row* find(std::string_view name) const {
    for (const Rows rows : {Rows(own), Rows(globals)}) {
      for (const Row& row : rows) {
        if (row.is_called(name)) return &row;
      }
    }
    return nullptr;
  }

  [[nodiscard]] bool is_global(const Row& row) const {
    return &row >= globals.data() && &row < globals.data() + globals.size();
  }

  std::vector<Row> globals = global_options();
  std::vector<Row> own = {};            ///< The options of `entry`.
  const CommandEntry* entry = nullptr;  ///< The command, once it is known.
  const Row* expecting = nullptr;       ///< The option whose value comes next.
  std::string group = {};
  Words global_words = {};  ///< Global options with their values.
  std::size_t operands = 0;
  bool in_guest_command = false;
};

/// The completion of one word.
class Completer {
 public:
  Completer(const Walk& walk, const KnownNames& names) : walk_(walk), names_(names) {}

  Completion to(const std::string& word) {
    if (walk_.in_guest_command) return {};
    const std::size_t equals = word.find('=');
    const Row* const option = walk_.expecting;
    if (option != nullptr) offer_what(option->placeholder, option->choices);
    if (option != nullptr && option->implied.empty()) {
      // The word is its value.
    } else if (word.starts_with("--") && equals != word.npos) {
      offer_assigned(word.substr(0, equals));
    } else if (word.starts_with('-')) {
      offer_options();
    } else if (walk_.entry == nullptr) {
      offer_commands();
    } else {
      offer_operands();
    }
    std::erase_if(answer_.candidates,
                  [&](const Candidate& candidate) { return !candidate.text.starts_with(word); });
    return std::move(answer_);
  }

 private:
  void offer(std::string text, std::string_view description) {
    answer_.candidates.push_back({std::move(text), std::string(description)});
  }

  void offer_commands() {
    for (const CommandEntry* const entry : all_commands()) {
      if (entry->group == walk_.group) {
        offer(std::string(entry->name), entry->purpose);
      } else if (walk_.group.empty() && !is_offered(entry->group)) {
        offer(std::string(entry->group), "");
      }
    }
    if (!walk_.group.empty()) return;
    offer(std::string(kHelpWord), "Print the help of a command");
    offer(std::string(kVersionWord), "Print the version");
  }

  void offer_all(std::vector<Candidate> candidates) {
    std::ranges::move(candidates, std::back_inserter(answer_.candidates));
  }

  [[nodiscard]] bool is_offered(std::string_view text) const {
    return std::ranges::any_of(answer_.candidates,
                               [&](const Candidate& known) { return known.text == text; });
  }

  void offer_options() {
    for (const Rows rows : {Rows(walk_.own), Rows(walk_.globals)}) {
      for (const Row& row : rows) offer(row.long_name, row.help.substr(0, row.help.find('\n')));
    }
  }

  void offer_operands() {
    const std::vector<Operand> operands = operands_of(*walk_.entry);
    const std::size_t at = std::min(walk_.operands, operands.size() - 1);
    const bool none_is_left = operands.empty() || (walk_.operands > at && !operands[at].repeated);
    if (none_is_left) return offer_options();
    const Operand& operand = operands[at];
    offer_what(operand.what, operand.is_choice() ? split(operand.what, '|') : Words());
  }

  /// Values of "--option=".
  void offer_assigned(const std::string& option) {
    const Row* const row = walk_.find(option);
    if (row == nullptr) return;
    offer_what(row->placeholder, row->choices);
    for (Candidate& candidate : answer_.candidates) candidate.text.insert(0, option + '=');
  }

  void offer_what(const std::string& what, const Words& choices) {
    for (const std::string& choice : choices) offer(choice, "");
    if (what == "NAME") offer_all(names_.environments(walk_.global_words));
    if (what == "WORKSPACE") offer_all(names_.workspaces());
    if (what == "DIR") answer_.paths = Completion::Paths::directories;
    // The source of an environment may be a file, too.
    if (what == "FILE" || what == "SRC:DST" || what == "SRC[:DST]" || what == "SOURCE") {
      answer_.paths = Completion::Paths::files;
    }
  }

  const Walk& walk_;
  const KnownNames& names_;
  Completion answer_;
};

const char* word_for(Completion::Paths paths) noexcept {
  switch (paths) {
    case Completion::Paths::none:
      return "none";
    case Completion::Paths::files:
      return "files";
    case Completion::Paths::directories:
      return "directories";
  }
  return "none";
}

class CompletionCommand : public Command {
 public:
  void declare(Arguments&) override {}

  int run(Context& context, const Words& operands) override {
    const auto script = completion_script(operands.front());
    if (!script) {
      throw Error(ErrorCode::usage,
                  "'" + operands.front() + "' is not one of the shells: bash, zsh, fish");
    }
    context.out.write(std::string(*script));
    return kDone;
  }
};

}  // namespace

Completion complete(const Words& words, const KnownNames& names) {
  if (words.empty()) return {};
  Walk walk;
  std::for_each(words.begin(), words.end() - 1, [&](const std::string& word) { walk.step(word); });
  return Completer(walk, names).to(words.back());
}

std::string render(const Completion& completion) {
  std::string text = word_for(completion.paths);
  text += '\n';
  for (const Candidate& candidate : completion.candidates) {
    text += candidate.text + '\t' + printable(candidate.description) + '\n';
  }
  return text;
}

std::optional<std::string_view> completion_script(std::string_view shell) noexcept {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return std::nullopt;
}

constinit const CommandEntry kCompletionCommand{
    .group = "",
    .name = "completion",
    .operands = "bash|zsh|fish",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Print a completion script for a shell",
    .details =
        "Completes commands, options, their values, and the names of environments. The Debian "
        "package\n"
        "installs the scripts.\n",
    .examples =
        "  source <(pyro completion bash)                        # in ~/.bashrc\n"
        "  source <(pyro completion zsh)                         # in ~/.zshrc, after compinit\n"
        "  pyro completion fish > ~/.config/fish/completions/pyro.fish\n",
    .make = make_command<CompletionCommand>,
};

}  // namespace pyro::cli

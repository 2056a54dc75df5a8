// The scripts by which shells ask for completions.
#include "cli/completion.h"

namespace pyro::cli {
namespace {

// bash takes ':' and '=' for the ends of words: they are joined again for the question, and what
// bash has already is cut off from the answers.
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

}  // namespace

std::optional<std::string_view> completion_script(std::string_view shell) noexcept {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return std::nullopt;
}

}  // namespace pyro::cli

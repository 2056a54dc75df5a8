// What could stand where the cursor is.
#include "cli/completion.h"

#include <algorithm>
#include <span>

#include "cli/commands/commands.h"
#include "cli/description.h"
#include "cli/printable.h"

namespace pyro::cli {
namespace {

using Words = std::vector<std::string>;
using Row = Arguments::Row;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    pieces.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return pieces;
}

/// What a path may stand for. A source is told by how it begins, and may be one.
bool may_be_file(std::string_view what) {
  return what == "FILE" || what == "SRC:DST" || what == "SOURCE";
}

/// The words before the cursor, understood.
class Walk {
 public:
  Walk() : globals_(global_options()) {}

  void step(const std::string& word) {
    if (behind_separator_) return;
    if (expecting_ != nullptr) return take_value(word);
    if (word == "--") {
      behind_separator_ = true;
    } else if (word.size() > 1 && word.front() == '-') {
      take_option(word);
    } else {
      take_operand(word);
    }
  }

  [[nodiscard]] bool behind_separator() const noexcept { return behind_separator_; }
  /// The option whose value comes next.
  [[nodiscard]] const Row* expecting() const noexcept { return expecting_; }
  [[nodiscard]] const CommandEntry* entry() const noexcept { return entry_; }
  [[nodiscard]] const std::string& group() const noexcept { return group_; }
  [[nodiscard]] std::size_t operands() const noexcept { return operands_; }
  [[nodiscard]] const Words& global_words() const noexcept { return global_words_; }

  [[nodiscard]] const Row* find(std::string_view name) const {
    for (const Rows rows : {Rows(own_), Rows(globals_)}) {
      for (const Row& row : rows) {
        if (row.long_name == name || row.short_name == name) return &row;
      }
    }
    return nullptr;
  }

  [[nodiscard]] std::vector<Row> options() const {
    std::vector<Row> rows = own_;
    rows.insert(rows.end(), globals_.begin(), globals_.end());
    return rows;
  }

 private:
  void take_option(const std::string& word) {
    const Row* const row = find(word.substr(0, word.find('=')));
    if (row == nullptr) return;
    const bool has_value = word.find('=') != word.npos;
    if (is_global(*row)) global_words_.push_back(word);
    if (!row->placeholder.empty() && !has_value) expecting_ = row;
  }

  void take_value(const std::string& word) {
    if (is_global(*expecting_)) global_words_.push_back(word);
    expecting_ = nullptr;
  }

  void take_operand(const std::string& word) {
    if (entry_ != nullptr) {
      ++operands_;
      return;
    }
    for (const CommandEntry* const entry : all_commands()) {
      if (entry->group == group_ && entry->name == word) {
        entry_ = entry;
        own_ = describe(*entry).options;
        return;
      }
    }
    if (group_.empty()) group_ = word;
  }

  [[nodiscard]] bool is_global(const Row& row) const {
    return &row >= globals_.data() && &row < globals_.data() + globals_.size();
  }

  const std::vector<Row> globals_;
  std::vector<Row> own_;
  const CommandEntry* entry_ = nullptr;
  const Row* expecting_ = nullptr;
  std::string group_;
  Words global_words_;
  std::size_t operands_ = 0;
  bool behind_separator_ = false;
};

/// One answer in the making.
class Answer {
 public:
  Answer(const Walk& walk, const EnvironmentNames& environments)
      : walk_(walk), environments_(environments) {}

  Completion to(const std::string& word) {
    if (walk_.behind_separator()) return {};
    if (walk_.expecting() != nullptr) {
      offer_values(*walk_.expecting());
    } else if (const std::size_t equals = word.find('=');
               word.starts_with("--") && equals != word.npos) {
      offer_assigned(word.substr(0, equals + 1));
    } else if (word.starts_with('-')) {
      offer_options();
    } else if (walk_.entry() == nullptr) {
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
      if (entry->group == walk_.group()) {
        offer(std::string(entry->name), entry->purpose);
      } else if (walk_.group().empty() && !offered(entry->group)) {
        offer(std::string(entry->group), "");
      }
    }
  }

  [[nodiscard]] bool offered(std::string_view text) const {
    return std::ranges::any_of(answer_.candidates,
                               [&](const Candidate& known) { return known.text == text; });
  }

  void offer_options() {
    for (const Row& row : walk_.options()) {
      offer(row.long_name, row.help.substr(0, row.help.find('\n')));
    }
  }

  void offer_operands() {
    const std::vector<Operand> operands = operands_of(*walk_.entry());
    const std::size_t at = std::min(walk_.operands(), operands.size() - 1);
    const bool none_is_left = operands.empty() || (walk_.operands() > at && !operands[at].repeated);
    if (none_is_left) return offer_options();
    // Words to choose from, "bash|zsh|fish", are in lower case.
    const bool is_choice = operands[at].what.find('|') != std::string::npos;
    offer_what(operands[at].what,
               is_choice ? split(operands[at].what, '|') : std::vector<std::string>());
  }

  void offer_values(const Row& row) { offer_what(row.placeholder, row.choices); }

  void offer_assigned(const std::string& prefix) {
    const Row* const row = walk_.find(prefix.substr(0, prefix.size() - 1));
    if (row == nullptr) return;
    offer_values(*row);
    for (Candidate& candidate : answer_.candidates) candidate.text.insert(0, prefix);
  }

  void offer_what(const std::string& what, const std::vector<std::string>& choices) {
    for (const std::string& choice : choices) offer(choice, "");
    if (what == "NAME") answer_.candidates = environments_(walk_.global_words());
    if (what == "DIR") answer_.paths = Completion::Paths::directories;
    if (may_be_file(what)) answer_.paths = Completion::Paths::files;
  }

  const Walk& walk_;
  const EnvironmentNames& environments_;
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

}  // namespace

Completion complete(const Words& words, const EnvironmentNames& environments) {
  if (words.empty()) return {};
  Walk walk;
  std::for_each(words.begin(), words.end() - 1, [&](const std::string& word) { walk.step(word); });
  return Answer(walk, environments).to(words.back());
}

std::string render(const Completion& completion) {
  std::string text = word_for(completion.paths);
  text += '\n';
  for (const Candidate& candidate : completion.candidates) {
    text += candidate.text + '\t' + printable(candidate.description) + '\n';
  }
  return text;
}

}  // namespace pyro::cli

// The variables that the command in a guest is to have.
#include "cli/guest_variables.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string_view>

#include "base/files.h"

namespace pyro::cli {
namespace {

constexpr std::string_view kBlanks = " \t\v\f";

/// What is wrong with it; nothing for a name, and for one with a value.
const char* fault_of(std::string_view text) {
  const std::string_view name = text.substr(0, text.find('='));
  if (name.empty()) return "not of the form NAME=VALUE or NAME";
  if (name.find_first_of(kBlanks) != name.npos) return "a name has no blanks";
  if (text.find('\0') != text.npos) return "a variable has no NUL";
  return nullptr;
}

/// Without what editors and other systems leave in front of a line and behind it. Blanks behind a
/// value are part of it.
std::string_view trimmed(std::string_view line, bool is_first) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (is_first && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.ends_with('\r')) line.remove_suffix(1);
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  if (line.find('=') == line.npos) line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
  return line;
}

}  // namespace

void GuestVariables::add(const std::string& text) {
  if (fault_of(text) != nullptr) {
    refuse_value("--env", text, "of the form NAME=VALUE or NAME, where a name has no blanks");
  }
  given_.push_back(text);
}

void GuestVariables::add_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw system_error("cannot read " + path, errno);
  int number = 0;
  for (std::string text; std::getline(file, text);) {
    const std::string line(trimmed(text, ++number == 1));
    if (line.empty() || line.front() == '#') continue;
    if (const char* const fault = fault_of(line)) {
      throw Error(ErrorCode::usage, path + ", line " + std::to_string(number) + ": " + fault);
    }
    from_files_.push_back(line);
  }
  if (file.bad()) throw system_error("cannot read " + path, errno);
}

std::vector<std::string> GuestVariables::with_values_of(const Variables& ours) const {
  std::vector<std::string> result;
  for (const auto* const texts : {&from_files_, &given_}) {
    for (const std::string& text : *texts) {
      if (text.find('=') != text.npos)
        result.push_back(text);
      else if (const auto value = ours(text.c_str()))
        result.push_back(text + '=' + *value);
    }
  }
  return result;
}

}  // namespace pyro::cli

// The variables that the command in a guest is to have.
#include "cli/guest_variables.h"

#include <cerrno>
#include <fstream>

#include "base/files.h"

namespace pyro::cli {
namespace {

bool is_variable(const std::string& text) {
  return !text.empty() && text.front() != '=';
}

}  // namespace

void GuestVariables::add(const std::string& text) {
  if (!is_variable(text)) refuse_value("--env", text, "of the form NAME=VALUE or NAME");
  given_.push_back(text);
}

void GuestVariables::add_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw system_error("cannot read " + path, errno);
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (!is_variable(line)) {
      throw Error(ErrorCode::usage, path + ", line " + std::to_string(number) +
                                        ": not of the form NAME=VALUE or NAME");
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

// Words as execve(2) takes them.
#pragma once

#include <string>
#include <vector>

namespace pyro {

/// Pointers into `words`, which must outlive them, and a null at the end.
[[nodiscard]] inline std::vector<char*> exec_words(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace pyro

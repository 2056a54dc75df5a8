// A program that is asked one thing: started, told, heard out, and killed when it takes too long.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <stop_token>
#include <string>

#include "base/subprocess.h"

namespace pyro {

struct HelperLimits {
  std::chrono::milliseconds patience{30'000};
  std::size_t output = std::size_t{64} << 10;  ///< In bytes.
  std::stop_token stop = {};
};

struct HelperAnswer {
  ProcessEnd end;
  std::string output;  ///< All of its standard output.
};

/// Runs `program` with the one argument `verb` and `input` as its standard input. It has this
/// process's variables, where helpers find agents and keyrings, a process group of its own, and no
/// other descriptors; what it writes to standard error is dropped.
/// @throws Error(failed) when it cannot be started, takes longer or says more than it may;
/// (interrupted). By then it and its group are killed.
[[nodiscard]] HelperAnswer ask_helper(const std::filesystem::path& program, const std::string& verb,
                                      const std::string& input, const HelperLimits& limits);

}  // namespace pyro

// Shared by the fuzz targets: assertions that end the process, and input in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/error.h"
#include "stream/decompress.h"

/// libFuzzer calls it, and so does run_corpus.cc.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace pyro::fuzz {

using Bytes = std::span<const std::byte>;

/// Prints the failure and ends the process, so that the fuzzer keeps the input.
[[noreturn]] void fail(std::string_view what);

inline void require(bool holds, std::string_view claim) {
  if (!holds) fail(claim);
}

/// Whether `function` returned. Otherwise it threw an Error with this code and a message. Any other
/// exception ends the process.
template <typename Function>
[[nodiscard]] bool accepts(ErrorCode code, const Function& function) {
  try {
    function();
    return true;
  } catch (const Error& error) {
    require(error.code() == code, "a refusal has the code that was promised");
    require(!error.message().empty(), "a refusal says why");
    return false;
  }
}

[[nodiscard]] inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

/// The first byte says how the others are cut: boundaries are where bugs live.
struct CutInput {
  CutInput(const std::uint8_t* data, std::size_t size);
  std::uint8_t cut = 0;
  Bytes bytes;
};

/// `bytes`, which must outlive it, in pieces of sizes that follow from `cut`; 0 leaves them in one.
/// Each piece has memory of its own, which is gone with the next call.
[[nodiscard]] ByteSource in_pieces(Bytes bytes, std::uint8_t cut);

}  // namespace pyro::fuzz

// QEMU's answers on its control socket. The first byte chooses the sizes of the pieces.
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "machine/qemu/qemu.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

using nlohmann::json;

struct Heard {
  std::vector<json> answers;
  std::string refusal;  ///< Empty when all was taken.

  bool operator==(const Heard&) const = default;
};

void take_answers(QemuAnswers& answers, Heard& heard) {
  while (auto answer = answers.next()) {
    heard.answers.push_back(*answer);
    // Any answer may be the status of saving.
    (void)accepts(ErrorCode::failed, [&] { (void)says_saved(*answer); });
  }
}

Heard hear(Bytes bytes, std::uint8_t cut) {
  Heard heard;
  QemuAnswers answers;
  const ByteSource pieces = in_pieces(bytes, cut);
  try {
    for (Bytes piece = pieces(); !piece.empty(); piece = pieces()) {
      answers.add({reinterpret_cast<const char*>(piece.data()), piece.size()});
      take_answers(answers, heard);
    }
  } catch (const Error& error) {
    require(error.code() == ErrorCode::failed, "a refusal has the code that was promised");
    heard.refusal = error.what();
    constexpr std::size_t kLongest = 1000;
    require(!heard.refusal.empty() && heard.refusal.size() < kLongest,
            "a refusal says why, shortly");
  }
  return heard;
}

/// The line as JSON; nothing if it is not an object.
std::optional<json> object_in(std::string_view line) {
  json document = json::parse(line, nullptr, false);
  return document.is_object() ? std::optional(std::move(document)) : std::nullopt;
}

/// Compares the parsed answers with the lines: each answer is the next object with "return", and no
/// answer is accepted behind an error or a line that is not an object.
void check_against_lines(const Heard& heard, std::string_view text) {
  std::size_t answered = 0;
  for (std::size_t end = 0; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    const auto object = object_in(text.substr(0, end));
    if (!object || object->contains("error")) {
      return require(!heard.refusal.empty() && answered == heard.answers.size(),
                     "what is no answer ends it");
    }
    // Duplicate names and deep nesting are rejected by the strict reader only.
    if (!heard.refusal.empty() && answered == heard.answers.size()) return;
    if (!object->contains("return")) continue;
    require(answered < heard.answers.size(), "no answer is passed over");
    require(heard.answers[answered++] == object->at("return"), "an answer is what was returned");
  }
  require(answered == heard.answers.size(), "there are no other answers");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  const Heard whole = hear(input.bytes, 0);
  require(hear(input.bytes, input.cut) == whole, "where they are cut is of no matter");
  check_against_lines(whole,
                      {reinterpret_cast<const char*>(input.bytes.data()), input.bytes.size()});
  return 0;
}

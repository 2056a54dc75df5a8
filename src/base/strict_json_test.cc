// What would be read in two ways is refused.
#include "base/strict_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pyro {
namespace {

std::string error_of(const std::string& text) {
  try {
    static_cast<void>(parse_strict_json(text, ErrorCode::integrity));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.message();
  }
  return "";
}

TEST(StrictJsonTest, TakesWhatIsUnambiguous) {
  EXPECT_EQ(parse_strict_json(R"({"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]})", ErrorCode::failed)
                .at("b")
                .at(1)
                .at("a"),
            3);
}

TEST(StrictJsonTest, RefusesTheRest) {
  EXPECT_EQ(error_of(R"({"a": 1, "a": 1})"), "field 'a': given twice");
  EXPECT_EQ(error_of(R"({"a": 1, "\u0061": 1})"), "field 'a': given twice");
  EXPECT_EQ(error_of(R"([{"b": {"a": 1, "a": 1}}])"), "[0].b: field 'a': given twice");
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(error_of(deep), "nested deeper than 64 levels");
  for (const char* text : {"", "{", "{} x", "{'a': 1}", "NaN", "[1e999]", "\"\xff\"", "\"\\ud800\"",
                           "[1,]", "{\"a\" 1}", "// x\n1"}) {
    EXPECT_NE(error_of(text).find("not valid JSON"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace pyro

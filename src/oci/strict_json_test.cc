#include "oci/strict_json.h"

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
  EXPECT_EQ(error_of(R"({"a": 1, "a": 1})"), "the JSON has \"a\" twice in one object");
  EXPECT_EQ(error_of(R"({"a": 1, "\u0061": 1})"), "the JSON has \"a\" twice in one object");
  EXPECT_EQ(error_of(R"([{"b": {"a": 1, "a": 1}}])"), "the JSON has \"a\" twice in one object");
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(error_of(deep), "the JSON is nested too deeply");
  for (const char* text : {"", "{", "{} x", "{'a': 1}", "NaN", "[1e999]", "\"\xff\"", "\"\\ud800\"",
                           "[1,]", "{\"a\" 1}", "// x\n1"}) {
    EXPECT_TRUE(error_of(text).starts_with("not valid JSON")) << text;
  }
}

}  // namespace
}  // namespace pyro

// Tests of strict JSON: ambiguous documents are rejected.
#include "base/strict_json.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>

namespace pyro {
namespace {

constexpr std::size_t kLargestDocument = std::size_t{4} << 20;

std::string error_of(const std::string& text) {
  try {
    static_cast<void>(parse_strict_json(text, ErrorCode::integrity));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.message();
  }
  return "";
}

TEST(StrictJsonTest, AcceptsEqualKeysOfDifferentObjects) {
  EXPECT_EQ(parse_strict_json(R"({"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]})", ErrorCode::failed)
                .at("b")
                .at(1)
                .at("a"),
            3);
}

TEST(StrictJsonTest, RejectsDuplicateKeysDeepNestingAndInvalidJson) {
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

TEST(StrictJsonTest, KeepsOrderTypesAndEmptyContainers) {
  const auto document = parse_strict_json(
      R"({"a": [1, -2, 2.5, true, null, "x", [], {}], "b": {"c": [[0], [{"d": ""}]]}})",
      ErrorCode::failed);
  EXPECT_EQ(document.dump(), R"({"a":[1,-2,2.5,true,null,"x",[],{}],"b":{"c":[[0],[{"d":""}]]}})");
  EXPECT_TRUE(document["a"][0].is_number_unsigned());
  EXPECT_EQ(parse_strict_json("7", ErrorCode::failed), 7);
}

TEST(StrictJsonTest, OrderedParserKeepsFieldOrder) {
  const std::string text = R"({"b":{"z":1,"a":[{"y":2,"x":3}]},"a":0})";
  EXPECT_EQ(parse_ordered_json(text, ErrorCode::failed).dump(), text);
  EXPECT_THROW(static_cast<void>(parse_ordered_json(R"({"b":1,"a":2,"b":3})", ErrorCode::failed)),
               Error);
}

TEST(StrictJsonTest, NamesPathOfDuplicateKeyAfterClosedContainers) {
  EXPECT_EQ(error_of(R"({"x": [{}, [1], {"y": {"z": [], "k": 1, "k": 2}}]})"),
            "x[2].y: field 'k': given twice");
  const std::string key(1000, 'k');
  EXPECT_EQ(error_of("{\"" + key + "\":1,\"" + key + "\":1}"),
            "field '" + key.substr(0, 100) + "...': given twice");
}

/// `prefix`, `item(0)`, `item(1)` ... as far as they fit into 4 MiB, `suffix`.
template <typename Item>
std::string filled(std::string prefix, const Item& item, const std::string& suffix) {
  for (std::size_t i = 0; prefix.size() + 64 < kLargestDocument; ++i) {
    prefix += (i == 0 ? "" : ",") + item(i);
  }
  return prefix + suffix;
}

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

TEST(StrictJsonTest, Rejects4MiBDocumentsWithin10sOfProcessorTime) {
  const auto number = [](std::size_t i) { return std::to_string(i); };
  for (const std::string& text : {
           filled(
               "[", [](std::size_t) { return std::string(R"({"a":0})"); }, "]"),
           filled(
               "{", [&](std::size_t i) { return '"' + number(i) + R"(":{})"; }, "}"),
           filled(
               "[", [](std::size_t) { return std::string("[]"); }, "]"),
           filled("{\"a\":[", number, "]}"),
           "[" + std::string(kLargestDocument, '1') + "]",
           "\"" + std::string(kLargestDocument, 'x'),
           std::string(kLargestDocument, '\n') + "}",
       }) {
    const double before = processor_seconds();
    EXPECT_NE(error_of(text), "") << text.substr(0, 40);
    EXPECT_THROW(static_cast<void>(parse_ordered_json(text, ErrorCode::integrity)), Error);
    EXPECT_LT(processor_seconds() - before, 10) << text.substr(0, 40);
  }
}

TEST(StrictJsonTest, RejectsMoreValuesThanLimit) {
  const auto list_of = [](std::size_t count) {
    std::string text = "[0";
    for (std::size_t i = 1; i < count; ++i) text += ",0";
    return text + "]";
  };
  EXPECT_EQ(error_of(list_of(kMaxJsonValues - 1)), "");
  EXPECT_EQ(error_of(list_of(kMaxJsonValues)),
            "more than " + std::to_string(kMaxJsonValues) + " values");
}

TEST(StrictJsonTest, ThrowsInterruptedOnStopRequest) {
  std::stop_source stop;
  stop.request_stop();
  try {
    static_cast<void>(parse_strict_json("[1]", ErrorCode::failed, stop.get_token()));
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::interrupted);
  }
}

TEST(StrictJsonTest, OrNullVariantReturnsNullForInvalidJson) {
  EXPECT_EQ(parse_strict_json_or_null(R"({"a":1})")["a"], 1);
  EXPECT_TRUE(parse_strict_json_or_null(R"({"a":1,"a":2})").is_null());
  EXPECT_TRUE(parse_strict_json_or_null("{").is_null());
}

}  // namespace
}  // namespace pyro

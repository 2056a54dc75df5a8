// Tests of the time to parse names, headers and answers of 1 MiB.
#include <gtest/gtest.h>

#include "base/reference.h"
#include "base/text.h"
#include "catalog/names.h"
#include "net/http.h"
#include "net/retry.h"
#include "net/transport.h"
#include "net/url.h"
#include "oci/auth.h"
#include "oci/challenge.h"
#include "oci/registry_error.h"
#include "support/fake_http_client.h"
#include "worst_input.h"

namespace pyro::fuzz {
namespace {

// --- names ---

void name(const std::string& text) {
  static_cast<void>(is_environment_name(text));
  static_cast<void>(is_version(text));
  static_cast<void>(is_source_profile(text));
  static_cast<void>(Digest::parse(text));
  const std::string_view known[] = {"debian:12", text};
  static_cast<void>(closest(text, known));
}

void reference(const std::string& text) {
  static_cast<void>(ImageReference::make(text, "a", "b"));
  static_cast<void>(ImageReference::make("r.example", text, "b"));
  static_cast<void>(ImageReference::make("r.example", "a", text));
  static_cast<void>(FullReference::parse(text));
}

void version_range(const std::string& text) {
  static_cast<void>(version_in_range("1.0", text));
  static_cast<void>(version_in_range(text.substr(2), text));
}

void url(const std::string& text) {
  static_cast<void>(Url::parse(text));
  static_cast<void>(resolve(*Url::parse("https://r.example/a/b?c"), text));
  static_cast<void>(source_url_complaint(text, false));
  static_cast<void>(resolve_source_url(text, "/etc/pyro"));
  static_cast<void>(Proxy::parse(text));
  static_cast<void>(percent_decode(text));
  static_cast<void>(redact(text));
}

const WorstInput kNames[] = {
    {"OneLetter", name, [] { return filled("a"); }},
    {"Colons", name, [] { return filled("a:"); }},
    {"DigestWithoutEnd", name, [] { return filled("a", "sha256:"); }},
    {"ReferenceOfSlashes", reference, [] { return filled("a/", "r.example/"); }},
    {"ReferenceOfColons", reference, [] { return filled("a:", "r.example/"); }},
    {"ReferenceOfAts", reference, [] { return filled("a@", "r.example/"); }},
    {"ReferenceOfDots", reference, [] { return filled("."); }},
    {"ReferenceOfDashes", reference, [] { return filled("a-_", "r.example/"); }},
    {"RegistryOfLabels", reference, [] { return filled("a.", "", "b/c"); }},
    {"LongVersion", version_range, [] { return filled("1.", ">=", "1"); }},
    {"VersionOfZeros", version_range, [] { return filled("0.", ">=", "0"); }},
    {"LargeNumbers", version_range, [] { return filled("4294967295.", ">=", "1"); }},
    {"ManyConditions", version_range, [] { return filled(">=1,", "", "<2"); }},
    {"ManyBlanks", version_range, [] { return filled(" ", ">=1", ",<2"); }},
    {"LongHost", url, [] { return filled("a.", "https://"); }},
    {"LongPath", url, [] { return filled("a", "https://r.example/"); }},
    {"ManyComponents", url, [] { return filled("/a", "https://r.example"); }},
    {"ManySteps", url, [] { return filled("a/../", "https://r.example/"); }},
    {"ManyStepsUpwards", url, [] { return filled("../"); }},
    {"ManyDots", url, [] { return filled("./", "/"); }},
    {"PercentEscapes", url, [] { return filled("%41", "https://r.example/"); }},
    {"ForeignBytes", url, [] { return filled("\xc3\xa4", "/"); }},
    {"ManyAts", url, [] { return filled("a@", "https://"); }},
    {"ManyColons", url, [] { return filled(":", "https://"); }},
    {"ManyBrackets", url, [] { return filled("[", "https://"); }},
    {"ManyQuestionMarks", url, [] { return filled("?", "https://r.example/"); }},
};

// --- answers ---

void challenges(const std::string& text) {
  static_cast<void>(parse_challenges({text}));
}

void header(const std::string& text) {
  const HttpRequest request{"https://r.example/"};
  const BodySink nowhere = [](std::span<const std::byte>) {};
  Exchange exchange(request, nowhere);
  exchange.on_header("HTTP/1.1 200 OK\r\n");
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    exchange.on_header(line.empty() ? rest : line);
    rest.remove_prefix(line.empty() ? rest.size() : line.size());
  }
}

void header_values(const std::string& text) {
  HttpResponse response{.status = 503, .headers = {}, .body = {}};
  for (const char* name : {"Retry-After", "Content-Type", "Content-Length"}) {
    response.headers.add(name, text);
  }
  static_cast<void>(retry_after(response));
  static_cast<void>(response.media_type());
  static_cast<void>(describe_answer(response));
}

void refusal(const std::string& text) {
  const HttpResponse response{.status = 403, .headers = {}, .body = text};
  static_cast<void>(describe_answer(response));
  static_cast<void>(registry_refusal("r.example", response).what());
}

void token_answer(const std::string& text) {
  FakeHttpClient http;
  const TokenRequest request{.realm = *Url::parse("https://r.example/token"), .scope = text};
  http.on(token_url(request), {.body = text});
  static_cast<void>(fetch_token(http, request));
}

const WorstInput kAnswers[] = {
    {"ManyChallenges", challenges, [] { return filled("a,"); }},
    {"ManySchemes", challenges, [] { return filled("a "); }},
    {"ManyParameters", challenges,
     [] { return numbered([](auto i) { return std::to_string(i) + "=\"\","; }, "Bearer "); }},
    {"ManyEqualParameters", challenges, [] { return filled("a=b,", "Bearer "); }},
    {"QuotesAndBackslashes", challenges, [] { return filled("\\\"", "Bearer a=\""); }},
    {"QuoteWithoutEnd", challenges, [] { return filled("a", "Bearer a=\""); }},
    {"ManyCommas", challenges, [] { return filled(","); }},
    {"ManyBlanks", challenges, [] { return filled(" ", "Bearer", "a"); }},
    {"LongToken", challenges, [] { return filled("a", "Negotiate ", "=="); }},
    {"LongInvalidToken", challenges, [] { return filled("a", "Negotiate ", "!"); }},
    {"ManyEqualsSigns", challenges, [] { return filled("=", "Negotiate a", "b"); }},
    {"OneField", header, [] { return filled("a", "A: "); }},
    {"ManyFields", header, [] { return filled("A: b\r\n"); }},
    {"ManyEmptyLines", header, [] { return filled("\r\n"); }},
    {"ManyStatusLines", header, [] { return filled("HTTP/1.1 100\r\n"); }},
    {"FieldOfBlanks", header, [] { return filled(" ", "A:"); }},
    {"ValueOfDigits", header_values, [] { return filled("1"); }},
    {"ValueOfBlanks", header_values, [] { return filled(" "); }},
    {"ValueOfSemicolons", header_values, [] { return filled(";"); }},
    {"ManyErrors", refusal,
     [] { return filled(R"({"code":"A","message":"b"},)", R"({"errors":[)", "{}]}"); }},
    {"LongError", refusal,
     [] { return filled("a", R"({"errors":[{"code":"A","message":")", "\"}]}"); }},
    {"NestedErrors", refusal, [] { return filled("{\"errors\":"); }},
    {"LongAccessToken", token_answer, [] { return filled("a", "{\"token\":\"", "\"}"); }},
    {"ManyScopes", token_answer, [] { return filled("a "); }},
};

constexpr auto kTextName = [](const auto& row) { return std::string(row.param.name); };

class TextTimeTest : public ParsingTimeTest {};

TEST_P(TextTimeTest, TakesAtMost1sFor1MiB) {
  expect_in_time(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Names, TextTimeTest, ::testing::ValuesIn(kNames), kTextName);
INSTANTIATE_TEST_SUITE_P(Answers, TextTimeTest, ::testing::ValuesIn(kAnswers), kTextName);

}  // namespace
}  // namespace pyro::fuzz

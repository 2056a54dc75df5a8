#include "net/redact.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(RedactTest, CutsWhatOpens) {
  const struct {
    const char* url;
    const char* shown;
  } cases[] = {
      {"https://h/x", "https://h/x"},        {"https://h/x?X-Amz-Signature=1", "https://h/x"},
      {"https://h/x#secret", "https://h/x"}, {"https://user:pw@h/x@y", "https://h/x@y"},
      {"https://user:p@w@h/", "https://h/"}, {"https://user:pw@h", "https://h"},
      {"https://h?u=a@b", "https://h"},      {"not a url", "not a url"},
      {"file:///a?b", "file:///a"},          {"", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(redact(c.url), c.shown) << c.url;
}

}  // namespace
}  // namespace pyro

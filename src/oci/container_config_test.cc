// Configs of container images, accepted and rejected.
#include "oci/container_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "pyro/error.h"

namespace pyro {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A document with that `config` and as many layers as the tests say.
std::string with_config(const std::string& config) {
  return R"({"architecture":"amd64","os":"linux","config":)" + config +
         R"(,"rootfs":{"type":"layers","diff_ids":["sha256:a","sha256:b"]}})";
}

std::string refusal_of(const std::string& text) {
  try {
    static_cast<void>(parse_container_config(text, 2));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.what();
  }
}

TEST(ContainerConfigTest, ReadsTheFieldsOfTheSpecification) {
  const ContainerConfig config = parse_container_config(
      with_config(R"({"Env":["PATH=/bin","EMPTY=","A=b c \"d\""],"Entrypoint":["/entry","-x"],)"
                  R"("Cmd":["sh","-c","echo $A"],"WorkingDir":"/srv","User":"app:1000",)"
                  R"("StopSignal":"SIGQUIT","Labels":{"a":"b"},"Volumes":{"/data":{}}})"),
      2);
  EXPECT_THAT(config.env, ElementsAre("PATH=/bin", "EMPTY=", "A=b c \"d\""));
  EXPECT_THAT(config.entrypoint, ElementsAre("/entry", "-x"));
  EXPECT_THAT(config.command, ElementsAre("sh", "-c", "echo $A"));
  EXPECT_EQ(config.working_directory, "/srv");
  EXPECT_EQ(config.user, "app:1000");
  EXPECT_EQ(config.stop_signal, "SIGQUIT");
}

TEST(ContainerConfigTest, MissingAndNullFieldsAreEmpty) {
  EXPECT_EQ(parse_container_config(with_config("{}"), 2), ContainerConfig());
  EXPECT_EQ(parse_container_config(with_config("null"), 2), ContainerConfig());
  EXPECT_THAT(parse_container_config(with_config(R"({"Env":null,"Cmd":null,"User":null})"), 2).env,
              IsEmpty());
  EXPECT_EQ(parse_container_config(R"({"rootfs":{"diff_ids":["a","b"]}})", 2), ContainerConfig());
}

TEST(ContainerConfigTest, RejectsWhatNoGuestCanBeGiven) {
  const struct {
    const char* config;
    const char* says;
  } rows[] = {
      {R"({"Env":"A=b"})", "'Env' is not a list"},
      {R"({"Env":["A"]})", "a variable without a name or value"},
      {R"({"Env":["=b"]})", "a variable without a name or value"},
      {R"({"Cmd":[1]})", "'Cmd' holds no text"},
      {"{\"Cmd\":[\"a\\u0000b\"]}", "'Cmd' holds a zero byte"},
      {"{\"User\":\"a\\u0000b\"}", "'User' holds a zero byte"},
      {R"({"User":0})", "'User' holds no text"},
      {R"({"WorkingDir":"srv"})", "'WorkingDir' is not an absolute path"},
      {R"([])", "'config' is not an object"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(refusal_of(with_config(row.config)), HasSubstr(row.says)) << row.config;
  }
}

TEST(ContainerConfigTest, RejectsDocumentsThatAreNoConfig) {
  EXPECT_THAT(refusal_of("not JSON"), HasSubstr("the image's config cannot be used"));
  EXPECT_THAT(refusal_of("[]"), HasSubstr("it is not an object"));
  EXPECT_THAT(refusal_of("{}"), HasSubstr("it does not list the layers"));
  EXPECT_THAT(refusal_of(R"({"rootfs":{"diff_ids":["a"]}})"),
              HasSubstr("it lists 1 layers, and the manifest has 2"));
  EXPECT_THAT(refusal_of(R"({"config":{},"config":{},"rootfs":{"diff_ids":["a","b"]}})"),
              HasSubstr("given twice"));
}

TEST(ContainerConfigTest, SurvivesTheInstallRecord) {
  const ContainerConfig config{.env = {"A=b", "C="},
                               .entrypoint = {},
                               .command = {"sh", ""},
                               .working_directory = "/w",
                               .user = "1000:1000",
                               .stop_signal = "9"};
  EXPECT_EQ(read_container_config(write_container_config(config)), config);
  EXPECT_EQ(write_container_config({}), nlohmann::json::object());
  EXPECT_EQ(read_container_config(nlohmann::json::parse(R"({"Env":[1,"A=b"],"User":{}})")),
            ContainerConfig{.env = {"A=b"}});
  EXPECT_EQ(read_container_config(nlohmann::json()), ContainerConfig());
}

}  // namespace
}  // namespace pyro

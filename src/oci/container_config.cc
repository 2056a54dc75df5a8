// The config of a container image.
#include "oci/container_config.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/strict_json.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using Json = nlohmann::json;

Error broken_config(const std::string& why) {
  Error error(ErrorCode::integrity, why);
  error.add_context("the image's config cannot be used");
  return error;
}

/// Null where it is missing.
const Json* value_of(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// The text that a guest can be given: arguments and variables end at a zero byte.
std::string text_in(const Json& value, const std::string& name) {
  if (!value.is_string()) throw broken_config("its field '" + name + "' holds no text");
  std::string text = value.get<std::string>();
  if (text.find('\0') != std::string::npos) {
    throw broken_config("its field '" + name + "' holds a zero byte");
  }
  return text;
}

std::string text_field(const Json& config, const char* name) {
  const Json* const value = value_of(config, name);
  return value == nullptr ? std::string() : text_in(*value, name);
}

std::vector<std::string> list_field(const Json& config, const char* name) {
  std::vector<std::string> texts;
  const Json* const list = value_of(config, name);
  if (list == nullptr) return texts;
  if (!list->is_array()) {
    throw broken_config("its field '" + std::string(name) + "' is not a list");
  }
  for (const Json& value : *list) texts.push_back(text_in(value, name));
  return texts;
}

void check_variables(const std::vector<std::string>& env) {
  for (const std::string& variable : env) {
    const std::size_t equals = variable.find('=');
    if (equals == 0 || equals == variable.npos) {
      throw broken_config("its field 'Env' holds a variable without a name or value");
    }
  }
}

void check_layers(const Json& document, std::size_t layers) {
  const Json* const rootfs = value_of(document, "rootfs");
  const Json* const diff_ids = rootfs == nullptr ? nullptr : value_of(*rootfs, "diff_ids");
  if (diff_ids == nullptr || !diff_ids->is_array()) {
    throw broken_config("it does not list the layers");
  }
  if (diff_ids->size() == layers) return;
  throw broken_config("it lists " + std::to_string(diff_ids->size()) +
                      " layers, and the manifest has " + std::to_string(layers));
}

}  // namespace

ContainerConfig parse_container_config(std::string_view text, std::size_t layers) {
  Json document;
  try {
    document = parse_strict_json(text, ErrorCode::integrity);
  } catch (Error& error) {
    error.add_context("the image's config cannot be used");
    throw;
  }
  if (!document.is_object()) throw broken_config("it is not an object");
  check_layers(document, layers);
  const Json* const config = value_of(document, "config");
  if (config == nullptr) return {};
  if (!config->is_object()) throw broken_config("its field 'config' is not an object");
  ContainerConfig parsed{.env = list_field(*config, "Env"),
                         .entrypoint = list_field(*config, "Entrypoint"),
                         .command = list_field(*config, "Cmd"),
                         .working_directory = text_field(*config, "WorkingDir"),
                         .user = text_field(*config, "User"),
                         .stop_signal = text_field(*config, "StopSignal")};
  check_variables(parsed.env);
  if (!parsed.working_directory.empty() && !parsed.working_directory.starts_with('/')) {
    throw broken_config("its field 'WorkingDir' is not an absolute path");
  }
  return parsed;
}

Json write_container_config(const ContainerConfig& config) {
  Json object = Json::object();
  const auto put = [&](const char* name, const auto& value) {
    if (!value.empty()) object[name] = value;
  };
  put("Env", config.env);
  put("Entrypoint", config.entrypoint);
  put("Cmd", config.command);
  put("WorkingDir", config.working_directory);
  put("User", config.user);
  put("StopSignal", config.stop_signal);
  return object;
}

ContainerConfig read_container_config(const Json& object) {
  const auto text = [&](const char* name) {
    const Json* const value = value_of(object, name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  };
  const auto list = [&](const char* name) {
    std::vector<std::string> texts;
    const Json* const values = value_of(object, name);
    if (values == nullptr || !values->is_array()) return texts;
    for (const Json& value : *values) {
      if (value.is_string()) texts.push_back(value.get<std::string>());
    }
    return texts;
  };
  return {.env = list("Env"),
          .entrypoint = list("Entrypoint"),
          .command = list("Cmd"),
          .working_directory = text("WorkingDir"),
          .user = text("User"),
          .stop_signal = text("StopSignal")};
}

}  // namespace pyro

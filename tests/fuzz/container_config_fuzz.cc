// The config of a container image: refused with a reason, or kept whole by an install record.
#include <nlohmann/json.hpp>

#include "oci/container_config.h"
#include "oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  pyro::ContainerConfig config;
  const bool is_sound = fuzz::accepts(
      ErrorCode::integrity, [&] { config = parse_container_config(fuzz::as_text(data, size), 1); });
  if (!is_sound) return 0;
  for (const auto* const texts : {&config.env, &config.entrypoint, &config.command}) {
    for (const std::string& text : *texts) {
      fuzz::require(text.find('\0') == text.npos, "a guest can be given every text");
    }
  }
  fuzz::require(config.working_directory.empty() || config.working_directory.starts_with('/'),
                "the working directory is absolute");
  fuzz::require(read_container_config(write_container_config(config)) == config,
                "a record keeps the config");
  return 0;
}

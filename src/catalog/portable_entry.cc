// A catalog entry that goes along with an exported environment.
#include "catalog/portable_entry.h"

#include <nlohmann/json.hpp>

#include "base/strict_json.h"
#include "catalog/entry_reader.h"
#include "catalog/entry_writer.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using OrderedJson = nlohmann::ordered_json;

/// A description and a few names; a manifest, which it arrives in, has at most 4 MiB.
constexpr std::size_t kLargestEntry = std::size_t{64} << 10;

bool may_be_passed_on(const std::string& url) {
  return url.starts_with("https://") && url.find_first_of("@?") == url.npos;
}

Environment without_local_source(Environment environment) {
  if (environment.oci_registry && environment.oci_digest) {
    environment.oci_reference = environment.oci_digest->to_string();
  }
  if (environment.source_sha256 || !may_be_passed_on(environment.source_url.value_or(""))) {
    environment.source_url.reset();
  }
  environment.oci_digest.reset();
  environment.source_sha256.reset();
  return environment;
}

}  // namespace

std::string write_portable_entry(const Environment& environment) {
  return write_entry(without_local_source(environment))
      .dump(-1, ' ', /*ensure_ascii=*/true, OrderedJson::error_handler_t::replace);
}

Environment read_portable_entry(std::string_view text, const std::filesystem::path& file) {
  if (text.size() > kLargestEntry) {
    throw Error(ErrorCode::integrity, "it is larger than 64 KiB");
  }
  Environment environment;
  try {
    environment = read_entry(parse_strict_json(text, ErrorCode::integrity), 0, file);
  } catch (const Error& error) {
    throw Error(ErrorCode::integrity, error.what(), error.hint());
  }
  if (write_entry(without_local_source(environment)) == write_entry(environment)) {
    return environment;
  }
  throw Error(ErrorCode::integrity, "it names a source that is for the exporting machine only");
}

}  // namespace pyro

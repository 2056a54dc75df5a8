// Install records.
#include "oracle.h"
#include "store/install_record.h"

namespace {

using pyro::InstallRecord;

bool same(const InstallRecord& one, const InstallRecord& other) {
  const auto fields = [](const InstallRecord& record) {
    return std::tie(record.catalog_version, record.name, record.version, record.source,
                    record.source_digest, record.installed_at, record.catalog_file,
                    record.oci_digest, record.base);
  };
  const auto same_artifact = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.size == b.second.size &&
           a.second.digest == b.second.digest;
  };
  return fields(one) == fields(other) &&
         std::equal(one.artifacts.begin(), one.artifacts.end(), other.artifacts.begin(),
                    other.artifacts.end(), same_artifact);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pyro::fuzz::require;
  const auto record = InstallRecord::parse(pyro::fuzz::as_text(data, size));
  if (!record) return 0;
  const std::string text = record->render();
  const auto again = InstallRecord::parse(text);
  require(again.has_value(), "a record that was written can be read");
  require(same(*record, *again), "... and is the same");
  require(again->render() == text, "... and is written the same");
  return 0;
}

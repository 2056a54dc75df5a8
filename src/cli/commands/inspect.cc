// pyro env inspect: all data of one environment.
#include <utility>

#include "cli/commands/commands.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

using Fields = std::vector<std::pair<std::string_view, Cell>>;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// Removes possible secrets: user, query and fragment.
std::string public_url(std::string url) {
  const std::size_t scheme = url.find("://");
  if (scheme == url.npos) return url;
  url.erase(std::min(url.size(), url.find_first_of("?#")));
  const std::size_t host = scheme + 3;
  const std::size_t user = url.substr(0, url.find('/', host)).rfind('@');
  if (user != url.npos && user >= host) url.erase(host, user + 1 - host);
  return url;
}

std::string remote_source(const Environment& environment) {
  if (environment.oci_registry && environment.oci_repository && environment.oci_reference) {
    const bool is_digest = environment.oci_reference->find(':') != std::string::npos;
    return *environment.oci_registry + '/' + *environment.oci_repository + (is_digest ? "@" : ":") +
           *environment.oci_reference;
  }
  if (environment.source_url == kStandardInputUrl) return std::string(kStandardInput);
  return environment.source_url ? public_url(*environment.source_url) : "none";
}

void add_description(Fields& fields, const EnvironmentStatus& status) {
  const Environment& environment = status.environment;
  fields.push_back({"Name", {environment.name}});
  fields.push_back({"Version", {environment.version}});
  fields.push_back({"Status", status_cell(status)});
  fields.push_back({"Description", {environment.description}});
  fields.push_back({"Packages", {join(environment.default_packages)}});
  const std::string& version = environment.distribution_version;
  fields.push_back(
      {"Distribution", {environment.distribution + (version.empty() ? "" : ' ' + version)}});
  fields.push_back({"Platform", {environment.platform}});
  fields.push_back({"Needs", {"catalog " + environment.compatibility}});
  if (environment.kind == EnvironmentKind::container) {
    fields.push_back({"Base", {status.base.value_or("none: there is no kernel to boot it with")}});
  }
}

void add_origin(Fields& fields, const Environment& environment) {
  const std::string built_in = "built in, version " + std::string(kCatalogVersion);
  fields.push_back(
      {"Catalog", {environment.catalog_file ? environment.catalog_file->string() : built_in}});
  fields.push_back({"Pulled from", {remote_source(environment)}});
  if (environment.oci_digest)
    fields.push_back({"Pinned to", {environment.oci_digest->to_string()}});
  if (environment.source_sha256) {
    fields.push_back({"Pinned to", {environment.source_sha256->to_string()}});
  }
}

void add_install(Fields& fields, const EnvironmentStatus& status) {
  if (!status.installed) return;
  const InstalledEnvironment& installed = *status.installed;
  fields.push_back({"Installed in", {installed.install_dir.string()}});
  fields.push_back({"Size on disk", {format_size(status.installed_bytes.value_or(0))}});
  fields.push_back({"Installed from", {installed.source}});
  if (installed.source_digest) fields.push_back({"Digest", {*installed.source_digest}});
  if (!installed.kernel_image.empty()) {
    fields.push_back({"Kernel", {installed.kernel_image.string()}});
  }
  fields.push_back({"Root fs", {installed.rootfs_image.string()}});
  if (installed.initrd_image) fields.push_back({"Initrd", {installed.initrd_image->string()}});
  for (const StateUsage& state : status.states) {
    fields.push_back({"Saved state", {state.name + ", " + format_size(state.bytes)}});
  }
}

class InspectCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words& operands) override {
    const EnvironmentStatus status = EnvironmentStore(context.store).inspect(operands.front());
    context.out.write(json() ? render_json(inspect_payload(status)) : text_of(status, context.out));
    return kDone;
  }

 private:
  static std::string text_of(const EnvironmentStatus& status, const Terminal& terminal) {
    Fields fields;
    add_description(fields, status);
    add_origin(fields, status.environment);
    add_install(fields, status);
    return render_fields(fields, terminal);
  }
};

}  // namespace

constinit const CommandEntry kInspectCommand{
    .group = "env",
    .name = "inspect",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Show the details of one environment",
    .details = "",
    .examples =
        "  pyro env inspect debian:12\n"
        "  pyro env inspect debian:12 --json | jq .installed\n",
    .make = make_command<InspectCommand>,
    .operand_use = OperandUse::names,
};

}  // namespace pyro::cli

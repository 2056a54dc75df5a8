// References to images in place of names.
#include "cli/image_names.h"

#include "base/reference.h"
#include "pyro/catalog.h"
#include "pyro/user_catalog.h"

namespace pyro::cli {
namespace {

bool is_path(const std::string& text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
}

}  // namespace

std::string entry_name(const std::string& typed) {
  if (typed.find('/') == typed.npos) return typed;
  const bool is_reference = typed.starts_with("oci://") || typed.starts_with("docker://");
  if (is_path(typed) || (!is_reference && split_layout_url(typed))) {
    throw Error(
        ErrorCode::usage, "'" + typed + "' is not a name",
        "give it one: pyro env add NAME " + typed + ", for a container image with --container");
  }
  return image_name(typed);
}

UserCatalog user_catalog_of(const Context& context) {
  if (const auto file = user_catalog_file(context.variables)) return UserCatalog(*file);
  throw Error(ErrorCode::failed, "cannot tell where your catalog is: HOME is not set",
              "set HOME or XDG_CONFIG_HOME");
}

void add_image(Context& context, const std::string& name) {
  if (name.find('/') == name.npos || context.store.catalog.find(name) != nullptr) return;
  const UserCatalog own = user_catalog_of(context);
  NewEnvironment image{.name = name, .source = EnvironmentSource::parse(name)};
  image.kind = EnvironmentKind::container;
  image.description = "Container image, added on its first use.";
  try {
    static_cast<void>(own.add(image, context.store.catalog, context.stop));
  } catch (const Error&) {
    // Another process may have added it meanwhile.
    context.store.catalog = context.reload_catalog();
    if (context.store.catalog.find(name) == nullptr) throw;
    return;
  }
  context.store.catalog = context.reload_catalog();
}

}  // namespace pyro::cli

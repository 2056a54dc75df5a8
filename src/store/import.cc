// Environments out of an image layout into the cache.
#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/files.h"
#include "catalog/catalog_builder.h"
#include "catalog/portable_entry.h"
#include "oci/image_layout.h"
#include "pyro/image_layout.h"
#include "pyro/user_catalog.h"
#include "store/environment_annotations.h"
#include "store/installation.h"
#include "store/installer.h"
#include "store/layout.h"

namespace pyro {
namespace {

std::optional<std::string> text_of(const Annotations& annotations, std::string_view key) {
  const std::string_view text = annotation(annotations, key);
  return text.empty() ? std::nullopt : std::optional(std::string(text));
}

/// By the index of the layout, or else by the image's own manifest: what is copied from one place
/// to another keeps the latter only.
LayoutEnvironment describe(const ImageLayout& layout, const Descriptor& image) {
  LayoutEnvironment result{.name = text_of(image.annotations, kEnvironmentName),
                           .version = text_of(image.annotations, kEnvironmentVersion),
                           .reference = std::string(annotation(image.annotations, kRefName)),
                           .digest = image.digest};
  if (result.name) return result;
  const Manifest manifest = layout.resolve(image).manifest;
  result.name = text_of(manifest.annotations, kEnvironmentName);
  result.version = text_of(manifest.annotations, kEnvironmentVersion);
  return result;
}

bool is_for_us(const Descriptor& image) {
  const Index alone{.media_type = {}, .manifests = {image}};
  return choose_platform(alone) != nullptr || !entries_without_platform(alone).empty();
}

std::vector<LayoutEnvironment> list_environments(const ImageLayout& layout) {
  std::vector<LayoutEnvironment> environments;
  for (const Descriptor& image : layout.images()) {
    if (is_for_us(image)) environments.push_back(describe(layout, image));
  }
  return environments;
}

std::string list_names(const std::vector<LayoutEnvironment>& environments) {
  std::string list;
  for (const LayoutEnvironment& environment : environments) {
    const std::string name = environment.name.value_or(environment.reference);
    if (!name.empty()) (list += list.empty() ? "" : ", ") += name;
  }
  return list;
}

/// Those called `name`: by what they are, or where none is, by their reference. All for an empty
/// one.
std::vector<LayoutEnvironment> called(std::string_view name,
                                      const std::vector<LayoutEnvironment>& all) {
  if (name.empty()) return all;
  std::vector<LayoutEnvironment> found;
  const auto keep = std::back_inserter(found);
  std::ranges::copy_if(all, keep, [&](const auto& image) { return image.name == name; });
  if (!found.empty()) return found;
  std::ranges::copy_if(all, keep, [&](const auto& image) { return image.reference == name; });
  return found;
}

/// What `layout` is asked for, as messages call it.
std::string in_layout(const ImageLayout& layout, std::string_view name) {
  return (name.empty() ? "" : "'" + std::string(name) + "' in ") + layout.path().string();
}

LayoutEnvironment choose(const ImageLayout& layout, std::string_view name,
                         const std::optional<std::string>& version) {
  const auto all = list_environments(layout);
  auto found = called(name, all);
  if (found.empty()) {
    const std::string names = list_names(all);
    throw Error(ErrorCode::not_found,
                layout.path().string() + " has no environment" +
                    (name.empty() ? "" : " '" + std::string(name) + "'"),
                names.empty() ? "" : "it has: " + names);
  }
  // One image under two names is one image, and one name may stand for several versions.
  const auto right = [&](const auto& image) { return image.version == version; };
  if (version && std::ranges::any_of(found, right)) std::erase_if(found, std::not_fn(right));
  const auto other = [&](const auto& image) { return image.digest != found.front().digest; };
  if (std::ranges::none_of(found, other)) return found.front();
  throw Error(name.empty() ? ErrorCode::not_found : ErrorCode::integrity,
              std::string("there is more than one image ") + (name.empty() ? "in " : "called ") +
                  in_layout(layout, name),
              name.empty() ? "choose one of: " + list_names(all) : "");
}

[[noreturn]] void refuse_unknown(const std::string& name, const ImageLayout& layout) {
  Error error(ErrorCode::not_found, "neither the catalog nor the image says what it is",
              "add it with 'pyro env add', or import it as one that there is with --as NAME");
  error.add_context("cannot import " + in_layout(layout, name));
  throw error;
}

/// The entry that the image brings, as `name`. Text from outside: it may say of no other
/// environment than the image does.
Environment brought_entry(const ResolvedImage& found, const LayoutEnvironment& image,
                          const std::string& name, const std::filesystem::path& catalog,
                          const ImageLayout& layout) {
  const auto text = text_of(found.manifest.annotations, kEnvironmentEntry);
  if (!text) refuse_unknown(name, layout);
  try {
    Environment entry = read_portable_entry(*text, catalog);
    if (entry.name != image.name || entry.version != image.version) {
      throw Error(ErrorCode::integrity, "it is of " + entry.name + " " + entry.version +
                                            ", and the image of another environment");
    }
    entry.name = name;
    return entry;
  } catch (Error& error) {
    error.add_context("the catalog entry in " + layout.path().string() + " cannot be used");
    throw;
  }
}

StoreOptions with_entry(const StoreOptions& options, const Environment& entry) {
  CatalogBuilder catalog(options.catalog);
  catalog.lay_over(entry);
  StoreOptions result = options;
  result.catalog = catalog.build();
  return result;
}

void require_version(const Environment& environment, const LayoutEnvironment& image,
                     const ImageLayout& layout) {
  if (image.version == environment.version) return;
  const std::string what = in_layout(layout, environment.name);
  const std::string version = "the catalog has " + environment.version;
  throw Error(ErrorCode::failed,
              image.version ? what + " is of version " + *image.version + ", but " + version
                            : what + " does not say which environment it is",
              "import it all the same with --as " + environment.name);
}

/// index.json has no digest, so what it says of an image must be what the image says.
void require_agreement(const LayoutEnvironment& image, const Manifest& manifest) {
  const auto name = text_of(manifest.annotations, kEnvironmentName);
  const auto version = text_of(manifest.annotations, kEnvironmentVersion);
  const bool agrees = (!name || !image.name || name == image.name) &&
                      (!version || !image.version || version == image.version);
  if (agrees) return;
  throw Error(ErrorCode::integrity, "the index calls it " + image.name.value_or("") + " " +
                                        image.version.value_or("") + ", but its manifest says " +
                                        name.value_or("") + " " + version.value_or(""));
}

/// As the record keeps it: what it leads to now. One that leads nowhere is for others to complain
/// about.
std::filesystem::path resolve_links(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path canonical = std::filesystem::canonical(path, error);
  return error ? path : canonical;
}

bool is_same_image(const Environment& environment, const StoreOptions& options,
                   const ResolvedImage& image) {
  const auto installation =
      find_installation(CacheLayout(options.cache_dir, options.on_warning), environment);
  return installation && is_image(installation->record) &&
         installation->record.source_digest == image.manifest_digest.to_string();
}

void import_as(const Environment& environment, const StoreOptions& stored,
               const std::shared_ptr<const ImageLayout>& layout, const ResolvedImage& image,
               const ImportOptions& options) {
  require_pinned(environment, image, layout->path());
  if (!options.force && is_same_image(environment, stored, image)) return;
  install(stored, environment,
          {.mode = PullMode::force, .progress = options.progress, .stop = options.stop},
          LayoutImage{.layout = layout->path(), .digest = image.digest, .opened = layout});
}

}  // namespace

OpenLayout::OpenLayout(const EnvironmentStore& store, const std::filesystem::path& path,
                       const std::stop_token& stop) {
  ProgressListener silence;
  files_ = open_image_layout(resolve_links(path), {}, unpacking_in(store.options(), silence, stop));
}

std::vector<LayoutEnvironment> OpenLayout::environments() const {
  return list_environments(*files_);
}

EnvironmentStatus import_environment(EnvironmentStore& store, const OpenLayout& opened,
                                     std::string_view name, const ImportOptions& options) {
  const auto& files = opened.files();
  const ImageLayout& layout = *files;
  const std::string target = options.as.value_or(std::string(name));
  const Environment* const known = store.options().catalog.find(target);
  const auto version = known != nullptr ? std::optional(known->version) : std::nullopt;
  const LayoutEnvironment image = choose(layout, name, version);
  if (known == nullptr && !options.user_catalog) refuse_unknown(target, layout);
  const ResolvedImage found = layout.resolve(*layout.find(image.digest));
  require_agreement(image, found.manifest);
  if (known != nullptr) {
    if (!options.as) require_version(*known, image, layout);
    import_as(*known, store.options(), files, found, options);
    return store.inspect(target);
  }
  Environment entry = brought_entry(found, image, target, *options.user_catalog, layout);
  make_directories(options.user_catalog->parent_path());
  const UserCatalog user(stable_path(*options.user_catalog));
  entry.catalog_file = user.file();
  // Before anything is installed: it must have its install directory for itself.
  StoreOptions stored = with_entry(store.options(), entry);
  import_as(entry, stored, files, found, options);
  user.add_entry(entry, store.options().catalog, options.stop);
  if (options.on_added) options.on_added(entry);
  store = EnvironmentStore(std::move(stored));
  return store.inspect(target);
}

}  // namespace pyro

// Imports environments from an image layout into the cache.
#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "base/text.h"
#include "catalog/catalog.h"
#include "catalog/entry.h"
#include "oci/image_layout.h"
#include "pyro/environment_store.h"
#include "pyro/user_catalog.h"
#include "store/install_record.h"
#include "store/installation.h"
#include "store/installer.h"

namespace pyro {
namespace {

std::optional<std::string> text_of(const Annotations& annotations, std::string_view key) {
  const std::string_view text = annotation(annotations, key);
  return text.empty() ? std::nullopt : std::optional(std::string(text));
}

/// Names come from the index of the layout, or else from the manifest of the image: tools that copy
/// images keep only the latter.
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

/// The images with the environment name `name`, or else with that reference. All if `name` is
/// empty.
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

/// An image of `layout` in messages.
std::string in_layout(const ImageLayout& layout, std::string_view name) {
  return (name.empty() ? "" : in_quotes(name) + " in ") + layout.path().string();
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
  // An image may have several names, and a name several versions.
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

/// The catalog entry in the annotations of the image, renamed to `name`. It is untrusted, and must
/// be for the environment of the image.
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

/// The entry in the catalog, or the one that an earlier import added to the user's catalog file.
std::optional<Environment> known_entry(const StoreOptions& store, const ImportOptions& options,
                                       std::string_view name) {
  if (const Environment* const entry = store.catalog.find(name)) return *entry;
  std::error_code none;
  if (!options.user_catalog || !std::filesystem::exists(*options.user_catalog, none)) return {};
  for (Environment& environment : read_catalog_file(stable_path(*options.user_catalog))) {
    if (environment.name == name) return std::move(environment);
  }
  return std::nullopt;
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

/// index.json has no digest, so it must agree with the manifest of the image.
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

/// The path for the record. Errors are left to the function that opens it.
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

void refuse_pinned_archive(const Environment& environment) {
  if (!environment.source_sha256 || environment.oci_digest) return;
  throw Error(ErrorCode::integrity,
              "the catalog pins the archive that '" + environment.name +
                  "' comes from, and an image is no archive",
              "bring the archive itself, and point the entry's 'source_url' at it");
}

using Files = std::shared_ptr<const ImageLayout>;

/// Imports of one layout. The result of each is a store whose catalog has the entry.
class Import {
 public:
  Import(Files files, const ImportOptions& options)
      : files_(std::move(files)), layout_(*files_), options_(options) {}

  /// In front of a container its base, if the layout has it.
  [[nodiscard]] StoreOptions with_base(const StoreOptions& store, std::string_view name) const {
    return run(store, name, options_.as, options_.force,
               [&](const Manifest& manifest) { return base(store, manifest); });
  }

 private:
  using Before = std::function<StoreOptions(const Manifest& manifest)>;

  /// `before` is called when nothing speaks against the import any more.
  [[nodiscard]] StoreOptions run(const StoreOptions& store, std::string_view name,
                                 const std::optional<std::string>& as, bool force,
                                 const Before& before) const {
    const std::string target = as.value_or(std::string(name));
    const auto known = known_entry(store, options_, target);
    const LayoutEnvironment image =
        choose(layout_, name, known ? std::optional(known->version) : std::nullopt);
    if (!known && !options_.user_catalog) refuse_unknown(target, layout_);
    const ResolvedImage found = layout_.resolve(*layout_.find(image.digest));
    require_agreement(image, found.manifest);
    if (known) {
      if (!as) require_version(*known, image, layout_);
      StoreOptions stored = with_entry(before(found.manifest), *known);
      import_as(*known, stored, found, force);
      return stored;
    }
    Environment entry = brought_entry(found, image, target, *options_.user_catalog, layout_);
    make_directories(options_.user_catalog->parent_path());
    const UserCatalog user(stable_path(*options_.user_catalog));
    entry.catalog_file = user.file();
    // Fails before anything is installed if the install directory is taken.
    StoreOptions stored = with_entry(before(found.manifest), entry);
    import_as(entry, stored, found, force);
    user.add_entry(entry, store.catalog, options_.stop);
    if (options_.on_added) options_.on_added(entry);
    return stored;
  }

  /// One that is installed stays, whatever it is: its kernel boots the container as well.
  [[nodiscard]] StoreOptions base(const StoreOptions& store, const Manifest& manifest) const {
    const auto name = text_of(manifest.annotations, kEnvironmentBase);
    if (!name || called(*name, list_environments(layout_)).empty()) return store;
    if (const auto known = known_entry(store, options_, *name)) {
      StoreOptions stored = with_entry(store, *known);
      if (EnvironmentStore(stored).inspect(*name).installed) return stored;
    }
    try {
      return run(store, *name, /*as=*/std::nullopt, /*force=*/false,
                 [&](const Manifest&) { return store; });
    } catch (Error& error) {
      error.add_context("cannot import " + in_quotes(*name) + ", whose kernel it boots");
      throw;
    }
  }

  void import_as(const Environment& environment, const StoreOptions& stored,
                 const ResolvedImage& image, bool force) const {
    require_pinned(environment.oci_digest, image, layout_.path());
    refuse_pinned_archive(environment);
    if (!force && is_same_image(environment, stored, image)) return;
    install(stored, environment,
            {.mode = PullMode::force, .progress = options_.progress, .stop = options_.stop},
            LayoutImage{.source = {.transport = {}, .path = layout_.path()},
                        .opened = files_,
                        .digest = image.digest});
  }

  const Files files_;
  const ImageLayout& layout_;
  const ImportOptions& options_;
};

}  // namespace

OpenLayout EnvironmentStore::open_layout(const std::filesystem::path& path,
                                         const std::stop_token& stop,
                                         ProgressListener* progress) const {
  ProgressListener silence;
  ProgressListener& listener = progress != nullptr ? *progress : silence;
  return OpenLayout(open_image_layout({.transport = {}, .path = resolve_links(path)},
                                      unpacking_in(options_, listener, stop)));
}

OpenLayout EnvironmentStore::open_layout(int descriptor, const std::stop_token& stop,
                                         ProgressListener* progress) const {
  ProgressListener silence;
  const Unpacking unpacking =
      unpacking_in(options_, progress != nullptr ? *progress : silence, stop);
  const std::filesystem::path name(kStandardInput);
  return OpenLayout(std::make_shared<const ImageLayout>(
      unpack_archive(keep_stream(descriptor, unpacking), name, unpacking), name));
}

std::vector<LayoutEnvironment> OpenLayout::environments() const {
  return list_environments(*files_);
}

EnvironmentStatus EnvironmentStore::import_from(const OpenLayout& opened, std::string_view name,
                                                const ImportOptions& options) {
  const StoreOptions stored = Import(opened.files(), options).with_base(options_, name);
  return EnvironmentStore(stored).inspect(options.as.value_or(std::string(name)));
}

}  // namespace pyro

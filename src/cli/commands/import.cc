// pyro env import: installs environments from a file.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "front/text.h"
#include "pyro/image_layout.h"

namespace pyro::cli {
namespace {

class ImportCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("--as", "NAME", as_,
                   "Install the image as the environment NAME, whatever it\nsays of itself");
    arguments.flag("--force", force_, "Replace the install even if it is the same image");
    progress_.declare(arguments);
    arguments.size("--max-size", max_size_, "Accept a root file system up to SIZE (default 64GiB)");
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    const std::string& layout = operands.front();
    const std::vector<std::string> names(operands.begin() + 1, operands.end());
    require_sense(layout, names);
    if (max_size_) context.store.limits.rootfs_bytes = *max_size_;
    view_ = progress_.make_view(context);
    EnvironmentStore store(context.store);
    BatchResult results(context);
    const bool is_stream = layout == kStandardInputUrl;
    const OpenLayout opened = is_stream ? store.open_layout(STDIN_FILENO, context.stop, view_.get())
                                        : store.open_layout(layout, context.stop, view_.get());
    results.for_each(names_in(opened, is_stream ? std::string(kStandardInput) : layout, names),
                     [&](const std::string& name) { return import(context, store, opened, name); });
    if (json()) context.out.write(render_json(results.payloads()));
    return results.exit_code();
  }

 private:
  void require_sense(const std::string& layout, const Words& names) const {
    if (layout == kStandardInputUrl && is_terminal(STDIN_FILENO)) {
      throw Error(ErrorCode::usage, "standard input is a terminal, and not an export",
                  "ssh HOST pyro env export NAME -o - | pyro env import -");
    }
    if (as_ && names.size() > 1) {
      throw Error(ErrorCode::usage,
                  "with '--as' one image is imported, not " + std::to_string(names.size()));
    }
  }

  /// The wanted names; without any, all environments that the layout names.
  [[nodiscard]] std::vector<std::string> names_in(const OpenLayout& opened,
                                                  const std::string& layout,
                                                  const std::vector<std::string>& wanted) const {
    if (!wanted.empty()) return wanted;
    if (as_) return {""};
    std::vector<std::string> names;
    for (const LayoutEnvironment& environment : opened.environments()) {
      if (environment.name) names.push_back(*environment.name);
    }
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (!names.empty()) return names;
    throw Error(ErrorCode::not_found, layout + " does not say which environments it has",
                "say which one its image is to be, with --as NAME");
  }

  Json import(const Context& context, EnvironmentStore& store, const OpenLayout& layout,
              const std::string& name) {
    const int pulls = view_ ? view_->pulls() : 0;
    const EnvironmentStatus status = import_with_progress(context, store, layout, name);
    if (view_ && view_->pulls() == pulls) {
      progress_.say(context, status.environment.name, "installed already");
    }
    if (!json()) context.out.write(status.install_dir.string() + '\n');
    return pull_payload(status);
  }

  EnvironmentStatus import_with_progress(const Context& context, EnvironmentStore& store,
                                         const OpenLayout& layout, const std::string& name) {
    const ClearAtEnd clear(view_.get());
    return store.import_from(
        layout, name,
        {.as = as_,
         .force = force_,
         .user_catalog = user_catalog_file(context.variables),
         .on_added = [&](const Environment& entry) { tell_added(context, entry); },
         .progress = view_.get(),
         .stop = context.stop});
  }

  void tell_added(const Context& context, const Environment& entry) {
    const ClearAtEnd clear(view_.get());
    progress_.say(context, entry.name, "added to " + printable(entry.catalog_file->string()));
  }

  std::optional<std::string> as_;
  bool force_ = false;
  ProgressArguments progress_;
  std::optional<std::uint64_t> max_size_;
  std::unique_ptr<ProgressView> view_;
};

}  // namespace

constinit const CommandEntry kImportCommand{
    .group = "env",
    .name = "import",
    .operands = "FILE [NAME...]",
    .min_operands = 1,
    .max_operands = kAnyNumber,
    .purpose = "Install environments from a file, without a network",
    .details =
        "FILE was written by 'pyro env export' or 'skopeo copy ... oci-archive:FILE', or is a "
        "directory that\n"
        "'skopeo copy ... oci:DIR' wrote. Without a NAME, all environments in it are imported. "
        "With a\n"
        "container image comes the environment whose kernel it boots, unless that is installed. "
        "Files are\n"
        "verified and unpacked as by 'pyro env pull', and a pin of the catalog must match the "
        "image itself.\n"
        "The catalog entry in an export is added to $XDG_CONFIG_HOME/pyro/catalog.d/user.json if "
        "the catalog\n"
        "does not have the name. The file may be compressed with gzip, zstd, xz or bzip2; '-' is "
        "standard\n"
        "input. Prints the directory of each environment, one per line.\n",
    .examples =
        "  pyro env import debian.tar\n"
        "  pyro env import pyro.tar debian:12-build\n"
        "  pyro env import image.tar --as debian:12\n"
        "  ssh host pyro env export debian:12 -o - | pyro env import -\n",
    .make = make_command<ImportCommand>,
};

}  // namespace pyro::cli

// pyro env add: adds an environment to the user's catalog.
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/image_names.h"
#include "cli/progress.h"
#include "front/text.h"
#include "pyro/user_catalog.h"

namespace pyro::cli {
namespace {

class AddCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--container", is_container_,
                   "SOURCE is a container image, or the tar of a root file\nsystem");
    arguments.text("--base", "NAME", wanted_.base,
                   "The environment whose kernel the container image boots");
    arguments.text("--version", "VERSION", wanted_.version, "Its version (default 1.0.0)");
    arguments.parsed("--sha256", "HEX", wanted_.source_sha256, parse_checksum,
                     "64 hexadecimal digits in lower case", "The checksum of the archive");
    arguments.text("--description", "TEXT", wanted_.description,
                   "The description in 'pyro env list'");
    arguments.flag("--force", wanted_.replace,
                   "Replace an earlier entry of this name, or hide a\nbuilt-in one");
    progress_.declare(arguments);
    arguments.size("--max-size", max_size_, "Accept a root file system up to SIZE (default 64GiB)");
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    wanted_.name = operands[0];
    if (is_container_) wanted_.kind = EnvironmentKind::container;
    if (wanted_.base && !is_container_) {
      throw Error(ErrorCode::usage, "'--base' is for container images: add '--container'");
    }
    const auto view = progress_.make_view(context);
    wanted_.source = parse_source(with_home(operands[1], context.variables), view.get());
    if (wanted_.source_sha256 && !wanted_.source.source_url) {
      throw Error(ErrorCode::usage, "'--sha256' is for archives",
                  "pin an image by its digest: REFERENCE@sha256:...");
    }
    const UserCatalog catalog = user_catalog_of(context);
    const Environment* const before = context.store.catalog.find(wanted_.name);
    const bool serves_on = before != nullptr && before->version == wanted_.version &&
                           EnvironmentStore(context.store).inspect(wanted_.name).installed;
    const bool is_stream = wanted_.source.source_url == kStandardInputUrl;
    const Environment added = is_stream ? add_standard_input(context, catalog, view.get())
                                        : catalog.add(wanted_, context.store.catalog, context.stop);
    if (json()) {
      context.out.write(render_json(added_payload(added, before != nullptr)));
    } else {
      tell(context, added, is_stream ? "" : how_to_pull(added, serves_on));
    }
    return kDone;
  }

 private:
  /// The names in a large archive take a while to read.
  static EnvironmentSource parse_source(const std::string& text, ProgressView* view) {
    const bool is_on_disk = text != kStandardInputUrl && text.find("://") == text.npos;
    const ClearAtEnd clear(view);
    const RunningOperation operation(is_on_disk ? view : nullptr,
                                     {.name = "looking at", .subject = text});
    return EnvironmentSource::parse(text);
  }

  /// Installs at once what cannot be read again.
  Environment add_standard_input(Context& context, const UserCatalog& catalog,
                                 ProgressView* view) const {
    if (is_terminal(STDIN_FILENO)) {
      throw Error(ErrorCode::usage, "standard input is a terminal, and not an archive",
                  "docker export CONTAINER | pyro env add " + wanted_.name + " - --container");
    }
    if (max_size_) context.store.limits.rootfs_bytes = *max_size_;
    const ClearAtEnd clear(view);
    return EnvironmentStore(context.store)
        .add_from(STDIN_FILENO, wanted_, catalog, {.progress = view, .stop = context.stop});
  }

  static std::optional<Digest> parse_checksum(std::string_view text) {
    return text.starts_with("sha256:") ? Digest::parse(text) : Digest::parse_hex(text);
  }

  /// Expands ~, which a shell does only at the start of a word.
  static std::string with_home(const std::string& text, const Variables& variables) {
    const auto home = variables("HOME");
    if (!home || (text != "~" && !text.starts_with("~/"))) return text;
    return *home + text.substr(1);
  }

  static Json added_payload(const Environment& added, bool replaces) {
    return {{"name", added.name},
            {"version", added.version},
            {"catalog_file", added.catalog_file->string()},
            {"replaced", replaces}};
  }

  /// `serves_on`: an install of this name and version stays in use until it is replaced.
  static std::string how_to_pull(const Environment& added, bool serves_on) {
    return "'pyro env pull " + std::string(serves_on ? "--force " : "") + printable(added.name) +
           (serves_on ? "' replaces what is installed\n" : "' installs it\n");
  }

  static void tell(const Context& context, const Environment& added, const std::string& next) {
    context.err.try_write("added " + printable(added.name) + " to " +
                          printable(added.catalog_file->string()) + '\n' + next);
  }

  NewEnvironment wanted_;
  bool is_container_ = false;
  ProgressArguments progress_;
  std::optional<std::uint64_t> max_size_;
};

}  // namespace

constinit const CommandEntry kAddCommand{
    .group = "env",
    .name = "add",
    .operands = "NAME SOURCE",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Add an environment of your own to the catalog",
    .details =
        "The beginning of SOURCE determines its type:\n"
        "  https:// http:// file://  the URL of an archive, optionally with its checksum as "
        "#sha256=HEX\n"
        "  / ./ ../ ~/               an archive; a directory with vmlinux and rootfs.ext4; a "
        "runtime\n"
        "                            bundle with one profile; an OCI image layout, or an archive "
        "that\n"
        "                            'pyro env export' or 'docker save' wrote\n"
        "  oci:DIR[:TAG]             an OCI image layout in a directory\n"
        "  oci-archive:FILE[:TAG]    an OCI image layout in a tar\n"
        "  docker-archive:FILE[:TAG] an archive of 'docker save'; TAG is a full name, as in "
        "team/env:1\n"
        "  -                         standard input: an archive, installed at once, as it cannot "
        "be read\n"
        "                            again\n"
        "  anything else             an image in a registry: "
        "HOST[:PORT]/REPOSITORY[:TAG][@DIGEST],\n"
        "                            optionally with the prefix docker://\n"
        "Registries are named in full (docker.io/library/NAME); the default tag is latest. A "
        "digest pins\n"
        "the image. Directories are copied when they are pulled. Archives may be compressed with "
        "gzip,\n"
        "zstd, xz or bzip2. The entry goes to $XDG_CONFIG_HOME/pyro/catalog.d/user.json.\n",
    .examples =
        "  pyro env add tool:1 ghcr.io/team/tool:1.4 --description 'What we build with'\n"
        "  pyro env add mine ./out && pyro run mine -- uname -a\n"
        "  docker export app | pyro env add app - --container && pyro run app -- /bin/ls\n"
        "  pyro env add nightly https://example.org/vm.tar.zst --sha256 \"$sum\" --force\n",
    .make = make_command<AddCommand>,
};

}  // namespace pyro::cli

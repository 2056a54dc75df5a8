// pyro env add: adds an environment to the user's catalog.
#include <string>

#include "cli/commands/commands.h"
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
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    wanted_.name = operands[0];
    if (is_container_) wanted_.kind = EnvironmentKind::container;
    if (wanted_.base && !is_container_) {
      throw Error(ErrorCode::usage, "'--base' is for container images: add '--container'");
    }
    wanted_.source = EnvironmentSource::parse(with_home(operands[1], context.variables));
    if (wanted_.source_sha256 && !wanted_.source.source_url) {
      throw Error(ErrorCode::usage, "'--sha256' is for archives",
                  "pin an image by its digest: REFERENCE@sha256:...");
    }
    const UserCatalog catalog = user_catalog(context);
    const Environment* const before = context.store.catalog.find(wanted_.name);
    const bool serves_on = before != nullptr && before->version == wanted_.version &&
                           EnvironmentStore(context.store).inspect(wanted_.name).installed;
    const Environment added = catalog.add(wanted_, context.store.catalog, context.stop);
    if (json()) {
      context.out.write(render_json(added_payload(added, before != nullptr)));
    } else {
      tell(context, added, serves_on);
    }
    return kDone;
  }

 private:
  static std::optional<Digest> parse_checksum(std::string_view text) {
    return text.starts_with("sha256:") ? Digest::parse(text) : Digest::parse_hex(text);
  }

  static UserCatalog user_catalog(const Context& context) {
    if (const auto file = user_catalog_file(context.variables)) return UserCatalog(*file);
    throw Error(ErrorCode::failed, "cannot tell where your catalog is: HOME is not set",
                "set HOME or XDG_CONFIG_HOME");
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
  static void tell(const Context& context, const Environment& added, bool serves_on) {
    const std::string name = printable(added.name);
    const std::string pull = "'pyro env pull " + std::string(serves_on ? "--force " : "") + name;
    context.err.try_write("added " + name + " to " + printable(added.catalog_file->string()) +
                          '\n' + pull +
                          (serves_on ? "' replaces what is installed\n" : "' installs it\n"));
  }

  NewEnvironment wanted_;
  bool is_container_ = false;
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
        "  pyro env add nightly https://example.org/vm.tar.zst --sha256 \"$sum\" --force\n",
    .make = make_command<AddCommand>,
};

}  // namespace pyro::cli

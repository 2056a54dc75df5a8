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
    arguments.text("--version", "VERSION", wanted_.version, "Its version (default 1.0.0)");
    arguments.parsed("--sha256", "HEX", wanted_.source_sha256, parse_checksum,
                     "64 hexadecimal digits in lower case", "What the archive's checksum must be");
    arguments.text("--description", "TEXT", wanted_.description, "What 'pyro env list' says of it");
    arguments.flag("--force", wanted_.replace,
                   "Replace what was added under this name before, or\nhide a built-in one");
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    wanted_.name = operands[0];
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
};

}  // namespace

constinit const CommandEntry kAddCommand{
    .group = "env",
    .name = "add",
    .operands = "NAME SOURCE",
    .min_operands = 2,
    .max_operands = 2,
    .purpose = "Put an environment of your own into the list",
    .details =
        "SOURCE is told by how it begins:\n"
        "  https:// http:// file://  the URL of an archive; #sha256=HEX behind it is as --sha256\n"
        "  / ./ ../ ~/               an archive, or a directory with vmlinux and rootfs.ext4 in "
        "it,\n"
        "                            a runtime bundle's profile, or an OCI image layout or "
        "archive\n"
        "                            of images, as 'pyro env export' and 'docker save' write them\n"
        "  oci:DIR[:TAG]             an OCI image layout in a directory\n"
        "  oci-archive:FILE[:TAG]    and one in a tar\n"
        "  docker-archive:FILE[:TAG] what 'docker save' writes; TAG is its full name, as in "
        "team/env:1\n"
        "  all else                  HOST[:PORT]/REPOSITORY[:TAG][@DIGEST] in a registry, as it is "
        "or\n"
        "                            behind docker://\n"
        "Registries are named in full (docker.io/library/NAME); the tag may be left out for "
        "latest.\n"
        "With a digest the image is pinned to it. Directories are copied when they are pulled.\n"
        "Archives, also those of images, may be compressed with gzip, zstd, xz or bzip2.\n"
        "The entry goes to $XDG_CONFIG_HOME/pyro/catalog.d/user.json.\n",
    .examples =
        "  pyro env add tool:1 ghcr.io/team/tool:1.4 --description 'What we build with'\n"
        "  pyro env add mine ./out && pyro run mine -- uname -a\n"
        "  pyro env add nightly https://example.org/vm.tar.zst --sha256 \"$sum\" --force\n",
    .make = make_command<AddCommand>,
};

}  // namespace pyro::cli

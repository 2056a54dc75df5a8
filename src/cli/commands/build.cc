// pyro env build: builds an environment of Debian's packages.
#include <string>

#include "cli/commands/commands.h"
#include "cli/image_names.h"
#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

class BuildCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("--suite", "SUITE", options_.suite, "The suite of Debian (default bookworm)");
    arguments.value(
        "--packages", "NAMES", [this](const std::string& text) { add_packages(text); },
        "Install these, separated by commas, and what they\ndepend on");
    arguments.size("--size", options_.size,
                   "The size of the root file system (default: a quarter\nof its content is free)");
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    const std::string& name = operands[0];
    options_.user_catalog = user_catalog_of(context).file();
    const auto view = progress_.make_view(context);
    options_.progress = view.get();
    options_.stop = context.stop;
    const EnvironmentStatus status = build(context, name, view.get());
    const Environment* const before = context.store.catalog.find(name);
    progress_.say(context, name, added_text(status.environment, before));
    context.out.write(json() ? render_json(pull_payload(status))
                             : status.install_dir.string() + '\n');
    return kDone;
  }

 private:
  void add_packages(const std::string& text) {
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      options_.packages.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  EnvironmentStatus build(const Context& context, const std::string& name, ProgressView* view) {
    const ClearAtEnd clear(view);
    return EnvironmentStore(context.store).build(name, options_);
  }

  static std::string added_text(const Environment& added, const Environment* before) {
    std::string text = "added to " + printable(added.catalog_file->string());
    if (before == nullptr) return text;
    return text + (before->catalog_file ? ", in place of an earlier entry"
                                        : ", in place of the built-in entry");
  }

  BuildOptions options_;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kBuildCommand{
    .group = "env",
    .name = "build",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Build an environment of Debian's packages, without a registry",
    .details =
        "Kernel, initrd and root file system come out of Debian's packages, which mmdebstrap (apt "
        "install\n"
        "mmdebstrap) downloads and installs: from this machine's package sources for that suite, "
        "else from\n"
        "deb.debian.org; without root where user namespaces work. Without --packages, those of the "
        "catalog's\n"
        "entry are installed (debian:12: bash, coreutils, git), or bash and coreutils. The kernel "
        "is that of\n"
        "linux-image-cloud-amd64. The entry goes to $XDG_CONFIG_HOME/pyro/catalog.d/user.json, in "
        "place of\n"
        "others of that name. The same packages give the same files. Prints the directory of the "
        "environment.\n",
    .examples =
        "  pyro env build debian:12\n"
        "  pyro env build python:1 --packages python3,python3-numpy --size 4G\n"
        "  pyro env build debian:13 --suite trixie --packages git\n",
    .make = make_command<BuildCommand>,
};

}  // namespace pyro::cli

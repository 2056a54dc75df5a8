// pyro env export: writes environments into a file.
#include <unistd.h>

#include <optional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "front/text.h"
#include "pyro/image_layout.h"

namespace pyro::cli {
namespace {

class ExportCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.path(
        "-o,--output", "FILE", output_,
        "Write to FILE, which is replaced once the export is\ncomplete; '-' is standard output");
    arguments.choice(
        "--compress", "KIND", {"zstd", "gzip", "none"},
        [this](const std::string& text) { compression_ = compression_of(text); },
        "How to pack: zstd (default), gzip or none");
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& names) override {
    require_output();
    const auto view = progress_.make_view(context);
    const EnvironmentStore store(context.store);
    const ExportOptions options{
        .compression = compression_,
        .on_exported = [&](const ExportedEnvironment& exported) { tell(context, exported); },
        .progress = view.get(),
        .stop = context.stop};
    const ExportReport report = to_stdout() ? store.export_to(STDOUT_FILENO, names, options)
                                            : store.export_to(*output_, names, options);
    if (json()) context.out.write(render_json(export_payload(*output_, report)));
    return kDone;
  }

 private:
  [[nodiscard]] bool to_stdout() const { return output_ == "-"; }

  void require_output() const {
    if (!output_) {
      throw Error(ErrorCode::usage, "'pyro env export' needs '-o FILE' to say where to");
    }
    if (!to_stdout()) return;
    if (json()) {
      throw Error(ErrorCode::usage, "'-o -' and '--json' both want standard output");
    }
    if (is_terminal(STDOUT_FILENO)) {
      throw Error(ErrorCode::usage, "an export is not for a terminal: name a file, or use a pipe");
    }
  }

  void tell(const Context& context, const ExportedEnvironment& exported) const {
    const std::string doubt = exported.verified ? "" : " (unverified: no digests were recorded)";
    progress_.say(
        context, exported.name,
        "exported " + format_size(exported.bytes) + ", " + exported.digest.to_string() + doubt);
  }

  static LayerCompression compression_of(std::string_view text) {
    if (text == "gzip") return LayerCompression::gzip;
    return text == "none" ? LayerCompression::none : LayerCompression::zstd;
  }

  std::optional<std::string> output_;
  LayerCompression compression_ = LayerCompression::zstd;
  ProgressArguments progress_;
};

}  // namespace

constinit const CommandEntry kExportCommand{
    .group = "env",
    .name = "export",
    .operands = "NAME...",
    .min_operands = 1,
    .max_operands = kAnyNumber,
    .purpose = "Write installed environments into one file",
    .details =
        "For machines without a network, where 'pyro env import' reads the file. It is an OCI "
        "image layout\n"
        "in a tar, which skopeo and podman call oci-archive; each environment is an image in it. "
        "The\n"
        "environment whose kernel a container image boots goes along. The same installs give the "
        "same bytes.\n"
        "Modified files are refused.\n",
    .examples =
        "  pyro env export debian:12 -o debian.tar\n"
        "  pyro env export debian:12 debian:12-build -o - | ssh host 'cat > pyro.tar'\n"
        "  skopeo copy oci-archive:debian.tar:debian:12 docker://registry.example/debian:12\n",
    .make = make_command<ExportCommand>,
    .operand_use = OperandUse::names,
};

}  // namespace pyro::cli

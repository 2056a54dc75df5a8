// pyro env pull: installs environments.
#include <memory>
#include <optional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

class PullCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--force", force_, "Download again, and replace the install");
    arguments.flag("--repair", repair_, "Replace installs whose files were modified");
    progress_.declare(arguments);
    arguments.size("--max-size", max_size_, "Accept a root file system up to SIZE (default 64GiB)");
    arguments.time("--lock-timeout", lock_timeout_,
                   "Give up after waiting that long for another pull of\nthe same environment");
    arguments.parsed(
        "--retries", "N", retries_, parse_count, "a number",
        "Maximum number of consecutive retries after a\ntransient failure (default 5)");
    arguments.time("--retry-delay", retry_delay_,
                   "Pause before the first retry; it doubles with each\nretry (default 0.5s)");
    declare_json(arguments);
  }

  int run(Context& context, const Words& names) override {
    if (force_ && repair_) {
      throw Error(ErrorCode::usage, "options '--force' and '--repair' exclude each other");
    }
    apply_to(context.store);
    view_ = progress_.make_view(context);
    EnvironmentStore store(context.store);
    BatchResult results(context);
    results.for_each(names, [&](const std::string& name) { return pull(context, store, name); });
    if (json()) {
      const Json& payloads = results.payloads();
      context.out.write(render_json(names.size() == 1 ? payloads.front() : payloads));
    }
    return results.exit_code();
  }

 private:
  Json pull(const Context& context, EnvironmentStore& store, const std::string& name) {
    const bool was_installed = is_installed(store, name);
    const int pulls = view_ ? view_->pulls() : 0;
    EnvironmentStatus status;
    {
      const ClearAtEnd clear(view_.get());
      status = store.pull(name, {.mode = mode(), .progress = view_.get(), .stop = context.stop});
    }
    if (was_installed && view_ && view_->pulls() == pulls) {
      progress_.say(context, name,
                    mode() == PullMode::ensure ? "installed already" : "left as it is");
    }
    if (!json()) context.out.write(status.install_dir.string() + '\n');
    return pull_payload(status);
  }

  static bool is_installed(const EnvironmentStore& store, const std::string& name) {
    const EnvironmentStatus status = store.inspect(name);
    return status.installed && !status.outdated;
  }

  [[nodiscard]] PullMode mode() const noexcept {
    if (force_) return PullMode::force;
    return repair_ ? PullMode::repair : PullMode::ensure;
  }

  void apply_to(StoreOptions& store) const {
    if (max_size_) store.limits.rootfs_bytes = *max_size_;
    store.lock_timeout = lock_timeout_;
    if (retries_) store.network.retries = *retries_;
    if (retry_delay_) store.network.retry_delay = *retry_delay_;
  }

  bool force_ = false;
  bool repair_ = false;
  ProgressArguments progress_;
  std::optional<std::uint64_t> max_size_;
  std::optional<std::chrono::milliseconds> lock_timeout_;
  std::optional<int> retries_;
  std::optional<std::chrono::milliseconds> retry_delay_;
  std::unique_ptr<ProgressView> view_;
};

}  // namespace

constinit const CommandEntry kPullCommand{
    .group = "env",
    .name = "pull",
    .operands = "NAME...",
    .min_operands = 1,
    .max_operands = kAnyNumber,
    .purpose = "Install environments: download, verify, unpack",
    .details =
        "Prints the directory of each installed environment, one per line, in the order of the "
        "names;\n"
        "everything else goes to stderr. Environments that are installed already are not "
        "downloaded.\n"
        "Every name is tried; the exit code is that of the first failure.\n",
    .examples =
        "  pyro env pull debian:12\n"
        "  dir=$(pyro env pull -q debian:12) && ls \"$dir\"/rootfs.ext4\n"
        "  pyro env pull --repair debian:12 debian:12-build\n"
        "  pyro --catalog team.json env pull team:1 --json --progress none\n",
    .make = make_command<PullCommand>,
    .operand_use = OperandUse::images,
};

}  // namespace pyro::cli

// Runs mmdebstrap.
#include "source/package_source.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "base/hash.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

/// Makes a minimal Debian with the packages of this machine's apt, or else of mmdebstrap's own
/// sources. Arguments: the program, the suite, the packages, the hook.
constexpr const char* kScript = R"sh(
set -eu
PATH=$PATH:/usr/sbin:/sbin
# The time of every file that is newer: that of the build would change all of them.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1704067200}"

options=$(apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::|Check-|Retries)' |
  grep -v ' "";$' | sed 's/^/--aptopt=/') || :
# A key that is written into an entry itself has no path; Debian's keyring is found without one.
sources=$(apt-get indextargets 'Created-By: Packages' --format \
  'deb [signed-by=$(SIGNED_BY)] $(REPO_URI) $(RELEASE) $(COMPONENT)' 2>/dev/null |
  grep -E " $2(-updates|-security)? main\$" | sed 's/ \[signed-by=[^/][^]]*\]//' | sort -u) || :
# Containers may not mount; packages install without /proc and /sys as well.
skip=
if [ "$(id -u)" -eq 0 ] && ! unshare --mount mount -t tmpfs none /mnt 2>/dev/null; then
  skip=--skip=check/canmount,chroot/mount
fi
# In a variable, because mmdebstrap shows its hooks.
export add_kernel="$4"
set -f
IFS='
'
# Recommended packages come along, as when a person installs.
exec "$1" --architectures=amd64 --variant=minbase --include="$3" \
  --aptopt='APT::Install-Recommends "true"' $options $skip --customize-hook='eval "$add_kernel"' "$2" - $sources
)sh";

/// Adds the kernel to the tree in $1, for image/boot_files.h, and takes out what is this machine's.
///
/// The kernel is unpacked, not installed, which would make an initrd with programs that nothing
/// needs afterwards. All its modules stay in the tree; the initrd gets those that reach the
/// devices of a machine.
constexpr const char* kHook = R"sh(
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
echo 'I: adding the kernel...' >&2
# The package is an empty one that depends on the kernel of the day.
kernel=$(apt-cache depends linux-image-cloud-amd64 |
  sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1)
if [ -z "$kernel" ]; then
  echo 'linux-image-cloud-amd64 depends on no kernel' >&2
  exit 1
fi
mkdir "$root/kernel-package"
cd "$root/kernel-package"
apt-get -q -o APT::Sandbox::User=root download "$kernel" >&2
dpkg-deb -x ./*.deb .
for folder in lib usr/lib; do
  if [ -d "$folder/modules" ]; then mv "$folder/modules" "$root/lib/"; fi
done
mv boot/vmlinuz-* "$root/boot/"
cd /
rm -r "$root/kernel-package"

version=$(ls "$root/lib/modules")
modules=/lib/modules/$version
initrd=$root/boot/pyro-initrd
chroot "$root" depmod "$version"
needed=$(chroot "$root" modprobe --set-version "$version" --show-depends --all \
  virtio_pci virtio_mmio virtio_blk virtio_console virtio_net virtio_rng overlay ext4)
mkdir -p "$initrd$modules"
echo "$needed" | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r module; do
  install -D -m 0644 "$root$module" "$initrd$module"
  grep "^${module#"$modules/"}:" "$root$modules/modules.dep" >>"$initrd$modules/modules.dep"
done

rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/resolv.conf"
find "$root/etc/apt" -name '*.list' -exec sed -i 's#://[^/@]*@#://#' {} +
: >"$root/etc/resolv.conf"
echo localhost >"$root/etc/hostname"
)sh";

constexpr std::size_t kPieceSize = std::size_t{256} << 10;
constexpr const char* kLogName = "the output of mmdebstrap";

std::string join(const std::vector<std::string>& words, char separator) {
  std::string text;
  for (const std::string& word : words)
    (text += text.empty() ? "" : std::string(1, separator)) += word;
  return text;
}

/// Without logins in its URLs.
std::string without_logins(std::string text) {
  constexpr std::string_view kScheme = "://";
  for (std::size_t at = 0; (at = text.find(kScheme, at)) != text.npos;) {
    at += kScheme.size();
    const std::size_t end = text.find_first_of("/@ ", at);
    if (end != text.npos && text[end] == '@') text.erase(at, end + 1 - at);
  }
  return text;
}

/// What mmdebstrap says. A file, so that it is never blocked.
class Log {
 public:
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

  /// The next complete line.
  std::optional<std::string> next_line() {
    std::size_t end = unread_.find('\n');
    if (end == unread_.npos) {
      std::array<std::byte, 4096> piece{};
      std::size_t n = 0;
      while ((n = pread_full(file_.get(), piece, position_, kLogName)) > 0) {
        unread_.append(reinterpret_cast<const char*>(piece.data()), n);
        position_ += n;
      }
      end = unread_.find('\n');
    }
    if (end == unread_.npos) return std::nullopt;
    std::string line = without_logins(unread_.substr(0, end));
    unread_.erase(0, end + 1);
    return line;
  }

 private:
  const Fd file_ = pyro::make_memory_file(kLogName);
  std::uint64_t position_ = 0;
  std::string unread_;
};

class Mmdebstrap {
 public:
  Mmdebstrap(const PackageSource& source, const FetchContext& context)
      : context_(context), child_(start_of(source), source.mmdebstrap.string()) {
    pipe_.write.reset();
  }
  /// Unless it has ended, it is given time to remove its files.
  ~Mmdebstrap() {
    constexpr int kMilliseconds = 30'000;
    pipe_.read.reset();
    child_.kill_group(SIGINT);
    pollfd ended{child_.descriptor(), POLLIN, 0};
    uninterrupted([&] { return ::poll(&ended, 1, kMilliseconds); });
    child_.kill_group();
  }
  Mmdebstrap(const Mmdebstrap&) = delete;
  Mmdebstrap& operator=(const Mmdebstrap&) = delete;

  /// Passes its tar on.
  template <typename Sink>
  void run(const Sink& sink) {
    RunningOperation operation(&context_.progress,
                               {.name = "building", .subject = context_.environment});
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kPieceSize);
    while (true) {
      const bool is_readable = wait();
      follow(operation);
      if (!is_readable) continue;
      const ssize_t n = ::read(pipe_.read.get(), buffer.get(), kPieceSize);
      if (n < 0 && errno != EINTR) throw system_error("cannot read from mmdebstrap", errno);
      if (n == 0) break;
      if (n > 0) sink(std::span<const std::byte>(buffer.get(), static_cast<std::size_t>(n)));
    }
    const ProcessEnd end = child_.wait();
    follow(operation);
    if (end.exit_code != 0) throw failure(end);
  }

 private:
  ProcessStart start_of(const PackageSource& source) {
    std::vector<std::string> packages = source.packages;
    packages.emplace_back("kmod");  // for depmod, and for modules in the machine
    return {.program = "/bin/sh",
            .arguments = {"sh", "-c", kScript, "mmdebstrap", source.mmdebstrap.string(),
                          source.suite, join(packages, ','), kHook},
            .variables = own_variables(),
            .descriptors = {-1, pipe_.write.get(), log_.descriptor()},
            .group = ProcessStart::Group::in_new_session};
  }

  /// Whether there is output, or its end.
  bool wait() {
    constexpr int kMilliseconds = 200;
    if (context_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    pollfd output{pipe_.read.get(), POLLIN, 0};
    return ::poll(&output, 1, kMilliseconds) > 0;
  }

  /// Its own messages are its steps. The others are kept for its failure.
  void follow(RunningOperation& operation) {
    constexpr std::string_view kStep = "I: ";
    while (auto line = log_.next_line()) {
      context_.progress.detail(*line);
      if (line->starts_with(kStep)) {
        std::string_view step = std::string_view(*line).substr(kStep.size());
        operation.set_detail(step.substr(0, step.find_first_of(":.")));
      } else if (!trim(*line).empty()) {
        last_words_.push_back(std::move(*line));
        if (last_words_.size() > kLastWords) last_words_.erase(last_words_.begin());
      }
    }
  }

  [[nodiscard]] Error failure(const ProcessEnd& end) const {
    std::vector<std::string> texts = last_words_;
    texts.insert(texts.begin(),
                 end.signal != 0
                     ? "mmdebstrap was killed (signal " + std::to_string(end.signal) + ")"
                     : "mmdebstrap failed (exit code " + std::to_string(end.exit_code) + ")");
    Error error(ErrorCode::failed, texts.back(), "-vv shows all that it says");
    for (texts.pop_back(); !texts.empty(); texts.pop_back()) error.add_context(texts.back());
    return error;
  }

  static constexpr std::size_t kLastWords = 8;

  const FetchContext& context_;
  Log log_;
  std::vector<std::string> last_words_;
  Pipe pipe_;
  Subprocess child_;  // last: it gets the others
};

bool is_word(const std::string& word, std::string_view signs) {
  return !word.empty() && is_alnum(word.front()) &&
         std::ranges::all_of(word, [&](char c) { return is_alnum(c) || is_one_of(c, signs); });
}

}  // namespace

std::string PackageSource::to_string() const {
  return std::string(kPackageScheme) + suite + ':' + join(packages, ',');
}

void check_packages(const PackageSource& source) {
  if (!is_word(source.suite, ".-")) {
    throw Error(ErrorCode::usage, in_quotes(source.suite) + " is not a suite",
                "a suite of Debian is 'bookworm', 'trixie' or 'stable'");
  }
  for (const std::string& package : source.packages) {
    if (is_word(package, "+-.:~=/")) continue;
    throw Error(ErrorCode::usage, in_quotes(package) + " is not a package",
                "packages are named as for apt, and separated by commas: git,python3");
  }
}

Provenance fetch_from_packages(const PackageSource& source, const FetchContext& context,
                               SandboxedExtractor& extraction) {
  if (context.network.offline) {
    throw Error(ErrorCode::network, "offline: no packages are downloaded");
  }
  const std::string place = source.to_string();
  context.progress.started(context.environment, place);
  Sha256 hash;
  extraction.begin_layer("the tree of mmdebstrap");
  Mmdebstrap(source, context).run([&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    extraction.write(bytes);
  });
  extraction.end_layer();
  return {.source = place, .source_digest = hash.finish().to_string(), .oci_digest = std::nullopt};
}

}  // namespace pyro

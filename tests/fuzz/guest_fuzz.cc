// Frames and trees from a guest that may be compromised. The first byte chooses the request. For
// any answer, nothing is written outside of the destination of a copy, and no link that is written
// there leads outside.
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>

#include "base/directories.h"
#include "machine/fake_guest.h"
#include "machine/guest_requests.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestInput = 64 << 10;  // the port takes it without a reader
constexpr std::string_view kCanary = "canary";

fs::path make_place() {
  std::string name = (fs::temp_directory_path() / "pyro-guest-fuzz-XXXXXX").string();
  require(::mkdtemp(name.data()) != nullptr, "there is a place for files");
  return name;
}

/// Part of a host: a directory that is copied into, and one beside it.
class Place {
 public:
  Place() : path_(make_place()) {
    ::umask(022);
    fs::create_directory(path_ / "beside");
    const Fd canary =
        open_at(AT_FDCWD, path_ / "beside/canary", O_WRONLY | O_CREAT | O_EXCL, 0600, "canary");
    write_all(canary.get(), kCanary, "canary");
    require(::fstat(canary.get(), &canary_) == 0, "the canary can be looked at");
  }
  ~Place() { remove_tree_at(AT_FDCWD, path_, path_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void empty() {
    remove_tree_at(AT_FDCWD, host(), host());
    fs::create_directory(host());
  }

  [[nodiscard]] fs::path destination() const { return host() / "destination"; }

  void check() const {
    require(count(path_) == 2 && count(path_ / "beside") == 1, "nothing is made elsewhere");
    const std::ptrdiff_t there = fs::exists(fs::symlink_status(destination())) ? 1 : 0;
    require(count(host()) == there, "nothing is made beside the destination");
    check_canary();
    check_tree();
  }

 private:
  [[nodiscard]] fs::path host() const { return path_ / "host"; }

  static std::ptrdiff_t count(const fs::path& directory) {
    return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
  }

  void check_canary() const {
    struct stat now {};
    const Fd canary = open_at(AT_FDCWD, path_ / "beside/canary", O_RDONLY, 0, "canary");
    std::array<char, 2 * kCanary.size()> content{};
    const ssize_t size = ::read(canary.get(), content.data(), content.size());
    require(std::string_view(content.data(), static_cast<std::size_t>(size)) == kCanary &&
                ::fstat(canary.get(), &now) == 0 && now.st_mode == canary_.st_mode &&
                now.st_mtim.tv_sec == canary_.st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == canary_.st_mtim.tv_nsec,
            "the canary lives");
  }

  void check_tree() const {
    std::string root = destination().string();
    std::array<char*, 2> roots{root.data(), nullptr};
    const std::unique_ptr<FTS, int (*)(FTS*)> walk(
        ::fts_open(roots.data(), FTS_PHYSICAL | FTS_NOCHDIR, nullptr), ::fts_close);
    const Fd top = try_open_directory(AT_FDCWD, root);
    while (const FTSENT* const entry = ::fts_read(walk.get())) {
      if (entry->fts_info == FTS_D) ::chmod(entry->fts_accpath, 0755);  // so that it can be read
      if (entry->fts_info == FTS_D || entry->fts_info == FTS_F) {
        require((entry->fts_statp->st_mode & 07000) == 0, "no set-id bit arrives");
      }
      if (entry->fts_info == FTS_SL) check_link(top.get(), entry->fts_path + root.size());
    }
  }

  /// The kernel resolves the links.
  static void check_link(int top, const char* below) {
    require(*below == '/', "the destination itself is no link");
    open_how how{.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_BENEATH};
    const Fd end(static_cast<int>(::syscall(SYS_openat2, top, below + 1, &how, sizeof how)));
    require(end || errno != EXDEV, "no link leads out of the copy");
  }

  const fs::path path_;
  struct stat canary_ {};
};

void say_all_and_end(FakeGuest& guest, std::string_view frames) {
  for (std::size_t put = 1; put > 0 && !frames.empty(); frames.remove_prefix(put)) {
    put = guest.say_what_fits(frames);
  }
  guest.end();
}

/// Any result is accepted, and no exception but an Error.
template <typename Function>
void try_request(GuestSession& session, const Function& function) {
  try {
    function(session);
  } catch (const Error& error) {
    require(!error.message().empty(), "a refusal says why");
  }
}

template <typename Function>
void attempt(std::string_view frames, const Function& function) {
  FakeGuest guest;
  say_all_and_end(guest, frames);
  FakeHost host(guest, std::stop_token());
  try_request(host.session, function);
}

Place& empty_place() {
  static Place place;
  place.empty();
  return place;
}

void copy_tree_out(GuestSession& session, const Place& place) {
  copy_out(session, {"/in/guest", place.destination().string()}, [](std::string_view) {});
}

void copy_file_in(GuestSession& session) {
  static_cast<void>(copy_in(session, {"/etc/hostname", "/in/guest"}, [](std::string_view) {}));
}

void run(GuestSession& session) {
  static const Fd sink = open_at(AT_FDCWD, "/dev/null", O_WRONLY, 0, "/dev/null");
  CommandOptions options;
  options.command = {"command"};
  options.output = options.error_output = sink.get();
  static_cast<void>(run_command(session, options));
}

void answer_copy_out(std::string_view frames) {
  const Place& place = empty_place();
  // Twice: links of the first copy must not redirect the second.
  for (int i = 0; i < 2; ++i) {
    attempt(frames, [&](GuestSession& session) { copy_tree_out(session, place); });
    place.check();
  }
}

void answer_copy_in(std::string_view frames) {
  attempt(frames, copy_file_in);
}

void answer_run(std::string_view frames) {
  attempt(frames, run);
}

void answer_start(std::string_view frames) {
  attempt(frames, [](GuestSession& session) { handshake(session, "host", {}); });
  attempt(frames, [](GuestSession& session) { static_cast<void>(wait_for_kernel(session, {})); });
}

/// Sessions 1, 2 and 3 of one connection, whose frames may come in any order, also for those that
/// are closed or were never there.
void answer_sessions(std::string_view frames) {
  const Place& place = empty_place();
  FakeGuest guest;
  GuestConnection connection(guest);
  GuestSession copy(connection, {});
  {
    GuestSession command(connection, {});
    GuestSession second_copy(connection, {});
    say_all_and_end(guest, frames);
    try_request(command, run);
    try_request(second_copy, copy_file_in);
  }
  try_request(copy, [&](GuestSession& session) { copy_tree_out(session, place); });
  place.check();
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  if (size == 0 || size > kLargestInput) return 0;
  const std::string_view frames = as_text(data + 1, size - 1);
  constexpr std::array kRequests{answer_copy_out, answer_copy_in, answer_run, answer_start,
                                 answer_sessions};
  kRequests[data[0] % kRequests.size()](frames);
  return 0;
}

// Init of every machine: sets it up, then serves pyro's requests on the channel.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "guest/channel.h"
#include "guest/session.h"
#include "guest/system.h"

namespace pyro::guest {
namespace {

/// Waits before the disk is touched: the state of the machine may be saved here.
RootPayload wait_for_root(Channel& channel, bool disk_is_free) {
  const WaitingPayload waiting{
      kProtocolVersion, static_cast<std::uint8_t>(disk_is_free ? 1 : 0), {}};
  channel.write_fixed(kControlSession, FrameType::waiting, waiting);
  channel.flush();
  const Frame frame = channel.read();
  if (frame.type != FrameType::root) give_up("the host speaks another protocol");
  std::string_view payload = frame.payload;
  return fixed_part<RootPayload>(payload);
}

// A kernel without a console starts init without standard streams.
void fill_standard_streams() {
  for (;;) {
    // NOLINTNEXTLINE(android-cloexec-open): they are meant to be inherited.
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO) ::close(fd);
    if (fd < 0 || fd > STDERR_FILENO) return;
  }
}

}  // namespace
}  // namespace pyro::guest

int main() {
  using namespace pyro::guest;
  static Channel channel;
  ::signal(SIGPIPE, SIG_IGN);
  mount_kernel_file_systems();
  fill_standard_streams();
  const bool disk_is_free = load_modules();
  channel.open();
  report_to(channel);
  const RootPayload root = wait_for_root(channel, disk_is_free);
  const bool is_container = root.is_container != 0;
  release_disk();
  enter_root_file_system(root.has_scratch_disk != 0);
  complete_system(is_container);
  set_up_network(is_container);
  serve_sessions(channel);
}

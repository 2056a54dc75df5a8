// Init of every machine: sets it up, then serves pyro's requests on the channel.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "guest/channel.h"
#include "guest/command.h"
#include "guest/descriptor.h"
#include "guest/system.h"
#include "guest/tree.h"

namespace pyro::guest {
namespace {

class Server {
 public:
  explicit Server(Channel& channel) : channel_(channel) {}

  [[noreturn]] void run() {
    for (;;) {
      process_.make();  // a failure is reported with the next command
      handle(channel_.read());
    }
  }

 private:
  void handle(const Frame& frame) {
    std::string_view payload = frame.payload;
    switch (frame.type) {
      case FrameType::start: {
        const auto start = fixed_part<StartPayload>(payload);
        return begin(start, std::string(payload));
      }
      case FrameType::argument:
        request_.arguments.emplace_back(payload);
        return;
      case FrameType::variable:
        request_.variables.emplace_back(payload);
        return;
      case FrameType::directory:
        request_.directory = payload;
        return;
      case FrameType::user:
        request_.user = payload;
        return;
      case FrameType::probe:
        read_programs(std::exchange(request_, {}));
        return channel_.write(FrameType::done);
      case FrameType::run:
        return run_command(fixed_part<RunPayload>(payload));
      case FrameType::put:
        return put_tree(channel_, std::string(payload));
      case FrameType::get:
        return get_tree(channel_, std::string(payload));
      case FrameType::reach: {
        const auto host = fixed_part<ReachPayload>(payload);
        return reach(host, payload);
      }
      default:
        return;  // for a command that has ended
    }
  }

  void run_command(const RunPayload& run) {
    request_.makes_directory = run.make_directory != 0;
    serve_command(channel_, process_, request_, run);
    request_ = {};
  }

  void begin(const StartPayload& start, const std::string& host_name) {
    begin_session(start, host_name);
    request_ = {};
    channel_.write_fixed(FrameType::ready, NumberPayload{kProtocolVersion});
  }

  void reach(const ReachPayload& host, std::string_view words) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = host.address;
    address.sin_port = host.port;
    const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const bool said =
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(socket.get(), words.data(), words.size(), MSG_NOSIGNAL) >= 0;
    if (said) return channel_.write(FrameType::done);
    channel_.write_fixed(FrameType::refused, RefusalPayload{errno}, "cannot reach the host");
  }

  Channel& channel_;
  WaitingProcess process_;
  CommandRequest request_;
};

/// Waits before the disk is touched: the state of the machine may be saved here.
RootPayload wait_for_root(Channel& channel, bool disk_is_free) {
  const WaitingPayload waiting{
      kProtocolVersion, static_cast<std::uint8_t>(disk_is_free ? 1 : 0), {}};
  channel.write_fixed(FrameType::waiting, waiting);
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
  const bool is_container = wait_for_root(channel, disk_is_free).is_container != 0;
  release_disk();
  enter_root_file_system();
  complete_system(is_container);
  set_up_network(is_container);
  Server(channel).run();
}

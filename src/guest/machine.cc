// How the machine ends, and what is set whenever it starts or goes on.
#include "guest/machine.h"

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <ctime>

#include "guest/channel.h"
#include "guest/descriptor.h"

namespace pyro::guest {
namespace {

Channel* listener = nullptr;

void say_on_console(std::string_view text) {
  const Descriptor console(::open("/dev/console", O_WRONLY | O_CLOEXEC));
  const std::string line = "pyro: " + std::string(text) + '\n';
  static_cast<void>(!::write(console.get(), line.data(), line.size()));
}

void set_clock(std::int64_t nanoseconds_since_1970) {
  constexpr std::int64_t kBillion = 1'000'000'000;
  timespec now{};
  now.tv_sec = nanoseconds_since_1970 / kBillion;
  now.tv_nsec = nanoseconds_since_1970 % kBillion;
  ::clock_settime(CLOCK_REALTIME, &now);
}

// Credited, and taken up at once: the next number drawn anywhere in the guest depends on it.
void reseed(const std::uint8_t (&seed)[kSeedBytes]) {
  alignas(rand_pool_info) std::byte request[sizeof(rand_pool_info) + kSeedBytes];
  rand_pool_info info{};
  info.entropy_count = kSeedBytes * 8;
  info.buf_size = kSeedBytes;
  std::memcpy(request, &info, sizeof info);
  std::memcpy(request + sizeof info, seed, kSeedBytes);
  static const Descriptor random(::open("/dev/urandom", O_WRONLY | O_CLOEXEC));
  if (::ioctl(random.get(), RNDADDENTROPY, request) != 0 ||
      ::ioctl(random.get(), RNDRESEEDCRNG) != 0) {
    give_up("the random pool takes no seed");
  }
}

// A machine that goes on from a state of its environment has the name already.
void take_name(const std::string& wanted) {
  utsname names{};
  if (::uname(&names) == 0 && wanted == names.nodename) return;
  ::sethostname(wanted.data(), wanted.size());
  write_names(wanted);
}

}  // namespace

// As a reset: unlike powering off, it needs no ACPI, and whoever runs the machine takes it for its
// end.
void power_off() {
  ::reboot(RB_AUTOBOOT);
  for (;;) ::pause();
}

void report_to(Channel& channel) {
  listener = &channel;
}

void give_up(std::string_view why) {
  say_on_console(why);
  if (Channel* const channel = listener) {
    listener = nullptr;
    channel->write(FrameType::trouble, why);
  }
  power_off();
}

void give_up(std::string_view what, int error_number) {
  give_up(std::string(what) + ": " + std::strerror(error_number));
}

void wake_up(const StartPayload& start, const std::string& host_name) {
  set_clock(start.nanoseconds_since_1970);
  reseed(start.seed);
  take_name(host_name);
}

}  // namespace pyro::guest

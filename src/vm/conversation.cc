// What is asked of a guest: the short requests. Commands and copies have files of their own.
#include "vm/conversation.h"

#include <arpa/inet.h>
#include <sys/random.h>

#include <cerrno>

namespace pyro {

void begin_conversation(GuestLink& link, std::string_view host_name, Deadline deadline) {
  guest::StartPayload start;
  start.nanoseconds_since_1970 = std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count();
  if (::getrandom(start.seed, sizeof start.seed, 0) != sizeof start.seed) {
    throw system_error("cannot get random bytes", errno);
  }
  link.send_fixed(guest::FrameType::start, start, host_name);
  while (true) {
    GuestFrame frame = link.next(deadline);
    // A machine that goes on may have had something left to say.
    if (frame.type != guest::FrameType::ready) continue;
    if (fixed_part<guest::NumberPayload>(frame.payload).number == guest::kProtocolVersion) return;
    throw Error(ErrorCode::failed, "the guest speaks another version of the protocol");
  }
}

std::string copied_name(const std::string& path) {
  const std::string_view whole = path;
  const std::string_view below = whole.substr(0, whole.find_last_not_of('/') + 1);
  const std::string_view name = below.substr(below.rfind('/') + 1);
  return std::string(name == "." || name == ".." ? "" : name);
}

Note first_of(const Note& note) {
  constexpr int kMost = 20;  // there may be more to leave out than files
  return [&note, told = 0](std::string_view text) mutable {
    if (++told <= kMost) note(text);
  };
}

void reach_host(GuestLink& link, std::uint16_t port, std::string_view words, Deadline deadline) {
  constexpr const char* kHostOnUserNetwork = "10.0.2.2";
  guest::ReachPayload host;
  ::inet_pton(AF_INET, kHostOnUserNetwork, &host.address);
  host.port = htons(port);
  link.send_fixed(guest::FrameType::reach, host, words);
  GuestFrame frame = link.next(deadline);
  if (frame.type == guest::FrameType::done) return;
  if (frame.type != guest::FrameType::refused) refuse_frame();
  const int error = fixed_part<guest::RefusalPayload>(frame.payload).error_number;
  throw Error(ErrorCode::failed,
              "the guest's network does not work: " +
                  std::string(system_error(shortened(frame.payload), error).what()));
}

}  // namespace pyro

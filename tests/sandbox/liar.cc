// A compromised extractor: liar LIE
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/extractor_process.h"
#include "sandbox/messages.h"
#include "sandbox/shared_pipe.h"
#include "stream/merged_view.h"

namespace {

using namespace pyro;

void say(const std::vector<std::byte>& bytes) {
  static_cast<void>(!::write(kSocketOfChild, bytes.data(), bytes.size()));
}

void say(const Message& message) {
  say(encode(message));
}

void be_ready() {
  say(Ready{.confinement = {true, 6, true}});
}

/// The artifacts' files, which come with the first message.
std::vector<int> receive_files() {
  Hello hello;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE((1 + MergedView::kFiles) * sizeof(int))> room{};
  iovec content{&hello, sizeof hello};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = room.data();
  message.msg_controllen = room.size();
  std::vector<int> files(1 + MergedView::kFiles);
  if (::recvmsg(kSocketOfChild, &message, 0) <= 0) ::_exit(127);
  std::memcpy(files.data(), CMSG_DATA(CMSG_FIRSTHDR(&message)), files.size() * sizeof(int));
  files.erase(files.begin());  // the ring
  return files;
}

/// The next message; the first one is Hello.
ChunkHeader receive_header() {
  ChunkHeader header;
  while (::read(kSocketOfChild, &header, sizeof header) < 0 && errno == EINTR) {
  }
  return header;
}

/// Takes the first layer, of one chunk, and waits for the second.
void work_until_the_second() {
  receive_header();
  be_ready();
  receive_header();
  say(ChunkAck{});
  receive_header();
}

void work_to_the_end() {
  work_until_the_second();
  say(ChunkAck{});
  receive_header();
}

Success of_size(std::uint64_t size) {
  const Digest digest{Digest::Bytes{}};
  return {{{kKernel, 0, size, digest}, {kRootfs, MergedView::kMaxCandidates, size, digest}}};
}

const std::map<std::string, std::function<void()>> kLies = {
    {"AnotherVersion", [] { say(Ready{.protocol = kProtocol + 1}); }},
    {"Nonsense", [] { say(std::vector<std::byte>(70'000, std::byte{2})); }},
    {"NothingAtAll", [] {}},
    {"WorksBeforeReady", [] { say(ChunkAck{}); }},
    {"ReadyTwice",
     [] {
       be_ready();
       be_ready();
     }},
    {"AcknowledgesUnsentChunk",
     [] {
       be_ready();
       for (int i = 0; i < 3; ++i) say(ChunkAck{});
     }},
    {"DoneAtOnce",
     [] {
       be_ready();
       say(of_size(0));
     }},
    {"IncompleteAtOnce",
     [] {
       be_ready();
       say(Incomplete{{{kKernel, "v6"}}});
     }},
    {"IncompleteAtTheEnd",
     [] {
       work_to_the_end();
       say(Incomplete{{{kKernel, "v6"}}});
     }},
    {"UnpackedWithoutAnArchive",
     [] {
       work_to_the_end();
       say(Unpacked{});
     }},
    {"WroteNothing",
     [] {
       work_to_the_end();
       say(of_size(1));
     }},
    {"FailsInMissingLayer",
     [] {
       work_to_the_end();
       say(Failure{Error(ErrorCode::failed, "no"), 3});
     }},
    {"Fails",
     [] {
       work_to_the_end();
       say(Failure{Error(ErrorCode::filesystem, "as it was told"), 2});
     }},
    {"Unconfined",
     [] {
       say(Ready{.confinement = {true, 0, false}});
     }},
    {"Crashes",
     [] {
       work_until_the_second();
       ::signal(SIGSEGV, SIG_DFL);
       ::raise(SIGSEGV);
     }},
    {"IsKilled",
     [] {
       work_until_the_second();
       ::raise(SIGKILL);
     }},
    {"Exits",
     [] {
       work_until_the_second();
       ::_exit(3);
     }},
    {"WritesMoreThanAllArtifacts",
     [] {
       for (const int file : receive_files()) {
         static_cast<void>(!::ftruncate(file, off_t{32} << 30));
       }
       be_ready();
       say(ChunkAck{});
       std::this_thread::sleep_for(std::chrono::minutes(10));
     }},
    {"MakesAForbiddenCall",
     [] {
       be_ready();
       say(ForbiddenCall{SYS_socket});
     }},
    {"MakesAForbiddenCallBeforeItIsReady", [] { say(ForbiddenCall{SYS_socket}); }},
    {"Sleeps", [] { std::this_thread::sleep_for(std::chrono::minutes(10)); }},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !kLies.contains(argv[1])) return 127;
  kLies.at(argv[1])();
  ::_exit(0);
}

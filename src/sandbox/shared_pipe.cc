// A bounded pipe of byte streams from one process to another.
#include "sandbox/shared_pipe.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/whole_calls.h"
#include "pyro/error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace pyro {
namespace {

constexpr std::size_t kRingSize = kChunks * kChunkSize;
constexpr char kSubject[] = "cannot share memory with the extractor";

int make_memory_file() {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int file = ::memfd_create("pyro-ring", flags | MFD_NOEXEC_SEAL);
  return file < 0 && errno == EINVAL ? ::memfd_create("pyro-ring", flags) : file;
}

}  // namespace

SharedRing::SharedRing(int file, Access access) {
  const int protection = access == Access::write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const memory = ::mmap(nullptr, kRingSize, protection, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) throw system_error(kSubject, errno);
  memory_ = {static_cast<std::byte*>(memory), kRingSize};
}

SharedRing::~SharedRing() {
  ::munmap(memory_.data(), memory_.size());
}

Fd make_ring_file() {
  Fd file(make_memory_file());
  // A page that is never reached takes no memory.
  if (!file || !set_size(file.get(), kRingSize) ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    throw system_error(kSubject, errno);
  }
  return file;
}

void forbid_writing(int ring_file) {
  // Linux 5.1. Where it is missing, the reader could write; nothing but the reader itself reads it.
  ::fcntl(ring_file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
  ::fcntl(ring_file, F_ADD_SEALS, F_SEAL_SEAL);
}

// --- the writer ---

SharedPipeWriter::SharedPipeWriter(int socket)
    : socket_(socket), file_(make_ring_file()), ring_(file_.get(), SharedRing::Access::write) {
  forbid_writing(file_.get());
}

std::size_t SharedPipeWriter::fill(std::span<const std::byte> bytes) {
  const auto room = ring_.chunk(produced_).subspan(filled_);
  const std::size_t n = std::min(bytes.size(), room.size());
  std::memcpy(room.data(), bytes.data(), n);
  filled_ += n;
  if (filled_ == kChunkSize) hand_over(Handover::Place::within_layer);
  return n;
}

void SharedPipeWriter::end_layer() {
  hand_over(Handover::Place::end_of_layer);
}

void SharedPipeWriter::end() {
  send({.place = Handover::Place::end_of_all});
}

bool SharedPipeWriter::taken() noexcept {
  if (consumed_ == produced_) return false;
  ++consumed_;
  return true;
}

void SharedPipeWriter::hand_over(Handover::Place place) {
  send({.place = place,
        .size = static_cast<std::uint32_t>(std::exchange(filled_, 0)),
        .form = form_});
  ++produced_;
}

// What fails here is that the reader is gone, of which the caller will hear.
void SharedPipeWriter::send(const Handover& handover) const {
  uninterrupted([&] { return ::send(socket_, &handover, sizeof handover, MSG_NOSIGNAL); });
}

// --- the reader ---

SharedPipeReader::SharedPipeReader(int socket, int ring_file, std::function<void()> give_back)
    : socket_(socket),
      ring_(ring_file, SharedRing::Access::read),
      give_back_(std::move(give_back)) {}

std::optional<LayerForm> SharedPipeReader::next_layer() {
  release();
  ended_ = false;
  first_ = receive();
  const bool none = first_->place == Handover::Place::end_of_all;
  layer_ = none ? 0 : ++layers_;
  return none ? std::nullopt : std::optional(first_->form);
}

std::span<const std::byte> SharedPipeReader::next() {
  if (ended_) return {};
  release();
  const Handover chunk = first_ ? *std::exchange(first_, std::nullopt) : receive();
  holding_ = true;
  ended_ = chunk.place != Handover::Place::within_layer;
  return ring_.chunk(consumed_).first(chunk.size);
}

Handover SharedPipeReader::receive() const {
  Handover handover;
  const ssize_t n = uninterrupted([&] { return ::read(socket_, &handover, sizeof handover); });
  if (n != sizeof handover || handover.size > kChunkSize) {
    throw Error(ErrorCode::interrupted, "the transfer was given up");
  }
  return handover;
}

void SharedPipeReader::release() {
  if (!holding_) return;
  holding_ = false;
  ++consumed_;
  give_back_();
}

}  // namespace pyro

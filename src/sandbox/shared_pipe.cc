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

#include "base/files.h"
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
  // Untouched pages take no memory.
  if (!file || !set_size(file.get(), kRingSize) ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    throw system_error(kSubject, errno);
  }
  return file;
}

void forbid_writing(int ring_file) {
  // Linux 5.1. Before, the reader could write, but only the reader itself reads this memory.
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
  if (filled_ == kChunkSize) send_chunk(ChunkHeader::Place::within_layer);
  return n;
}

void SharedPipeWriter::end_layer() {
  send_chunk(ChunkHeader::Place::end_of_layer);
}

void SharedPipeWriter::end() {
  send({.place = ChunkHeader::Place::end_of_all});
}

bool SharedPipeWriter::acknowledge() noexcept {
  if (consumed_ == produced_) return false;
  ++consumed_;
  return true;
}

void SharedPipeWriter::send_chunk(ChunkHeader::Place place) {
  send({.place = place,
        .size = static_cast<std::uint32_t>(std::exchange(filled_, 0)),
        .form = form_});
  ++produced_;
}

// Fails when the reader is gone, which the caller notices at its own end.
void SharedPipeWriter::send(const ChunkHeader& header) const {
  uninterrupted([&] { return ::send(socket_, &header, sizeof header, MSG_NOSIGNAL); });
}

// --- the reader ---

SharedPipeReader::SharedPipeReader(int socket, int ring_file, std::function<void()> acknowledge)
    : socket_(socket),
      ring_(ring_file, SharedRing::Access::read),
      acknowledge_(std::move(acknowledge)) {}

std::optional<LayerForm> SharedPipeReader::next_layer() {
  release();
  ended_ = false;
  first_ = receive();
  const bool none = first_->place == ChunkHeader::Place::end_of_all;
  layer_ = none ? 0 : ++layers_;
  return none ? std::nullopt : std::optional(first_->form);
}

std::span<const std::byte> SharedPipeReader::next() {
  if (ended_) return {};
  release();
  const ChunkHeader chunk = first_ ? *std::exchange(first_, std::nullopt) : receive();
  holding_ = true;
  ended_ = chunk.place != ChunkHeader::Place::within_layer;
  return ring_.chunk(consumed_).first(chunk.size);
}

ChunkHeader SharedPipeReader::receive() const {
  ChunkHeader header;
  const ssize_t n = uninterrupted([&] { return ::read(socket_, &header, sizeof header); });
  if (n != sizeof header || header.size > kChunkSize) {
    throw Error(ErrorCode::interrupted, "the transfer was given up");
  }
  return header;
}

void SharedPipeReader::release() {
  if (!holding_) return;
  holding_ = false;
  ++consumed_;
  acknowledge_();
}

}  // namespace pyro

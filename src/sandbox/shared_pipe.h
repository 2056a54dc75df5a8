// A bounded pipe of byte streams from one process to another: a writer waits while it is full.
//
// The bytes go through memory that both have mapped, so that they are copied once, by the writer;
// what is said about them goes through a socket for datagrams. The writer never reads from that
// memory, and the reader cannot write to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>

#include "base/files.h"
#include "stream/extract.h"
#include "stream/layer_form.h"

namespace pyro {

inline constexpr std::size_t kChunkSize = std::size_t{256} << 10;
inline constexpr std::size_t kChunks = 16;

/// The memory of a pipe: kChunks of kChunkSize.
class SharedRing {
 public:
  enum class Access { read, write };

  /// Maps a file that make_ring_file() made.
  SharedRing(int file, Access access);
  ~SharedRing();
  SharedRing(const SharedRing&) = delete;
  SharedRing& operator=(const SharedRing&) = delete;

  [[nodiscard]] std::span<std::byte> chunk(std::size_t index) const {
    return memory_.subspan(index % kChunks * kChunkSize, kChunkSize);
  }

 private:
  std::span<std::byte> memory_;
};

/// In memory; its size cannot be changed.
[[nodiscard]] Fd make_ring_file();

/// From now on it can be written only through mappings that there are.
void forbid_writing(int ring_file);

/// What the writer says with every chunk. From the parent, which is trusted.
struct Handover {
  enum class Place : std::uint32_t {
    within_layer,
    end_of_layer,
    end_of_all,  ///< No chunk: no layer will follow.
  };
  Place place = Place::within_layer;
  std::uint32_t size = 0;
  LayerForm form = {};
};
// No padding, in which bytes of the writer's memory would go along.
static_assert(std::has_unique_object_representations_v<Handover>);

/// Writes one layer after the other. Waiting is the caller's, who hears what the reader says.
class SharedPipeWriter {
 public:
  /// `socket` stays the caller's.
  explicit SharedPipeWriter(int socket);

  /// The memory's file, for the reader; it can be given away any time.
  [[nodiscard]] int file() const noexcept { return file_.get(); }

  void begin_layer(const LayerForm& form) { form_ = form; }

  /// Whether there is room for the next byte, or for a layer's end.
  [[nodiscard]] bool has_room() const noexcept { return produced_ - consumed_ < kChunks; }
  /// Whether the next byte will begin a chunk.
  [[nodiscard]] bool at_chunk() const noexcept { return filled_ == 0; }

  /// Copies as many of `bytes` as fit into the chunk that is being filled; how many. Needs room.
  std::size_t fill(std::span<const std::byte> bytes);
  /// Needs room.
  void end_layer();
  /// No layer will follow.
  void end();

  /// The reader gave a chunk back; false when it had none.
  [[nodiscard]] bool taken() noexcept;
  /// Chunks handed over, and of them given back, since the start.
  [[nodiscard]] std::size_t produced() const noexcept { return produced_; }
  [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }

 private:
  void hand_over(Handover::Place place);
  void send(const Handover& handover) const;

  const int socket_;
  Fd file_;
  SharedRing ring_;
  LayerForm form_;
  std::size_t produced_ = 0;  // chunks handed over since the start
  std::size_t consumed_ = 0;  // chunks given back since the start
  std::size_t filled_ = 0;    // bytes in the chunk that is being filled
};

/// The other end.
class SharedPipeReader final : public LayerStream {
 public:
  /// `give_back` tells the writer that a chunk is free.
  SharedPipeReader(int socket, int ring_file, std::function<void()> give_back);

  [[nodiscard]] std::optional<LayerForm> next_layer() override;
  /// @throws Error(interrupted) when the writer is gone
  [[nodiscard]] std::span<const std::byte> next() override;

  /// The one being read, counted from 1; 0 when all are.
  [[nodiscard]] std::uint32_t layer() const noexcept { return layer_; }

 private:
  [[nodiscard]] Handover receive() const;
  void release();

  const int socket_;
  SharedRing ring_;
  std::function<void()> give_back_;
  std::optional<Handover> first_;  // of a layer, that next() has not returned yet
  std::size_t consumed_ = 0;
  std::uint32_t layers_ = 0;  // begun so far
  std::uint32_t layer_ = 0;
  bool holding_ = false;  // chunk `consumed_` is being read
  bool ended_ = false;    // ... which was the last of its layer
};

}  // namespace pyro

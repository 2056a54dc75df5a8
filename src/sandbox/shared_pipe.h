// A bounded pipe of byte streams from one process to another.
//
// The bytes go through memory that both have mapped, so they are copied once, by the writer;
// headers and acknowledgements go through a socket for datagrams. The writer never reads from that
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

namespace pyro {

inline constexpr std::size_t kChunkSize = std::size_t{256} << 10;
inline constexpr std::size_t kChunks = 16;

/// The memory of a pipe: kChunks of kChunkSize.
class SharedRing {
 public:
  enum class Access { read, write };

  /// Maps a file of make_ring_file().
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

/// A file in memory whose size cannot be changed.
[[nodiscard]] Fd make_ring_file();

/// From now on the file can be written through existing mappings only.
void forbid_writing(int ring_file);

/// Sent with every chunk, by the parent, which is trusted.
struct ChunkHeader {
  enum class Place : std::uint32_t {
    within_layer,
    end_of_layer,
    end_of_all,  ///< Without a chunk: no layer will follow.
  };
  Place place = Place::within_layer;
  std::uint32_t size = 0;
  LayerForm form = {};
};
// Padding would send bytes of the writer's memory.
static_assert(std::has_unique_object_representations_v<ChunkHeader>);

/// Writes one layer after the other. The caller receives the reader's messages, and waits for
/// space.
class SharedPipeWriter {
 public:
  /// `socket` stays the caller's.
  explicit SharedPipeWriter(int socket);

  /// The file of the memory, to be sent to the reader at any time.
  [[nodiscard]] int file() const noexcept { return file_.get(); }

  void begin_layer(const LayerForm& form) { form_ = form; }

  /// Whether there is space for the next byte, or for a layer's end.
  [[nodiscard]] bool has_space() const noexcept { return produced_ - consumed_ < kChunks; }
  /// Whether the next byte will begin a chunk.
  [[nodiscard]] bool at_chunk() const noexcept { return filled_ == 0; }

  /// Copies as many of `bytes` as fit into the current chunk; their number. Requires has_space().
  std::size_t fill(std::span<const std::byte> bytes);
  /// Requires has_space().
  void end_layer();
  /// No layer will follow.
  void end();

  /// The reader acknowledged a chunk; false when it had none.
  [[nodiscard]] bool acknowledge() noexcept;
  /// Chunks sent and chunks acknowledged since the start.
  [[nodiscard]] std::size_t produced() const noexcept { return produced_; }
  [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }

 private:
  void send_chunk(ChunkHeader::Place place);
  void send(const ChunkHeader& header) const;

  const int socket_;
  Fd file_;
  SharedRing ring_;
  LayerForm form_;
  std::size_t produced_ = 0;  // chunks sent since the start
  std::size_t consumed_ = 0;  // chunks acknowledged since the start
  std::size_t filled_ = 0;    // bytes in the current chunk
};

/// The reader's end.
class SharedPipeReader final : public LayerStream {
 public:
  /// `acknowledge` reports a free chunk to the writer.
  SharedPipeReader(int socket, int ring_file, std::function<void()> acknowledge);

  [[nodiscard]] std::optional<LayerForm> next_layer() override;
  /// @throws Error(interrupted) when the writer is gone
  [[nodiscard]] std::span<const std::byte> next() override;

  /// The number of the current layer, counted from 1; 0 after the last one.
  [[nodiscard]] std::uint32_t layer() const noexcept { return layer_; }

 private:
  [[nodiscard]] ChunkHeader receive() const;
  void release();

  const int socket_;
  SharedRing ring_;
  std::function<void()> acknowledge_;
  std::optional<ChunkHeader> first_;  // of the current layer, until next() has returned its chunk
  std::size_t consumed_ = 0;
  std::uint32_t layers_ = 0;  // begun so far
  std::uint32_t layer_ = 0;
  bool holding_ = false;  // chunk `consumed_` is being read
  bool ended_ = false;    // it was the last one of its layer
};

}  // namespace pyro

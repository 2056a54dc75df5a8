// Writes artifacts on a thread of its own: data blocks to the file, their hashes to fs-verity.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/fs_verity.h"
#include "pyro/digest.h"
#include "stream/hole_finder.h"

namespace pyro {

/// Writing and fs-verity hashing cost about as much as half the inflating; here they run beside it.
///
/// The caller decompresses into the buffers it acquires and hands on spans of them: nothing is
/// copied. A buffer comes back when all that was handed on before the next acquire() is written.
class ArtifactWriter final : public DataSink {
 public:
  static constexpr std::size_t kBufferSize = 256 * 1024;
  static constexpr std::size_t kBuffers = 16;

  /// `files` are open for writing, stay the caller's, and are named by their index.
  explicit ArtifactWriter(std::vector<int> files);
  ~ArtifactWriter() override;
  ArtifactWriter(const ArtifactWriter&) = delete;
  ArtifactWriter& operator=(const ArtifactWriter&) = delete;

  /// The next free buffer; gives the last one back.
  /// @throws what went wrong on the writer's thread.
  [[nodiscard]] std::span<std::byte> acquire();

  /// Begins file `index`, which gets `size` bytes, over whatever it held.
  void begin(std::size_t index, std::uint64_t size, std::string subject);
  /// What has the lifetime of a buffer must lie in the one acquired last.
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;
  /// Ends the file begun last.
  void end();

  /// Waits until all is written; the digests of the files that were, by index.
  /// @throws what went wrong on the writer's thread.
  [[nodiscard]] std::vector<std::optional<Digest>> finish();

 private:
  struct Order {
    enum class Kind { begin, data, end, release };
    Kind kind = Kind::release;
    std::size_t index = 0;
    std::uint64_t number = 0;  // offset, or size
    std::span<const std::byte> bytes = {};
    std::vector<std::byte> owned = {};
    std::string subject = {};
  };
  /// The file that is being written, on the writer's thread only.
  struct Open {
    std::size_t index = 0;
    std::uint64_t size = 0;
    std::uint64_t position = 0;  // end of the last data
    std::uint64_t flushed = 0;   // up to where write-back was begun
    std::string subject;
    FsVerity verity;
  };

  void push(Order order);
  void run(const std::stop_token& stop);
  void carry_out(const Order& order);
  void begin_file(const Order& order);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void end_file();
  void hole_up_to(std::uint64_t offset);
  void begin_write_back();

  std::vector<int> files_;
  std::vector<std::optional<Digest>> digests_;
  std::vector<std::unique_ptr<std::byte[]>> buffers_;
  std::size_t acquired_ = 0;
  Open open_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Order> orders_;
  std::size_t released_ = 0;
  bool idle_ = true;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace pyro

// The loop of all decompressors: input in pieces of any size, output into the ring.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pyro/error.h"
#include "stream/decompress.h"

namespace pyro {

/// A source whose first bytes can be peeked at, to detect the format.
class Input {
 public:
  explicit Input(ByteSource source) : source_(std::move(source)) {}

  static constexpr std::size_t kMaxMagic = 6;

  /// The first bytes of the stream: kMaxMagic of them, fewer only if there are no more.
  std::span<const std::byte> peek() {
    while (head_size_ < head_.size()) {
      if (rest_.empty()) rest_ = source_();
      if (rest_.empty()) break;
      const std::size_t n = std::min(rest_.size(), head_.size() - head_size_);
      std::copy_n(rest_.begin(), n, head_.begin() + head_size_);
      head_size_ += n;
      rest_ = rest_.subspan(n);
    }
    return std::span(head_).first(head_size_);
  }

  /// The next piece; empty at the end.
  std::span<const std::byte> next() {
    if (!head_given_) {
      head_given_ = true;
      if (head_size_ > 0) return std::span<const std::byte>(head_).first(head_size_);
    }
    if (!rest_.empty()) return std::exchange(rest_, {});
    return source_();
  }

 private:
  ByteSource source_;
  std::array<std::byte, kMaxMagic> head_{};
  std::size_t head_size_ = 0;
  bool head_given_ = false;
  std::span<const std::byte> rest_;
};

/// The loop of all formats. A codec advances `in` and `out` by the bytes that it took and made.
class CodecLoop : public Decompressor {
 public:
  CodecLoop(Input input, OutputRing& ring) : ring_(ring), input_(std::move(input)) {}

  std::span<const std::byte> next(std::size_t position) override {
    const auto piece = ring_.acquire(kPieceSize).first(kPieceSize - position % kBlockSize);
    std::span<std::byte> out = piece;
    while (!out.empty() && !finished_) {
      if (in_.empty() && !drained_) {
        in_ = input_.next();
        drained_ = in_.empty();
      }
      step(in_, out, drained_);
    }
    return piece.first(piece.size() - out.size());
  }

 protected:
  /// One turn: makes progress, calls finish(), or throws. With `drained` no more input will come.
  virtual void step(std::span<const std::byte>& in, std::span<std::byte>& out, bool drained) = 0;

  void finish() { finished_ = true; }

  [[noreturn]] void truncated() const { refuse(" data ends too early"); }
  [[noreturn]] void corrupt(std::string_view why) const {
    refuse(" data is damaged: " + std::string(why));
  }
  /// "<format><what>"
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorCode::integrity, std::string(name()) + what);
  }

 private:
  OutputRing& ring_;
  Input input_;
  std::span<const std::byte> in_;
  bool drained_ = false;
  bool finished_ = false;
};

/// Formats with files of several adjacent streams (RFC 1952 section 2.2, RFC 8878 section 3, and
/// bzip2 tools), which may have zero bytes behind the last.
class Members : public CodecLoop {
 public:
  using CodecLoop::CodecLoop;

 protected:
  virtual void begin_member() = 0;
  /// One turn within a member; true when that ended it.
  virtual bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) = 0;
  /// Whether a first byte may begin another member.
  [[nodiscard]] virtual bool begins(std::byte first) const = 0;

 private:
  void step(std::span<const std::byte>& in, std::span<std::byte>& out, bool drained) final {
    if (!within_) return between(in, drained);
    const std::size_t had = in.size() + out.size();
    if (decode(in, out)) {
      within_ = false;
      padding_ = false;
      first_ = false;
    } else if (drained && in.size() + out.size() == had) {
      truncated();
    }
  }

  void between(std::span<const std::byte>& in, bool drained) {
    if (drained) return first_ ? truncated() : finish();
    while (!first_ && !in.empty() && in.front() == std::byte{0}) {
      padding_ = true;
      in = in.subspan(1);
    }
    if (in.empty()) return;
    if (!first_ && (padding_ || !begins(in.front()))) corrupt("something follows its end");
    begin_member();
    within_ = true;
  }

  bool within_ = false;
  bool padding_ = false;
  bool first_ = true;
};

}  // namespace pyro

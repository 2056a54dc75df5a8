// Writes a layer: the tar of an environment's artifacts, packed, into an image layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "base/worker.h"
#include "oci/layout_writer.h"
#include "pyro/image_layout.h"
#include "stream/compress.h"

namespace pyro {

/// The caller's thread hashes what goes in; another one compresses, hashes what comes out, and
/// writes. Plain members, holes and all: whoever reads the layer finds them again, and sparse ones
/// not everybody can read.
class LayerWriter {
 public:
  struct Layer {
    Descriptor descriptor;
    Digest diff_id;
  };

  /// `tar_size` as tar_size() says. A blob of `layout` begins, which must outlive this.
  LayerWriter(LayoutWriter& layout, LayerCompression compression, std::uint64_t tar_size);

  /// Of members of these sizes.
  [[nodiscard]] static std::uint64_t tar_size(std::span<const std::uint64_t> members);

  /// A member, whose content follows in data() and zeros(); it ends with end_member().
  void begin_member(std::string_view name, std::uint64_t size);
  void data(std::span<const std::byte> bytes);
  void zeros(std::uint64_t count);
  void end_member();

  [[nodiscard]] Layer finish();

 private:
  void pass_on();

  LayoutWriter& layout_;
  const LayerCompression compression_;
  std::uint64_t member_size_ = 0;
  Sha256 diff_;
  std::vector<std::byte> piece_;  // that is being filled
  std::unique_ptr<Compressor> compressor_;
  /// What is empty stands for a piece of zeros.
  Worker<std::vector<std::byte>> worker_;  // last: it uses all the others
};

}  // namespace pyro

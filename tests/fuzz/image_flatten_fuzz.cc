// Tars as the layers of a container image: each is refused with a reason, or gives a consistent
// file system, the same each time.
#include <optional>
#include <string>

#include "base/files.h"
#include "image/flatten.h"
#include "oracle.h"
#include "support/ext4_image.h"

namespace pyro::fuzz {
namespace {

constexpr ExtractionLimits kLimits{.rootfs_bytes = std::uint64_t{64} << 20,
                                   .other_bytes = std::uint64_t{64} << 20};

/// The same bytes as two layers: the second one replaces what the first one made.
class TwoLayers final : public LayerStream {
 public:
  explicit TwoLayers(const CutInput& input) : input_(input) {}

  std::optional<LayerForm> next_layer() override {
    if (++layer_ > 2) return std::nullopt;
    source_ = in_pieces(input_.bytes, input_.cut);
    return LayerForm{};
  }
  std::span<const std::byte> next() override { return source_(); }

 private:
  const CutInput& input_;
  int layer_ = 0;
  ByteSource source_;
};

/// Nothing for a refused input.
std::optional<Fd> flatten(const CutInput& input) {
  Fd file = make_memory_file("rootfs.ext4");
  TwoLayers layers(input);
  const bool is_sound = accepts(ErrorCode::integrity, [&] {
    static_cast<void>(image::flatten_layers(layers, file.get(), kLimits));
  });
  return is_sound ? std::optional(std::move(file)) : std::nullopt;
}

std::string path_of(const Fd& file) {
  return "/proc/self/fd/" + std::to_string(file.get());
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  if (size == 0) return 0;
  const CutInput input(data, size);
  const auto first = flatten(input);
  const auto second = flatten(input);
  require(first.has_value() == second.has_value(), "the same bytes have the same end");
  if (!first) return 0;
  const pyro::testing::Ext4Image image(path_of(*first));
  image.check();
  const pyro::testing::Ext4Image again(path_of(*second));
  require(image.blocks() == again.blocks(), "... and the same size");
  return 0;
}

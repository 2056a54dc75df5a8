// The checksum of a zstd frame's content.
#include "stream/zstd_checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

#include "base/worker.h"

namespace pyro {
namespace {

constexpr std::size_t kMostOrders = 64;
/// What is shorter takes less time than handing it on does; a frame may have a byte.
constexpr std::size_t kShortest = std::size_t{64} << 10;

}  // namespace

struct ZstdChecksum::Impl {
  struct Order {
    std::span<const std::byte> bytes;
    OutputRing::Hold hold;
  };

  explicit Impl(OutputRing& given)
      : ring(given), worker(kMostOrders, [this](const Order& order) { carry_out(order); }) {}

  void carry_out(const Order& order) {
    XXH64_update(&state, order.bytes.data(), order.bytes.size());
    ring.release(order.hold);
  }

  void add(std::span<const std::byte> bytes) {
    if (!behind && bytes.size() < kShortest) {
      XXH64_update(&state, bytes.data(), bytes.size());
    } else {
      worker.push({bytes, ring.hold(bytes)});
      behind = true;
    }
  }

  void catch_up() {
    if (std::exchange(behind, false)) worker.drain();
  }

  OutputRing& ring;
  XXH64_state_t state{};
  bool behind = false;   // something was handed on
  Worker<Order> worker;  // last: it uses the others
};

ZstdChecksum::ZstdChecksum(OutputRing& ring) : impl_(std::make_unique<Impl>(ring)) {}
ZstdChecksum::~ZstdChecksum() = default;

void ZstdChecksum::begin() {
  impl_->catch_up();
  XXH64_reset(&impl_->state, 0);
}

void ZstdChecksum::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) impl_->add(bytes);
}

std::uint32_t ZstdChecksum::finish() {
  impl_->catch_up();
  return static_cast<std::uint32_t>(XXH64_digest(&impl_->state));
}

}  // namespace pyro

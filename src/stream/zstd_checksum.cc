// The checksum of a zstd frame's content.
#include "stream/zstd_checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/worker.h"

namespace pyro {
namespace {

constexpr std::size_t kMostOrders = 64;

struct Order {
  std::span<const std::byte> bytes;
  OutputRing::Hold hold;
};

}  // namespace

struct ZstdChecksum::Impl {
  explicit Impl(OutputRing& given)
      : ring(given), worker(kMostOrders, [this](const Order& order) { carry_out(order); }) {}

  void carry_out(const Order& order) {
    XXH64_update(&state, order.bytes.data(), order.bytes.size());
    ring.release(order.hold);
  }

  OutputRing& ring;
  XXH64_state_t state{};
  Worker<Order> worker;  // last: it uses the others
};

ZstdChecksum::ZstdChecksum(OutputRing& ring) : impl_(std::make_unique<Impl>(ring)) {}
ZstdChecksum::~ZstdChecksum() = default;

void ZstdChecksum::begin() {
  impl_->worker.drain();
  XXH64_reset(&impl_->state, 0);
}

void ZstdChecksum::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) impl_->worker.push({bytes, impl_->ring.hold(bytes)});
}

std::uint32_t ZstdChecksum::finish() {
  impl_->worker.drain();
  return static_cast<std::uint32_t>(XXH64_digest(&impl_->state));
}

}  // namespace pyro

// SHA-256 of 16 blocks at a time: word t of all of them in one AVX-512 register.
//
// Source: FIPS 180-4, sections 4.1.2, 5.1.1 and 6.2.2; the names are its names.
#include <cstdint>
#include <utility>

#include "base/hash.h"

namespace pyro {
namespace {

#if defined(__x86_64__)

#define PYRO_WIDE __attribute__((target("avx512f,avx512bw")))
#define PYRO_WIDE_INLINE PYRO_WIDE __attribute__((always_inline)) inline

// Lane l belongs to block l.
using Lanes = std::uint32_t __attribute__((vector_size(64)));
using LaneBytes = std::uint8_t __attribute__((vector_size(64)));

constexpr std::size_t kWords = 16;  // of a message block of 64 bytes

alignas(64) constexpr std::uint32_t kConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// By reference, as passing registers this wide by value has no stable ABI; compilers make one
// instruction of each rotation and of each expression of three inputs.
template <int Count>
PYRO_WIDE_INLINE void rotate(Lanes& x) {
  x = (x >> Count) | (x << (32 - Count));
}

template <int A, int B, int C>
PYRO_WIDE_INLINE void big_sigma(const Lanes& x, Lanes& result) {
  Lanes a = x;
  Lanes b = x;
  result = x;
  rotate<A>(a);
  rotate<B>(b);
  rotate<C>(result);
  result ^= a ^ b;
}

template <int A, int B, int Shift>
PYRO_WIDE_INLINE void small_sigma(const Lanes& x, Lanes& result) {
  Lanes a = x;
  result = x;
  rotate<A>(a);
  rotate<B>(result);
  result ^= a ^ (x >> Shift);
}

// One turn of the transposition of 16 rows: swaps squares of Step across the diagonal.
template <unsigned Step, unsigned... P>
PYRO_WIDE_INLINE void swap_squares(Lanes& a, Lanes& b, std::integer_sequence<unsigned, P...>) {
  const Lanes low = __builtin_shufflevector(a, b, ((P & Step) != 0 ? 16 + P - Step : P)...);
  const Lanes high = __builtin_shufflevector(a, b, ((P & Step) != 0 ? 16 + P : P + Step)...);
  a = low;
  b = high;
}

template <unsigned Step>
PYRO_WIDE_INLINE void transpose_step(Lanes (&rows)[kWords]) {
  for (unsigned i = 0; i < kWords; ++i) {
    if ((i & Step) != 0) continue;
    swap_squares<Step>(rows[i], rows[i + Step], std::make_integer_sequence<unsigned, 16>());
  }
}

// FIPS 180-4 reads words with their most significant byte first.
template <unsigned... P>
PYRO_WIDE_INLINE void swap_bytes(Lanes& x, std::integer_sequence<unsigned, P...>) {
  const auto bytes = reinterpret_cast<const LaneBytes&>(x);
  const LaneBytes swapped = __builtin_shufflevector(bytes, bytes, (P ^ 3U)...);
  x = reinterpret_cast<const Lanes&>(swapped);
}

// Words 0 to 15 of the message blocks at `offset`: 64 bytes of each lane, turned about.
PYRO_WIDE_INLINE void load_words(const std::byte* blocks, std::size_t offset,
                                 Lanes (&words)[kWords]) {
  for (std::size_t lane = 0; lane < kSha256Lanes; ++lane) {
    __builtin_memcpy(&words[lane], blocks + lane * kSha256LaneBytes + offset, sizeof(Lanes));
  }
  transpose_step<8>(words);
  transpose_step<4>(words);
  transpose_step<2>(words);
  transpose_step<1>(words);
  for (Lanes& word : words) swap_bytes(word, std::make_integer_sequence<unsigned, 64>());
}

// Section 6.2.2, steps 1 to 4.
PYRO_WIDE_INLINE void compress(Lanes (&state)[8], Lanes (&w)[kWords]) {
  Lanes a = state[0], b = state[1], c = state[2], d = state[3];
  Lanes e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 64
  for (unsigned t = 0; t < 64; ++t) {
    Lanes& word = w[t % 16];
    if (t >= 16) {
      Lanes s0, s1;
      small_sigma<7, 18, 3>(w[(t + 1) % 16], s0);
      small_sigma<17, 19, 10>(w[(t + 14) % 16], s1);
      word += s0 + w[(t + 9) % 16] + s1;
    }
    Lanes sigma0, sigma1;
    big_sigma<2, 13, 22>(a, sigma0);
    big_sigma<6, 11, 25>(e, sigma1);
    const Lanes t1 = h + sigma1 + (g ^ (e & (f ^ g))) + kConstants[t] + word;
    const Lanes t2 = sigma0 + ((a & b) | (c & (a | b)));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

// Section 5.1.1: a one bit, zeros, and the length in bits, the same for every lane.
PYRO_WIDE_INLINE void padding_words(Lanes (&words)[kWords]) {
  for (Lanes& word : words) word = Lanes{};
  words[0] += 0x80000000U;
  words[15] += static_cast<std::uint32_t>(kSha256LaneBytes * 8);
}

PYRO_WIDE void hash(const std::byte* blocks, std::array<Digest::Bytes, kSha256Lanes>& digests) {
  Lanes state[8];
  for (unsigned i = 0; i < 8; ++i) state[i] = Lanes{} + kInitial[i];
  Lanes words[kWords];
  for (std::size_t offset = 0; offset < kSha256LaneBytes; offset += 64) {
    load_words(blocks, offset, words);
    compress(state, words);
  }
  padding_words(words);
  compress(state, words);
  for (unsigned i = 0; i < 8; ++i) {
    swap_bytes(state[i], std::make_integer_sequence<unsigned, 64>());
    for (std::size_t lane = 0; lane < kSha256Lanes; ++lane) {
      const std::uint32_t word = state[i][lane];
      __builtin_memcpy(digests[lane].data() + 4 * i, &word, sizeof word);
    }
  }
}

#endif

}  // namespace

#if defined(__x86_64__)

bool has_sha256_lanes() noexcept {
  static const bool has =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  return has;
}

void sha256_lanes(const std::byte* blocks,
                  std::array<Digest::Bytes, kSha256Lanes>& digests) noexcept {
  hash(blocks, digests);
}

#else

bool has_sha256_lanes() noexcept {
  return false;
}
void sha256_lanes(const std::byte*, std::array<Digest::Bytes, kSha256Lanes>&) noexcept {}

#endif

}  // namespace pyro

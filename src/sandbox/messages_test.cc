// Tests of the extractor's messages.
#include "sandbox/messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/hash.h"

namespace pyro {
namespace {

Digest digest_of(unsigned char byte) {
  Digest::Bytes bytes;
  bytes.fill(std::byte{byte});
  return Digest(bytes);
}

const std::vector<WrittenArtifact> kArtifacts = {{kKernel, 1, 24'576, digest_of(1)},
                                                 {kRootfs, 7, std::uint64_t{3} << 33, digest_of(2)},
                                                 {kInitrd, 8, 0, digest_of(3)}};

Error nested() {
  Error error(ErrorCode::filesystem, "No space left on device", "free some space");
  error.add_context("cannot write rootfs.ext4").add_context("layer 1");
  return error;
}

template <typename T>
T there_and_back(const T& message) {
  const auto decoded = decode(encode(message));
  EXPECT_TRUE(decoded && std::holds_alternative<T>(*decoded));
  return decoded && std::holds_alternative<T>(*decoded) ? std::get<T>(*decoded) : message;
}

TEST(Messages, RoundTripsReady) {
  for (const Confinement& confinement :
       {Confinement{true, 6, true}, Confinement{true, 0, true}, Confinement{}}) {
    const Ready ready = there_and_back(Ready{.confinement = confinement});
    EXPECT_EQ(ready.protocol, kProtocol);
    EXPECT_EQ(ready.confinement, confinement);
  }
}

TEST(Messages, RoundTripsForbiddenCall) {
  EXPECT_EQ(std::get<ForbiddenCall>(decode(encode(ForbiddenCall{257})).value()).number, 257U);
}

TEST(Messages, RoundTripsChunkAck) {
  there_and_back(ChunkAck{});
}

TEST(Messages, RoundTripsSuccess) {
  const auto artifacts = there_and_back(Success{kArtifacts}).artifacts;
  ASSERT_EQ(artifacts.size(), kArtifacts.size());
  for (std::size_t i = 0; i < artifacts.size(); ++i) {
    EXPECT_EQ(artifacts[i].kind, kArtifacts[i].kind);
    EXPECT_EQ(artifacts[i].file, kArtifacts[i].file);
    EXPECT_EQ(artifacts[i].size, kArtifacts[i].size);
    EXPECT_EQ(artifacts[i].digest, kArtifacts[i].digest);
  }
}

TEST(Messages, RoundTripsUnpacked) {
  const Unpacked unpacked = there_and_back(Unpacked{std::uint64_t{5} << 33, sha256("a")});
  EXPECT_EQ(unpacked.size, std::uint64_t{5} << 33);
  EXPECT_EQ(unpacked.digest, sha256("a"));
}

TEST(Messages, RoundTripsFailure) {
  const Failure failure = there_and_back(Failure{nested(), 3});
  EXPECT_EQ(failure.layer, 3U);
  EXPECT_EQ(failure.error.code(), ErrorCode::filesystem);
  EXPECT_EQ(failure.error.message(), nested().message());
  EXPECT_EQ(failure.error.causes(), nested().causes());
  EXPECT_EQ(failure.error.hint(), nested().hint());
}

const std::vector<LinkTarget> kTargets = {{kKernel, "boot/vmlinux-6.1"},
                                          {kRootfs, std::string(4096, 'r')}};

TEST(Messages, RoundTripsIncomplete) {
  EXPECT_EQ(there_and_back(Incomplete{kTargets}).targets, kTargets);
}

TEST(Messages, RoundTripsTargets) {
  EXPECT_EQ(decode_targets(encode_targets(kTargets)), kTargets);
  EXPECT_EQ(decode_targets(encode_targets({})), std::vector<LinkTarget>());
  EXPECT_FALSE(decode_targets({}));
}

TEST(Messages, KeepsAtMostMaximumOfTargets) {
  const std::vector<LinkTarget> many(100, kTargets[1]);
  EXPECT_LE(encode(Incomplete{many}).size(), kMaxMessage);
  EXPECT_EQ(there_and_back(Incomplete{many}).targets.size(), kMaxTargets);
}

TEST(Messages, ForeignErrorCodeBecomesFailed) {
  const Failure failure = there_and_back(Failure{Error(ErrorCode::network, "no"), 0});
  EXPECT_EQ(failure.error.code(), ErrorCode::failed);
}

TEST(Messages, TruncatesLongTexts) {
  Error error(ErrorCode::integrity, std::string(1 << 20, 'x'), std::string(1 << 20, 'h'));
  for (int i = 0; i < 20; ++i) error.add_context(std::string(1 << 16, 'c'));
  EXPECT_LE(encode(Failure{error, 1}).size(), kMaxMessage);
  const Failure failure = there_and_back(Failure{error, 1});
  EXPECT_EQ(failure.error.message(), std::string(4096, 'c'));
  EXPECT_EQ(failure.error.causes().size(), 8U);
}

TEST(Messages, ReadsReadyOfAnotherProtocol) {
  for (const char* rest : {"", "what a later version has to say"}) {
    auto bytes = encode(Ready{.protocol = kProtocol + 1});
    bytes.resize(5);
    for (const char* c = rest; *c != '\0'; ++c) bytes.push_back(static_cast<std::byte>(*c));
    const auto message = decode(bytes);
    ASSERT_TRUE(message) << rest;
    EXPECT_EQ(std::get<Ready>(*message).protocol, kProtocol + 1);
  }
}

// --- hostile ones ---

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::initializer_list<unsigned> values) {
  Bytes bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

/// Of kArtifacts, changed.
Bytes success_with(const std::function<void(std::vector<WrittenArtifact>&)>& change) {
  std::vector<WrittenArtifact> artifacts = kArtifacts;
  change(artifacts);
  return encode(Success{artifacts});
}

/// Of nested(), with a 32-bit number put somewhere.
Bytes failure_with(std::size_t at, std::uint32_t number) {
  Bytes bytes = encode(Failure{nested(), 1});
  std::ranges::copy(std::as_bytes(std::span(&number, 1)), bytes.begin() + static_cast<long>(at));
  return bytes;
}

Bytes changed(Bytes bytes, std::size_t at, unsigned value) {
  bytes[at] = static_cast<std::byte>(value);
  return bytes;
}

Bytes longer(Bytes bytes) {
  bytes.push_back({});
  return bytes;
}

struct Hostile {
  const char* name;
  Bytes bytes;
};

class HostileMessage : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileMessage, IsRejected) {
  EXPECT_FALSE(decode(GetParam().bytes));
}

// Offsets in a message: type, code, layer, length of the hint.
constexpr std::size_t kCode = 1;
constexpr std::size_t kHintLength = 6;

INSTANTIATE_TEST_SUITE_P(
    All, HostileMessage,
    ::testing::Values(
        Hostile{"Empty", {}}, Hostile{"UnknownType", bytes_of({6})},
        Hostile{"NegativeType", bytes_of({255})},
        Hostile{"ChunkAckWithTrailingByte", bytes_of({1, 0})}, Hostile{"EmptyReady", bytes_of({0})},
        Hostile{"ReadyWithTrailingByte", longer(encode(Ready{}))},
        Hostile{"ReadyWithInvalidFlag", changed(encode(Ready{}), 5, 2)},
        Hostile{"SuccessWithoutArtifacts", encode(Success{})},
        Hostile{"WithoutKernel", success_with([](auto& all) { all.erase(all.begin()); })},
        Hostile{"WithoutRootfs", success_with([](auto& all) { all.erase(all.begin() + 1); })},
        Hostile{"KernelTwice", success_with([](auto& all) { all[2] = all[0]; })},
        Hostile{"TooManyArtifacts", success_with([](auto& all) { all.push_back(all[0]); })},
        Hostile{"UnknownKind", success_with([](auto& all) { all[2].kind = 3; })},
        Hostile{"MissingFile", success_with([](auto& all) { all[2].file = 12; })},
        Hostile{"FileOfAnotherKind", success_with([](auto& all) { all[0].file = 4; })},
        Hostile{"FewerArtifactsThanCount",
                changed(encode(Success{{kArtifacts[0], kArtifacts[1]}}), 1, 3)},
        Hostile{"MoreArtifactsThanCount", changed(encode(Success{kArtifacts}), 1, 2)},
        Hostile{"UnknownCode", changed(encode(Failure{nested(), 1}), kCode, 4)},
        Hostile{"HintLongerThanTheMessage", failure_with(kHintLength, 4000)},
        Hostile{"HintTooLong", failure_with(kHintLength, 4097)},
        Hostile{"HintLongerThanMemory", failure_with(kHintLength, 0xffffffff)},
        Hostile{"ManyCauses", changed(encode(Failure{Error(ErrorCode::failed, ""), 0}), 10, 9)},
        Hostile{"NoTargets", encode(Incomplete{})},
        Hostile{"TargetOfAnUnknownKind", encode(Incomplete{{{3, "v6"}}})},
        Hostile{"TargetWithDotDot", encode(Incomplete{{{kKernel, "a/../../v6"}}})},
        Hostile{"AbsoluteTarget", encode(Incomplete{{{kKernel, "/v6"}}})},
        Hostile{"TargetWithAZeroByte", encode(Incomplete{{{kKernel, std::string("v\0", 2)}}})},
        Hostile{"TargetWithoutAName", encode(Incomplete{{{kKernel, ""}}})},
        Hostile{"FailureWithTrailingByte", longer(encode(Failure{nested(), 1}))}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Messages, RejectsTruncatedMessages) {
  for (const Message& message :
       {Message(Ready{}), Message(Success{kArtifacts}), Message(Unpacked{7}),
        Message(Incomplete{kTargets}), Message(Failure{nested(), 1})}) {
    const Bytes bytes = encode(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode(std::span(bytes).first(size))) << size;
    }
  }
}

}  // namespace
}  // namespace pyro

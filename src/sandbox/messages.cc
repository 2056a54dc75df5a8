// The extractor's messages as bytes and back.
#include "sandbox/messages.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "stream/tar.h"

namespace pyro {
namespace {

enum class Type : std::uint8_t {
  ready,
  chunk_ack,
  success,
  failure,
  forbidden_call,
  incomplete,
  unpacked
};

constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxCauses = 8;
static_assert(kMaxText >= LinkMap::kMaxPath);
static_assert(kMaxTargets * (kMaxText + 5) + 16 <= kMaxMessage);
static_assert((kMaxCauses + 2) * (kMaxText + 4) + 16 <= kMaxMessage);

/// The codes of an extractor's failures, in the order of their numbers.
constexpr std::array kCodes = {ErrorCode::integrity, ErrorCode::filesystem, ErrorCode::failed,
                               ErrorCode::interrupted};

class Writer {
 public:
  Writer() = default;
  explicit Writer(Type type) { number(static_cast<std::uint8_t>(type)); }

  template <typename Number>
  void number(Number value) {
    raw(std::as_bytes(std::span(&value, 1)));
  }

  void text(std::string_view text) {
    text = text.substr(0, kMaxText);
    number(static_cast<std::uint32_t>(text.size()));
    raw(std::as_bytes(std::span(text)));
  }

  void raw(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// After a failed read all others return zeros, and end() is false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename Number>
  Number number() {
    Number value{};
    const auto from = raw(sizeof value);
    if (!from.empty()) std::memcpy(&value, from.data(), sizeof value);
    return value;
  }

  /// Fails above `most`.
  template <typename Number>
  Number number(Number most) {
    const auto value = number<Number>();
    if (value > most) broken_ = true;
    return broken_ ? Number{} : value;
  }

  std::string text() {
    const auto size = number<std::uint32_t>(kMaxText);
    const auto from = raw(size);
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }

  std::span<const std::byte> raw(std::size_t size) {
    if (broken_ || size > bytes_.size()) {
      broken_ = true;
      return {};
    }
    return std::exchange(bytes_, bytes_.subspan(size)).first(size);
  }

  void refuse() { broken_ = true; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] bool end() const { return !broken_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool broken_ = false;
};

std::vector<std::byte> write(const Ready& ready) {
  Writer writer(Type::ready);
  writer.number(ready.protocol);
  writer.number<std::uint8_t>(ready.confinement.no_new_privileges);
  writer.number(ready.confinement.landlock);
  writer.number<std::uint8_t>(ready.confinement.seccomp);
  return writer.take();
}

std::vector<std::byte> write(const ChunkAck&) {
  return Writer(Type::chunk_ack).take();
}

std::vector<std::byte> write(const Success& success) {
  Writer writer(Type::success);
  writer.number(static_cast<std::uint8_t>(success.artifacts.size()));
  for (const WrittenArtifact& artifact : success.artifacts) {
    writer.number(static_cast<std::uint8_t>(artifact.kind));
    writer.number(static_cast<std::uint8_t>(artifact.file));
    writer.number(artifact.size);
    writer.raw(artifact.digest.bytes());
  }
  return writer.take();
}

std::vector<std::byte> write(const Unpacked& unpacked) {
  Writer writer(Type::unpacked);
  writer.number(unpacked.size);
  writer.raw(unpacked.digest.bytes());
  return writer.take();
}

void write_targets(Writer& writer, const std::vector<LinkTarget>& targets) {
  const std::size_t count = std::min(targets.size(), kMaxTargets);
  writer.number(static_cast<std::uint8_t>(count));
  for (const LinkTarget& target : std::span(targets).first(count)) {
    writer.number(static_cast<std::uint8_t>(target.kind));
    writer.text(target.path);
  }
}

std::vector<std::byte> write(const Incomplete& incomplete) {
  Writer writer(Type::incomplete);
  write_targets(writer, incomplete.targets);
  return writer.take();
}

std::vector<std::byte> write(const Failure& failure) {
  const Error& error = failure.error;
  auto code = std::ranges::find(kCodes, error.code());
  if (code == kCodes.end()) code = std::ranges::find(kCodes, ErrorCode::failed);
  const std::size_t causes = std::min(error.causes().size(), kMaxCauses);
  Writer writer(Type::failure);
  writer.number(static_cast<std::uint8_t>(code - kCodes.begin()));
  writer.number(failure.layer);
  writer.text(error.hint());
  writer.number(static_cast<std::uint8_t>(causes));
  writer.text(error.message());
  for (std::size_t i = 0; i < causes; ++i) writer.text(error.causes()[i]);
  return writer.take();
}

std::vector<std::byte> write(const ForbiddenCall& call) {
  const auto bytes = encode(call);
  return {bytes.begin(), bytes.end()};
}

Message read_ready(Reader& reader) {
  Ready ready{.protocol = reader.number<std::uint32_t>()};
  if (ready.protocol != kProtocol) {
    // The rest depends on the protocol.
    while (!reader.broken() && !reader.end()) (void)reader.raw(1);
    return ready;
  }
  ready.confinement.no_new_privileges = reader.number<std::uint8_t>(1) != 0;
  ready.confinement.landlock = reader.number<std::uint8_t>();
  ready.confinement.seccomp = reader.number<std::uint8_t>(1) != 0;
  return ready;
}

Digest read_digest(Reader& reader) {
  Digest::Bytes digest{};
  std::ranges::copy(reader.raw(digest.size()), digest.begin());
  return Digest(digest);
}

WrittenArtifact read_artifact(Reader& reader) {
  const std::size_t kind = reader.number<std::uint8_t>(kArtifactKinds.size() - 1);
  const std::size_t file = reader.number<std::uint8_t>(MergedView::kFiles - 1);
  if (file / MergedView::kMaxCandidates != kind) reader.refuse();
  const auto size = reader.number<std::uint64_t>();
  return {kind, file, size, read_digest(reader)};
}

Message read_unpacked(Reader& reader) {
  const auto size = reader.number<std::uint64_t>();
  return Unpacked{size, read_digest(reader)};
}

Message read_success(Reader& reader) {
  std::vector<WrittenArtifact> artifacts;
  std::array<bool, kArtifactKinds.size()> there{};
  for (auto left = reader.number<std::uint8_t>(kArtifactKinds.size()); left > 0; --left) {
    artifacts.push_back(read_artifact(reader));
    if (std::exchange(there[artifacts.back().kind], true)) reader.refuse();
  }
  for (std::size_t kind = 0; kind < there.size(); ++kind) {
    if (kArtifactKinds[kind].required && !there[kind]) reader.refuse();
  }
  return Success{std::move(artifacts)};
}

bool is_member_path(const std::string& path) {
  try {
    return !path.empty() && path.find('\0') == path.npos && normal_member_path(path) == path;
  } catch (const Error&) {
    return false;
  }
}

std::vector<LinkTarget> read_targets(Reader& reader) {
  std::vector<LinkTarget> targets(reader.number<std::uint8_t>(kMaxTargets));
  for (LinkTarget& target : targets) {
    target.kind = reader.number<std::uint8_t>(kArtifactKinds.size() - 1);
    target.path = reader.text();
    if (!is_member_path(target.path)) reader.refuse();
  }
  return targets;
}

Message read_incomplete(Reader& reader) {
  Incomplete incomplete{read_targets(reader)};
  if (incomplete.targets.empty()) reader.refuse();
  return incomplete;
}

Message read_failure(Reader& reader) {
  const ErrorCode code = kCodes[reader.number<std::uint8_t>(kCodes.size() - 1)];
  const auto layer = reader.number<std::uint32_t>();
  std::string hint = reader.text();
  std::vector<std::string> texts(reader.number<std::uint8_t>(kMaxCauses) + std::size_t{1});
  for (std::string& text : texts) text = reader.text();
  // The innermost text was thrown, the others were added as contexts.
  Error error(code, std::move(texts.back()), std::move(hint));
  for (texts.pop_back(); !texts.empty(); texts.pop_back()) error.add_context(texts.back());
  return Failure{std::move(error), layer};
}

Message read(Type type, Reader& reader) {
  switch (type) {
    case Type::ready:
      return read_ready(reader);
    case Type::chunk_ack:
      return ChunkAck{};
    case Type::success:
      return read_success(reader);
    case Type::incomplete:
      return read_incomplete(reader);
    case Type::failure:
      return read_failure(reader);
    case Type::forbidden_call:
      return ForbiddenCall{reader.number<std::uint32_t>()};
    case Type::unpacked:
      return read_unpacked(reader);
  }
  reader.refuse();
  return ChunkAck{};
}

}  // namespace

std::vector<std::byte> encode(const Message& message) {
  return std::visit([](const auto& content) { return write(content); }, message);
}

std::array<std::byte, 5> encode(const ForbiddenCall& call) noexcept {
  std::array<std::byte, 5> bytes{static_cast<std::byte>(Type::forbidden_call)};
  std::memcpy(&bytes[1], &call.number, sizeof call.number);
  return bytes;
}

std::vector<std::byte> encode_targets(const std::vector<LinkTarget>& targets) {
  Writer writer;
  write_targets(writer, targets);
  return writer.take();
}

std::optional<std::vector<LinkTarget>> decode_targets(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  auto targets = read_targets(reader);
  if (!reader.end()) return std::nullopt;
  return targets;
}

std::optional<Message> decode(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  const auto type = static_cast<Type>(reader.number<std::uint8_t>());
  Message message = read(type, reader);
  if (!reader.end()) return std::nullopt;
  return message;
}

}  // namespace pyro

// Messages of an extractor that may be compromised.
#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "oracle.h"
#include "sandbox/messages.h"

namespace pyro::fuzz {
namespace {

void check_targets(const std::vector<LinkTarget>& targets) {
  require(targets.size() <= kMaxTargets, "there are at most so many targets");
  for (const LinkTarget& target : targets) {
    require(target.kind < kArtifactKinds.size(), "a target is of a known kind");
    require(!target.path.empty() && target.path.size() <= LinkMap::kMaxPath,
            "a target has a path of a member's length");
    require(
        target.path.front() != '/' && ("/" + target.path + "/").find("/../") == std::string::npos,
        "a target is in the archive");
  }
}

void check_artifacts(const std::vector<WrittenArtifact>& artifacts) {
  std::array<int, kArtifactKinds.size()> found{};
  for (const WrittenArtifact& artifact : artifacts) {
    require(artifact.file < MergedView::kFiles, "an artifact is in one of the files");
    require(artifact.file / MergedView::kMaxCandidates == artifact.kind, "... in one of its kind");
    ++found[artifact.kind];
  }
  for (std::size_t kind = 0; kind < found.size(); ++kind) {
    require(found[kind] <= 1, "no artifact is there twice");
    require(found[kind] == 1 || !kArtifactKinds[kind].required, "no required artifact is missing");
  }
}

void check(const Message& message, Bytes bytes) {
  if (const auto* success = std::get_if<Success>(&message)) check_artifacts(success->artifacts);
  if (const auto* incomplete = std::get_if<Incomplete>(&message)) {
    require(!incomplete->targets.empty(), "another pass has a target");
    check_targets(incomplete->targets);
  }
  const auto* ready = std::get_if<Ready>(&message);
  if (ready != nullptr && ready->protocol != kProtocol) return;  // the rest is another version's
  require(std::ranges::equal(encode(message), bytes), "a message has one form");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  using namespace pyro::fuzz;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  if (const auto message = decode(bytes)) check(*message, bytes);
  if (const auto targets = decode_targets(bytes)) {
    check_targets(*targets);
    require(std::ranges::equal(encode_targets(*targets), bytes), "targets have one form");
  }
  return 0;
}

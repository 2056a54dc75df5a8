// Indexes followed to our platform.
#include "oci/resolve.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace pyro {
namespace {

/// An index has one or two entries without a platform, if any; more would only be requests.
constexpr std::size_t kMaxCandidates = 8;

struct PlatformManifest {
  Digest digest;
  Manifest manifest;
};

/// Looks for the manifest of our platform, and remembers which others it came across.
class Search {
 public:
  explicit Search(const DocumentSource& fetch) : fetch_(fetch) {}

  /// In `index`, or `levels` below.
  std::optional<PlatformManifest> run(const Index& index, int levels) {
    const Descriptor* const match = choose_platform(index);
    const auto candidates =
        match != nullptr ? std::vector<Descriptor>{*match} : entries_without_platform(index);
    if (const std::string list = list_platforms(index); !list.empty()) {
      platforms_ += (platforms_.empty() ? "" : ", ") + list;
    }
    for (std::size_t i = 0; i < std::min(candidates.size(), kMaxCandidates); ++i) {
      Document document = fetch_(candidates[i]);
      if (auto* const manifest = std::get_if<Manifest>(&document.content)) {
        return PlatformManifest{document.digest, std::move(*manifest)};
      }
      if (levels == 0) continue;
      auto found = run(std::get<Index>(document.content), levels - 1);
      if (found) return found;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::string what_there_is() const {
    return platforms_.empty() ? "it names no platform at all" : "there is only " + platforms_;
  }

 private:
  const DocumentSource& fetch_;
  std::string platforms_;
};

}  // namespace

ResolvedImage resolve_platform(Document top, const std::string& subject, ErrorCode no_platform,
                               const DocumentSource& fetch) {
  if (auto* const manifest = std::get_if<Manifest>(&top.content)) {
    return {top.digest, top.digest, std::move(*manifest)};
  }
  Search search(fetch);
  auto found = search.run(std::get<Index>(top.content), 1);
  if (!found) {
    Error error(no_platform, search.what_there_is());
    error.add_context(subject + " has no image for linux/amd64");
    throw error;
  }
  return {top.digest, found->digest, std::move(found->manifest)};
}

}  // namespace pyro

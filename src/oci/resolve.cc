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
  explicit Search(DocumentSource& source) : source_(source) {}

  /// In `index`, or `levels` below.
  std::optional<PlatformManifest> run(const Index& index, int levels) {
    if (const std::string list = list_platforms(index); !list.empty()) tell(list);
    const Descriptor* const match = choose_platform(index);
    const auto candidates =
        match != nullptr ? std::vector<Descriptor>{*match} : entries_without_platform(index);
    for (std::size_t i = 0; i < std::min(candidates.size(), kMaxCandidates); ++i) {
      Document document = source_.document(candidates[i]);
      if (auto* const manifest = std::get_if<Manifest>(&document.content)) {
        if (match == nullptr && !is_ours(*manifest)) continue;
        return PlatformManifest{document.digest, std::move(*manifest)};
      }
      if (levels == 0) continue;
      auto found = run(std::get<Index>(document.content), levels - 1);
      if (found) return found;
    }
    return std::nullopt;
  }

  /// By its config.
  bool is_ours(const Manifest& manifest) {
    if (!manifest.config) return true;
    const Platform platform = config_platform(source_.config(*manifest.config));
    if (is_our_platform(platform)) return true;
    tell((platform.os.empty() ? "linux" : platform.os) + "/" +
         (platform.architecture.empty() ? "amd64" : platform.architecture));
    return false;
  }

  [[nodiscard]] std::string what_there_is() const {
    return platforms_.empty() ? "it names no platform at all" : "there is only " + platforms_;
  }

 private:
  void tell(const std::string& platforms) {
    platforms_ += (platforms_.empty() ? "" : ", ") + platforms;
  }

  DocumentSource& source_;
  std::string platforms_;
};

}  // namespace

ResolvedImage resolve_platform(Document top, const std::string& subject, ErrorCode no_platform,
                               DocumentSource& source) {
  Search search(source);
  std::optional<PlatformManifest> found;
  if (auto* const manifest = std::get_if<Manifest>(&top.content)) {
    if (search.is_ours(*manifest)) found = PlatformManifest{top.digest, std::move(*manifest)};
  } else {
    found = search.run(std::get<Index>(top.content), 1);
  }
  if (!found) {
    Error error(no_platform, search.what_there_is());
    error.add_context(subject + " has no image for linux/amd64");
    throw error;
  }
  return {top.digest, found->digest, std::move(found->manifest)};
}

}  // namespace pyro

// Which members are the environment's artifacts.
#include "stream/merged_view.h"

#include <algorithm>

#include "pyro/error.h"
#include "stream/member_path.h"

namespace pyro {

std::size_t MergedView::place(std::size_t kind, std::string_view path, std::uint64_t size) {
  for (const Candidate& candidate : candidates_) {
    if (candidate.path == path && candidate.layer == layer_) {
      throw Error(ErrorCode::integrity, "'" + std::string(path) + "' is there twice");
    }
  }
  other(path);
  const std::size_t file = free_file(kind);
  candidates_.push_back({kind, file, std::string(path), size, layer_});
  return file;
}

std::size_t MergedView::free_file(std::size_t kind) const {
  const std::size_t first = kind * kMostCandidates;
  for (std::size_t file = first; file < first + kMostCandidates; ++file) {
    const auto taken = [file](const Candidate& candidate) { return candidate.file == file; };
    if (std::none_of(candidates_.begin(), candidates_.end(), taken)) return file;
  }
  throw Error(ErrorCode::integrity, "there are more than " + std::to_string(kMostCandidates) +
                                        " files called " + std::string(kArtifactKinds[kind].name));
}

void MergedView::set_size(std::size_t file, std::uint64_t size) {
  for (Candidate& candidate : candidates_) {
    if (candidate.file == file) candidate.size = size;
  }
}

template <typename Hidden>
void MergedView::hide(Hidden hidden) {
  std::erase_if(candidates_, [&](const Candidate& candidate) {
    return candidate.layer < layer_ && hidden(candidate.path);
  });
}

void MergedView::directory(std::string_view path) {
  hide([path](std::string_view candidate) { return candidate == path; });
}

void MergedView::other(std::string_view path) {
  whiteout(path);
}

void MergedView::whiteout(std::string_view path) {
  hide([path](std::string_view candidate) {
    return candidate == path || is_below(candidate, path);
  });
}

void MergedView::opaque(std::string_view directory) {
  hide([directory](std::string_view candidate) { return is_below(candidate, directory); });
}

const MergedView::Candidate* MergedView::shallowest(std::size_t kind) const {
  const Candidate* best = nullptr;
  for (const Candidate& candidate : candidates_) {
    if (candidate.kind != kind) continue;
    if (best == nullptr || depth_of(candidate.path) < depth_of(best->path)) best = &candidate;
  }
  return best;
}

std::vector<MergedView::Choice> MergedView::choose() const {
  std::vector<Choice> choices;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const Candidate* best = shallowest(kind);
    if (best == nullptr) {
      if (!kArtifactKinds[kind].required) continue;
      throw Error(ErrorCode::integrity,
                  "environment archive did not contain " + std::string(kArtifactKinds[kind].name));
    }
    for (const Candidate& candidate : candidates_) {
      if (&candidate != best && candidate.kind == kind &&
          depth_of(candidate.path) == depth_of(best->path)) {
        throw Error(ErrorCode::integrity,
                    "'" + best->path + "' and '" + candidate.path + "' could both be meant");
      }
    }
    choices.push_back({kind, best->file, best->size});
  }
  return choices;
}

}  // namespace pyro

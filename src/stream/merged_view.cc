// The environment's artifacts among the members of all layers.
#include "stream/merged_view.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/text.h"
#include "pyro/error.h"
#include "stream/tar.h"

namespace pyro {
namespace {

bool is_artifact_name(std::string_view path) {
  return packed_artifact_index(base_name_of(path)).has_value();
}

[[noreturn]] void refuse_way_out(const LinkMap::Way& way) {
  throw Error(
      ErrorCode::integrity,
      "link " + in_quotes(way.path) + " points out of the archive, to " + in_quotes(way.target),
      "a link with an artifact's name must lead to a member of the archive");
}

}  // namespace

// --- links ---

void LinkMap::begin_layer() {
  lower_.merge(current_);
  current_.clear();
}

void LinkMap::add(std::string_view path, std::string_view target, Kind kind) {
  replace(path);
  if (path.size() > kMaxPath || target.size() > kMaxPath) return;
  text_ += path.size() + target.size();
  if (text_ > kMaxText) {
    throw Error(ErrorCode::integrity, "the names of its links take more than 12 MiB");
  }
  current_.emplace(path, Link{std::string(target), kind});
}

void LinkMap::replace(std::string_view path) {
  if (const auto link = current_.find(path); link != current_.end()) erase(current_, link);
}

void LinkMap::hide(std::string_view path) {
  if (const auto link = lower_.find(path); link != lower_.end()) erase(lower_, link);
}

void LinkMap::hide_below(std::string_view directory) {
  if (lower_.empty()) return;
  const std::string front = directory.empty() ? "" : std::string(directory) + '/';
  for (auto link = lower_.lower_bound(front); link != lower_.end();) {
    if (!link->first.starts_with(front)) return;
    erase(lower_, link++);
  }
}

void LinkMap::erase(Links& links, Links::const_iterator link) {
  text_ -= link->first.size() + link->second.target.size();
  links.erase(link);
}

const LinkMap::Link* LinkMap::find(std::string_view path) const {
  if (++steps_ > kMaxSteps) {
    throw Error(ErrorCode::integrity, "there are too many folders in the names of its artifacts");
  }
  for (const Links* links : {&current_, &lower_}) {
    if (const auto link = links->find(path); link != links->end()) return &link->second;
  }
  return nullptr;
}

LinkMap::Way LinkMap::follow(std::string_view path, Last last) const {
  if (lower_.empty() && current_.empty()) return {.path = std::string(path)};
  Way outside{.end = Way::End::outside};
  std::string done;
  std::string pending(path);
  std::size_t followed = 0;
  for (std::string_view rest = pending; !rest.empty();) {
    const std::string_view component = take_component(rest);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      if (done.empty()) return outside;
      done = parent_of(done);
      continue;
    }
    std::string here = joined(done, component);
    const Link* const link = rest.empty() && last == Last::keep ? nullptr : find(here);
    if (link == nullptr) {
      done = std::move(here);
      continue;
    }
    outside.path = std::move(here);
    outside.target = link->target;
    if (link->target.starts_with('/')) return outside;
    if (++followed > kMaxFollowed) return {.end = Way::End::nowhere};
    if (link->kind == Kind::hard) done.clear();
    pending = link->target + "/" + std::string(rest);
    rest = pending;
  }
  return {.path = std::move(done)};
}

// --- artifacts ---

MergedView::MergedView(std::vector<LinkTarget> targets) {
  for (LinkTarget& target : targets) targets_.push_back({std::move(target), true});
}

void MergedView::begin_layer() {
  ++layer_;
  links_.begin_layer();
}

const MergedView::Candidate* MergedView::find(std::string_view path) const {
  const auto found = std::ranges::find(candidates_, path, &Candidate::path);
  return found == candidates_.end() ? nullptr : &*found;
}

const MergedView::Target* MergedView::find_target(std::string_view path) const {
  const auto found = std::ranges::find_if(
      targets_, [path](const Target& target) { return target.target.path == path; });
  return found == targets_.end() ? nullptr : &*found;
}

std::optional<std::size_t> MergedView::kind_of(std::string_view path) const {
  if (const auto kind = packed_artifact_index(base_name_of(path))) return kind;
  const Target* const target = find_target(path);
  return target == nullptr ? std::nullopt : std::optional(target->target.kind);
}

std::optional<MergedView::Role> MergedView::role_of(std::string_view path) const {
  const auto may_be = [name = base_name_of(path)](const Target& target) {
    return base_name_of(target.target.path) == name;
  };
  const bool is_named = is_artifact_name(path);
  if (!is_named && std::ranges::none_of(targets_, may_be)) return std::nullopt;
  if (path.size() > LinkMap::kMaxPath) return std::nullopt;
  LinkMap::Way way = links_.follow(path, LinkMap::Last::keep);
  if (way.end == LinkMap::Way::End::outside && is_named) refuse_way_out(way);
  if (way.end != LinkMap::Way::End::somewhere) return std::nullopt;
  const auto kind = kind_of(way.path);
  return kind ? std::optional(Role{*kind, std::move(way.path)}) : std::nullopt;
}

std::size_t MergedView::place(const Role& role, std::uint64_t size) {
  replace(role.path);
  const std::size_t file = free_file(role.kind);
  candidates_.push_back({.kind = role.kind,
                         .path = role.path,
                         .layer = layer_,
                         .named = is_artifact_name(role.path),
                         .file = file,
                         .size = size});
  return file;
}

std::size_t MergedView::free_file(std::size_t kind) const {
  const std::size_t first = kind * kMaxCandidates;
  for (std::size_t file = first; file < first + kMaxCandidates; ++file) {
    const auto taken = [file](const Candidate& candidate) { return candidate.file == file; };
    if (std::none_of(candidates_.begin(), candidates_.end(), taken)) return file;
  }
  throw Error(ErrorCode::integrity, "there are more than " + std::to_string(kMaxCandidates) +
                                        " files called " + std::string(kArtifactKinds[kind].name));
}

void MergedView::set_size(std::size_t file, std::uint64_t size) {
  for (Candidate& candidate : candidates_) {
    if (candidate.file == file) candidate.size = size;
  }
}

void MergedView::link(std::string_view path, std::string_view target, LinkMap::Kind kind) {
  if (const auto role = role_of(path)) return add_link(*role, target, kind);
  other(path);
  links_.add(path, target, kind);
}

// A hard link is the file itself, whatever becomes of the file's other name.
void MergedView::add_link(const Role& role, std::string_view target, LinkMap::Kind kind) {
  Candidate made{
      .kind = role.kind, .path = role.path, .layer = layer_, .named = is_artifact_name(role.path)};
  if (kind == LinkMap::Kind::hard) {
    const LinkMap::Way way = links_.follow(target, LinkMap::Last::keep);
    const Candidate* const file = find(way.path);
    if (file != nullptr && file->file && file->kind == role.kind && file->path != role.path) {
      made.file = file->file;
      made.size = file->size;
    }
  }
  replace(role.path);
  if (!made.file) links_.add(role.path, target, kind);
  if (!made.file && !made.named) return;
  const auto is_alike = [&](const Candidate& candidate) {
    return candidate.kind == made.kind && candidate.file.has_value() == made.file.has_value();
  };
  if (std::ranges::count_if(candidates_, is_alike) >= std::ptrdiff_t{2 * kMaxCandidates}) {
    throw Error(ErrorCode::integrity,
                "there are too many links called " + std::string(kArtifactKinds[role.kind].name));
  }
  candidates_.push_back(made);
  if (!made.file) expect_target_of(role);
}

// The link's target may still come; then this pass is enough.
void MergedView::expect_target_of(const Role& role) {
  const LinkMap::Way way = links_.follow(role.path, LinkMap::Last::follow);
  if (way.end != LinkMap::Way::End::somewhere || kind_of(way.path)) return;
  const auto alike = [&](const Target& target) { return target.target.kind == role.kind; };
  if (std::ranges::count_if(targets_, alike) >= std::ptrdiff_t{kMaxCandidates}) return;
  targets_.push_back({{role.kind, way.path}, false});
}

template <typename Hidden>
void MergedView::hide(Hidden hidden) {
  std::erase_if(candidates_, [&](const Candidate& candidate) {
    return candidate.layer < layer_ && hidden(candidate.path);
  });
}

// The last one of two members of one layer with one name counts.
void MergedView::replace(std::string_view path) {
  other(path);
  std::erase_if(candidates_, [path](const Candidate& candidate) { return candidate.path == path; });
}

void MergedView::directory(std::string_view path) {
  hide([path](std::string_view candidate) { return candidate == path; });
  links_.replace(path);
  links_.hide(path);
}

void MergedView::other(std::string_view path) {
  whiteout(path);
  links_.replace(path);
}

void MergedView::whiteout(std::string_view path) {
  hide([path](std::string_view candidate) {
    return candidate == path || is_below(candidate, path);
  });
  links_.hide(path);
  links_.hide_below(path);
}

void MergedView::opaque(std::string_view directory) {
  hide([directory](std::string_view candidate) { return is_below(candidate, directory); });
  links_.hide_below(directory);
}

/// The choice of one kind.
class MergedView::Choosing {
 public:
  Choosing(const MergedView& view, std::size_t kind, std::vector<LinkTarget>& missing)
      : view_(view), kind_(kind), missing_(missing) {
    for (const Candidate& candidate : view_.candidates_) {
      if (candidate.named && candidate.kind == kind) by_depth_.push_back(&candidate);
    }
    std::ranges::stable_sort(by_depth_, {},
                             [](const Candidate* candidate) { return depth_of(candidate->path); });
  }

  /// Nothing when there is none, or when its target was added to `missing`.
  std::optional<Choice> run() {
    for (auto first = by_depth_.begin(); first != by_depth_.end();) {
      const auto depth = depth_of((*first)->path);
      const auto last = std::find_if(first, by_depth_.end(), [&](const Candidate* candidate) {
        return depth_of(candidate->path) != depth;
      });
      const auto choice = choose_among({first, last});
      if (choice || unknown_) return unknown_ ? std::nullopt : choice;
      first = last;
    }
    return std::nullopt;
  }

 private:
  std::optional<Choice> choose_among(std::span<const Candidate* const> equals) {
    const Candidate* best = nullptr;
    const Candidate* best_file = nullptr;
    for (const Candidate* const candidate : equals) {
      const Candidate* const file = file_of(*candidate);
      if (file == nullptr) continue;
      if (best_file != nullptr && best_file->file != file->file) {
        throw Error(ErrorCode::integrity,
                    "'" + best->path + "' and '" + candidate->path + "' could both be meant");
      }
      best = candidate;
      best_file = file;
    }
    if (best_file == nullptr) return std::nullopt;
    return Choice{kind_, *best_file->file, best_file->size};
  }

  const Candidate* file_of(const Candidate& candidate) {
    if (candidate.file) return &candidate;
    const LinkMap::Way way = view_.links_.follow(candidate.path, LinkMap::Last::follow);
    if (way.end == LinkMap::Way::End::outside) refuse_way_out(way);
    if (way.end == LinkMap::Way::End::nowhere) return nullptr;
    const Candidate* const end = view_.find(way.path);
    if (end != nullptr && end->file && end->kind == kind_) return end;
    if (!is_known(way.path)) {
      missing_.push_back({kind_, way.path});
      unknown_ = true;
    }
    return nullptr;
  }

  /// Whether this pass would have kept a file there.
  [[nodiscard]] bool is_known(const std::string& path) const {
    if (path.empty() || path.size() > LinkMap::kMaxPath || is_artifact_name(path)) return true;
    const Target* const target = view_.find_target(path);
    return target != nullptr && target->since_the_start;
  }

  const MergedView& view_;
  const std::size_t kind_;
  std::vector<LinkTarget>& missing_;
  std::vector<const Candidate*> by_depth_;
  bool unknown_ = false;
};

MergedView::Outcome MergedView::choose() const {
  Outcome outcome;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const std::size_t known = outcome.missing.size();
    if (const auto choice = Choosing(*this, kind, outcome.missing).run()) {
      outcome.choices.push_back(*choice);
    } else if (kArtifactKinds[kind].required && outcome.missing.size() == known) {
      throw Error(ErrorCode::integrity,
                  "environment archive did not contain " + std::string(kArtifactKinds[kind].name),
                  "a container image is added with 'pyro env add NAME SOURCE --container'");
    }
  }
  return outcome;
}

}  // namespace pyro

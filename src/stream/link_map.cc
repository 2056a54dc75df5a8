// The links of all layers so far.
#include "stream/link_map.h"

#include <utility>

#include "pyro/error.h"
#include "stream/member_path.h"

namespace pyro {

void LinkMap::begin_layer() {
  lower_.merge(current_);
  current_.clear();
}

void LinkMap::add(std::string_view path, std::string_view target, Kind kind) {
  replace(path);
  if (path.size() > kLongestPath || target.size() > kLongestPath) return;
  text_ += path.size() + target.size();
  if (text_ > kMostText) {
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
  if (++steps_ > kMostSteps) {
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
    if (++followed > kMostFollowed) return {.end = Way::End::nowhere};
    if (link->kind == Kind::hard) done.clear();
    pending = link->target + "/" + std::string(rest);
    rest = pending;
  }
  return {.path = std::move(done)};
}

void refuse_way_out(const LinkMap::Way& way) {
  throw Error(
      ErrorCode::integrity,
      "link " + in_quotes(way.path) + " points out of the archive, to " + in_quotes(way.target),
      "a link with an artifact's name must lead to a member of the archive");
}

}  // namespace pyro

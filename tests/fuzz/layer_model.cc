// The files of layers that are laid over each other.
#include "layer_model.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace pyro::fuzz {
namespace {

using Type = image::LayerEntry::Type;

std::string below(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

std::string above(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos ? "" : path.substr(0, slash);
}

bool is_in(const std::string& path, const std::string& directory) {
  return directory.empty() ? !path.empty() : path.starts_with(directory + "/");
}

}  // namespace

LayerModel::LayerModel() {
  names_[""] = {
      std::make_shared<Node>(Node{{.path = "", .type = Type::directory, .mode = 0755}, ""}), 0};
}

bool LayerModel::add(const image::LayerEntry& entry, const std::string& content) try {
  lay(entry, content);
  return true;
} catch (const Refused&) {
  return false;
}

LayerModel::Components LayerModel::components_of(const std::string& path) {
  Components components;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, end - at);
    if (!name.empty() && name != ".") components.push_back(name);
    at = end + 1;
  }
  return components;
}

void LayerModel::lay(const image::LayerEntry& entry, const std::string& content) {
  const auto checked = [](const std::string& text) {
    Components path = components_of(text);
    if (text.size() > 4096 || text.find('\0') != text.npos) throw Refused();
    for (const std::string& name : path) {
      if (name == ".." || name.size() > 255) throw Refused();
    }
    return path;
  };
  Components path = checked(entry.path);
  if (path.empty() && entry.type != Type::directory) throw Refused();
  if (path.empty()) {
    names_[""] = {std::make_shared<Node>(Node{entry, ""}), layer_};
    return;
  }
  const std::string name = path.back();
  path.pop_back();
  for (const std::string& parent : path) {
    if (parent.starts_with(".wh..wh.")) return;
    if (parent.starts_with(".wh.")) throw Refused();
  }
  const bool is_at_top = path.empty();
  if (is_at_top && (name == "stargz.index.json" || name == ".prefetch.landmark" ||
                    name == ".no.prefetch.landmark")) {
    return;
  }
  if (name.starts_with(".wh..wh.") && name != ".wh..wh..opq") return;
  if (name.starts_with(".wh.")) {
    const std::string hidden = name.substr(4);
    if (entry.type != Type::file || hidden.empty() || hidden == "." || hidden == "..") {
      throw Refused();
    }
    const auto directory = resolve(path, false);
    if (!directory) return;
    if (name == ".wh..wh..opq") return remove_lower(*directory, false);
    return remove_lower(below(*directory, hidden), true);
  }
  if (entry.type == Type::symlink &&
      (entry.link_target.empty() || entry.link_target.size() > 4095 ||
       entry.link_target.find('\0') != std::string::npos)) {
    throw Refused();
  }
  if (entry.type == Type::hard_link) static_cast<void>(checked(entry.link_target));
  const std::string at = below(*resolve(path, true), name);
  if (entry.type == Type::hard_link) {
    Components target = components_of(entry.link_target);
    if (target.empty()) throw Refused();
    const std::string target_name = target.back();
    target.pop_back();
    const auto directory = resolve(target, false);
    if (!directory) throw Refused();
    const auto found = names_.find(below(*directory, target_name));
    if (found == names_.end() || is_directory(found->first)) throw Refused();
    return put(at, found->second.node);
  }
  if (entry.type == Type::character_device && entry.device_major == 0 && entry.device_minor == 0) {
    return remove_all(at);
  }
  if (entry.type == Type::directory && is_directory(at)) {
    names_[at] = {std::make_shared<Node>(Node{entry, ""}), layer_};
    return;
  }
  put(at, std::make_shared<Node>(Node{entry, content}));
}

void LayerModel::put(const std::string& path, std::shared_ptr<Node> node) {
  // As deep as 512 directories.
  if (components_of(path).size() > 512) throw Refused();
  remove_all(path);
  names_[path] = {std::move(node), layer_};
}

void LayerModel::remove_all(const std::string& path) {
  std::erase_if(names_,
                [&](const auto& name) { return name.first == path || is_in(name.first, path); });
}

void LayerModel::remove_lower(const std::string& path, bool with_itself) {
  std::vector<std::string> candidates;
  for (const auto& [name, found] : names_) {
    if (is_in(name, path) || (with_itself && name == path)) candidates.push_back(name);
  }
  // A directory comes after its entries.
  std::ranges::sort(candidates, std::greater<>());
  for (const std::string& name : candidates) {
    if (names_.at(name).layer < layer_ && !has_entries(name)) names_.erase(name);
  }
}

bool LayerModel::is_directory(const std::string& path) const {
  const auto found = names_.find(path);
  return found != names_.end() && found->second.node->attributes.type == Type::directory;
}

bool LayerModel::has_entries(const std::string& path) const {
  const auto next = names_.lower_bound(path + "/");
  return next != names_.end() && is_in(next->first, path);
}

std::optional<std::string> LayerModel::resolve(Components path, bool make) {
  std::string at;
  int links = 0;
  while (!path.empty()) {
    const std::string name = path.front();
    path.pop_front();
    if (name == "..") {
      at = above(at);
      continue;
    }
    const std::string next = below(at, name);
    const auto found = names_.find(next);
    if (found != names_.end() && found->second.node->attributes.type == Type::symlink) {
      if (++links > 40) throw Refused();
      const std::string& target = found->second.node->attributes.link_target;
      if (target.starts_with('/')) at.clear();
      const Components before = components_of(target);
      path.insert(path.begin(), before.begin(), before.end());
      continue;
    }
    if (!is_directory(next)) {
      if (!make) return std::nullopt;
      if (found != names_.end() && found->second.layer == layer_) throw Refused();
      if (name.size() > 255) throw Refused();
      put(next,
          std::make_shared<Node>(Node{{.path = "", .type = Type::directory, .mode = 0755}, ""}));
    }
    at = next;
  }
  return at;
}

}  // namespace pyro::fuzz

// A model of stacked layers as on a file system, in memory: slow, simple, and independent of pyro's
// implementation.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "oracle.h"
#include "stream/tar.h"

namespace pyro::fuzz {

class ArchiveModel {
 public:
  /// For layers that pyro accepts: they are well-formed and within the limits.
  void add(Bytes layer);

  /// Whether the model has all that is in the layers. It has no members below links, and no hard
  /// links that outlive their target's first name.
  [[nodiscard]] bool is_exact() const;

  /// The content of the artifact nearest to the top; nothing where there is none.
  [[nodiscard]] std::optional<std::string> artifact(std::size_t kind) const;

 private:
  struct Node {
    std::optional<std::string> content = {};  // nothing: a link
    std::string target = {};
    bool hard = false;
  };
  using Nodes = std::map<std::string, Node>;

  void lay(const TarMember& member, TarReader& reader);
  void put(const std::string& path, Node node);
  void whiteout(const std::string& directory, const std::string& name);
  void remove(const std::string& path);
  void remove_below(const std::string& directory);
  [[nodiscard]] const Node* find(const std::string& path) const;
  [[nodiscard]] std::optional<std::string> end_of(const std::string& path) const;
  [[nodiscard]] std::optional<std::string> end_of_artifact(std::size_t kind) const;

  Nodes lower_;
  Nodes upper_;
  std::set<std::string> hard_targets_;
  bool exact_ = true;
};

}  // namespace pyro::fuzz

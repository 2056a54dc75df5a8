// The files of layers that are laid over each other, by full paths in a map: slow, simple, and with
// nothing of how pyro does it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "image/layers.h"

namespace pyro::fuzz {

class LayerModel {
 public:
  struct Node {
    image::LayerEntry attributes;
    std::string content;
  };
  struct Name {
    std::shared_ptr<Node> node;
    unsigned layer = 0;
  };
  /// By path, "a/b"; the root is "".
  using Names = std::map<std::string, Name>;

  LayerModel();

  void begin_layer() { ++layer_; }

  /// False where the entry has to be refused.
  [[nodiscard]] bool add(const image::LayerEntry& entry, const std::string& content);

  [[nodiscard]] const Names& names() const { return names_; }

 private:
  using Components = std::deque<std::string>;
  struct Refused {};

  static Components components_of(const std::string& path);
  void lay(const image::LayerEntry& entry, const std::string& content);
  void put(const std::string& path, std::shared_ptr<Node> node);
  void remove_all(const std::string& path);
  void remove_lower(const std::string& path, bool with_itself);
  [[nodiscard]] bool is_directory(const std::string& path) const;
  [[nodiscard]] bool has_entries(const std::string& path) const;
  /// Where a directory is; nothing where it is missing and not to be made.
  [[nodiscard]] std::optional<std::string> resolve(Components path, bool make);

  Names names_;
  unsigned layer_ = 0;
};

}  // namespace pyro::fuzz

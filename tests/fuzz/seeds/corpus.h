// What fuzzing begins with: small inputs, good and bad, of every kind that there is.
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pyro::testing {

inline const std::string kHex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
inline const std::string kDigest = "sha256:" + kHex;

/// The corpus of one target.
class Corpus {
 public:
  Corpus(const std::filesystem::path& root, std::string_view target) : directory_(root / target) {
    std::filesystem::create_directories(directory_);
  }

  /// @throws std::runtime_error when it cannot be written
  void add(const std::string& name, std::string_view content) const {
    std::ofstream file(directory_ / ("seed-" + name), std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    if (!file) throw std::runtime_error("cannot write " + directory_.string());
  }

  /// In one piece, and in many: the first byte says which.
  void add_stream(const std::string& name, const std::string& content) const {
    add(name, std::string(1, '\0') + content);
    add(name + "-cut", std::string(1, '\5') + content);
  }

 private:
  std::filesystem::path directory_;
};

/// The corpora of the targets that read texts: references, headers, settings, JSON.
void write_documents(const std::filesystem::path& root);
/// ... tar archives, whole and packed.
void write_archives(const std::filesystem::path& root);
/// ... the layers of container images.
void write_layers(const std::filesystem::path& root);
/// ... what other processes say: a guest, QEMU, the extractor.
void write_messages(const std::filesystem::path& root);

}  // namespace pyro::testing

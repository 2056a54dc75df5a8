// An extraction as tests want it: layers in, artifacts out.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "sandbox/sandboxed_extractor.h"
#include "stream/merged_view.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro {

/// Extracts layers into a directory of its own.
class Bench {
 public:
  explicit Bench(const ExtractionLimits& limits = {}) : limits_(limits) {
    for (std::size_t i = 0; i < MergedView::kFiles; ++i) {
      const auto path = dir_ / std::to_string(i);
      files_.push_back(open_at(AT_FDCWD, path.string(), O_RDWR | O_CREAT | O_EXCL, 0644, path));
    }
  }

  void use(const std::filesystem::path& extractor) { extractor_ = extractor; }
  void make(ExtractionProduct product) { product_ = product; }

  struct Layer {
    LayerForm form;
    std::string bytes;
  };

  /// The artifacts' content by name, after as many passes as it takes.
  std::map<std::string, std::string> extract(const std::vector<Layer>& layers) {
    for (std::vector<LinkTarget> targets;;) {
      ++passes_;
      try {
        return extract(layers, targets);
      } catch (const TargetsMissing& missing) {
        targets.insert(targets.end(), missing.targets().begin(), missing.targets().end());
      }
    }
  }

  [[nodiscard]] int passes() const { return passes_; }

  std::map<std::string, std::string> extract(const std::vector<std::string>& tars) {
    std::vector<Layer> layers;
    for (const std::string& tar : tars) layers.push_back({{}, tar});
    return extract(layers);
  }

  [[nodiscard]] std::uint64_t allocated(std::size_t kind) const {
    struct stat status {};
    ::fstat(files_[kind * MergedView::kMaxCandidates].get(), &status);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }

 private:
  std::map<std::string, std::string> extract(const std::vector<Layer>& layers,
                                             const std::vector<LinkTarget>& targets) {
    std::vector<int> descriptors;
    for (const Fd& file : files_) descriptors.push_back(file.get());
    SandboxedExtractor extraction(extractor_, descriptors, limits_, {}, {product_, targets});
    for (std::size_t i = 0; i < layers.size(); ++i) {
      extraction.begin_layer("layer " + std::to_string(i + 1), layers[i].form);
      extraction.write(std::as_bytes(std::span(layers[i].bytes)));
      extraction.end_layer();
    }
    std::map<std::string, std::string> content;
    for (const WrittenArtifact& artifact : extraction.finish()) {
      const std::string text = testing::read_file(dir_ / std::to_string(artifact.file));
      EXPECT_EQ(text.size(), artifact.size);
      content[std::string(kArtifactKinds[artifact.kind].name)] = text;
    }
    return content;
  }

  testing::TempDir dir_;
  ExtractionLimits limits_;
  ExtractionProduct product_ = ExtractionProduct::artifacts;
  int passes_ = 0;
  std::filesystem::path extractor_ = PYRO_EXECUTABLE;
  std::vector<Fd> files_;
};

inline std::map<std::string, std::string> extract(const std::vector<std::string>& layers) {
  return Bench().extract(layers);
}

struct Refusal {
  const char* name;
  std::vector<std::string> layers;
  std::string says;
};

inline void expect_refused(const Refusal& row) {
  try {
    extract(row.layers);
    ADD_FAILURE() << "was extracted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_NE(std::string(error.what()).find(row.says), std::string::npos) << error.what();
  }
}

using Artifacts = std::map<std::string, std::string>;
inline const Artifacts kBoth = {{"vmlinux", "kernel"}, {"rootfs.ext4", "root"}};

inline testing::TarBuilder both() {
  return testing::TarBuilder().file("vmlinux", "kernel").file("rootfs.ext4", "root");
}

}  // namespace pyro

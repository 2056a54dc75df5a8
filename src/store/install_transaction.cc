// An install in the making.
#include "store/install_transaction.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "stream/artifact_content.h"
#include "stream/merged_view.h"

namespace pyro {
namespace {

std::string candidate_name(std::size_t file) {
  return "candidate-" + std::to_string(file);
}

}  // namespace

InstallTransaction::InstallTransaction(const CacheLayout& layout, const Environment& environment)
    : destination_(layout.install_dir(environment)),
      platform_(layout.make_platform()),
      staging_(layout) {}

std::vector<int> InstallTransaction::open_candidates() {
  std::vector<int> files;
  for (std::size_t file = 0; file < MergedView::kFiles; ++file) {
    const std::string name = candidate_name(file);
    candidates_.push_back(open_at(directory(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644,
                                  staging_.path_of(name)));
    files.push_back(candidates_.back().get());
  }
  return files;
}

void InstallTransaction::keep(const std::vector<WrittenArtifact>& artifacts) {
  for (const WrittenArtifact& artifact : artifacts) {
    require_artifact_content(candidates_[artifact.file].get(), artifact.kind);
    // By the descriptor that wrote it: a new one would not hear of write-back that failed
    // meanwhile.
    sync_file(candidates_[artifact.file].get(), destination_ / kArtifactKinds[artifact.kind].name);
    const std::string from = candidate_name(artifact.file);
    const std::string to(kArtifactKinds[artifact.kind].name);
    if (::renameat(directory(), from.c_str(), directory(), to.c_str()) != 0) {
      throw system_error("cannot name " + staging_.path_of(to).string(), errno);
    }
  }
  for (std::size_t file = 0; file < candidates_.size(); ++file) {
    ::unlinkat(directory(), candidate_name(file).c_str(), 0);  // a kept one is gone already
  }
  candidates_.clear();
}

void InstallTransaction::commit(const InstallRecord& record) {
  write_record(record);
  staging_.publish(platform_.get(), destination_);
}

void InstallTransaction::write_record(const InstallRecord& record) const {
  const std::filesystem::path path = staging_.path_of(kRecordName);
  const Fd file =
      open_at(directory(), kRecordName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
  write_all(file.get(), record.render(), path);
  sync_file(file.get(), path);
}

}  // namespace pyro

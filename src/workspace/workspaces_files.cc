// The files of workspaces as their clients see them: copies, differences, patches.
#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>

#include "base/directories.h"
#include "base/files.h"
#include "base/output_file.h"
#include "base/text.h"
#include "pyro/workspace.h"
#include "workspace/client.h"
#include "workspace/difference.h"
#include "workspace/requests.h"
#include "workspace/supervisor.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Below kWorkspaceDirectory, if it is relative.
std::string path_in_guest(const std::string& path) {
  return path.starts_with('/') ? path : std::string(kWorkspaceDirectory) + '/' + path;
}

/// Relative to a directory: "src/main.c" for that and for "/workspace/./src/main.c"; empty for all
/// of it.
/// @throws Error(usage) for a path elsewhere
std::string path_below(const std::string& path, const char* directory) {
  const fs::path below =
      fs::path(path_in_guest(path)).lexically_normal().lexically_relative(directory);
  if (below.empty() || *below.begin() == "..") {
    throw Error(ErrorCode::usage, in_quotes(path) + " is not in " + directory);
  }
  const std::string text = below.string();
  return text == "." ? "" : text.substr(0, text.find_last_not_of('/') + 1);
}

json changes_request(const fs::path& to, const DiffOptions& options) {
  for (const char* const name : {"a", "b"}) make_directories(to / name, 0700);
  std::vector<std::string> paths;
  for (const std::string& path : options.paths) {
    paths.push_back(options.whole_system ? path_below(path, "/")
                                         : path_below(path, kWorkspaceDirectory));
  }
  json request = request_of(request::kCopyChanges, paths, to.string(), options.whole_system);
  request["exports"] = paths.empty() && options.against == kBaseline && !options.only_counts;
  return request;
}

/// `on_host`: the side of the copy that may be a descriptor of this process (/dev/stdout).
json send_copy(const WorkspaceClient& client, const std::string& name, const std::string& on_host,
               const WorkspaceCall& call, const std::function<json(bool is_stream)>& make_request) {
  const Fd here = open_at(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0, ".");
  const Fd stream = duplicate_own_descriptor(on_host);
  std::vector<int> descriptors{here.get()};
  if (stream) descriptors.push_back(stream.get());
  return client.send(name, call, make_request(static_cast<bool>(stream)), descriptors);
}

}  // namespace

std::size_t Workspaces::copy_in(const std::string& name, const Copy& copy,
                                const WorkspaceCall& call) {
  const Copy asked{copy.from, path_in_guest(copy.to)};
  return send_copy(*impl_, name, copy.from, call,
                   [&](bool is_stream) { return request_of(request::kCopyIn, asked, is_stream); });
}

CopiedOut Workspaces::copy_out(const std::string& name, const CopyOut& copy,
                               const WorkspaceCall& call) {
  CopyOut asked = copy;
  asked.from = path_in_guest(copy.from);
  return copied_of(send_copy(*impl_, name, copy.to, call,
                             [&](bool is_stream) { return request_of(asked, is_stream); }));
}

WorkspaceDiff Workspaces::diff(const std::string& name, const DiffOptions& options,
                               const WorkspaceCall& call) const {
  const TemporaryDirectory directory;
  if (options.against == kBaseline) {
    impl_->send(name, call, changes_request(directory.path(), options));
  } else {
    const fs::path before = directory.make("before");
    const fs::path now = directory.make("now");
    // Of a machine that goes on from the snapshot for this alone.
    const auto made = impl_->make_fork(name, options.against, call);
    impl_->send_first(name, WorkspaceRole::temporary, made, call, changes_request(before, options));
    impl_->send(name, call, changes_request(now, options));
    join_changes(before, now, directory.path());
  }
  return compare_trees(directory.path(), options.only_counts, call.stop);
}

std::vector<std::string> Workspaces::patch(const std::string& name, std::string_view patch,
                                           const WorkspaceCall& call) {
  static_cast<void>(impl_->directory().require(name));
  const TemporaryDirectory directory;
  const fs::path tree = directory.make("tree");
  const Patch read = read_patch(patch, directory.path(), call.stop);
  impl_->send(name, call, request_of(request::kCopyFiles, read.paths, tree.string()));
  apply_patch(read, tree, call.stop);
  std::vector<std::string> removed;
  std::ranges::copy_if(read.paths, std::back_inserter(removed), [&](const std::string& path) {
    return !fs::exists(fs::symlink_status(tree / path));
  });
  impl_->send(name, call, request_of(request::kReplaceFiles, removed, tree.string()));
  return read.paths;
}

}  // namespace pyro

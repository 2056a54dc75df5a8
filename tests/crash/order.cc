// The order of system calls that makes an install safe against power loss.
#include "crash/order.h"

#include <algorithm>
#include <limits>

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

bool changes_names(const SystemCall& call) {
  switch (call.effect) {
    case Effect::open:
    case Effect::rename:
    case Effect::remove:
    case Effect::make_directory:
    case Effect::make_link:
      return true;
    default:
      return false;
  }
}

bool changes_names_in(const SystemCall& call, const fs::path& directory) {
  return changes_names(call) &&
         (call.path.parent_path() == directory || call.to.parent_path() == directory);
}

bool changes_file(const SystemCall& call, const FileId& file) {
  const bool changes = call.effect == Effect::open || call.effect == Effect::content ||
                       call.effect == Effect::attributes;
  return changes && call.file == file;
}

class Checker {
 public:
  Checker(const std::vector<SystemCall>& calls, const Publication& expected)
      : calls_(calls), expected_(expected) {}

  std::vector<std::string> run() {
    publish_ = find_publish();
    if (publish_ == nullptr) return std::move(violations_);
    check_final_names();
    for (const auto& [name, file] : expected_.files) check_file(name, file);
    check_staged_names();
    check_parents_of_publish();
    check_new_directories();
    return std::move(violations_);
  }

 private:
  void complain(const std::string& what) { violations_.push_back(what); }

  bool is_publish(const SystemCall& call) const {
    return call.effect == Effect::rename && call.to == expected_.destination && call.succeeded();
  }

  const SystemCall* find_publish() {
    const auto is_it = [&](const SystemCall& call) { return is_publish(call); };
    const auto times = std::ranges::count_if(calls_, is_it);
    if (times != 1) complain("published " + std::to_string(times) + " times");
    return times == 1 ? &*std::ranges::find_if(calls_, is_it) : nullptr;
  }

  /// Whether a sync that `matches` lies between two positions.
  template <typename Matches>
  bool synced_between(std::size_t from, std::size_t to, const Matches& matches) const {
    return std::ranges::any_of(calls_, [&](const SystemCall& call) {
      return call.effect == Effect::sync && call.succeeded() && call.begin > from &&
             call.end < to && matches(call);
    });
  }

  bool directory_synced_between(std::size_t from, std::size_t to, const fs::path& path) const {
    return synced_between(from, to, [&](const SystemCall& call) { return call.path == path; });
  }

  /// The end of the last call before the publishing rename that `matches`. One that had not
  /// returned by then ends never.
  template <typename Matches>
  std::size_t last_before_publish(const Matches& matches) const {
    std::size_t last = 0;
    for (const SystemCall& call : calls_) {
      if (call.begin >= publish_->begin || !matches(call)) continue;
      last = std::max(last, call.result ? call.end : kNever);
    }
    return last;
  }

  void check_final_names() {
    for (const SystemCall& call : calls_) {
      if (&call == publish_ || call.effect == Effect::sync) continue;
      // The final name exists already, and the rename failed.
      if (call.effect == Effect::rename && !call.succeeded()) continue;
      for (const fs::path& path : {call.path, call.to}) {
        if (path != expected_.platform && is_within(path, expected_.platform)) {
          complain("at a final name: " + call.describe());
        }
      }
    }
  }

  void check_file(const std::string& name, const FileId& file) {
    const std::size_t changed =
        last_before_publish([&](const SystemCall& call) { return changes_file(call, file); });
    const bool synced = synced_between(changed, publish_->begin,
                                       [&](const SystemCall& call) { return call.file == file; });
    if (!synced) complain("published before it was durable: " + name);
    for (const SystemCall& call : calls_) {
      if (call.begin > publish_->begin && changes_file(call, file)) {
        complain("changed after it was published: " + name);
      }
    }
  }

  void check_staged_names() {
    const fs::path& staged = publish_->path;
    if (staged.parent_path() != expected_.staging) complain("not staged: " + staged.string());
    const std::size_t changed =
        last_before_publish([&](const SystemCall& call) { return changes_names_in(call, staged); });
    if (!directory_synced_between(changed, publish_->begin, staged)) {
      complain("published before its names were durable");
    }
  }

  std::size_t reported() const {
    const auto first = std::ranges::find(calls_, expected_.output, &SystemCall::path);
    return first == calls_.end() ? kNever : first->begin;
  }

  void check_parents_of_publish() {
    for (const fs::path& parent : {expected_.platform, expected_.staging}) {
      if (!directory_synced_between(publish_->end, reported(), parent)) {
        complain("reported before the rename was durable in " + parent.filename().string());
      }
    }
  }

  void check_new_directories() {
    for (const SystemCall& call : calls_) {
      if (call.effect != Effect::make_directory || !call.succeeded()) continue;
      if (!directory_synced_between(call.end, reported(), call.path.parent_path())) {
        complain("reported before the new name was durable: " + call.path.string());
      }
    }
  }

  const std::vector<SystemCall>& calls_;
  const Publication& expected_;
  const SystemCall* publish_ = nullptr;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> order_violations(const std::vector<SystemCall>& calls,
                                          const Publication& publication) {
  return Checker(calls, publication).run();
}

}  // namespace pyro::testing

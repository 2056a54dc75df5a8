// Copies a file or tree from a guest to the host.
#include <optional>

#include "machine/guest_requests.h"
#include "machine/tree_receiver.h"

namespace pyro {
namespace {

using guest::FrameType;

[[noreturn]] void fail(std::string_view payload) {
  const int error = fixed_part<guest::RefusalPayload>(payload).error_number;
  throw Error(ErrorCode::failed,
              system_error("the guest cannot read " + shortened(payload), error).what());
}

/// Receives the tree that was asked for. `to`, `name`, `rules`: as of TreeReceiver.
void receive_tree(GuestSession& session, const std::string& to, const std::string& name,
                  TreeReceiver::Links links, const Note& note, const Timeout& timeout,
                  RunningOperation& operation, TreeRules* rules = nullptr) {
  std::optional<TreeReceiver> tree;
  bool ended = false;
  while (true) {
    const GuestFrame frame = session.next(timeout.from_now());
    if (frame.type == FrameType::refused) fail(frame.payload);
    // A tree ends with tree_end, and only done follows.
    if (ended != (frame.type == FrameType::done)) refuse_frame();
    switch (frame.type) {
      case FrameType::entry:
        // By reference: the limit is for the whole copy.
        if (!tree) tree.emplace(to, name, std::ref(note), links, rules);
        tree->entry(frame.payload);
        break;
      case FrameType::data:
        if (!tree) refuse_frame();
        tree->data(frame.payload);
        operation.add(frame.payload.size());
        break;
      case FrameType::hole:
        if (!tree) refuse_frame();
        tree->hole(frame.payload);
        break;
      case FrameType::tree_end:
        if (tree) tree->finish();
        ended = true;
        break;
      case FrameType::left_out:
        note(shortened(frame.payload) + " in the guest is no file, directory or link: left out");
        break;
      case FrameType::done:
        return;
      default:
        refuse_frame();
    }
  }
}

}  // namespace

std::string copied_name(const std::string& path) {
  const std::string_view whole = path;
  const std::string_view below = whole.substr(0, whole.find_last_not_of('/') + 1);
  const std::string_view name = below.substr(below.rfind('/') + 1);
  return std::string(name == "." || name == ".." ? "" : name);
}

Note limit_notes(const Note& note) {
  constexpr int kMaxNotes = 20;  // there may be more to leave out than files
  return [&note, told = 0](std::string_view text) mutable {
    if (++told <= kMaxNotes) note(text);
  };
}

void copy_out(GuestSession& session, const Copy& copy, const Note& note, const Timeout& timeout,
              ProgressListener* progress, TreeRules* rules) {
  RunningOperation operation(
      progress, {.name = "copying out", .subject = copy.from, .unit = ProgressUnit::bytes});
  const Note tell = limit_notes(note);
  for (const std::string& path : {copy.from, copy.to}) require_no_zero_byte(path);
  try {
    session.send(FrameType::get, copy.from);
    receive_tree(session, copy.to, copied_name(copy.from), TreeReceiver::Links::within, tell,
                 timeout, operation, rules);
  } catch (Error& error) {
    timeout.explain(error);
    error.add_context("cannot copy " + shortened(copy.from) + " out of the guest to " +
                      shortened(copy.to));
    throw;
  }
}

void send_paths(GuestSession& session, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    require_no_zero_byte(path);
    if (path.size() >= guest::kMaxPayload) {
      throw Error(ErrorCode::usage, "a path is longer than Linux allows");
    }
    session.send(FrameType::argument, path);
  }
}

void copy_changes(GuestSession& session, ChangedFiles which, const ChangesScope& scope,
                  const std::string& to, const Note& note, const Timeout& timeout,
                  ProgressListener* progress) {
  RunningOperation operation(
      progress, {.name = "copying out", .subject = guest::kWorkspace, .unit = ProgressUnit::bytes});
  const Note tell = limit_notes(note);
  try {
    send_paths(session, scope.paths);
    guest::ChangesPayload changes;
    changes.are_before = which == ChangedFiles::before ? 1 : 0;
    changes.of_system = scope.of_system ? 1 : 0;
    session.send_fixed(FrameType::changes, changes);
    receive_tree(session, to + '/', {}, TreeReceiver::Links::all, tell, timeout, operation);
  } catch (Error& error) {
    throw error.add_context("cannot copy the changes out of the guest");
  }
}

void copy_files(GuestSession& session, const std::vector<std::string>& paths, const std::string& to,
                const Note& note, const Timeout& timeout) {
  RunningOperation operation(nullptr, {});
  const Note tell = limit_notes(note);
  try {
    send_paths(session, paths);
    session.send(FrameType::files);
    receive_tree(session, to + '/', {}, TreeReceiver::Links::all, tell, timeout, operation);
  } catch (Error& error) {
    throw error.add_context("cannot copy files out of the guest");
  }
}

void archive_system(GuestSession& session, int to, const Timeout& timeout,
                    ProgressListener* progress) {
  RunningOperation operation(
      progress, {.name = "reading", .subject = "the workspace", .unit = ProgressUnit::bytes});
  try {
    session.send(FrameType::archive);
    while (true) {
      const GuestFrame frame = session.next(timeout.from_now());
      if (frame.type == FrameType::done) return;
      if (frame.type == FrameType::refused) fail(frame.payload);
      if (frame.type != FrameType::data) refuse_frame();
      write_all(to, frame.payload, "the archive of the workspace");
      operation.add(frame.payload.size());
    }
  } catch (Error& error) {
    throw error.add_context("cannot read the system of the workspace");
  }
}

}  // namespace pyro

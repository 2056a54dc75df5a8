// Copies a file or tree from a guest to the host.
#include <optional>

#include "vm/conversation.h"
#include "vm/tree_receiver.h"

namespace pyro {
namespace {

using guest::FrameType;

[[noreturn]] void fail(std::string_view payload) {
  const int error = fixed_part<guest::RefusalPayload>(payload).error_number;
  throw Error(ErrorCode::failed,
              system_error("the guest cannot read " + shortened(payload), error).what());
}

}  // namespace

void copy_out(GuestLink& link, const Copy& copy, const Note& note, const Patience& patience) {
  const Note tell = first_of(note);
  for (const std::string& path : {copy.from, copy.to}) require_no_zero_byte(path);
  try {
    link.send(FrameType::get, copy.from);
    std::optional<TreeReceiver> tree;
    bool ended = false;
    while (true) {
      const GuestFrame frame = link.next(patience.from_now());
      if (frame.type == FrameType::refused) fail(frame.payload);
      // Nothing comes after a tree, and a copy is none without its end.
      if (ended != (frame.type == FrameType::done)) refuse_frame();
      switch (frame.type) {
        case FrameType::entry:
          // By reference: all parts of the copy share how many notes there may be.
          if (!tree) tree.emplace(copy.to, copied_name(copy.from), std::ref(tell));
          tree->entry(frame.payload);
          break;
        case FrameType::data:
          if (!tree) refuse_frame();
          tree->data(frame.payload);
          break;
        case FrameType::tree_end:
          if (tree) tree->finish();
          ended = true;
          break;
        case FrameType::left_out:
          tell(shortened(frame.payload) + " in the guest is no file, directory or link: left out");
          break;
        case FrameType::done:
          return;
        default:
          refuse_frame();
      }
    }
  } catch (Error& error) {
    patience.explain(error);
    error.add_context("cannot copy " + shortened(copy.from) + " out of the guest to " +
                      shortened(copy.to));
    throw;
  }
}

}  // namespace pyro

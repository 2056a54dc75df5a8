// Tests of the ways to show a pull.
#include "cli/progress.h"

#include <gtest/gtest.h>

#include "cli/captured_terminal.h"
#include "cli/progress_bar.h"
#include "cli/progress_json.h"
#include "cli/progress_plain.h"

namespace pyro::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1 << 20;

/// A clock that stands until it is moved.
struct Time {
  TimePoint now{};
  Clock clock() {
    return [this] { return now; };
  }
};

/// A pull of 100 MiB at 50 MiB/s, reported every 20 ms.
void pull(ProgressView& view, Time& time) {
  view.started("debian:12", "registry.example/team/env:1.0.0");
  view.expecting(100 * kMiB);
  for (std::uint64_t mib = 0; mib <= 100; ++mib, time.now += 20ms) view.received(mib * kMiB);
  view.committing();
  view.finished("debian:12", 100 * kMiB, 120 * kMiB);
}

std::size_t count(const std::string& text, std::string_view piece) {
  std::size_t found = 0;
  for (std::size_t at = text.find(piece); at != text.npos; at = text.find(piece, at + 1)) ++found;
  return found;
}

TEST(Progress, Plain) {
  CapturedTerminal captured;
  Time time;
  ProgressPlain view(captured.terminal(), time.clock());
  pull(view, time);
  EXPECT_EQ(captured.take(),
            "debian:12: pulling from registry.example/team/env:1.0.0\n"
            "debian:12: 10 %, 10.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 20 %, 20.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 30 %, 30.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 40 %, 40.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 50 %, 50.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 60 %, 60.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 70 %, 70.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 80 %, 80.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: 90 %, 90.0 of 100.0 MiB, 50.0 MiB/s\n"
            "debian:12: installed: 100.0 MiB in 2.0 s (49.5 MiB/s), 120.0 MiB on disk\n");
}

TEST(Progress, PlainSpeaksEveryFiveSecondsWithoutATotal) {
  CapturedTerminal captured;
  Time time;
  ProgressPlain view(captured.terminal(), time.clock());
  view.started("a", "b");
  static_cast<void>(captured.take());
  for (int second = 0; second <= 12; ++second, time.now += 1s) view.received(kMiB);
  EXPECT_EQ(captured.take(), "a: 1.0 MiB, 0 B/s\na: 1.0 MiB, 0 B/s\n");
}

TEST(Progress, PlainTellsOfOthers) {
  CapturedTerminal captured;
  Time time;
  ProgressPlain view(captured.terminal(), time.clock());
  view.waiting("a", 42);
  view.waiting("a", std::nullopt);
  view.warning("evil\x1b[2J");
  EXPECT_EQ(captured.take(),
            "a: waiting for process 42, which is at work on it\n"
            "a: waiting for another process, which is at work on it\n"
            "pyro: warning: evil\\x1b[2J\n");
}

TEST(Progress, NotesAreForThoseWhoAsked) {
  for (const ProgressKind kind : {ProgressKind::plain, ProgressKind::tty, ProgressKind::none}) {
    CapturedTerminal captured;
    const auto view = make_progress(kind, captured.terminal());
    view->note("a\x1b");
    EXPECT_EQ(captured.take(), "");
    view->set_verbosity(1);
    view->note("a\x1b");
    EXPECT_EQ(captured.take(), "pyro: a\\x1b\n");
  }
  CapturedTerminal captured;
  const auto view = make_progress(ProgressKind::json, captured.terminal());
  view->set_verbosity(1);
  view->note("a");
  EXPECT_EQ(captured.take(), "{\"event\":\"note\",\"message\":\"a\"}\n");
}

TEST(Progress, BarIsDrawnAtMostTenTimesASecond) {
  CapturedTerminal captured({.interactive = true});
  Time time;
  ProgressBar view(captured.terminal(), time.clock());
  pull(view, time);
  const std::string text = captured.take();
  // 21 in the two seconds, one note at the start and one at the end, one for the summary.
  EXPECT_EQ(count(text, "\r\x1b[K"), 24U);
  EXPECT_NE(text.find("\r\x1b[Kdebian:12  [====          ]   30 %  30.0 of 100.0 MiB  "
                      "50.0 MiB/s  2 s left"),
            std::string::npos)
      << text;
  EXPECT_TRUE(
      text.ends_with("\r\x1b[Kdebian:12  writing to disk\r\x1b[Kok: debian:12  100.0 MiB in "
                     "2.0 s (49.5 MiB/s), 120.0 MiB on disk\n"))
      << text;
}

TEST(Progress, BarIsClearedOnce) {
  CapturedTerminal captured({.interactive = true});
  Time time;
  {
    ProgressBar view(captured.terminal(), time.clock());
    view.started("a", "b");
    EXPECT_EQ(captured.take(), "\r\x1b[Ka  pulling from b");
    view.warning("w");
    EXPECT_EQ(captured.take(), "\r\x1b[Kpyro: warning: w\n");
    view.received(kMiB);
    EXPECT_EQ(captured.take(), "\r\x1b[Ka  1.0 MiB");
  }
  EXPECT_EQ(captured.take(), "\r\x1b[K");
}

TEST(Progress, Json) {
  CapturedTerminal captured;
  Time time;
  ProgressJson view(
      [&](const Json& event) { captured.terminal().try_write(render_json_line(event)); },
      time.clock());
  pull(view, time);
  view.waiting("a", 42);
  view.waiting("a", std::nullopt);
  view.warning("w\n");
  const std::string text = captured.take();
  EXPECT_EQ(count(text, "\"event\":\"progress\""), 22U);
  EXPECT_TRUE(text.starts_with(
      R"({"event":"started","environment":"debian:12","source":"registry.example/team/env:1.0.0"}
{"event":"progress","environment":"debian:12","received_bytes":0,"total_bytes":104857600}
)")) << text;
  EXPECT_TRUE(text.ends_with(
      R"({"event":"committing","environment":"debian:12"}
{"event":"finished","environment":"debian:12","received_bytes":104857600,"installed_bytes":125829120}
{"event":"waiting","environment":"a","holder":42}
{"event":"waiting","environment":"a","holder":null}
{"event":"warning","message":"w\n"}
)")) << text;
}

TEST(Progress, AnEventThatThereIsNoMemoryForIsLost) {
  Time time;
  int events = 0;
  ProgressJson view(
      [&](const Json&) {
        ++events;
        throw std::bad_alloc();
      },
      time.clock());
  view.set_verbosity(1);
  pull(view, time);
  view.retrying("a", "why", std::chrono::milliseconds(1));
  view.waiting("a", 42);
  view.warning("w");
  view.note("n");
  EXPECT_GT(events, 6);
}

TEST(Progress, AutomaticIsABarWhereSomebodyLooks) {
  CapturedTerminal log;
  CapturedTerminal screen({.interactive = true});
  const auto is_bar = [](const CapturedTerminal& captured, ProgressKind kind) {
    return dynamic_cast<ProgressBar*>(make_progress(kind, captured.terminal()).get()) != nullptr;
  };
  EXPECT_FALSE(is_bar(log, ProgressKind::automatic));
  EXPECT_TRUE(is_bar(screen, ProgressKind::automatic));
  EXPECT_FALSE(is_bar(screen, ProgressKind::plain));
  EXPECT_TRUE(is_bar(log, ProgressKind::tty));
}

TEST(Progress, NoneStillWarns) {
  CapturedTerminal captured;
  Time time;
  const auto view = make_progress(ProgressKind::none, captured.terminal());
  pull(*view, time);
  view->warning("w");
  EXPECT_EQ(captured.take(), "pyro: warning: w\n");
}

TEST(Progress, Kinds) {
  EXPECT_EQ(parse_progress_kind("auto"), ProgressKind::automatic);
  EXPECT_EQ(parse_progress_kind("json"), ProgressKind::json);
  EXPECT_EQ(parse_progress_kind("Auto"), std::nullopt);
  EXPECT_EQ(parse_progress_kind(""), std::nullopt);
}

}  // namespace
}  // namespace pyro::cli

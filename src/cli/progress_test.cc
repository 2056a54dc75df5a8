// Tests of the ways to show a pull.
#include "cli/progress.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "front/documents.h"
#include "support/captured_terminal.h"

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

TEST(Progress, PlainPrintsLineEveryTenPercent) {
  CapturedTerminal captured;
  Time time;
  const auto made = make_progress(ProgressKind::plain, captured.terminal(), time.clock());
  ProgressView& view = *made;
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

TEST(Progress, PlainPrintsEveryFiveSecondsWithoutTotal) {
  CapturedTerminal captured;
  Time time;
  const auto made = make_progress(ProgressKind::plain, captured.terminal(), time.clock());
  ProgressView& view = *made;
  view.started("a", "b");
  static_cast<void>(captured.take());
  for (int second = 0; second <= 12; ++second, time.now += 1s) view.received(kMiB);
  EXPECT_EQ(captured.take(), "a: 1.0 MiB, 0 B/s\na: 1.0 MiB, 0 B/s\n");
}

TEST(Progress, PlainPrintsWaitsAndEscapedWarnings) {
  CapturedTerminal captured;
  Time time;
  const auto made = make_progress(ProgressKind::plain, captured.terminal(), time.clock());
  ProgressView& view = *made;
  view.waiting("a", 42);
  view.waiting("a", std::nullopt);
  view.warning("evil\x1b[2J");
  EXPECT_EQ(captured.take(),
            "a: waiting for process 42, which is at work on it\n"
            "a: waiting for another process, which is at work on it\n"
            "pyro: warning: evil\\x1b[2J\n");
}

TEST(Progress, PrintsNotesOnlyIfVerbose) {
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
  const auto made = make_progress(ProgressKind::tty, captured.terminal(), time.clock());
  ProgressView& view = *made;
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
    const auto made = make_progress(ProgressKind::tty, captured.terminal(), time.clock());
    ProgressView& view = *made;
    view.started("a", "b");
    EXPECT_EQ(captured.take(), "\r\x1b[Ka  pulling from b");
    view.warning("w");
    EXPECT_EQ(captured.take(), "\r\x1b[Kpyro: warning: w\n");
    view.received(kMiB);
    EXPECT_EQ(captured.take(), "\r\x1b[Ka  1.0 MiB");
  }
  EXPECT_EQ(captured.take(), "\r\x1b[K");
}

TEST(Progress, JsonPrintsOneEventPerLine) {
  CapturedTerminal captured;
  Time time;
  ProgressEvents view(
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

TEST(Progress, DropsEventsOnBadAlloc) {
  Time time;
  int events = 0;
  ProgressEvents view(
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

TEST(Progress, AutomaticShowsBarOnTerminalOnly) {
  CapturedTerminal log;
  CapturedTerminal screen({.interactive = true});
  const auto is_bar = [](CapturedTerminal& captured, ProgressKind kind) {
    make_progress(kind, captured.terminal())->started("a", "b");
    return captured.take().starts_with("\r\x1b[K");
  };
  EXPECT_FALSE(is_bar(log, ProgressKind::automatic));
  EXPECT_TRUE(is_bar(screen, ProgressKind::automatic));
  EXPECT_FALSE(is_bar(screen, ProgressKind::plain));
  EXPECT_TRUE(is_bar(log, ProgressKind::tty));
}

TEST(Progress, NonePrintsWarningsOnly) {
  CapturedTerminal captured;
  Time time;
  const auto view = make_progress(ProgressKind::none, captured.terminal());
  pull(*view, time);
  view->warning("w");
  EXPECT_EQ(captured.take(), "pyro: warning: w\n");
}

TEST(Progress, ParsesKinds) {
  EXPECT_EQ(parse_progress_kind("auto"), ProgressKind::automatic);
  EXPECT_EQ(parse_progress_kind("json"), ProgressKind::json);
  EXPECT_EQ(parse_progress_kind("Auto"), std::nullopt);
  EXPECT_EQ(parse_progress_kind(""), std::nullopt);
}

constexpr TimePoint kStart{};

TEST(Transfer, RateCoversLastSecondsOnly) {
  Transfer transfer("debian:12", kStart);
  transfer.expect(100 * kMiB);
  EXPECT_EQ(transfer.rate(), std::nullopt);
  for (int i = 0; i <= 100; ++i) {
    // Ten seconds at 1 MiB/s, after which the wire falls silent.
    transfer.receive(static_cast<std::uint64_t>(i) * kMiB / 10, kStart + i * 100ms);
  }
  EXPECT_NEAR(*transfer.rate(), kMiB, 1000);
  EXPECT_NEAR(transfer.time_left()->count(), 90, 0.1);
  EXPECT_DOUBLE_EQ(*transfer.fraction(), 0.1);
  transfer.receive(10 * kMiB, kStart + 20s);
  EXPECT_LT(*transfer.rate(), kMiB / 2);
}

TEST(Transfer, HasNoFractionWithoutTotal) {
  Transfer transfer("debian:12", kStart);
  transfer.receive(kMiB, kStart);
  transfer.receive(2 * kMiB, kStart + 1s);
  EXPECT_NEAR(*transfer.rate(), kMiB, 1);
  EXPECT_EQ(transfer.fraction(), std::nullopt);
  EXPECT_EQ(transfer.time_left(), std::nullopt);
}

TEST(Transfer, FractionIsAtMostOne) {
  Transfer transfer("debian:12", kStart);
  transfer.expect(10);
  transfer.receive(0, kStart);
  transfer.receive(20, kStart + 1s);
  EXPECT_EQ(transfer.fraction(), 1);
  EXPECT_EQ(transfer.time_left()->count(), 0);
  transfer.expect(0);
  EXPECT_EQ(transfer.fraction(), std::nullopt);
}

TEST(Transfer, SummaryShortensToWidth) {
  Transfer transfer("debian:12", kStart);
  EXPECT_EQ(transfer.summary(352 * kMiB, kStart + 2s), "352.0 MiB on disk");
  transfer.receive(350 * kMiB, kStart + 2s);
  EXPECT_EQ(transfer.summary(352 * kMiB, kStart + 2s),
            "350.0 MiB in 2 s (175.0 MiB/s), 352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(352 * kMiB, kStart + 2s, 40), "350.0 MiB in 2 s, 352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(352 * kMiB, kStart + 2s, 30), "352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(352 * kMiB, kStart + 2s, 3), "352.0 MiB on disk");
  EXPECT_EQ(transfer.summary(0, kStart + 10ms), "350.0 MiB in 0.0 s, 0 B on disk");
}

}  // namespace
}  // namespace pyro::cli

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

/// An operation on a view whose clock is moved by hand.
class OperationProgress : public ::testing::Test {
 protected:
  void watch(ProgressKind kind) { view_ = make_progress(kind, terminal(), time_.clock()); }

  const Terminal& terminal() const { return captured_.terminal(); }

  /// Moves the clock, and ticks as often as the view's own thread would.
  std::string after(std::chrono::milliseconds time) {
    for (; time > 0ms; time -= 100ms) {
      time_.now += std::min<std::chrono::milliseconds>(time, 100ms);
      view_->tick();
    }
    return captured_.take();
  }

  static constexpr Operation kBooting{
      .name = "booting", .subject = "debian:12", .detail = "no KVM: emulated"};
  static constexpr Operation kReading{.name = "verifying",
                                      .subject = "debian:12",
                                      .unit = ProgressUnit::bytes,
                                      .total = 100 * kMiB};

  CapturedTerminal captured_{{.interactive = true}};
  Time time_;
  std::unique_ptr<ProgressView> view_;
};

TEST_F(OperationProgress, ShowsNothingInTheFirstSecond) {
  for (const ProgressKind kind : {ProgressKind::tty, ProgressKind::plain}) {
    watch(kind);
    {
      RunningOperation operation(view_.get(), kReading);
      operation.add(kMiB);
      EXPECT_EQ(after(900ms), "");
    }
    EXPECT_EQ(after(10s), "");
  }
}

TEST_F(OperationProgress, ShowsElapsedTimeOfSteps) {
  watch(ProgressKind::tty);
  {
    RunningOperation operation(view_.get(), kBooting);
    EXPECT_EQ(after(1s), "\r\x1b[Kbooting debian:12 (no KVM: emulated)  1 s");
    EXPECT_TRUE(after(4s).ends_with("\r\x1b[Kbooting debian:12 (no KVM: emulated)  5 s"));
    operation.set_detail("another machine");
    EXPECT_EQ(after(100ms), "\r\x1b[Kbooting debian:12 (another machine)  5 s");
  }
  EXPECT_EQ(after(1s), "\r\x1b[K");
}

TEST_F(OperationProgress, ShowsBytesAndRate) {
  watch(ProgressKind::tty);
  RunningOperation operation(view_.get(), kReading);
  std::string text;
  for (int i = 0; i < 20; ++i) {
    operation.add(kMiB);
    text = after(100ms);
  }
  EXPECT_EQ(text, "\r\x1b[Kverifying debian:12   20 %  20.0 of 100.0 MiB  10.0 MiB/s  8 s left");
}

TEST_F(OperationProgress, ShowsBytesWithoutATotal) {
  watch(ProgressKind::tty);
  RunningOperation operation(view_.get(),
                             {.name = "copying in", .subject = "src", .unit = ProgressUnit::bytes});
  operation.add(3 * kMiB);
  EXPECT_TRUE(after(2s).ends_with("\r\x1b[Kcopying in src  3.0 MiB  0 B/s"));
}

TEST_F(OperationProgress, DrawsAtMostTenTimesASecond) {
  watch(ProgressKind::tty);
  RunningOperation operation(view_.get(), kReading);
  static_cast<void>(after(1s));
  for (int i = 0; i < 200; ++i) {
    operation.add(kMiB / 10);
    time_.now += 10ms;
    view_->tick();
  }
  EXPECT_EQ(count(captured_.take(), "\r\x1b[K"), 20U);
}

TEST_F(OperationProgress, ErasesLineBeforeWarning) {
  watch(ProgressKind::tty);
  {
    const RunningOperation operation(view_.get(), kBooting);
    static_cast<void>(after(1s));
    view_->warning("w");
    EXPECT_EQ(captured_.take(), "\r\x1b[Kpyro: warning: w\n");
    EXPECT_EQ(after(100ms), "\r\x1b[Kbooting debian:12 (no KVM: emulated)  1 s");
  }
  EXPECT_EQ(captured_.take(), "\r\x1b[K");
}

TEST_F(OperationProgress, CutsTitleThatIsLongerThanALine) {
  watch(ProgressKind::tty);
  const std::string path(200, 'x');
  const RunningOperation operation(view_.get(), {.name = "copying out", .subject = path});
  const std::string text = after(1s);
  EXPECT_TRUE(text.ends_with("x...  1 s")) << text;
  EXPECT_LT(text.size(), terminal().width() + std::string("\r\x1b[K").size());
}

TEST_F(OperationProgress, EscapesSubjectAndDetail) {
  watch(ProgressKind::tty);
  const RunningOperation operation(view_.get(),
                                   {.name = "removing", .subject = "a\x1b", .detail = "b\n"});
  EXPECT_EQ(after(1s), "\r\x1b[Kremoving a\\x1b (b\\n)  1 s");
}

TEST_F(OperationProgress, PullGoesOnAfterAnOperation) {
  watch(ProgressKind::tty);
  view_->started("debian:12", "/environments/debian");
  {
    RunningOperation operation(view_.get(), kReading);
    EXPECT_NE(after(1s).find("verifying debian:12"), std::string::npos);
  }
  static_cast<void>(captured_.take());
  view_->committing();
  EXPECT_EQ(captured_.take(), "\r\x1b[Kdebian:12  writing to disk");
}

TEST_F(OperationProgress, ShortOperationLeavesLineOfItsPull) {
  watch(ProgressKind::tty);
  view_->started("debian:12", "/environments/debian");
  static_cast<void>(captured_.take());
  { const RunningOperation operation(view_.get(), kReading); }
  EXPECT_EQ(captured_.take(), "");
}

TEST_F(OperationProgress, PlainWritesLinesEveryTenPercentOrFiveSeconds) {
  watch(ProgressKind::plain);
  {
    RunningOperation operation(view_.get(), kReading);
    for (int i = 0; i < 40; ++i) {
      operation.add(kMiB);
      view_->tick();
      time_.now += 100ms;
    }
  }
  EXPECT_EQ(captured_.take(),
            "verifying debian:12: 11 %, 11.0 of 100.0 MiB, 10.0 MiB/s\n"
            "verifying debian:12: 20 %, 20.0 of 100.0 MiB, 10.0 MiB/s\n"
            "verifying debian:12: 30 %, 30.0 of 100.0 MiB, 10.0 MiB/s\n"
            "verifying debian:12: 40 %, 40.0 of 100.0 MiB, 10.0 MiB/s\n");
  const RunningOperation operation(view_.get(), kBooting);
  EXPECT_EQ(after(7s),
            "booting debian:12 (no KVM: emulated): 1 s\n"
            "booting debian:12 (no KVM: emulated): 6 s\n");
}

TEST_F(OperationProgress, IsShownInAPipeOnlyWhenAskedFor) {
  CapturedTerminal log;
  for (const ProgressKind kind : {ProgressKind::automatic, ProgressKind::none}) {
    const auto view = make_progress(kind, log.terminal(), time_.clock());
    const RunningOperation operation(view.get(), kBooting);
    time_.now += 10s;
    view->tick();
    EXPECT_EQ(log.take(), "");
  }
}

TEST_F(OperationProgress, SendsJsonEvents) {
  ProgressEvents view([&](const Json& event) { terminal().try_write(render_json_line(event)); },
                      time_.clock());
  {
    RunningOperation operation(&view, kReading);
    for (int i = 0; i < 10; ++i, time_.now += 20ms) operation.add(kMiB);
    operation.set_detail("rootfs.ext4");
  }
  const std::string text = captured_.take();
  EXPECT_EQ(count(text, "operation_progress"), 3U);  // at 0 ms, at 100 ms, and the detail
  EXPECT_TRUE(text.starts_with(
      R"({"event":"operation_started","operation":"verifying","subject":"debian:12","detail":null,"unit":"bytes","done":0,"total":104857600}
{"event":"operation_progress","operation":"verifying","subject":"debian:12","detail":null,"unit":"bytes","done":1048576,"total":104857600}
)")) << text;
  EXPECT_TRUE(text.ends_with(
      R"({"event":"operation_finished","operation":"verifying","subject":"debian:12","detail":"rootfs.ext4","unit":"bytes","done":10485760,"total":104857600}
)")) << text;
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

// A pull as JSON objects.
#include "cli/progress_json.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace pyro::cli {
namespace {

constexpr std::chrono::milliseconds kBetweenLines{100};

/// A listener throws nothing. An event that there is no memory for is lost; the pull is not.
template <typename Work>
void attempt(const Work& work) noexcept {
  try {
    work();
  } catch (...) {  // NOLINT(bugprone-empty-catch): as said.
  }
}

}  // namespace

ProgressJson::ProgressJson(EventSink sink, Clock clock)
    : sink_(std::move(sink)), clock_(std::move(clock)) {}

void ProgressJson::begin(std::string_view environment, std::string_view source) noexcept {
  attempt([&] {
    transfer_ = Transfer(environment, clock_());
    last_line_.reset();
    sink_({{"event", "started"}, {"environment", environment}, {"source", source}});
  });
}

void ProgressJson::expecting(std::uint64_t compressed_bytes) noexcept {
  transfer_.expect(compressed_bytes);
  attempt([&] { progress(); });
}

void ProgressJson::received(std::uint64_t compressed_bytes) noexcept {
  attempt([&] {
    const TimePoint now = clock_();
    transfer_.receive(compressed_bytes, now);
    if (last_line_ && now - *last_line_ < kBetweenLines) return;
    last_line_ = now;
    progress();
  });
}

void ProgressJson::progress() {
  sink_({{"event", "progress"},
         {"environment", transfer_.environment()},
         {"received_bytes", transfer_.received()},
         {"total_bytes", or_null(transfer_.total())}});
}

void ProgressJson::committing() noexcept {
  attempt([&] { sink_({{"event", "committing"}, {"environment", transfer_.environment()}}); });
}

void ProgressJson::finished(std::string_view environment, std::uint64_t received_bytes,
                            std::uint64_t installed_bytes) noexcept {
  attempt([&] {
    sink_({{"event", "finished"},
           {"environment", environment},
           {"received_bytes", received_bytes},
           {"installed_bytes", installed_bytes}});
  });
}

void ProgressJson::retrying(std::string_view environment, std::string_view why,
                            std::chrono::milliseconds pause) noexcept {
  attempt([&] {
    sink_({{"event", "retrying"},
           {"environment", environment},
           {"message", why},
           {"pause_seconds", static_cast<double>(pause.count()) / 1000}});
  });
}

void ProgressJson::waiting(std::string_view environment, std::optional<int> holder) noexcept {
  attempt([&] {
    sink_({{"event", "waiting"}, {"environment", environment}, {"holder", or_null(holder)}});
  });
}

void ProgressJson::warning(std::string_view text) noexcept {
  attempt([&] { sink_({{"event", "warning"}, {"message", text}}); });
}

void ProgressJson::show_note(std::string_view text) noexcept {
  attempt([&] { sink_({{"event", "note"}, {"message", text}}); });
}

}  // namespace pyro::cli

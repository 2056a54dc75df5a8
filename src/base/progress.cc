// A listener that does not care for an event says nothing.
#include "pyro/progress.h"

namespace pyro {

void ProgressListener::started(std::string_view, std::string_view) noexcept {}
void ProgressListener::expecting(std::uint64_t) noexcept {}
void ProgressListener::received(std::uint64_t) noexcept {}
void ProgressListener::committing() noexcept {}
void ProgressListener::finished(std::string_view, std::uint64_t, std::uint64_t) noexcept {}
void ProgressListener::retrying(std::string_view, std::string_view,
                                std::chrono::milliseconds) noexcept {}
void ProgressListener::waiting(std::string_view, std::optional<int>) noexcept {}
void ProgressListener::warning(std::string_view) noexcept {}
void ProgressListener::note(std::string_view) noexcept {}
void ProgressListener::detail(std::string_view) noexcept {}

}  // namespace pyro

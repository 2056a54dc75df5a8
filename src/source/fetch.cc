// What fetching an environment needs, whatever the source.
#include "source/fetch.h"

#include "base/free_space.h"

namespace pyro {

void FetchContext::expecting(std::uint64_t compressed_bytes) const {
  arrival.expected = compressed_bytes;
  progress.expecting(compressed_bytes);
}

void FetchContext::received(std::uint64_t compressed_bytes) const {
  arrival.received = compressed_bytes;
  progress.received(compressed_bytes);
}

void FetchContext::require_room_for(std::uint64_t compressed_bytes) const {
  require_free_space(room, compressed_bytes);
}

CurlOptions client_options(const FetchContext& context) {
  return client_options(context.network, context.stop, &context.progress);
}

RetryOptions retry_options(const FetchContext& context, const std::string& environment) {
  ProgressListener& progress = context.progress;
  return {.retries = context.network.retries,
          .delay = context.network.retry_delay,
          .stop = context.stop,
          .on_pause = [&progress, environment](const Error& why, std::chrono::milliseconds pause) {
            progress.retrying(environment, why.what(), pause);
          }};
}

}  // namespace pyro

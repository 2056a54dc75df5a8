// What fetching an environment needs, whatever the source.
#include "source/fetch.h"

namespace pyro {

CurlOptions curl_options(const FetchContext& context) {
  return {.network = context.network, .user_agent = "pyro/" PYRO_VERSION, .stop = context.stop};
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

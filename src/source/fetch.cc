// What fetching an environment needs, whatever the source.
#include "source/fetch.h"

namespace pyro {

CurlOptions curl_options(const FetchContext& context) {
  return {.ca_file = context.network.ca_file,
          .ca_directory = context.network.ca_directory,
          .user_agent = "pyro/" PYRO_VERSION,
          .offline = context.network.offline,
          .stop = context.stop};
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

// What fetching an environment needs, whatever the source.
#include "source/fetch.h"

namespace pyro {

CurlOptions curl_options(const FetchContext& context) {
  return {.ca_file = context.network.ca_file,
          .ca_directory = context.network.ca_directory,
          .user_agent = "pyro/" PYRO_VERSION,
          .stop = context.stop};
}

}  // namespace pyro

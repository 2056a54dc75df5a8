// Web pages in the place of what was asked for.
#include "net/web_page.h"

#include "net/url.h"
#include "pyro/error.h"

namespace pyro {

void refuse_web_page(const HttpResponse& response, std::string_view expected) {
  if (response.media_type() != "text/html") return;
  const auto url = Url::parse(response.url);
  throw Error(ErrorCode::network,
              (url ? url->authority() : "the server") +
                  " answered with a web page (text/html), not " + std::string(expected) +
                  ": a captive portal or a proxy's login page?",
              "check the name of the host; to a captive portal log in with a browser");
}

}  // namespace pyro

// What a command works with.
#include "cli/context.h"

#include "base/reference.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

bool is_utf8(const Variables& variables) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto locale = variables(name);
    if (locale)
      return locale->find("UTF-8") != locale->npos || locale->find("utf8") != locale->npos;
  }
  return false;
}

std::string not_empty(const char* option, const std::string& value) {
  if (value.empty()) {
    throw Error(ErrorCode::usage, std::string("option '") + option + "' needs a value");
  }
  return value;
}

}  // namespace

void declare(Arguments& arguments, GlobalOptions& options) {
  arguments.value(
      "--cache-dir", "DIR",
      [&](const std::string& text) { options.cache_dir = not_empty("--cache-dir", text); },
      "Keep environments in DIR");
  arguments.value(
      "--store", "DIR",
      [&](const std::string& text) { options.stores.push_back(not_empty("--store", text)); },
      "Look for what is installed in DIR, too, and only read it;\nmay be repeated");
  arguments.value(
      "--catalog", "FILE",
      [&](const std::string& text) { options.catalogs.push_back(not_empty("--catalog", text)); },
      "Add the environments of a catalog file; may be repeated");
  arguments.value(
      "--runtime-dir", "DIR",
      [&](const std::string& text) { options.runtime_dir = not_empty("--runtime-dir", text); },
      "Install from the runtime bundle in DIR where it can serve");
  arguments.value(
      "--ca-file", "FILE",
      [&](const std::string& text) { options.ca_file = not_empty("--ca-file", text); },
      "Trust the certificate authorities in FILE (PEM) instead of\nthe system's");
  arguments.value(
      "--trust-realm", "HOST",
      [&](const std::string& text) {
        if (!is_oci_registry(text)) {
          refuse_value("--trust-realm", text, "a host like auth.example.org");
        }
        options.trusted_realms.push_back(text);
      },
      "Send registry credentials to this token server, too;\nmay be repeated");
  arguments.flag("--offline", options.offline, "Ask no host for anything");
  arguments.counter(
      "-v,--verbose", options.verbosity,
      "Say which cache and catalogs are used, and what else may\nbe of interest; -vv: "
      "every request, too");
  if (!arguments.knows("--version")) {
    arguments.flag("--version", options.version, "Print the version");
  }
  arguments.flag("-h,--help", options.help, "Print this help");
}

Terminal standard_terminal(int fd, const Variables& variables) {
  const bool interactive = is_terminal(fd) && variables("TERM").value_or("dumb") != "dumb";
  return Terminal(fd, {.interactive = interactive,
                       .colour = interactive && !variables("NO_COLOR"),
                       .unicode = is_utf8(variables)});
}

}  // namespace pyro::cli

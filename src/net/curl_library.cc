// libcurl, loaded when the first request is made.
#include "net/curl_library.h"

#include <dlfcn.h>

#include <string>

#include "pyro/error.h"

namespace pyro {
namespace {

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorCode::failed, "libcurl cannot be used: " + why, "install the package libcurl4");
}

void* open_library() {
  // The name that carries the ABI's version, as the linker would have recorded it.
  void* const library = ::dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) fail(::dlerror());
  return library;
}

template <typename Function>
void load(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) fail(std::string("it has no ") + name);
}

CurlLibrary load_library() {
  void* const library = open_library();
  CurlLibrary curl{};
  load(library, "curl_easy_cleanup", curl.easy_cleanup);
  load(library, "curl_easy_getinfo", curl.easy_getinfo);
  load(library, "curl_easy_init", curl.easy_init);
  load(library, "curl_easy_setopt", curl.easy_setopt);
  load(library, "curl_easy_strerror", curl.easy_strerror);
  load(library, "curl_multi_add_handle", curl.multi_add_handle);
  load(library, "curl_multi_cleanup", curl.multi_cleanup);
  load(library, "curl_multi_info_read", curl.multi_info_read);
  load(library, "curl_multi_init", curl.multi_init);
  load(library, "curl_multi_perform", curl.multi_perform);
  load(library, "curl_multi_poll", curl.multi_poll);
  load(library, "curl_multi_remove_handle", curl.multi_remove_handle);
  load(library, "curl_multi_strerror", curl.multi_strerror);
  load(library, "curl_multi_wakeup", curl.multi_wakeup);
  load(library, "curl_slist_append", curl.slist_append);
  load(library, "curl_slist_free_all", curl.slist_free_all);
  decltype(&::curl_global_init) global_init = nullptr;
  load(library, "curl_global_init", global_init);
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("it cannot be initialised");
  return curl;
}

}  // namespace

const CurlLibrary& libcurl() {
  static const CurlLibrary curl = load_library();
  return curl;
}

}  // namespace pyro

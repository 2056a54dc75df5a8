// What a catch clause caught, as an Error.
#include "base/caught.h"

#include <exception>
#include <new>
#include <string>

namespace pyro {

Error caught_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::failed, "out of memory"};
  } catch (const std::exception& error) {
    return {ErrorCode::failed, std::string("unexpected failure: ") + error.what()};
  } catch (...) {
    return {ErrorCode::failed, "unexpected failure"};
  }
}

}  // namespace pyro

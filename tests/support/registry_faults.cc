// Faults of the fake registry, as data: which requests, and what goes wrong with their answers.
#include "support/registry_faults.h"

#include <utility>

namespace pyro::testing::faults {

Fault status(int status, Headers headers, std::string body) {
  return {.status = status, .body = std::move(body), .set_headers = std::move(headers)};
}

Fault challenge(const std::vector<std::string>& challenges) {
  Fault fault{.status = 401, .body = ""};
  fault.drop_headers = {"WWW-Authenticate"};
  for (const std::string& text : challenges)
    fault.add_headers.emplace_back("WWW-Authenticate", text);
  return fault;
}

Fault cut_after(std::size_t bytes, Ending ending) {
  return {.cut_after = bytes, .ending = ending};
}

Fault flip_byte_at(std::size_t offset) {
  return {.flip_byte_at = offset};
}

Fault extra_bytes(std::string bytes) {
  return {.extra_bytes = std::move(bytes)};
}

Fault header(std::string name, std::string value) {
  return {.set_headers = {{std::move(name), std::move(value)}}};
}

Fault without_header(std::string name) {
  const bool length = name == "Content-Length";
  return {.drop_headers = {std::move(name)}, .no_length = length};
}

Fault html() {
  return {.status = 200,
          .body = "<!DOCTYPE html><html><body>Please sign in.</body></html>\n",
          .set_headers = {{"Content-Type", "text/html; charset=utf-8"}},
          .drop_headers = {"Docker-Content-Digest"}};
}

Fault redirect(RedirectFault::To to, int status) {
  return {.redirect = RedirectFault{.to = to, .status = status}};
}

Fault redirect_to(std::string location, int status) {
  return {.redirect = RedirectFault{RedirectFault::To::location, std::move(location), status}};
}

Fault slow(std::size_t piece_size, std::chrono::milliseconds pause) {
  return {.piece_size = piece_size, .piece_delay = pause};
}

Fault held_after(std::size_t bytes) {
  return {.hold_after = bytes};
}

}  // namespace pyro::testing::faults

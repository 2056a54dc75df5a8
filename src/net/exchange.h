// One HTTP exchange as the transport's callbacks see it: a header line, a piece of body, an end.
//
// Source: RFC 9112; bounds in section 0 of the reliability notes and spec section 6.
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string_view>
#include <utility>

#include "net/http.h"

namespace pyro {

class Exchange {
 public:
  /// Both must outlive it.
  Exchange(const HttpRequest& request, const BodySink& sink) : request_(request), sink_(sink) {}

  /// One line of a header block, as it came; 1xx answers and trailers are among them.
  /// @throws Error(network) for a header beyond 256 KiB or 1000 fields, or with a folded line; what
  /// the request's on_head throws.
  void take_header(std::string_view line);
  /// False when no more of the body is wanted.
  bool take_body(std::span<const std::byte> bytes);

  /// Rethrows what a callback threw.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  void park() noexcept { failure_ = std::current_exception(); }

  /// Whether the answer can be used although the transfer failed: one that is no 2xx says what it
  /// has to say in its status.
  [[nodiscard]] bool is_answered_no() const { return head_done_ && !response_.ok(); }
  [[nodiscard]] HttpResponse take_response() { return std::move(response_); }

 private:
  void count_header(std::size_t bytes);
  void take_status_line(std::string_view line);
  void take_field(std::string_view line);
  void finish_head();

  const HttpRequest& request_;
  const BodySink& sink_;
  HttpResponse response_;
  std::size_t header_bytes_ = 0;
  std::size_t header_fields_ = 0;
  bool head_done_ = false;
  std::exception_ptr failure_;
};

}  // namespace pyro

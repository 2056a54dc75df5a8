// What a workspace's supervisor and its clients say to each other, over a Unix socket: JSON
// documents, with descriptors. A connection is one request, and ends with its result.
#pragma once

#include <cstddef>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "pyro/error.h"
#include "pyro/progress.h"

namespace pyro {

/// One document, and the descriptors that came with it.
struct Packet {
  nlohmann::json content;
  std::vector<Fd> descriptors = {};
};

/// An end of a connection. Thread-safe: any number of threads may send, and one receives.
class Link {
 public:
  explicit Link(Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

  /// Waits until all is sent. False when the other end is gone.
  bool send(const nlohmann::json& content, const std::vector<int>& descriptors = {});

  /// The next document; nothing at the end, and for bytes that are none.
  [[nodiscard]] std::optional<Packet> receive();

 private:
  [[nodiscard]] bool send_bytes(std::string_view bytes);

  const Fd socket_;
  std::mutex sending_;
};

/// Two connected ends.
[[nodiscard]] std::pair<Fd, Fd> make_link_ends();

/// An error as a document, and back.
[[nodiscard]] nlohmann::json document_of(const Error& error);
[[nodiscard]] Error error_of(const nlohmann::json& document);

/// Sends the progress of a request to the client, which replays it. Data is reported ten times a
/// second.
class LinkedProgress : public ProgressListener {
 public:
  explicit LinkedProgress(Link& link) : link_(link) {}

  void operation_started(const Operation& operation) noexcept override;
  void operation_detail(std::string_view detail) noexcept override;
  void operation_advanced(std::uint64_t done) noexcept override;
  void operation_finished() noexcept override;
  void prepared(std::string_view environment) noexcept override;
  void warning(std::string_view text) noexcept override;
  void note(std::string_view text) noexcept override;
  void detail(std::string_view text) noexcept override;

 private:
  void send(const char* event, nlohmann::json value) noexcept;

  Link& link_;
  std::chrono::steady_clock::time_point next_report_{};
};

/// Passes an event of LinkedProgress on. False when the document is none.
bool replay_progress(const nlohmann::json& document, ProgressListener* listener);

}  // namespace pyro

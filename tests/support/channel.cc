// One accepted connection of a test server, plain or TLS, with every way to end it.
#include "support/channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace pyro::testing {

Channel::Channel(FileDescriptor socket, SSL_CTX* tls) : socket_(std::move(socket)) {
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls == nullptr) return;
  tls_.reset(SSL_new(tls));
  SSL_set_fd(tls_.get(), socket_.get());
}

bool Channel::handshake() {
  if (!tls_) return true;
  ERR_clear_error();
  if (SSL_accept(tls_.get()) == 1) return true;
  // As Go's server, and so most registries, answer.
  if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST) {
    write_plain(
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
  }
  tls_.reset();
  return false;
}

std::size_t Channel::read(char* buffer, std::size_t size) {
  if (tls_) {
    std::size_t got = 0;
    ERR_clear_error();
    return SSL_read_ex(tls_.get(), buffer, size, &got) == 1 ? got : 0;
  }
  ssize_t got = 0;
  do {
    got = ::recv(socket_.get(), buffer, size, 0);
  } while (got < 0 && errno == EINTR);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

bool Channel::write(std::string_view bytes) {
  if (!tls_) return write_plain(bytes);
  if (bytes.empty()) return true;
  std::size_t wrote = 0;
  ERR_clear_error();
  return SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &wrote) == 1;
}

bool Channel::write_plain(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

void Channel::end(Ending ending) {
  // Nobody interrupts this any more, and the peer may have stopped reading.
  const timeval limit{1, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (ending == Ending::reset) {
    const linger at_once{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  } else if (tls_ && ending != Ending::no_close_notify) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());
  }
  tls_.reset();
  socket_.reset();
}

SslContextHandle server_context(const std::string& certificate_file, const std::string& key_file) {
  SslContextHandle context(SSL_CTX_new(TLS_server_method()));
  require_openssl(SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) == 1,
                  certificate_file);
  require_openssl(
      SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) == 1,
      key_file);
  return context;
}

void require_client(SSL_CTX* context, const std::string& authority_file) {
  require_openssl(SSL_CTX_load_verify_locations(context, authority_file.c_str(), nullptr) == 1,
                  authority_file);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

}  // namespace pyro::testing

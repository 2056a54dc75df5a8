// An environment out of one archive.
#include "source/archive_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>

#include "base/files.h"
#include "base/sha256.h"
#include "net/curl_client.h"
#include "net/redact.h"
#include "net/redirects.h"
#include "net/url.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;
constexpr std::string_view kFileScheme = "file://";

/// Hashes what goes into the extraction and counts it.
class ArchiveSink {
 public:
  ArchiveSink(Extraction& extraction, ProgressListener& progress)
      : extraction_(extraction), progress_(progress) {}

  void operator()(std::span<const std::byte> bytes) {
    hash_.update(bytes);
    extraction_.write(bytes);
    progress_.received(received_ += bytes.size());
  }

  [[nodiscard]] Digest digest() { return hash_.finish(); }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

 private:
  Extraction& extraction_;
  ProgressListener& progress_;
  Sha256 hash_;
  std::uint64_t received_ = 0;
};

// The path a source names, or nothing when it is a URL to be fetched.
std::optional<std::string> local_path(const std::string& source) {
  if (source.starts_with(kFileScheme)) {
    std::string_view rest = std::string_view(source).substr(kFileScheme.size());
    if (rest.starts_with("localhost/")) rest.remove_prefix(std::string_view("localhost").size());
    return percent_decode(rest);
  }
  if (source.find("://") == std::string::npos) return source;
  return std::nullopt;
}

// O_NONBLOCK: a FIFO must not hold the open up; it is refused just after.
Fd open_archive(const std::string& path, ProgressListener& progress) {
  Fd fd = open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw system_error("cannot open " + path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::filesystem, path + " is not a regular file");
  }
  progress.expecting(static_cast<std::uint64_t>(status.st_size));
  return fd;
}

void read_file(const std::string& path, const FetchContext& context, ArchiveSink& sink) {
  const Fd fd = open_archive(path, context.progress);
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
  const std::span<std::byte> space(buffer.get(), kReadSize);
  for (std::uint64_t offset = 0;;) {
    if (context.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    const std::size_t n = pread_full(fd.get(), space, offset, path);
    if (n == 0) return;
    sink(space.first(n));
    offset += n;
  }
}

void announce_size(const HttpResponse& head, ProgressListener& progress) {
  const std::string length = head.headers.get("Content-Length").value_or("");
  std::uint64_t size = 0;
  const char* const end = length.data() + length.size();
  if (std::from_chars(length.data(), end, size).ptr == end && size > 0) progress.expecting(size);
}

void download(const std::string& url, const FetchContext& context, ArchiveSink& sink) {
  CurlClient http(curl_options(context));
  const HttpRequest request{.url = url, .on_head = [&](const HttpResponse& head) {
                              announce_size(head, context.progress);
                            }};
  const HttpResponse response = follow(http, request, std::ref(sink));
  if (!response.ok()) {
    throw Error(ErrorCode::network,
                "the server answered " + std::to_string(response.status) + " for " + redact(url));
  }
}

void require_pinned(const Environment& environment, const Digest& digest) {
  if (!environment.source_sha256 || *environment.source_sha256 == digest) return;
  throw Error(ErrorCode::integrity,
              "the archive is " + digest.to_string() + ", but the catalog pins " +
                  environment.source_sha256->to_string(),
              "if the archive was published anew, the catalog entry needs its new checksum");
}

}  // namespace

Provenance fetch_from_archive(const Environment& environment, const FetchContext& context,
                              Extraction& extraction) {
  const std::string& source = *environment.source_url;
  const auto path = local_path(source);
  const std::string shown = path ? source : redact(source);
  context.progress.started(environment.name, shown);
  extraction.begin_layer("archive " + shown,
                         environment.source_sha256 ? Checksums::leave : Checksums::check);
  ArchiveSink sink(extraction, context.progress);
  if (path) {
    read_file(*path, context, sink);
  } else {
    download(source, context, sink);
  }
  const Digest digest = sink.digest();
  require_pinned(environment, digest);
  extraction.end_layer();
  return {.source = shown,
          .source_digest = digest.to_string(),
          .oci_digest = std::nullopt,
          .received_bytes = sink.received()};
}

}  // namespace pyro

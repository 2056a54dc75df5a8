// An environment from one archive.
#include "source/archive_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/content_kind.h"
#include "base/errors.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/tar_header.h"
#include "net/curl_client.h"
#include "net/http.h"
#include "net/redirects.h"
#include "net/resumable_body.h"
#include "net/retry.h"
#include "net/url.h"
#include "oci/layout_files.h"
#include "pyro/error.h"
#include "sandbox/sandboxed_extractor.h"
#include "source/fetch.h"
#include "stream/extract.h"

namespace pyro {
namespace {

constexpr std::size_t kReadSize = std::size_t{256} << 10;

/// Passes bytes on, keeps them if the digest of the archive is known, and counts them.
class ArchiveSink {
 public:
  ArchiveSink(SandboxedExtractor& extraction, const FetchContext& context, Partial* partial)
      : extraction_(extraction), context_(context), partial_(partial) {}

  void operator()(std::span<const std::byte> bytes) {
    // A plain tar may be full of zeros, which take no space.
    if (received_ == 0 && begins_as(bytes, ContentUse::compressed)) {
      context_.require_free_space(context_.bytes.expected);
    }
    extraction_.write(bytes);
    if (partial_ != nullptr) partial_->append(bytes);
    context_.received(received_ += bytes.size());
  }

 private:
  SandboxedExtractor& extraction_;
  const FetchContext& context_;
  Partial* partial_;
  std::uint64_t received_ = 0;
};

/// An archive that was read.
struct Archive {
  Digest digest;
  std::uint64_t size = 0;
  std::string encoding_hint = {};  ///< A possible cause of a wrong digest.
};

// O_NONBLOCK: opening a FIFO must not block; it is refused just after.
Fd open_archive(const std::string& path, const FetchContext& context) {
  Fd fd = open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw system_error("cannot open " + path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::filesystem, path + " is not a regular file");
  }
  context.expecting(static_cast<std::uint64_t>(status.st_size));
  return fd;
}

/// Sends the content of `file` to `sink`.
void read_all(int file, const std::string& path, const std::stop_token& stop,
              const BodySink& sink) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
  const std::span<std::byte> space(buffer.get(), kReadSize);
  std::size_t n = 0;
  for (std::uint64_t at = 0; (n = pread_full(file, space, at, path)) > 0; at += n) {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    sink(space.first(n));
  }
}

/// Sends what comes out of `stream` to `sink`.
void read_stream(int stream, const std::stop_token& stop, const BodySink& sink) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
  bool is_empty = true;
  while (true) {
    wait_for_event(stream, POLLIN, stop);
    const ssize_t n = ::read(stream, buffer.get(), kReadSize);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) throw system_error("cannot read " + std::string(kStandardInput), errno);
    if (n == 0) break;
    is_empty = false;
    sink({buffer.get(), static_cast<std::size_t>(n)});
  }
  if (!is_empty) return;
  throw Error(ErrorCode::integrity, std::string(kStandardInput) + " is empty",
              "see what the command in front of the '|' says");
}

/// `read` sends the bytes to a sink.
template <typename Read>
Archive read_into(ArchiveSink sink, const Read& read) {
  Sha256 hash;
  std::uint64_t size = 0;
  read([&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    sink(bytes);
    size += bytes.size();
  });
  return {hash.finish(), size};
}

/// One archive over the network, in as many responses as it takes.
class Download {
 public:
  Download(const WebSource& source, const FetchContext& context, const BodySink& sink)
      : url_(source.url),
        context_(context),
        http_(client_options(context)),
        retry_(retry_options(context)),
        body_({.digest = source.sha256}, sink, context.session) {}

  Archive run(Partial* partial) {
    // A partial download without its front is of no use here, unlike that of a registry's layer.
    if (partial != nullptr && partial->begin() == 0) {
      partial->replay([&](std::span<const std::byte> bytes) { body_.replay(bytes); });
    }
    const auto get_missing = [&] {
      const bool is_complete = body_.received() == body_.total();
      if (!is_complete || body_.received() == 0) get_rest();
    };
    retry_.run(get_missing, [&] { return body_.received(); });
    return {body_.digest(), body_.received(), encoding_hint_};
  }

  [[nodiscard]] bool came_in_parts() const noexcept { return body_.came_in_parts(); }

 private:
  void get_rest() {
    HttpRequest request{.url = url_, .on_head = [&](const HttpResponse& head) {
                          refuse_web_page(head, "with an archive");
                          body_.check_head(head);
                          encoding_hint_ = head.encoding_hint();
                          if (body_.total()) context_.expecting(*body_.total());
                        }};
    body_.prepare(request);
    const HttpResponse response =
        follow(http_, request, [&](std::span<const std::byte> bytes) { body_.write(bytes); });
    body_.check_end(response);
    if (response.ok()) return;
    throw_by_status(
        Error(ErrorCode::network,
              "the server answered " + std::to_string(response.status) + " for " + redact(url_)),
        response);
  }

  std::string url_;
  const FetchContext& context_;
  CurlClient http_;
  Retry retry_;
  ResumableBody body_;
  std::string encoding_hint_;
};

Archive download(const WebSource& source, const FetchContext& context,
                 SandboxedExtractor& extraction) {
  const auto& pin = source.sha256;
  Partial* const partial =
      pin ? &context.partials.open(*pin, context.limits.compressed_bytes) : nullptr;
  Download download(source, context, ArchiveSink(extraction, context, partial));
  Archive archive = download.run(partial);
  if (pin && *pin != archive.digest && download.came_in_parts()) {
    context.session.request_restart();
    throw Error(ErrorCode::integrity, "the parts of the archive do not fit together");
  }
  return archive;
}

void require_pinned(const std::optional<Digest>& pin, const Archive& archive) {
  if (!pin || *pin == archive.digest) return;
  throw Error(
      ErrorCode::integrity,
      "the archive is " + archive.digest.to_string() + ", but the catalog pins " + pin->to_string(),
      archive.encoding_hint)
      .add_hint("if the archive was published anew, the catalog entry needs its new checksum");
}

/// `read` sends the bytes of the archive to `extraction`. `place` names it in messages and records.
template <typename Read>
Provenance stream_archive(const std::string& place, const std::optional<Digest>& pin,
                          const FetchContext& context, SandboxedExtractor& extraction,
                          const Read& read) {
  context.progress.started(context.environment, place);
  extraction.begin_layer("archive " + place,
                         {.checksums = pin ? Checksums::leave : Checksums::check});
  const Archive archive = read();
  require_pinned(pin, archive);
  extraction.end_layer();
  return {.source = place,
          .source_digest = archive.digest.to_string(),
          .oci_digest = std::nullopt,
          .received_bytes = archive.size};
}

using Head = std::vector<std::byte>;

Head head_of(int file, const std::string& path) {
  Head head(kContentHead);
  head.resize(pread_full(file, head, 0, path));
  return head;
}

/// By the checksum of the first header: not all writers of tars leave a magic number.
bool is_tar(const Head& head) {
  if (begins_as(head, ContentUse::tar)) return true;
  if (head.size() < kTarBlock) return false;
  TarHeader header;
  std::ranges::copy_n(head.begin(), kTarBlock, header.begin());
  return parse_tar_header(header).has_value();
}

std::string what_to_do(const Head& head) {
  if (begins_as(head, ContentUse::file_system)) {
    return "put it into a directory as rootfs.ext4, its kernel beside it as vmlinux, and add the "
           "directory";
  }
  if (begins_as(head, ContentUse::kernel)) {
    return "put it into a directory as vmlinux, its root file system beside it as rootfs.ext4, and "
           "add the directory";
  }
  return "an environment is a tar, compressed with gzip, zstd, xz or bzip2 or not, or a directory, "
         "with vmlinux and rootfs.ext4 in it";
}

[[noreturn]] void refuse(const std::string& path, const Head& head) {
  const std::string found(content_name(head));
  throw Error(ErrorCode::integrity,
              path + (head.empty()    ? " is empty"
                      : found.empty() ? " is not an archive"
                                      : " is not an archive, it is " + found),
              what_to_do(head));
}

bool is_compressed(int file, const std::string& path) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error("cannot look at " + path, errno);
  if (!S_ISREG(status.st_mode)) return false;
  return begins_as(head_of(file, path), ContentUse::compressed);
}

}  // namespace

Provenance fetch_from_archive(const WebSource& source, const FetchContext& context,
                              SandboxedExtractor& extraction) {
  return stream_archive(redact(source.url), source.sha256, context, extraction,
                        [&] { return download(source, context, extraction); });
}

Provenance fetch_from_archive(const PathSource& source, const FetchContext& context,
                              SandboxedExtractor& extraction) {
  return stream_archive(source.name, source.sha256, context, extraction, [&] {
    const std::string path = source.path.string();
    const Fd file = open_archive(path, context);
    return read_into(ArchiveSink(extraction, context, nullptr),
                     [&](const BodySink& sink) { read_all(file.get(), path, context.stop, sink); });
  });
}

Provenance fetch_from_archive(const OpenStream& source, const FetchContext& context,
                              SandboxedExtractor& extraction) {
  Provenance provenance =
      stream_archive(std::string(kStandardInput), source.sha256, context, extraction, [&] {
        return read_into(ArchiveSink(extraction, context, nullptr), [&](const BodySink& sink) {
          read_stream(source.descriptor, context.stop, sink);
        });
      });
  provenance.config = source.config;
  return provenance;
}

ArchiveKind archive_kind(const std::filesystem::path& path) {
  const Fd file = open_at(AT_FDCWD, path.string(), O_RDONLY | O_NONBLOCK, 0, path);
  const Head head = head_of(file.get(), path.string());
  if (!is_tar(head)) {
    if (begins_as(head, ContentUse::compressed)) return ArchiveKind::packed;
    refuse(path.string(), head);
  }
  try {
    const std::string_view transport = transport_in(TarIndex(file.get(), path), file.get());
    if (transport.empty()) return ArchiveKind::artifacts;
    return transport == kDockerArchive ? ArchiveKind::docker : ArchiveKind::layout;
  } catch (const Error& error) {
    // TarIndex knows only the plain tars that layouts are.
    if (error.code() != ErrorCode::integrity) throw;
    return ArchiveKind::artifacts;
  }
}

Fd keep_stream(int stream, const Unpacking& unpacking) {
  const std::string name(kStandardInput);
  RunningOperation operation(&unpacking.progress,
                             {.name = "reading", .subject = name, .unit = ProgressUnit::bytes});
  Fd file = unpacking.make_file();
  std::uint64_t size = 0;
  read_stream(stream, unpacking.stop, [&](std::span<const std::byte> bytes) {
    pwrite_all(file.get(), bytes, size, name);
    operation.add(bytes.size());
    size += bytes.size();
  });
  return file;
}

Fd unpack_archive(Fd file, const std::filesystem::path& path, const Unpacking& unpacking) {
  if (!is_compressed(file.get(), path.string())) return file;
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    throw system_error("cannot look at " + path.string(), errno);
  RunningOperation operation(&unpacking.progress,
                             {.name = "unpacking",
                              .subject = path.native(),
                              .unit = ProgressUnit::bytes,
                              .total = static_cast<std::uint64_t>(status.st_size)});
  unpacking.progress.note("unpacking " + path.string());
  Fd unpacked = unpacking.make_file();
  const Fd nothing = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  std::vector<int> files(MergedView::kFiles, nothing.get());
  files[kArchiveFile] = unpacked.get();
  SandboxedExtractor extraction(unpacking.extractor, std::move(files), unpacking.limits,
                                [&](std::string_view text) { unpacking.progress.note(text); });
  const std::stop_callback give_up(unpacking.stop, [&] { extraction.abort(); });
  extraction.begin_layer("archive " + path.string(), {.shape = LayerForm::Shape::archive});
  read_all(file.get(), path.string(), unpacking.stop, [&](std::span<const std::byte> bytes) {
    extraction.write(bytes);
    operation.add(bytes.size());
  });
  extraction.end_layer();
  static_cast<void>(extraction.finish());
  return unpacked;
}

}  // namespace pyro

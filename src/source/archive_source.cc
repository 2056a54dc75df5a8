// An environment out of one archive.
#include "source/archive_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/content_kind.h"
#include "base/files.h"
#include "base/recoverable.h"
#include "base/sha256.h"
#include "net/curl_client.h"
#include "net/redact.h"
#include "net/redirects.h"
#include "net/resumable_body.h"
#include "net/retry.h"
#include "net/url.h"
#include "net/web_page.h"
#include "pyro/error.h"
#include "source/source_path.h"

namespace pyro {
namespace {

constexpr std::size_t kArchiveReadSize = std::size_t{256} << 10;

/// Passes on what arrives, keeps it where its digest is known, and counts it.
class ArchiveSink {
 public:
  ArchiveSink(Extraction& extraction, const FetchContext& context, Partial* partial)
      : extraction_(extraction), context_(context), partial_(partial) {}

  void operator()(std::span<const std::byte> bytes) {
    // A plain tar may be full of zeros that take no room; what is compressed has none.
    if (received_ == 0 && begins_as(bytes, ContentUse::compressed)) {
      context_.require_room_for(context_.arrival.expected);
    }
    extraction_.write(bytes);
    if (partial_ != nullptr) partial_->append(bytes);
    context_.received(received_ += bytes.size());
  }

 private:
  Extraction& extraction_;
  const FetchContext& context_;
  Partial* partial_;
  std::uint64_t received_ = 0;
};

/// An archive as it was read: what the record keeps of it.
struct Archive {
  Digest digest;
  std::uint64_t size = 0;
  std::string encoding_hint = {};  ///< What may be to blame for a wrong digest.
};

// O_NONBLOCK: a FIFO must not hold the open up; it is refused just after.
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

Archive read_file(const std::string& path, const FetchContext& context, ArchiveSink sink) {
  const Fd fd = open_archive(path, context);
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kArchiveReadSize);
  const std::span<std::byte> space(buffer.get(), kArchiveReadSize);
  Sha256 hash;
  for (std::uint64_t offset = 0;;) {
    if (context.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    const std::size_t n = pread_full(fd.get(), space, offset, path);
    if (n == 0) return {hash.finish(), offset};
    hash.update(space.first(n));
    sink(space.first(n));
    offset += n;
  }
}

/// One archive over the network, in as many answers as it takes.
class Download {
 public:
  Download(const Environment& environment, const FetchContext& context, const BodySink& sink)
      : url_(*environment.source_url),
        context_(context),
        http_(client_options(context)),
        retry_(retry_options(context, environment.name)),
        body_(sink, environment.source_sha256 ? ResumableBody::Content::addressed
                                              : ResumableBody::Content::named) {}

  Archive run(Partial* partial) {
    // One without its front is fetched anew; a registry's layers can do better.
    if (partial != nullptr && partial->begin() == 0) {
      partial->replay([&](std::span<const std::byte> bytes) { body_.replay(bytes); });
    }
    retry_.run_transfer([&] { return body_.received(); },
                        [&] {
                          const bool is_complete = body_.received() == body_.total();
                          if (!is_complete || body_.received() == 0) get_rest();
                        });
    return {body_.digest(), body_.received(), encoding_hint_};
  }

  /// What its digest being another one than the catalog's may be blamed on.
  [[nodiscard]] bool is_stitched() const noexcept { return body_.is_stitched(); }

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
        follow(http_, request, [&](std::span<const std::byte> bytes) { body_.take(bytes); });
    body_.check_end(response);
    if (response.ok()) return;
    throw_refusal(
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

Archive download(const Environment& environment, const FetchContext& context,
                 Extraction& extraction) {
  const auto& pin = environment.source_sha256;
  Partial* const partial =
      pin ? &context.partials.open(*pin, context.limits.compressed_bytes) : nullptr;
  Download download(environment, context, ArchiveSink(extraction, context, partial));
  const Archive archive = download.run(partial);
  if (pin && *pin != archive.digest && download.is_stitched()) {
    throw NeedsRestart(Error(ErrorCode::integrity, "the parts of the archive do not fit together"));
  }
  return archive;
}

void require_pinned(const Environment& environment, const Archive& archive) {
  if (!environment.source_sha256 || *environment.source_sha256 == archive.digest) return;
  throw Error(ErrorCode::integrity,
              "the archive is " + archive.digest.to_string() + ", but the catalog pins " +
                  environment.source_sha256->to_string(),
              archive.encoding_hint)
      .add_hint("if the archive was published anew, the catalog entry needs its new checksum");
}

}  // namespace

Provenance fetch_from_archive(const Environment& environment, const FetchContext& context,
                              Extraction& extraction) {
  const std::string& source = *environment.source_url;
  const auto path = source_path(source);
  const std::string shown = path ? source : redact(source);
  context.progress.started(environment.name, shown);
  extraction.begin_layer(
      "archive " + shown,
      {.checksums = environment.source_sha256 ? Checksums::leave : Checksums::check});
  const Archive archive = path
                              ? read_file(*path, context, ArchiveSink(extraction, context, nullptr))
                              : download(environment, context, extraction);
  require_pinned(environment, archive);
  extraction.end_layer();
  return {.source = shown,
          .source_digest = archive.digest.to_string(),
          .oci_digest = std::nullopt,
          .received_bytes = archive.size};
}

}  // namespace pyro

// A tar stream as members and data blocks, by libarchive.
#include "stream/tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/content_kind.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

TarMember::Type type_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return TarMember::Type::hardlink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return TarMember::Type::file;
    case AE_IFDIR:
      return TarMember::Type::directory;
    case AE_IFLNK:
      return TarMember::Type::symlink;
    case AE_IFCHR:
    case AE_IFBLK:
      return TarMember::Type::device;
    case AE_IFIFO:
      return TarMember::Type::fifo;
    default:
      return TarMember::Type::other;
  }
}

/// The bytes in a member's sparse map; nothing where it has none.
std::optional<std::uint64_t> mapped_bytes(archive_entry* entry) {
  if (archive_entry_sparse_reset(entry) == 0) return std::nullopt;
  std::uint64_t mapped = 0;
  la_int64_t offset = 0;
  la_int64_t length = 0;
  while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK) {
    mapped += static_cast<std::uint64_t>(std::max<la_int64_t>(length, 0));
  }
  return mapped;
}

/// In the form of star's pax headers, with the number behind each name.
std::string acl_text(archive_entry* entry, int type) {
  struct Release {
    void operator()(char* text) const noexcept { std::free(text); }
  };
  const std::unique_ptr<char, Release> text(archive_entry_acl_to_text(
      entry, nullptr,
      type | ARCHIVE_ENTRY_ACL_STYLE_EXTRA_ID | ARCHIVE_ENTRY_ACL_STYLE_SEPARATOR_COMMA));
  return text ? std::string(text.get()) : std::string();
}

std::string text_or_empty(const char* text) {
  return text == nullptr ? std::string() : text;
}

constexpr std::size_t kEndBlocks = 1024;

/// libarchive has no code for it, only this text.
bool is_about_character_sets(std::string_view warning) {
  return warning.find("can't be converted") != std::string_view::npos;
}

/// libarchive reads -1.5 as -1 and a half.
void subtract_fraction_before_1970(TarAttributes& attributes) {
  constexpr std::uint32_t kSecond = 1'000'000'000;
  if (attributes.modified_seconds >= 0 || attributes.modified_nanoseconds == 0) return;
  --attributes.modified_seconds;
  attributes.modified_nanoseconds = kSecond - attributes.modified_nanoseconds;
}

constexpr std::size_t kMaxCompressedMagic = 6;
constexpr std::array<std::byte, std::size_t{64} << 10> kZeros{};

}  // namespace

void TarReader::Free::operator()(archive* handle) const {
  archive_read_free(handle);
}

TarReader::TarReader(BlockSource source)
    : source_(std::move(source)), archive_(archive_read_new()) {
  if (!archive_) throw std::bad_alloc();
  archive_read_support_format_tar(archive_.get());
  archive_read_set_read_callback(archive_.get(), &TarReader::read_block);
  archive_read_set_callback_data(archive_.get(), this);
  header_limit_ = kMaxHeaderBytes;
  const int opened = archive_read_open1(archive_.get());
  is_empty_ = delivered_ == 0 && !failure_;
  if (!is_empty_) check(opened);
}

TarReader::~TarReader() = default;

long TarReader::read_block(archive* handle, void* self, const void** block) {
  auto& reader = *static_cast<TarReader*>(self);
  try {
    if (reader.header_limit_ != 0 && reader.delivered_ > reader.header_limit_) {
      throw Error(ErrorCode::integrity, "a member's header is larger than 4 MiB");
    }
    reader.keep_tail();
    reader.block_ = reader.source_();
    reader.keep_head();
    reader.delivered_ += reader.block_.size();
    *block = reader.block_.data();
    return static_cast<long>(reader.block_.size());
  } catch (...) {
    reader.failure_ = std::current_exception();
    archive_set_error(handle, EIO, "the source failed");
    return ARCHIVE_FATAL;
  }
}

void TarReader::check(int result) {
  if (failure_) std::rethrow_exception(failure_);
  if (result != ARCHIVE_OK && result != ARCHIVE_EOF) fail();
}

void TarReader::fail() {
  const std::string why = text_or_empty(archive_error_string(archive_.get()));
  if (why == "Unrecognized archive format") refuse_other_content();
  throw Error(ErrorCode::integrity, "damaged tar archive: " + why);
}

void TarReader::refuse_other_content() const {
  const std::string found(content_name(head_));
  throw Error(ErrorCode::integrity,
              "it is not a tar archive" + (found.empty() ? "" : ", it is " + found),
              "pyro reads tar: plain, or compressed with gzip, zstd, xz or bzip2");
}

// A stream that begins with zeros, as a file system does, looks like an archive without members.
void TarReader::require_zeros(std::span<const std::byte> bytes) const {
  if (std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; })) return;
  if (!in_member_) refuse_other_content();
  throw Error(ErrorCode::integrity, "damaged tar archive: something follows its end");
}

std::optional<TarMember> TarReader::next() {
  if (is_empty_) return std::nullopt;
  if (in_member_) check(archive_read_data_skip(archive_.get()));
  header_at_ = consumed();
  header_limit_ = delivered_ + kMaxHeaderBytes;
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(archive_.get(), &entry);
  header_limit_ = 0;
  if (result == ARCHIVE_EOF && !failure_) return std::nullopt;
  const bool harmless =
      result == ARCHIVE_WARN &&
      is_about_character_sets(text_or_empty(archive_error_string(archive_.get())));
  if (!harmless) check(result);
  in_member_ = true;
  entry_ = entry;
  held_ = 0;
  TarMember member;
  member.path = text_or_empty(archive_entry_pathname(entry));
  member.type = type_of(entry);
  member.size = static_cast<std::uint64_t>(std::max<std::int64_t>(archive_entry_size(entry), 0));
  const auto mapped = mapped_bytes(entry);
  has_map_ = mapped.has_value();
  claimed_ = mapped.value_or(member.size);
  member.link_target =
      text_or_empty(member.type == TarMember::Type::hardlink ? archive_entry_hardlink(entry)
                                                             : archive_entry_symlink(entry));
  return member;
}

TarAttributes TarReader::attributes() const {
  TarAttributes attributes{
      .mode = static_cast<std::uint32_t>(archive_entry_perm(entry_)),
      .uid = static_cast<std::uint64_t>(archive_entry_uid(entry_)),
      .gid = static_cast<std::uint64_t>(archive_entry_gid(entry_)),
      .modified_seconds = archive_entry_mtime(entry_),
      .modified_nanoseconds = static_cast<std::uint32_t>(archive_entry_mtime_nsec(entry_)),
      .is_block_device = archive_entry_filetype(entry_) == AE_IFBLK,
      .device_major = static_cast<std::uint32_t>(archive_entry_rdevmajor(entry_)),
      .device_minor = static_cast<std::uint32_t>(archive_entry_rdevminor(entry_))};
  subtract_fraction_before_1970(attributes);
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(entry_);
  while (archive_entry_xattr_next(entry_, &name, &value, &size) == ARCHIVE_OK) {
    attributes.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  const int types = archive_entry_acl_types(entry_);
  if ((types & ARCHIVE_ENTRY_ACL_TYPE_ACCESS) != 0) {
    attributes.access_acl = acl_text(entry_, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
  }
  if ((types & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT) != 0) {
    attributes.default_acl = acl_text(entry_, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
  }
  return attributes;
}

std::optional<TarData> TarReader::next_data() {
  const void* bytes = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(archive_.get(), &bytes, &size, &offset);
  check(result);
  if (result == ARCHIVE_EOF) {
    check_claim();
    return std::nullopt;
  }
  held_ += size;
  if (offset < 0) throw Error(ErrorCode::integrity, "damaged tar archive: negative offset");
  return TarData{static_cast<std::uint64_t>(offset), {static_cast<const std::byte*>(bytes), size}};
}

// libarchive reports missing data as holes. It drops a map of one piece that is all of the file, so
// a member with neither map nor data may be a single hole.
void TarReader::check_claim() const {
  const bool is_a_hole = held_ == 0 && !has_map_;
  if (held_ >= claimed_ || is_a_hole) return;
  throw Error(ErrorCode::integrity, "damaged tar archive: its sparse map has more than it holds");
}

std::uint64_t TarReader::consumed() const {
  return static_cast<std::uint64_t>(archive_filter_bytes(archive_.get(), -1));
}

// The rest of the last block that libarchive did not consume.
std::span<const std::byte> TarReader::unread() const {
  return block_.last(std::min<std::size_t>(block_.size(), delivered_ - consumed()));
}

void TarReader::keep_head() {
  const std::size_t n = std::min(block_.size(), kContentHead - head_.size());
  head_.insert(head_.end(), block_.begin(), block_.begin() + static_cast<std::ptrdiff_t>(n));
}

// Blocks may be a byte long.
void TarReader::keep_tail() {
  const auto end = block_.last(std::min(block_.size(), kEndBlocks));
  tail_.insert(tail_.end(), end.begin(), end.end());
  if (tail_.size() > kEndBlocks) tail_.erase(tail_.begin(), tail_.end() - kEndBlocks);
}

// libarchive takes two records for the end and looks at the first: a member could hide in the
// second. They lie in the last block, or in it and the end of those before.
void TarReader::check_end_blocks() const {
  const std::uint64_t end = consumed();
  const std::uint64_t block_at = delivered_ - block_.size();
  if (end > block_at) {
    const std::uint64_t from = std::max(header_at_, block_at);
    require_zeros(block_.subspan(from - block_at, end - from));
  }
  if (header_at_ < block_at) {
    const auto before = std::min<std::size_t>(tail_.size(), block_at - header_at_);
    require_zeros(std::span(tail_).last(before));
  }
}

void TarReader::finish() {
  if (is_empty_) return;
  check_end_blocks();
  require_zeros(unread());
  for (auto rest = source_(); !rest.empty(); rest = source_()) require_zeros(rest);
}

MemberContent::MemberContent(TarReader& tar, std::uint64_t size) : tar_(tar), size_(size) {
  while ((ahead_ = tar_.next_data())) {
    const auto bytes = ahead_->bytes;
    const bool follows = ahead_->offset == front_.size();
    if (!follows || front_.size() + bytes.size() >= kMaxCompressedMagic) return;
    front_.insert(front_.end(), bytes.begin(), bytes.end());
  }
}

bool MemberContent::is_compressed() const {
  std::vector<std::byte> head = front_;
  if (ahead_ && ahead_->offset == front_.size()) {
    const auto more = ahead_->bytes.first(std::min(ahead_->bytes.size(), kMaxCompressedMagic));
    head.insert(head.end(), more.begin(), more.end());
  }
  return begins_as(head, ContentUse::compressed);
}

std::optional<TarData> MemberContent::next() {
  if (!std::exchange(front_given_, true) && !front_.empty()) return TarData{0, front_};
  if (ahead_) return std::exchange(ahead_, std::nullopt);
  return tar_.next_data();
}

std::span<const std::byte> MemberContent::next_bytes() {
  while (true) {
    if (!current_ && !ended_) current_ = next();
    ended_ = !current_;
    const std::uint64_t offset = current_ ? current_->offset : size_;
    if (offset < position_ || offset > size_) {
      throw Error(ErrorCode::integrity,
                  "its sparse map overlaps, runs backwards or passes its size");
    }
    if (offset > position_) return zeros_up_to(offset);
    if (!current_) return {};
    const auto bytes = std::exchange(current_, std::nullopt)->bytes;
    position_ += bytes.size();
    if (!bytes.empty()) return bytes;
  }
}

std::span<const std::byte> MemberContent::zeros_up_to(std::uint64_t offset) {
  const auto n = std::min<std::uint64_t>(offset - position_, kZeros.size());
  position_ += n;
  return std::span(kZeros).first(static_cast<std::size_t>(n));
}

std::string joined(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty()) path += '/';
  return path += name;
}

std::string normal_member_path(std::string_view name) {
  if (name.starts_with('/')) {
    throw Error(ErrorCode::integrity, "member " + in_quotes(name) + " has an absolute name");
  }
  std::string normal;
  for (std::string_view rest = name; !rest.empty();) {
    const std::string_view component = take_component(rest);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      throw Error(ErrorCode::integrity, "member " + in_quotes(name) + " has '..' in its name");
    }
    if (!normal.empty()) normal += '/';
    normal += component;
  }
  return normal;
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view base_name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return !path.empty();
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

std::size_t depth_of(std::string_view path) {
  return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

}  // namespace pyro

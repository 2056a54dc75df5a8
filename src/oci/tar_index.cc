// The members of a tar, for random access.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/content_kind.h"
#include "base/files.h"
#include "base/tar_header.h"
#include "oci/layout_files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

/// Bytes of a pax header or a long name.
constexpr std::uint64_t kMaxExtra = 64U << 10;
/// Bytes behind the end: tar pads its last record, to 10 KiB by default.
constexpr std::uint64_t kMaxPadding = 1U << 20;

using Block = TarHeader;

/// The member that a link leads to, by the names alone; empty if it leads out of the archive.
std::string target_of(const std::string& name, const std::string& link, bool is_symbolic) {
  const std::filesystem::path folder =
      is_symbolic ? std::filesystem::path(name).parent_path() : std::filesystem::path();
  const std::string target = (folder / link).lexically_normal().string();
  const bool leaves = target == ".." || target.starts_with("../") || target.starts_with('/');
  return leaves || target.size() > TarIndex::kMaxName ? std::string() : target;
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

/// The fields of an extended header, which are about the next member.
struct Extra {
  std::optional<std::string> path = {};
  std::optional<std::string> link = {};
  std::optional<std::uint64_t> size = {};
  bool sparse = false;
};

class TarIndexReader {
 public:
  TarIndexReader(int file, const std::filesystem::path& path)
      : file_(file), subject_(path.string()) {
    struct stat status {};
    if (::fstat(file_, &status) != 0) throw system_error("cannot look at " + subject_, errno);
    end_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::map<std::string, TarIndex::Entry> run() {
    while (true) {
      const Block block = read_block();
      if (is_zero(block)) break;
      const auto header = parse_tar_header(block);
      if (!header) refuse_header();
      read_entry(*header);
    }
    check_end();
    return std::move(entries_);
  }

 private:
  [[noreturn]] void refuse_header() const {
    if (at_ != kTarBlock) refuse("a header in it is damaged");
    std::vector<std::byte> head(kContentHead);
    head.resize(pread_full(file_, head, 0, subject_));
    const std::string found(content_name(head));
    throw Error(ErrorCode::integrity,
                subject_ + " is not a tar archive" + (found.empty() ? "" : ", it is " + found),
                begins_as(head, ContentUse::compressed) ? "unpack it first" : "");
  }

  void read_entry(const TarEntry& header) {
    if (++members_ > TarIndex::kMaxMembers) {
      refuse("it has more than " + std::to_string(TarIndex::kMaxMembers) + " members");
    }
    if (!header.size) refuse("a header in it has no size");
    switch (header.type) {
      case 'x':
        return parse_pax(extra(*header.size));
      case 'g':
        return skip(*header.size);
      case 'L':
        extra_.path = long_name(*header.size);
        return;
      case 'K':
        extra_.link = long_name(*header.size);
        return;
      default:
        return member(header);
    }
  }

  void member(const TarEntry& header) {
    const Extra extra = std::exchange(extra_, {});
    const std::string name = normal(extra.path ? *extra.path : header.name);
    const char type = header.type;
    const bool is_file = type == '0' || type == '\0' || type == '7';
    // Only files have content, whatever size the header of a link has.
    const std::uint64_t content =
        type >= '1' && type <= '6' ? 0 : extra.size.value_or(*header.size);
    const bool is_link = type == '1' || type == '2';
    std::string link =
        is_link ? target_of(name, extra.link.value_or(header.link), type == '2') : std::string();
    if (type != '5') add(name, {at_, content, is_file && !extra.sparse, std::move(link)});
    skip(content);
  }

  void add(const std::string& name, TarIndex::Entry entry) {
    if (name.size() > TarIndex::kMaxName) return;
    text_ += name.size() + entry.link.size();
    if (text_ > TarIndex::kMaxText) refuse("the names in it take more than 2 MiB");
    if (!entries_.emplace(name, std::move(entry)).second) refuse("'" + name + "' is in it twice");
  }

  /// Without "." and empty components.
  std::string normal(std::string_view name) const {
    if (name.starts_with('/')) refuse("a member has an absolute name");
    std::string result;
    while (!name.empty()) {
      const std::string_view component = name.substr(0, name.find('/'));
      name.remove_prefix(std::min(name.size(), component.size() + 1));
      if (component == "..") refuse("a member has '..' in its name");
      if (component.empty() || component == ".") continue;
      result += (result.empty() ? "" : "/") + std::string(component);
    }
    return result;
  }

  /// Records "LENGTH KEY=VALUE\n".
  void parse_pax(std::string_view records) {
    while (!records.empty()) {
      std::size_t length = 0;
      const auto [end, error] =
          std::from_chars(records.data(), records.data() + records.size(), length);
      const auto digits = static_cast<std::size_t>(end - records.data());
      if (error != std::errc() || length <= digits + 1 || length > records.size() ||
          records[digits] != ' ' || records[length - 1] != '\n') {
        refuse("a pax header in it is damaged");
      }
      parse_record(records.substr(digits + 1, length - digits - 2));
      records.remove_prefix(length);
    }
  }

  void parse_record(std::string_view record) {
    const std::size_t equals = record.find('=');
    const std::string_view key = record.substr(0, equals);
    const std::string_view value =
        equals == record.npos ? std::string_view() : record.substr(equals + 1);
    if (key == "path") extra_.path = value;
    if (key == "linkpath") extra_.link = value;
    if (key.starts_with("GNU.sparse.")) extra_.sparse = true;
    if (key != "size") return;
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error != std::errc() || end != value.data() + value.size()) {
      refuse("a pax header in it is damaged");
    }
    extra_.size = size;
  }

  /// The content of a header's own member.
  std::string extra(std::uint64_t size) {
    if (size > kMaxExtra) refuse("a header in it is too long");
    std::string content(static_cast<std::size_t>(size), '\0');
    const std::uint64_t from = at_;
    skip(size);
    read(std::as_writable_bytes(std::span(content)), from);
    return content;
  }

  /// Up to its first zero byte.
  std::string long_name(std::uint64_t size) {
    std::string name = extra(size);
    name.resize(std::min(name.size(), name.find('\0')));
    return name;
  }

  /// Over content and its padding, which is zeros.
  void skip(std::uint64_t size) {
    if (size > end_ - at_) cut_short();
    at_ += size;
    const std::uint64_t padding = tar_padding(size);
    if (padding > end_ - at_) cut_short();
    Block block{};
    const std::span bytes = std::span(block).first(static_cast<std::size_t>(padding));
    read(bytes, at_);
    if (!is_zero(bytes)) refuse("there is something between its members");
    at_ += padding;
  }

  Block read_block() {
    if (end_ - at_ < kTarBlock) cut_short();
    Block block;
    read(block, at_);
    at_ += kTarBlock;
    return block;
  }

  /// After one block of zeros: another one, and zeros that pad the record.
  void check_end() {
    if (end_ - at_ < kTarBlock) cut_short();
    if (end_ - at_ > kMaxPadding) refuse("there is something behind its end");
    std::vector<std::byte> rest(static_cast<std::size_t>(end_ - at_));
    read(rest, at_);
    if (!is_zero(rest)) refuse("there is something behind its end");
  }

  void read(std::span<std::byte> bytes, std::uint64_t offset) const {
    const std::size_t n = pread_full(file_, bytes, offset, subject_);
    if (n < bytes.size()) cut_short();
  }

  [[noreturn]] void cut_short() const {
    throw Error(ErrorCode::integrity,
                end_ == 0 ? subject_ + " is empty" : subject_ + " is cut short",
                "copy or export it again");
  }
  [[noreturn]] void refuse(const std::string& why) const {
    Error error(ErrorCode::integrity, why);
    error.add_context(subject_ + " is not what it should be");
    throw error;
  }

  int file_;
  std::string subject_;
  std::uint64_t end_ = 0;
  std::uint64_t at_ = 0;  // position of the next header
  std::size_t members_ = 0;
  std::size_t text_ = 0;  // of the names that are kept
  Extra extra_;
  std::map<std::string, TarIndex::Entry> entries_;
};

}  // namespace

TarIndex::TarIndex(int file, const std::filesystem::path& path)
    : entries_(TarIndexReader(file, path).run()) {}

const TarIndex::Entry* TarIndex::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace pyro

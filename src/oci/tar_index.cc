// Where the files of an image layout lie in a tar.
#include "oci/tar_index.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::uint64_t kBlock = 512;
/// Of a pax header or a long name.
constexpr std::uint64_t kMostExtra = 64U << 10;
/// Behind the end: tar fills its last record up, of 10 KiB unless told otherwise.
constexpr std::uint64_t kMostPadding = 1U << 20;

using Block = std::array<char, kBlock>;

/// A field of a header: offset and size.
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kMagic{257, 6};
constexpr Field kPrefix{345, 155};

std::string_view field(const Block& block, Field field) {
  return {block.data() + field.offset, field.size};
}

/// Up to the first zero byte.
std::string_view text(const Block& block, Field which) {
  const std::string_view all = field(block, which);
  return all.substr(0, all.find('\0'));
}

bool is_zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == '\0'; });
}

std::optional<std::uint64_t> octal(std::string_view digits) {
  while (digits.starts_with(' ')) digits.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  const std::string_view rest(end, static_cast<std::size_t>(digits.data() + digits.size() - end));
  const bool ends = std::ranges::all_of(rest, [](char c) { return c == ' ' || c == '\0'; });
  if (error != std::errc() || !ends) return std::nullopt;
  return value;
}

/// GNU's form of what does not fit into octal digits: the first bit set, big endian.
std::optional<std::uint64_t> base256(std::string_view bytes) {
  if (bytes.front() != '\x80') return std::nullopt;  // negative, or beyond any file
  std::uint64_t value = 0;
  for (const char c : bytes.substr(1)) {
    if (value >> 55 != 0) return std::nullopt;
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

std::optional<std::uint64_t> number(std::string_view bytes) {
  return (static_cast<unsigned char>(bytes.front()) & 0x80) != 0 ? base256(bytes) : octal(bytes);
}

/// The sum of all bytes, those of the checksum as spaces.
bool has_valid_checksum(const Block& block) {
  std::uint64_t sum = kChecksum.size * std::uint64_t{' '};
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    if (!own) sum += static_cast<unsigned char>(block[i]);
  }
  return octal(field(block, kChecksum)) == sum;
}

bool is_compressed(std::string_view head) {
  return head.starts_with("\x1f\x8b") || head.starts_with("\x28\xb5\x2f\xfd") ||
         head.starts_with(
             "\xfd"
             "7zXZ") ||
         head.starts_with("BZh");
}

/// What an extended header says of the member behind it.
struct Extra {
  std::optional<std::string> path = {};
  std::optional<std::uint64_t> size = {};
  bool sparse = false;
};

class Reader {
 public:
  Reader(int file, const std::filesystem::path& path) : file_(file), subject_(path.string()) {
    struct stat status {};
    if (::fstat(file_, &status) != 0) throw system_error("cannot look at " + subject_, errno);
    end_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::map<std::string, TarIndex::Entry> run() {
    while (true) {
      const Block block = read_block();
      if (is_zero({block.data(), block.size()})) break;
      check(block);
      header(block);
    }
    check_end();
    return std::move(entries_);
  }

 private:
  void check(const Block& block) {
    if (has_valid_checksum(block)) return;
    if (at_ != kBlock) refuse("a header in it is damaged");
    const bool compressed = is_compressed({block.data(), block.size()});
    throw Error(
        ErrorCode::integrity, subject_ + " is not a tar archive",
        compressed ? "it is compressed: an image layout's tar is not; unpack it first" : "");
  }

  void header(const Block& block) {
    if (++members_ > TarIndex::kMostMembers) {
      refuse("it has more than " + std::to_string(TarIndex::kMostMembers) + " members");
    }
    const auto size = number(field(block, kSize));
    if (!size) refuse("a header in it has no size");
    switch (block[kType]) {
      case 'x':
        return read_pax(extra(*size));
      case 'g':
        return skip(*size);
      case 'L':
        extra_.path = extra(*size);
        extra_.path->resize(std::min(extra_.path->size(), extra_.path->find('\0')));
        return;
      case 'K':
        return skip(*size);
      default:
        return member(block, *size);
    }
  }

  void member(const Block& block, std::uint64_t size) {
    const Extra extra = std::exchange(extra_, {});
    const std::string name = normal(extra.path ? *extra.path : name_of(block));
    const char type = block[kType];
    const bool is_file = type == '0' || type == '\0' || type == '7';
    // Only files have content, whatever the header of a link says.
    const std::uint64_t content = type >= '1' && type <= '6' ? 0 : extra.size.value_or(size);
    if (type != '5') add(name, {at_, content, is_file && !extra.sparse});
    skip(content);
  }

  void add(const std::string& name, const TarIndex::Entry& entry) {
    if (!entries_.emplace(name, entry).second) refuse("'" + name + "' is in it twice");
  }

  static std::string name_of(const Block& block) {
    std::string name(text(block, kName));
    const bool has_prefix = field(block, kMagic) == std::string_view("ustar\0", 6);
    const std::string_view prefix = has_prefix ? text(block, kPrefix) : std::string_view();
    return prefix.empty() ? name : std::string(prefix) + "/" + name;
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
  void read_pax(std::string_view records) {
    while (!records.empty()) {
      std::size_t length = 0;
      const auto [end, error] =
          std::from_chars(records.data(), records.data() + records.size(), length);
      const auto digits = static_cast<std::size_t>(end - records.data());
      if (error != std::errc() || length <= digits + 1 || length > records.size() ||
          records[digits] != ' ' || records[length - 1] != '\n') {
        refuse("a pax header in it is damaged");
      }
      take_record(records.substr(digits + 1, length - digits - 2));
      records.remove_prefix(length);
    }
  }

  void take_record(std::string_view record) {
    const std::size_t equals = record.find('=');
    const std::string_view key = record.substr(0, equals);
    const std::string_view value =
        equals == record.npos ? std::string_view() : record.substr(equals + 1);
    if (key == "path") extra_.path = value;
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
    if (size > kMostExtra) refuse("a header in it is too long");
    std::string content(static_cast<std::size_t>(size), '\0');
    const std::uint64_t from = at_;
    skip(size);
    read({content.data(), content.size()}, from);
    return content;
  }

  /// Over content and its padding, which is zeros.
  void skip(std::uint64_t size) {
    if (size > end_ - at_) cut_short();
    at_ += size;
    const std::uint64_t padding = (kBlock - size % kBlock) % kBlock;
    if (padding > end_ - at_) cut_short();
    Block block{};
    const std::span<char> bytes(block.data(), static_cast<std::size_t>(padding));
    read(bytes, at_);
    if (!is_zero({bytes.data(), bytes.size()})) refuse("there is something between its members");
    at_ += padding;
  }

  Block read_block() {
    if (end_ - at_ < kBlock) cut_short();
    Block block;
    read(block, at_);
    at_ += kBlock;
    return block;
  }

  /// One block of zeros was read; another one belongs there, and maybe zeros to fill a record up.
  void check_end() {
    if (end_ - at_ < kBlock) cut_short();
    if (end_ - at_ > kMostPadding) refuse("there is something behind its end");
    std::string rest(static_cast<std::size_t>(end_ - at_), '\0');
    read(rest, at_);
    if (!is_zero(rest)) refuse("there is something behind its end");
  }

  void read(std::span<char> bytes, std::uint64_t offset) const {
    const std::size_t n = pread_full(file_, std::as_writable_bytes(bytes), offset, subject_);
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
  std::uint64_t at_ = 0;  // of the next header, or of what was skipped to
  std::size_t members_ = 0;
  Extra extra_;
  std::map<std::string, TarIndex::Entry> entries_;
};

}  // namespace

TarIndex::TarIndex(int file, const std::filesystem::path& path)
    : entries_(Reader(file, path).run()) {}

const TarIndex::Entry* TarIndex::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace pyro

// Programs of an image are read into memory before the machine is saved, and nothing of the image
// is run for it. A machine that resumes then starts them without its disk, which under emulation
// takes as long as the start itself.
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/command.h"
#include "guest/descriptor.h"
#include "guest/text.h"
#include "guest/user.h"

namespace pyro::guest {
namespace {

/// Bounds of what is read: files are taken whole, and become part of the saved state.
constexpr std::size_t kMaxFile = 32 << 20;
constexpr std::size_t kMaxTotal = 48 << 20;
constexpr std::size_t kMaxFiles = 128;

constexpr std::string_view kPathName = "PATH=";
constexpr const char* kLoaderCache = "/etc/ld.so.cache";
constexpr const char* kLibraryDirectories[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64",
                                               "/usr/local/lib"};

/// A regular file, all of which is in memory: it is mapped, and the kernel has read it.
class MappedFile {
 public:
  /// Empty for a file of more than `max_size` bytes.
  MappedFile(const std::string& path, std::size_t max_size) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.is_open() || ::fstat(file.get(), &status_) != 0 || !S_ISREG(status_.st_mode)) return;
    const auto size = static_cast<std::size_t>(status_.st_size);
    if (size == 0 || size > max_size) return;
    void* const start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file.get(), 0);
    if (start != MAP_FAILED) bytes_ = {static_cast<const char*>(start), size};
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }

  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  [[nodiscard]] ino_t inode() const { return status_.st_ino; }

 private:
  struct stat status_ {};
  std::string_view bytes_;
};

template <typename Part>
std::optional<Part> part_at(std::string_view file, std::size_t offset) {
  Part part;
  if (offset > file.size() || file.size() - offset < sizeof part) return std::nullopt;
  std::memcpy(&part, file.data() + offset, sizeof part);
  return part;
}

std::string text_at(std::string_view file, std::size_t offset) {
  if (offset >= file.size()) return {};
  const std::string_view text = file.substr(offset, PATH_MAX);
  return std::string(text.substr(0, text.find('\0')));
}

/// What an ELF file needs to run. Any bytes may be in it.
class Elf {
 public:
  explicit Elf(std::string_view file) : file_(file) {
    const auto header = part_at<Elf64_Ehdr>(file, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return;
    for (std::size_t i = 0; i < std::min<std::size_t>(header->e_phnum, kMaxSegments); ++i) {
      if (const auto segment = part_at<Elf64_Phdr>(file, header->e_phoff + i * sizeof(Elf64_Phdr)))
        segments_.push_back(*segment);
    }
  }

  [[nodiscard]] std::string loader() const {
    const Elf64_Phdr* const segment = find_segment(PT_INTERP);
    return segment == nullptr ? std::string() : text_at(file_, segment->p_offset);
  }

  [[nodiscard]] std::vector<std::string> libraries() const {
    const Elf64_Phdr* const segment = find_segment(PT_DYNAMIC);
    if (segment == nullptr) return {};
    std::size_t names = file_.size();
    std::vector<std::size_t> offsets;
    for (std::size_t i = 0; i < kMaxDynamic; ++i) {
      const auto entry = part_at<Elf64_Dyn>(file_, segment->p_offset + i * sizeof(Elf64_Dyn));
      if (!entry || entry->d_tag == DT_NULL) break;
      if (entry->d_tag == DT_STRTAB) names = offset_of(entry->d_un.d_ptr);
      if (entry->d_tag == DT_NEEDED) offsets.push_back(entry->d_un.d_val);
    }
    std::vector<std::string> libraries;
    for (const std::size_t offset : offsets) libraries.push_back(text_at(file_, names + offset));
    return libraries;
  }

 private:
  static constexpr std::size_t kMaxSegments = 64;
  static constexpr std::size_t kMaxDynamic = 1024;

  [[nodiscard]] const Elf64_Phdr* find_segment(std::uint32_t type) const {
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type == type) return &segment;
    }
    return nullptr;
  }

  [[nodiscard]] std::size_t offset_of(std::size_t address) const {
    for (const Elf64_Phdr& segment : segments_) {
      const bool is_inside = segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
                             address - segment.p_vaddr < segment.p_filesz;
      if (is_inside) return segment.p_offset + (address - segment.p_vaddr);
    }
    return file_.size();
  }

  std::string_view file_;
  std::vector<Elf64_Phdr> segments_;
};

class ProgramReader {
 public:
  explicit ProgramReader(std::string_view path) : path_(path) {}

  /// Finds it as execvp() does.
  void read_program(const std::string& name) {
    if (name.find('/') != name.npos) return read(name);
    for (std::string_view rest = path_; !rest.empty();) {
      const std::string file = std::string(take_up_to(rest, ':')) + '/' + name;
      if (::access(file.c_str(), X_OK) == 0) return read(file);
    }
  }

 private:
  void read(const std::string& path) {
    if (read_.size() >= kMaxFiles) return;
    const MappedFile file(path, std::min(kMaxFile, kMaxTotal - total_));
    const std::string_view bytes = file.bytes();
    if (bytes.empty() || !read_.insert(file.inode()).second) return;
    total_ += bytes.size();
    if (bytes.starts_with("#!")) return read_interpreter(bytes.substr(2, PATH_MAX));
    const Elf elf(bytes);
    if (const std::string loader = elf.loader(); !loader.empty()) {
      note_loader(loader);
      read(loader);
    }
    for (const std::string& name : elf.libraries()) read_library(name);
  }

  // "#!/usr/bin/env python3": the word behind a program may be one, too.
  void read_interpreter(std::string_view rest) {
    for (std::string_view line = take_up_to(rest, '\n'); !line.empty();) {
      const std::string word(take_up_to(line, ' '));
      if (!word.empty()) read_program(word);
    }
  }

  // A distribution has its libraries beside the loader, whose usual path is a link.
  void note_loader(const std::string& loader) {
    char resolved[PATH_MAX];
    if (::realpath(loader.c_str(), resolved) == nullptr) return;
    const std::string_view path = resolved;
    beside_loader_ = path.substr(0, path.rfind('/'));
    static_cast<void>(read_file(kLoaderCache));
  }

  void read_library(const std::string& name) {
    if (name.empty() || name.find('/') != name.npos) return;
    for (const std::string& directory : library_directories()) {
      const std::string path = directory + '/' + name;
      if (::access(path.c_str(), R_OK) == 0) return read(path);
    }
  }

  [[nodiscard]] std::vector<std::string> library_directories() const {
    std::vector<std::string> all{beside_loader_};
    all.insert(all.end(), std::begin(kLibraryDirectories), std::end(kLibraryDirectories));
    return all;
  }

  const std::string path_;
  std::string beside_loader_ = kLibraryDirectories[0];
  std::set<ino_t> read_;
  std::size_t total_ = 0;
};

std::string_view find_path(const CommandRequest& request) {
  std::string_view path = kDefaultPath;
  for (const std::string& variable : request.variables) {
    if (variable.starts_with(kPathName)) path = variable;
  }
  return path.substr(kPathName.size());
}

}  // namespace

void read_programs(const CommandRequest& request) {
  ProgramReader reader(find_path(request));
  for (const std::string& program : request.arguments) reader.read_program(program);
  if (!request.user.empty()) find_user(request.user);
}

}  // namespace pyro::guest

// Reads ext4 file systems.
#include "support/ext4_image.h"

extern "C" {
#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
}

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>

namespace pyro::testing {
namespace {

void require_ok(errcode_t error, const char* what) {
  if (error == 0) return;
  throw std::runtime_error(std::string(what) + ": " + error_message(error));
}

[[noreturn]] void fail_check(const std::string& what) {
  throw std::runtime_error("inconsistent file system: " + what);
}

using DiskInode = ext2_inode_large;

char type_letter(std::uint16_t mode) {
  switch (mode & LINUX_S_IFMT) {
    case LINUX_S_IFDIR:
      return 'd';
    case LINUX_S_IFLNK:
      return 'l';
    case LINUX_S_IFCHR:
      return 'c';
    case LINUX_S_IFBLK:
      return 'b';
    case LINUX_S_IFIFO:
      return 'p';
    case LINUX_S_IFREG:
      return '-';
    default:
      return '?';
  }
}

/// As fs/ext4/ext4.h decodes it.
std::int64_t seconds_of(std::uint32_t low, std::uint32_t extra) {
  return static_cast<std::int32_t>(low) + (static_cast<std::int64_t>(extra & 3) << 32);
}

void decode_device(const DiskInode& inode, Ext4File& file) {
  if (inode.i_block[0] != 0) {
    file.device_major = inode.i_block[0] >> 8 & 0xff;
    file.device_minor = inode.i_block[0] & 0xff;
  } else {
    file.device_major = inode.i_block[1] >> 8 & 0xfff;
    file.device_minor = (inode.i_block[1] & 0xff) | (inode.i_block[1] >> 12 & 0xfff00);
  }
}

using Names = std::vector<std::pair<std::string, ext2_ino_t>>;

struct DirectoryVisit {
  Names names;
  bool types_are_there = true;
};

int visit_name(ext2_ino_t, int, ext2_dir_entry* entry, int, int, char*, void* visit_pointer) {
  auto& visit = *static_cast<DirectoryVisit*>(visit_pointer);
  const auto size = static_cast<std::size_t>(ext2fs_dirent_name_len(entry));
  visit.names.emplace_back(std::string(entry->name, size), entry->inode);
  visit.types_are_there = visit.types_are_there && ext2fs_dirent_file_type(entry) != 0;
  return 0;
}

int visit_xattr(char* name, char*, std::size_t, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

}  // namespace

struct Ext4Image::State {
  ext2_filsys fs = nullptr;

  [[nodiscard]] DiskInode inode(ext2_ino_t number) const {
    DiskInode inode{};
    require_ok(
        ext2fs_read_inode_full(fs, number, reinterpret_cast<ext2_inode*>(&inode), sizeof inode),
        "cannot read an inode");
    return inode;
  }

  [[nodiscard]] Names names_in(ext2_ino_t directory) const {
    DirectoryVisit visit;
    require_ok(ext2fs_dir_iterate2(fs, directory, 0, nullptr, visit_name, &visit),
               "cannot read a directory");
    if (!visit.types_are_there) fail_check("a name has no type");
    return visit.names;
  }

  [[nodiscard]] std::map<std::string, std::string> xattrs(ext2_ino_t number) const {
    std::map<std::string, std::string> found;
    std::vector<std::string> names;
    ext2_xattr_handle* handle = nullptr;
    require_ok(ext2fs_xattrs_open(fs, number, &handle), "cannot open attributes");
    errcode_t error = ext2fs_xattrs_read(handle);
    if (error == 0) error = ext2fs_xattrs_iterate(handle, visit_xattr, &names);
    for (const std::string& name : names) {
      void* value = nullptr;
      std::size_t size = 0;
      // It makes Linux's form of an access control list from the one on disk.
      if (error == 0) error = ext2fs_xattr_get(handle, name.c_str(), &value, &size);
      if (error == 0) found[name] = std::string(static_cast<const char*>(value), size);
      ext2fs_free_mem(&value);
    }
    ext2fs_xattrs_close(&handle);
    require_ok(error, "cannot read attributes");
    return found;
  }

  [[nodiscard]] std::string read(ext2_ino_t number, std::uint64_t offset, std::size_t size) const {
    std::string content(size, '\0');
    ext2_file_t file = nullptr;
    require_ok(ext2fs_file_open(fs, number, 0, &file), "cannot open a file");
    errcode_t error = ext2fs_file_llseek(file, offset, EXT2_SEEK_SET, nullptr);
    std::size_t done = 0;
    while (error == 0 && done < size) {
      unsigned got = 0;
      error = ext2fs_file_read(file, &content[done], static_cast<unsigned>(size - done), &got);
      if (got == 0) break;
      done += got;
    }
    ext2fs_file_close(file);
    require_ok(error, "cannot read a file");
    content.resize(done);
    return content;
  }

  [[nodiscard]] Ext4File file(ext2_ino_t number) const {
    const DiskInode inode = this->inode(number);
    Ext4File file{.type = type_letter(inode.i_mode),
                  .inode = number,
                  .permissions = inode.i_mode & 07777U,
                  .uid = inode_uid(inode),
                  .gid = inode_gid(inode),
                  .links = inode.i_links_count,
                  .size = EXT2_I_SIZE(&inode),
                  .blocks = inode.i_blocks / 8,
                  .seconds = seconds_of(inode.i_mtime, inode.i_mtime_extra),
                  .nanoseconds = inode.i_mtime_extra >> 2};
    file.xattrs = xattrs(number);
    if (file.type == 'c' || file.type == 'b') decode_device(inode, file);
    if (file.type == '-' && file.size <= kMaxContent) {
      file.content = read(number, 0, static_cast<std::size_t>(file.size));
    }
    if (file.type == 'l') file.target = target(number, inode);
    return file;
  }

  [[nodiscard]] std::string target(ext2_ino_t number, const DiskInode& inode) const {
    const auto size = static_cast<std::size_t>(inode.i_size);
    if ((inode.i_flags & EXT4_EXTENTS_FL) != 0) return read(number, 0, size);
    return {reinterpret_cast<const char*>(inode.i_block), size};
  }
};

Ext4Image::Ext4Image(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  add_error_table(&et_ext2_error_table);
  require_ok(ext2fs_open(path.c_str(), EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &state_->fs),
             "cannot open a file system");
}

Ext4Image::~Ext4Image() {
  ext2fs_close_free(&state_->fs);
}

std::map<std::string, Ext4File> Ext4Image::files() const {
  std::map<std::string, Ext4File> files{{"", state_->file(EXT2_ROOT_INO)}};
  std::vector<std::string> directories{""};
  while (!directories.empty()) {
    const std::string directory = std::move(directories.back());
    directories.pop_back();
    for (const auto& [name, number] : state_->names_in(files.at(directory).inode)) {
      if (name == "." || name == "..") continue;
      const std::string path = directory.empty() ? name : directory + "/" + name;
      const auto [file, is_new] = files.emplace(path, state_->file(number));
      if (!is_new) fail_check("two entries have the path " + path);
      if (file->second.type == 'd') directories.push_back(path);
    }
  }
  return files;
}

std::vector<Ext4Extent> Ext4Image::extents(const Ext4File& file) const {
  std::vector<Ext4Extent> extents;
  ext2_extent_handle_t handle = nullptr;
  require_ok(ext2fs_extent_open(state_->fs, file.inode, &handle), "cannot read extents");
  ext2fs_extent extent{};
  errcode_t error = ext2fs_extent_get(handle, EXT2_EXTENT_ROOT, &extent);
  for (; error == 0; error = ext2fs_extent_get(handle, EXT2_EXTENT_NEXT, &extent)) {
    const bool is_data = (extent.e_flags & EXT2_EXTENT_FLAGS_LEAF) != 0;
    if (is_data) extents.push_back({extent.e_lblk, extent.e_pblk, extent.e_len});
  }
  ext2fs_extent_free(handle);
  if (error != EXT2_ET_EXTENT_NO_NEXT) require_ok(error, "cannot read extents");
  return extents;
}

std::string Ext4Image::read(const Ext4File& file, std::uint64_t offset, std::size_t size) const {
  return state_->read(file.inode, offset, size);
}

std::uint64_t Ext4Image::blocks() const {
  return ext2fs_blocks_count(state_->fs->super);
}
std::uint64_t Ext4Image::free_blocks() const {
  return ext2fs_free_blocks_count(state_->fs->super);
}
std::uint64_t Ext4Image::free_inodes() const {
  return state_->fs->super->s_free_inodes_count;
}

// --- consistency ---

class Ext4Image::Check {
 public:
  explicit Check(ext2_filsys fs, const State& state)
      : fs_(fs), state_(state), used_(ext2fs_blocks_count(fs->super)) {
    require_ok(ext2fs_read_bitmaps(fs), "cannot read bitmaps");
  }

  void run() {
    use_metadata();
    for (ext2_ino_t number = 1; number <= fs_->super->s_inodes_count; ++number) use_inode(number);
    count_links();
    compare();
  }

 private:
  void use(std::uint64_t block) {
    if (block >= used_.size()) fail_check("a block is outside");
    if (used_[block]) fail_check("block " + std::to_string(block) + " is used twice");
    used_[block] = true;
  }

  void use_metadata() {
    use(0);
    for (dgrp_t i = 0; i < fs_->desc_blocks; ++i) use(1 + i);
    for (dgrp_t group = 0; group < fs_->group_desc_count; ++group) {
      use(ext2fs_block_bitmap_loc(fs_, group));
      use(ext2fs_inode_bitmap_loc(fs_, group));
      for (unsigned i = 0; i < fs_->inode_blocks_per_group; ++i) {
        use(ext2fs_inode_table_loc(fs_, group) + i);
      }
    }
  }

  static int visit_block(ext2_filsys, blk64_t* block, e2_blkcnt_t, blk64_t, int, void* self) {
    ++static_cast<Check*>(self)->blocks_;
    static_cast<Check*>(self)->pending_.push_back(*block);
    return 0;
  }

  void use_inode(ext2_ino_t number) {
    const DiskInode inode = state_.inode(number);
    const bool is_used = ext2fs_test_inode_bitmap2(fs_->inode_map, number) != 0;
    const bool is_reserved = number < EXT2_FIRST_INODE(fs_->super) && number != EXT2_ROOT_INO;
    if (is_used != (is_reserved || inode.i_links_count > 0)) fail_check("the inode bitmap");
    if (!is_used) ++free_inodes_;
    if (inode.i_links_count == 0) return;
    links_[number] = inode.i_links_count;
    if (LINUX_S_ISDIR(inode.i_mode)) directories_.push_back(number);
    blocks_ = 0;
    auto* const small = reinterpret_cast<ext2_inode*>(const_cast<DiskInode*>(&inode));
    if (ext2fs_inode_has_valid_blocks2(fs_, small) != 0) {
      require_ok(
          ext2fs_block_iterate3(fs_, number, BLOCK_FLAG_READ_ONLY, nullptr, visit_block, this),
          "cannot read the blocks of an inode");
    }
    for (const std::uint64_t block : pending_) use(block);
    pending_.clear();
    if (inode.i_file_acl != 0) {
      use(inode.i_file_acl);
      ++blocks_;
    }
    if (inode.i_blocks != 8 * blocks_) fail_check("the number of blocks of an inode");
  }

  void count_links() {
    std::map<ext2_ino_t, std::uint64_t> counted;
    for (const ext2_ino_t directory : directories_) {
      for (const auto& [name, number] : state_.names_in(directory)) ++counted[number];
    }
    for (auto& [number, count] : counted) {
      if (count > EXT2_LINK_MAX) count = 1;
    }
    if (counted != links_) fail_check("the numbers of links");
  }

  void compare() {
    std::uint64_t free_blocks = 0;
    for (std::uint64_t block = 0; block < used_.size(); ++block) {
      const bool is_marked = ext2fs_test_block_bitmap2(fs_->block_map, block) != 0;
      if (is_marked != used_[block]) fail_check("bit of block " + std::to_string(block));
      if (!is_marked) ++free_blocks;
    }
    std::uint64_t in_groups = 0;
    std::uint64_t inodes_in_groups = 0;
    std::uint64_t directories_in_groups = 0;
    for (dgrp_t group = 0; group < fs_->group_desc_count; ++group) {
      in_groups += ext2fs_bg_free_blocks_count(fs_, group);
      inodes_in_groups += ext2fs_bg_free_inodes_count(fs_, group);
      directories_in_groups += ext2fs_bg_used_dirs_count(fs_, group);
    }
    if (free_blocks != ext2fs_free_blocks_count(fs_->super) || free_blocks != in_groups) {
      fail_check("the number of free blocks");
    }
    if (free_inodes_ != fs_->super->s_free_inodes_count || free_inodes_ != inodes_in_groups) {
      fail_check("the number of free inodes");
    }
    if (directories_.size() != directories_in_groups) fail_check("the number of directories");
  }

  ext2_filsys fs_;
  const State& state_;
  std::vector<bool> used_;
  std::vector<std::uint64_t> pending_;
  std::uint64_t blocks_ = 0;
  std::uint64_t free_inodes_ = 0;
  std::map<ext2_ino_t, std::uint64_t> links_;
  std::vector<ext2_ino_t> directories_;
};

void Ext4Image::check() const {
  Check(state_->fs, *state_).run();
}

}  // namespace pyro::testing

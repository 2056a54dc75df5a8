// The fs-verity digest of a file that is there.
#include "base/file_verity.h"

#include <span>

#include "base/fs_verity.h"
#include "base/sparse_reader.h"

namespace pyro {

Digest file_verity(int fd, std::uint64_t size, const std::string& subject,
                   const std::stop_token& stop) {
  FsVerity verity;
  read_sparse(fd, size, subject, stop,
              {.data = [&](std::span<const std::byte> bytes) { verity.add_blocks(bytes); },
               .hole = [&](std::uint64_t hole) { verity.add_zero_blocks(blocks_in(hole)); }});
  return verity.finish(size);
}

}  // namespace pyro

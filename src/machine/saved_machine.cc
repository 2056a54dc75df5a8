// Machines that are saved with what runs in them.
#include "machine/saved_machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <isa-l/crc64.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/fs_verity.h"
#include "machine/saved_states.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kPage = 4096;
constexpr const char* kMemoryChecksum = "memory_crc64";
constexpr const char* kDevicesChecksum = "devices_crc64";

/// Sums up the pages that are not zero, and writes them to a file, if there is one.
class PageWriter {
 public:
  PageWriter(int file, const std::string& subject) : file_(file), subject_(subject) {}

  void add(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t zeros = run_of(bytes, true);
      at_ += zeros;
      bytes = bytes.subspan(zeros);
      const std::size_t data = run_of(bytes, false);
      if (data > 0) write(bytes.first(data));
      bytes = bytes.subspan(data);
    }
  }
  void skip(std::uint64_t hole) { at_ += hole; }

  [[nodiscard]] std::uint64_t checksum() const noexcept { return checksum_; }

 private:
  static bool is_zero(std::span<const std::byte> page) {
    return page.front() == std::byte{} &&
           std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
  }

  /// The bytes of the pages at the beginning that are zero, or that are not.
  static std::size_t run_of(std::span<const std::byte> bytes, bool of_zeros) {
    std::size_t run = 0;
    while (run < bytes.size()) {
      const auto page = bytes.subspan(run, std::min(kPage, bytes.size() - run));
      if (is_zero(page) != of_zeros) break;
      run += page.size();
    }
    return run;
  }

  void write(std::span<const std::byte> bytes) {
    if (file_ >= 0) pwrite_all(file_, bytes, at_, subject_);
    // Whatever the pieces are that are read.
    if (at_ != end_of_data_) sum_up(std::as_bytes(std::span(&at_, 1)));
    sum_up(bytes);
    at_ += bytes.size();
    end_of_data_ = at_;
  }

  void sum_up(std::span<const std::byte> bytes) {
    checksum_ = ::crc64_ecma_refl(checksum_, reinterpret_cast<const unsigned char*>(bytes.data()),
                                  bytes.size());
  }

  const int file_;
  const std::string& subject_;
  std::uint64_t at_ = 0;
  std::uint64_t end_of_data_ = 0;  ///< Of the last page that was not zero.
  std::uint64_t checksum_ = 0;
};

std::uint64_t size_of(int file, const std::string& subject) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error("cannot look at " + subject, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

/// @return the checksum
std::uint64_t read_pages(int from, std::uint64_t size, int to, const std::string& subject,
                         const std::stop_token& stop) {
  PageWriter writer(to, subject);
  read_sparse(from, size, subject, stop,
              {[&](std::span<const std::byte> bytes) { writer.add(bytes); },
               [&](std::uint64_t hole) { writer.skip(hole); }});
  return writer.checksum();
}

void load(const Fd& from, int to, const json& checksum, const char* what,
          const std::stop_token& stop) {
  if (copy_pages(from.get(), to, what, stop) == checksum) return;
  throw Error(ErrorCode::failed, std::string(what) + " was changed since it was saved");
}

}  // namespace

std::uint64_t copy_pages(int from, int to, const std::string& subject,
                         const std::stop_token& stop) {
  const std::uint64_t size = size_of(from, subject);
  if (!set_size(to, size)) throw system_error("cannot enlarge " + subject, errno);
  return read_pages(from, size, to, subject, stop);
}

std::uint64_t checksum_of_pages(int file, const std::string& subject) {
  return read_pages(file, size_of(file, subject), -1, subject, {});
}

json describe_saved_machine(const StateKey& key, const MachineConfig& config,
                            std::uint64_t memory_checksum, std::uint64_t devices_checksum,
                            const std::stop_token& stop) {
  json manifest = state_manifest(state_conditions(key, config), {.config = config}, stop);
  manifest[kMemoryChecksum] = memory_checksum;
  manifest[kDevicesChecksum] = devices_checksum;
  return manifest;
}

MachineConfig config_of_saved_machine(const SavedMachine& saved, const StateKey& key) {
  const StateMatch match = match_state(saved.manifest, key, {});
  if (match.differences.empty()) return match.config;
  throw Error(ErrorCode::failed, fmt::format("{}", fmt::join(match.differences, "; ")));
}

void load_saved_machine(const SavedMachine& saved, int memory, int devices,
                        const std::stop_token& stop) {
  load(saved.memory, memory, saved.manifest.value(kMemoryChecksum, json()), "its memory", stop);
  load(saved.devices, devices, saved.manifest.value(kDevicesChecksum, json()),
       "the state of its devices", stop);
}

}  // namespace pyro

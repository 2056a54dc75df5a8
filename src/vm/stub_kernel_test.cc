// Tests of the smallest kernel: that loaders find in it what they look for.
#include "vm/stub_kernel.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

namespace pyro {
namespace {

template <typename Struct>
Struct at(const std::string& bytes, std::size_t offset) {
  Struct result{};
  EXPECT_LE(offset + sizeof result, bytes.size());
  if (offset + sizeof result <= bytes.size()) std::memcpy(&result, &bytes[offset], sizeof result);
  return result;
}

TEST(StubKernelTest, IsAnExecutableOfThisArchitecture) {
  const auto header = at<Elf64_Ehdr>(stub_kernel(), 0);
  EXPECT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
  EXPECT_EQ(header.e_ident[EI_CLASS], ELFCLASS64);
  EXPECT_EQ(header.e_machine, EM_X86_64);
  EXPECT_EQ(header.e_type, ET_EXEC);
  EXPECT_EQ(header.e_phentsize, sizeof(Elf64_Phdr));
}

TEST(StubKernelTest, EverySegmentIsWithinTheFile) {
  const std::string kernel = stub_kernel();
  const auto header = at<Elf64_Ehdr>(kernel, 0);
  ASSERT_EQ(header.e_phnum, 2);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = at<Elf64_Phdr>(kernel, header.e_phoff + i * sizeof(Elf64_Phdr));
    EXPECT_LE(segment.p_offset + segment.p_filesz, kernel.size());
  }
}

TEST(StubKernelTest, TheNoteNamesTheEntryWhereTheCodeIs) {
  const std::string kernel = stub_kernel();
  const auto header = at<Elf64_Ehdr>(kernel, 0);
  const auto load = at<Elf64_Phdr>(kernel, header.e_phoff);
  const auto note = at<Elf64_Phdr>(kernel, header.e_phoff + sizeof(Elf64_Phdr));
  EXPECT_EQ(load.p_type, PT_LOAD);
  EXPECT_EQ(note.p_type, PT_NOTE);
  EXPECT_EQ(kernel.substr(note.p_offset + sizeof(Elf64_Nhdr), 4), std::string("Xen\0", 4));
  const auto entry = at<std::uint64_t>(kernel, note.p_offset + sizeof(Elf64_Nhdr) + 4);
  EXPECT_EQ(entry, header.e_entry);
  // mov al, kStubNumber; out kStubPort, al
  EXPECT_EQ(kernel.substr(entry - load.p_paddr, 4), "\xb0\x2a\xe6\xf4");
}

}  // namespace
}  // namespace pyro

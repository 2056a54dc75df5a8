// The smallest kernel that QEMU boots.
#include "vm/stub_kernel.h"

#include <elf.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace pyro {
namespace {

constexpr std::uint64_t kAddress = 0x100000;
constexpr std::uint32_t kEntryNote = 18;  // XEN_ELFNOTE_PHYS32_ENTRY

/// 32-bit code: mov al, 42; out 0xf4, al; halt: hlt; jmp halt.
constexpr std::array<std::uint8_t, 8> kCode = {0xb0, kStubNumber, 0xe6, kStubPort,
                                               0xf4, 0xeb,        0xfd, 0x90};

struct ElfNote {
  Elf64_Nhdr header{.n_namesz = 4, .n_descsz = 8, .n_type = kEntryNote};
  char name[4] = {'X', 'e', 'n', '\0'};
  std::uint64_t entry = 0;
};
static_assert(sizeof(ElfNote) == 24);

struct File {
  Elf64_Ehdr header{};
  Elf64_Phdr code_segment{};
  Elf64_Phdr note_segment{};
  ElfNote note;
  std::array<std::uint8_t, kCode.size()> code = kCode;
};

}  // namespace

std::string stub_kernel() {
  File file;
  constexpr std::uint64_t kEntry = kAddress + offsetof(File, code);
  std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
  file.header.e_ident[EI_CLASS] = ELFCLASS64;
  file.header.e_ident[EI_DATA] = ELFDATA2LSB;
  file.header.e_ident[EI_VERSION] = EV_CURRENT;
  file.header.e_type = ET_EXEC;
  file.header.e_machine = EM_X86_64;
  file.header.e_version = EV_CURRENT;
  file.header.e_entry = kEntry;
  file.header.e_phoff = offsetof(File, code_segment);
  file.header.e_ehsize = sizeof(Elf64_Ehdr);
  file.header.e_phentsize = sizeof(Elf64_Phdr);
  file.header.e_phnum = 2;
  file.code_segment = {.p_type = PT_LOAD,
                       .p_flags = PF_R | PF_X,
                       .p_offset = 0,
                       .p_vaddr = kAddress,
                       .p_paddr = kAddress,
                       .p_filesz = sizeof file,
                       .p_memsz = sizeof file,
                       .p_align = 4096};
  file.note_segment = {.p_type = PT_NOTE,
                       .p_flags = PF_R,
                       .p_offset = offsetof(File, note),
                       .p_vaddr = kAddress + offsetof(File, note),
                       .p_paddr = kAddress + offsetof(File, note),
                       .p_filesz = sizeof(ElfNote),
                       .p_memsz = sizeof(ElfNote),
                       .p_align = 4};
  file.note.entry = kEntry;
  std::string bytes(sizeof file, '\0');
  std::memcpy(bytes.data(), &file, sizeof file);
  return bytes;
}

Fd make_stub_kernel() {
  constexpr const char* kKernelName = "a kernel";
  Fd file = make_memory_file(kKernelName);
  write_all(file.get(), stub_kernel(), kKernelName);
  return file;
}

}  // namespace pyro

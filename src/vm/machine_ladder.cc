// Which machines are tried.
#include "vm/machine_ladder.h"

namespace pyro {

std::vector<MachineShape> ladder_from(const MachineShape& asked) {
  std::vector<MachineShape> ladder{asked};
  MachineShape next = asked;
  // A kernel may lack what a microvm takes, which says nothing of KVM.
  next.type = MachineType::q35;
  if (next != asked) ladder.push_back(next);
  return ladder;
}

}  // namespace pyro

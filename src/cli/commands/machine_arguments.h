// What commands that have to do with machines let one choose of them.
#pragma once

#include <string>

#include "cli/arguments.h"
#include "cli/context.h"
#include "pyro/machine.h"

namespace pyro::cli {

/// --cpus and --memory.
void declare_machine_size(Arguments& arguments, MachineOptions& options);

/// The monitor to use: $PYRO_QEMU, else qemu-system-x86_64 in $PATH; empty where there is none.
/// What PYRO_KVM says of KVM counts unless the options say something.
/// @throws Error(usage) for another value of PYRO_KVM than 'off' and 'require'
void find_monitor(const Variables& variables, MachineOptions& options);

}  // namespace pyro::cli

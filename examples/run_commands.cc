// Runs two commands at the same time in one machine: run_commands NAME
//
// Cache, catalogs and credentials are the pyro executable's.
#include <pyro/environment_store.h>
#include <pyro/machine.h>

#include <csignal>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: run_commands NAME\n";
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  try {
    pyro::StoreOptions options = pyro::StoreOptions::from_environment();
    options.extractor = PYRO_EXECUTABLE;
    pyro::EnvironmentStore store(options);
    pyro::Machine machine(store, argv[1]);
    std::cerr << "ready after " << machine.info().ready_after.count() / 1000 << " ms\n";

    pyro::CommandOptions slow;
    slow.command = {"sh", "-c", "sleep 1; echo second"};
    pyro::RunningCommand running = machine.spawn(slow);

    pyro::CommandOptions quick;
    quick.command = {"echo", "first"};
    machine.run(quick);
    return running.wait().exit_code;
  } catch (const pyro::Error& error) {
    std::cerr << pyro::to_string(error.code()) << ": " << error.what() << "\n";
    return 1;
  }
}

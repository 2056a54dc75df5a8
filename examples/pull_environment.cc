// Makes sure an environment is installed and says what to boot: pull_environment NAME
//
// Cache, catalogs and credentials are the pyro executable's.
#include <pyro/environment_store.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: pull_environment NAME\n";
    return 2;
  }
  try {
    pyro::StoreOptions options = pyro::StoreOptions::from_environment();
    options.extractor = PYRO_EXECUTABLE;
    pyro::EnvironmentStore store(options);
    const pyro::InstalledEnvironment environment = store.ensure_installed(argv[1]);
    std::cout << "kernel " << environment.kernel_image.string() << "\n"
              << "rootfs " << environment.rootfs_image.string() << "\n";
    if (environment.initrd_image) {
      std::cout << "initrd " << environment.initrd_image->string() << "\n";
    }
  } catch (const pyro::Error& error) {
    std::cerr << pyro::to_string(error.code()) << ": " << error.what() << "\n";
    return 1;
  }
}

// Makes sure an environment is installed and says what to boot: pull_environment CACHE NAME
// [CATALOG]
#include <pyro/environment_store.h>

#include <filesystem>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: pull_environment CACHE NAME [CATALOG]\n";
    return 2;
  }
  try {
    const std::vector<std::filesystem::path> catalogs(argv + 3, argv + argc);
    pyro::EnvironmentStore store({.cache_dir = argv[1],
                                  .catalog = pyro::Catalog::load(catalogs),
                                  .extractor = PYRO_EXECUTABLE});
    const pyro::InstalledEnvironment environment = store.ensure_installed(argv[2]);
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

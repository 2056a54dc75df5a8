# What pyro is built from, all of it from Debian's packages (tools/install-deps has the list).
find_package(CURL REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(LibLZMA REQUIRED)
find_package(BZip2 REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE_DIR NAMES toml++/toml.h REQUIRED)  # used without its library
mark_as_advanced(TOMLPLUSPLUS_INCLUDE_DIR)
include(${CMAKE_CURRENT_LIST_DIR}/libraries.cmake)

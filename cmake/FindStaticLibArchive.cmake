# libarchive.a as the target StaticLibArchive::archive.
#
# Linked statically it brings its tar reader and nothing else: no other format, no filter, and none
# of the 30 MiB of libraries behind them.
include(FindPackageHandleStandardArgs)
find_library(StaticLibArchive_LIBRARY NAMES libarchive.a)
find_path(StaticLibArchive_INCLUDE_DIR NAMES archive.h)
find_package_handle_standard_args(StaticLibArchive
  REQUIRED_VARS StaticLibArchive_LIBRARY StaticLibArchive_INCLUDE_DIR)
if(StaticLibArchive_FOUND AND NOT TARGET StaticLibArchive::archive)
  add_library(StaticLibArchive::archive STATIC IMPORTED)
  set_target_properties(StaticLibArchive::archive PROPERTIES
    IMPORTED_LOCATION ${StaticLibArchive_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${StaticLibArchive_INCLUDE_DIR})
endif()

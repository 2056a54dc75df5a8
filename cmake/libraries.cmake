# pyro_library(TARGET FILE HEADER): a library that brings nothing for CMake, as an imported target.
#
# ISA-L is found so, and not by pkg-config, which who builds with pyro need not have.
#
# libarchive linked statically brings its tar reader and nothing else: no other format, no filter,
# and none of the 30 MiB of libraries behind them.
function(pyro_library target file header)
  find_library(${target}_LIBRARY NAMES ${file} REQUIRED)
  find_path(${target}_INCLUDE_DIR NAMES ${header} REQUIRED)
  mark_as_advanced(${target}_LIBRARY ${target}_INCLUDE_DIR)
  if(NOT TARGET pyro::${target})
    add_library(pyro::${target} UNKNOWN IMPORTED)
    set_target_properties(pyro::${target} PROPERTIES
      IMPORTED_LOCATION ${${target}_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${${target}_INCLUDE_DIR})
  endif()
endfunction()

pyro_library(isal libisal.so isa-l/igzip_lib.h)
pyro_library(static_libarchive libarchive.a archive.h)
pyro_library(zstd libzstd.so zstd.h)

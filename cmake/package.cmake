# Debian packages: `cpack` in a build directory that was configured for the prefix /usr (make deb).
#
#   pyro          what runs: the executable, the shared library, the Python module
#   libpyro-dev   what one builds with
#
# tools/deb makes a third one, pyro-kernel, without CMake.
# This is the only place that knows Debian's policy.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The pyro authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # would be put in front of each package's own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian/compress.cmake)
set(CPACK_COMPONENTS_ALL pyro libpyro-dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The pyro authors <maintainers@pyro.invalid>")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_PYRO_PACKAGE_NAME pyro)
set(CPACK_DEBIAN_PYRO_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PYRO_DESCRIPTION "${PROJECT_DESCRIPTION}
A microVM needs a kernel and a root file system. pyro pulls them from OCI
registries, archives or bundles on disk into a local cache, once, verified and
atomically, and runs commands in machines that are booted from them.
.
This package has the executable, its library for programs in C and other
languages, and a Python module over that.")
set(CPACK_DEBIAN_PYRO_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY >=)
# Loaded when it is needed (net/curl.h), so that nothing else tells of it.
set(CPACK_DEBIAN_PYRO_PACKAGE_DEPENDS "libcurl4 | libcurl4t64")
set(CPACK_DEBIAN_PYRO_PACKAGE_RECOMMENDS "ca-certificates, e2fsprogs, passt, pyro-kernel, qemu-system-x86")
set(CPACK_DEBIAN_PYRO_PACKAGE_SUGGESTS "git, python3")
set(CPACK_DEBIAN_PYRO_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/debian/postinst
                                            ${CMAKE_CURRENT_LIST_DIR}/debian/prerm
                                            ${CMAKE_CURRENT_LIST_DIR}/debian/triggers)

set(CPACK_DEBIAN_LIBPYRO-DEV_PACKAGE_NAME libpyro-dev)
set(CPACK_DEBIAN_LIBPYRO-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBPYRO-DEV_DESCRIPTION "${PROJECT_DESCRIPTION} (development)
Headers, the static library with the C++ API, the link to the shared library
with the C API, and what find_package() and pkg-config look for.")
# What the static library is linked with (pyro.pc, pyro-config.cmake).
string(JOIN ", " CPACK_DEBIAN_LIBPYRO-DEV_PACKAGE_DEPENDS
  "pyro (= ${PROJECT_VERSION})" libarchive-dev libbz2-dev libfmt-dev libisal-dev liblzma-dev
  libssl-dev libzstd-dev)

# Parts of these are in what is built: their licences ask to be told.
set(copyright "pyro\n\n")
file(READ ${PROJECT_SOURCE_DIR}/LICENSE license)
string(APPEND copyright "${license}")
foreach(package libarchive-dev libfmt-dev libtomlplusplus-dev nlohmann-json3-dev)
  if(EXISTS /usr/share/doc/${package}/copyright)
    file(READ /usr/share/doc/${package}/copyright license)
    string(APPEND copyright "\n\nIn parts built from ${package}:\n\n${license}")
  endif()
endforeach()
file(WRITE ${PROJECT_BINARY_DIR}/copyright "${copyright}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/debian/changelog.in ${PROJECT_BINARY_DIR}/changelog @ONLY)
execute_process(COMMAND gzip -9nc changelog OUTPUT_FILE changelog.gz
                WORKING_DIRECTORY ${PROJECT_BINARY_DIR} COMMAND_ERROR_IS_FATAL ANY)
foreach(package ${CPACK_COMPONENTS_ALL})
  install(FILES ${PROJECT_BINARY_DIR}/copyright ${PROJECT_BINARY_DIR}/changelog.gz
          DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package} COMPONENT ${package})
endforeach()
include(CPack)

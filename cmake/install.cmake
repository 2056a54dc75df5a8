# What is installed, and in which of the two packages it is: what runs, and what one builds with.
set(PYRO_PYTHON_DIR lib/python3/dist-packages CACHE STRING
    "Where the Python module is installed, below the prefix")

install(TARGETS pyro_executable)
install(TARGETS pyro_shared EXPORT pyro-targets LIBRARY NAMELINK_COMPONENT libpyro-dev)
install(DIRECTORY ${documents}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${documents}/completions/bash/pyro
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${documents}/completions/zsh/_pyro
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${documents}/completions/fish/pyro.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/schemas DESTINATION ${CMAKE_INSTALL_DATADIR}/pyro)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/pyro_env DESTINATION ${PYRO_PYTHON_DIR}
        FILES_MATCHING PATTERN *.py PATTERN py.typed PATTERN __pycache__ EXCLUDE)

# Below one directory, as in the repository, so that their links to each other lead somewhere.
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/SECURITY.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR}
        FILES_MATCHING PATTERN *.md PATTERN *.svg PATTERN schemas EXCLUDE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
        PATTERN __pycache__ EXCLUDE)

# What the library leaves to be linked is in no public header, but it must be found again.
include(CMakePackageConfigHelpers)
set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pyro)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pyro-config.cmake.in
                              ${PROJECT_BINARY_DIR}/pyro-config.cmake
                              INSTALL_DESTINATION ${cmake_dir} PATH_VARS CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pyro-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH prefix_of_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/pyro.pc.in ${PROJECT_BINARY_DIR}/pyro.pc @ONLY)
install(TARGETS pyro EXPORT pyro-targets COMPONENT libpyro-dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pyro TYPE INCLUDE COMPONENT libpyro-dev)
install(EXPORT pyro-targets NAMESPACE pyro:: DESTINATION ${cmake_dir} COMPONENT libpyro-dev)
install(FILES ${PROJECT_BINARY_DIR}/pyro-config.cmake
              ${PROJECT_BINARY_DIR}/pyro-config-version.cmake
              ${CMAKE_CURRENT_LIST_DIR}/libraries.cmake
        DESTINATION ${cmake_dir} COMPONENT libpyro-dev)
install(FILES ${PROJECT_BINARY_DIR}/pyro.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT libpyro-dev)

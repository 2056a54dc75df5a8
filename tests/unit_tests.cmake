# A compromised extractor.
add_executable(pyro_sandbox_liar sandbox/liar.cc)
target_include_directories(pyro_sandbox_liar PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(pyro_sandbox_liar PRIVATE pyro pyro_options)

# The forbidden operations, tried from within the sandbox. It has no sanitizers in any build, so
# that every build tests the whole sandbox.
set(probed_sources base/errors.cc base/files.cc sandbox/extractor_policy.cc sandbox/policy.cc
                   sandbox/policy.cc sandbox/seccomp_filter.cc)
list(TRANSFORM probed_sources PREPEND ${PROJECT_SOURCE_DIR}/src/)
add_executable(pyro_sandbox_probe sandbox/probe.cc ${probed_sources})
target_include_directories(pyro_sandbox_probe PRIVATE ${PROJECT_SOURCE_DIR}/src
                                                  ${PROJECT_SOURCE_DIR}/include)
target_compile_options(pyro_sandbox_probe PRIVATE -fno-sanitize=all -UPYRO_SANITIZED)
target_link_options(pyro_sandbox_probe PRIVATE -fno-sanitize=all)
target_link_libraries(pyro_sandbox_probe PRIVATE pyro_options)

# Unit tests stand beside their sources; those of each module are one program.
foreach(room base image net oci stream sandbox catalog source store machine workspace doctor front cli
             capi)
  file(GLOB_RECURSE room_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*_test.cc)
  if(room_tests)
    set(libraries pyro fmt::fmt nlohmann_json::nlohmann_json)
    if(room STREQUAL cli)
      list(PREPEND libraries pyro_cli)
    endif()
    if(room STREQUAL capi)
      list(PREPEND libraries pyro_capi)
    endif()
    if(room STREQUAL image)
      # Read by a library that has nothing in common with the writer.
      list(APPEND room_tests support/ext4_image.cc)
      set_source_files_properties(support/ext4_image.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
      list(APPEND libraries ext2fs com_err)
    endif()
    pyro_add_test(${room}_test SOURCES ${room_tests} LIBRARIES ${libraries} LABELS unit)
    target_include_directories(${room}_test PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${room}_test PRIVATE PYRO_VERSION="${PROJECT_VERSION}"
                                                   "PYRO_EXECUTABLE=\"$<TARGET_FILE:pyro_executable>\"")
    if(room MATCHES "^(sandbox|machine)$")
      add_dependencies(${room}_test pyro_executable pyro_sandbox_probe pyro_sandbox_liar)
      target_compile_definitions(${room}_test
        PRIVATE "PYRO_PROBE=\"$<TARGET_FILE:pyro_sandbox_probe>\""
                "PYRO_LIAR=\"$<TARGET_FILE:pyro_sandbox_liar>\"")
    endif()
  endif()
endforeach()

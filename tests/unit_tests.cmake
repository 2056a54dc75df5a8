# What an extractor must not do, tried from within the box; and one that does all of it.
foreach(program probe liar)
  add_executable(pyro_box_${program} box/${program}.cc)
  target_include_directories(pyro_box_${program} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(pyro_box_${program} PRIVATE pyro pyro_options)
endforeach()

# Unit tests stand beside what they test; each room's are one program.
foreach(room base net oci stream box catalog source store cli)
  file(GLOB_RECURSE room_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*_test.cc)
  if(room_tests)
    set(libraries pyro fmt::fmt nlohmann_json::nlohmann_json)
    if(room STREQUAL cli)
      list(PREPEND libraries pyro_cli)
    endif()
    pyro_add_test(${room}_test SOURCES ${room_tests} LIBRARIES ${libraries} LABELS unit)
    target_include_directories(${room}_test PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${room}_test PRIVATE PYRO_VERSION="${PROJECT_VERSION}"
                                                   "PYRO_EXECUTABLE=\"$<TARGET_FILE:pyro_executable>\"")
    if(room STREQUAL box)
      add_dependencies(${room}_test pyro_executable pyro_box_probe pyro_box_liar)
      target_compile_definitions(${room}_test
        PRIVATE "PYRO_PROBE=\"$<TARGET_FILE:pyro_box_probe>\""
                "PYRO_LIAR=\"$<TARGET_FILE:pyro_box_liar>\"")
    endif()
  endif()
endforeach()

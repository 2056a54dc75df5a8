# What makes a fault hard to make use of, for everything that is shipped: src/ includes it.
#
# The sanitizers find the same faults and more, and _FORTIFY_SOURCE hides some of them. It wants
# optimized code, too. Debian's start files and static libraries are made without CET: our code has
# its landing pads, but no file that is linked says so of itself.
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(PYRO_SANITIZE)
  return()
endif()

include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection=full
                    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
                    $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)

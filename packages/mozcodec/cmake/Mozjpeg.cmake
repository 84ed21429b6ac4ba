# The target `mozjpeg`: include folders and library of the mozjpeg that mozcodec is built on.
#
# Static (the default): the pinned source, built here with position-independent code, SIMD and arithmetic coding.
# MOZCODEC_SYSTEM_MOZJPEG=ON: an installed libmozjpeg, found through pkg-config or CMAKE_PREFIX_PATH.
# MOZCODEC_MOZJPEG_EXTRA_SOURCES: files of the pinned source that are compiled into the extension.
include(ExternalProject)
include(CheckCSourceCompiles)

function(mozcodec_require_nasm)
  string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
  if(NOT MOZCODEC_REQUIRE_SIMD OR NOT processor MATCHES "x86_64|amd64|i[3-6]86")
    return()
  endif()
  find_program(MOZCODEC_NASM NAMES nasm yasm)
  if(NOT MOZCODEC_NASM)
    message(FATAL_ERROR "mozcodec: nasm was not found.\n"
      "mozjpeg's SIMD code (most of its speed) is assembled with nasm. Install it\n"
      "  Debian, Ubuntu:  apt-get install nasm\n"
      "  Fedora:          dnf install nasm\n"
      "  macOS:           brew install nasm\n"
      "or build the slower plain C code on purpose, with MOZCODEC_REQUIRE_SIMD=OFF in the environment.")
  endif()
endfunction()

# Where pkg-config does not know a libjpeg, CMake looks itself: CMAKE_PREFIX_PATH in the environment says where.
function(mozcodec_find_libjpeg result)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(JPEG QUIET IMPORTED_TARGET libjpeg)
  endif()
  if(JPEG_FOUND)
    set(${result} PkgConfig::JPEG PARENT_SCOPE)
    return()
  endif()
  find_path(MOZCODEC_LIBJPEG_INCLUDE jpeglib.h)
  find_library(MOZCODEC_LIBJPEG_LIBRARY jpeg)
  if(NOT MOZCODEC_LIBJPEG_INCLUDE OR NOT MOZCODEC_LIBJPEG_LIBRARY)
    message(FATAL_ERROR "mozcodec: no installed libjpeg was found.\n"
      "Set CMAKE_PREFIX_PATH (or PKG_CONFIG_PATH) in the environment to where libmozjpeg is installed,\n"
      "or build without MOZCODEC_SYSTEM_MOZJPEG.")
  endif()
  add_library(mozcodec_libjpeg INTERFACE IMPORTED GLOBAL)
  target_include_directories(mozcodec_libjpeg INTERFACE "${MOZCODEC_LIBJPEG_INCLUDE}")
  target_link_libraries(mozcodec_libjpeg INTERFACE "${MOZCODEC_LIBJPEG_LIBRARY}")
  set(${result} mozcodec_libjpeg PARENT_SCOPE)
endfunction()

function(mozcodec_system_mozjpeg)
  mozcodec_find_libjpeg(libjpeg)
  set(CMAKE_REQUIRED_LIBRARIES ${libjpeg})
  check_c_source_compiles("
    #include <stdio.h>
    #include <jpeglib.h>
    int main(void) { struct jpeg_compress_struct c;
      jpeg_c_set_bool_param(&c, JBOOLEAN_TRELLIS_QUANT, TRUE); return 0; }" MOZCODEC_LIBJPEG_IS_MOZJPEG)
  if(NOT MOZCODEC_LIBJPEG_IS_MOZJPEG)
    message(FATAL_ERROR "mozcodec: the installed libjpeg is not mozjpeg (it has no JBOOLEAN_TRELLIS_QUANT).\n"
      "Set CMAKE_PREFIX_PATH (or PKG_CONFIG_PATH) in the environment to where libmozjpeg is installed,\n"
      "or build without MOZCODEC_SYSTEM_MOZJPEG.")
  endif()
  target_link_libraries(mozjpeg INTERFACE ${libjpeg})
  target_compile_definitions(mozjpeg INTERFACE MOZCODEC_SYSTEM_MOZJPEG)
  set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON PARENT_SCOPE)
endfunction()

function(mozcodec_static_mozjpeg)
  if(MOZCODEC_MOZJPEG_SOURCE)
    set(source "${MOZCODEC_MOZJPEG_SOURCE}")
    if(NOT IS_ABSOLUTE "${source}")   # pip builds in another folder
      message(FATAL_ERROR "mozcodec: MOZCODEC_MOZJPEG_SOURCE=${source} must be an absolute path")
    endif()
    if(NOT EXISTS "${source}/jpeglib.h")
      message(FATAL_ERROR "mozcodec: MOZCODEC_MOZJPEG_SOURCE=${source} holds no jpeglib.h")
    endif()
  else()
    include("${CMAKE_CURRENT_SOURCE_DIR}/cmake/FetchMozjpeg.cmake")
    mozcodec_fetch_mozjpeg(source)
  endif()

  # Another compiler or other flags build in a folder of their own: in the old one nothing would be configured again.
  set(root "${CMAKE_CURRENT_BINARY_DIR}")
  if(NOT MOZCODEC_PROGRAMS)
    string(MD5 key "${CMAKE_C_COMPILER};${CMAKE_C_FLAGS};${CMAKE_GENERATOR};${MOZCODEC_REQUIRE_SIMD}")
    string(SUBSTRING "${key}" 0 12 key)
    string(APPEND root "/${key}")
  endif()
  set(prefix "${root}/mozjpeg-build")
  if(EXISTS "${prefix}/CMakeCache.txt")   # CMake does not build another source in the same folder
    file(STRINGS "${prefix}/CMakeCache.txt" home REGEX "^CMAKE_HOME_DIRECTORY:INTERNAL=")
    if(NOT home STREQUAL "CMAKE_HOME_DIRECTORY:INTERNAL=${source}")
      file(REMOVE_RECURSE "${prefix}" "${root}/mozjpeg-prefix")
    endif()
  endif()
  set(archive "${prefix}/${CMAKE_STATIC_LIBRARY_PREFIX}jpeg${CMAKE_STATIC_LIBRARY_SUFFIX}")
  set(targets jpeg-static)
  if(MOZCODEC_PROGRAMS)
    list(APPEND targets cjpeg-static djpeg-static jpegtran-static)
  endif()
  set(platform)
  if(CMAKE_CROSSCOMPILING)
    set(platform -DCMAKE_SYSTEM_NAME=${CMAKE_SYSTEM_NAME} -DCMAKE_SYSTEM_PROCESSOR=${CMAKE_SYSTEM_PROCESSOR})
  endif()
  # mozjpeg refuses add_subdirectory, and its install target wants man pages that the source lacks.
  ExternalProject_Add(mozjpeg_build
    SOURCE_DIR "${source}"
    BINARY_DIR "${prefix}"
    PREFIX "${root}/mozjpeg-prefix"
    CMAKE_ARGS
      -DCMAKE_BUILD_TYPE=Release
      -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
      -DCMAKE_C_FLAGS=${CMAKE_C_FLAGS}
      ${platform}
      -DCMAKE_C_VISIBILITY_PRESET=hidden
      -DCMAKE_POSITION_INDEPENDENT_CODE=ON
      -DBUILD_SHARED_LIBS=OFF
      -DPNG_SUPPORTED=OFF
      -DWITH_TURBOJPEG=OFF
      -DWITH_ARITH_ENC=ON
      -DWITH_ARITH_DEC=ON
      -DREQUIRE_SIMD=${MOZCODEC_REQUIRE_SIMD}
      -DWITH_SIMD=${MOZCODEC_REQUIRE_SIMD}
    BUILD_COMMAND "${CMAKE_COMMAND}" --build . --target ${targets}
    BUILD_BYPRODUCTS "${archive}"
    INSTALL_COMMAND "")
  add_dependencies(mozjpeg mozjpeg_build)
  target_include_directories(mozjpeg INTERFACE "${source}" "${prefix}")
  target_link_libraries(mozjpeg INTERFACE "${archive}")
  if(UNIX)
    target_link_libraries(mozjpeg INTERFACE m)
  endif()
  # jpegtran's moving of blocks, which mozjpeg keeps outside its library; it wants the headers that the build makes.
  set(MOZCODEC_MOZJPEG_EXTRA_SOURCES "${source}/transupp.c" PARENT_SCOPE)
endfunction()

add_library(mozjpeg INTERFACE)
if(MOZCODEC_SYSTEM_MOZJPEG)
  mozcodec_system_mozjpeg()
else()
  mozcodec_require_nasm()
  mozcodec_static_mozjpeg()
endif()

# mozcodec_fetch_mozjpeg(RESULT): sets RESULT to a folder that holds the pinned mozjpeg's own CMakeLists.txt.
#
# The source is the C tree inside a source distribution of the Python package index. pip brings it, so that the user's
# own pip configuration (index, mirror, find-links, certificate, proxy) decides where from; the hash decides what.

# Settings of pip that would change what is downloaded, not from where.
set(MOZCODEC_PIP_UNSET)
foreach(name CONSTRAINT BUILD_CONSTRAINT NO_BINARY ONLY_BINARY PREFER_BINARY TARGET PREFIX ROOT USER PLATFORM
    PYTHON_VERSION IMPLEMENTATION ABI REQUIRE_HASHES REQUIREMENT EDITABLE NO_BUILD_ISOLATION REQUIRE_VIRTUALENV LOG)
  list(APPEND MOZCODEC_PIP_UNSET "--unset=PIP_${name}")
endforeach()

function(mozcodec_pip_download pin folder code_result text_result)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env ${MOZCODEC_PIP_UNSET}
            "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-input --no-deps ${ARGN}
            --no-binary mozjpeg-lossless-optimization --require-hashes --requirement "${pin}" --dest "${folder}"
    RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
  set(${code_result} "${code}" PARENT_SCOPE)
  set(${text_result} "${text}" PARENT_SCOPE)
endfunction()

# libjpeg stops at 65500 rows and columns, "a tad under 64K to prevent overflows" of the 16-bit numbers that it had when
# that was written. A frame header holds 65535, and files of that size exist.
set(MOZCODEC_LARGEST_DIMENSION 65535)

function(mozcodec_raise_dimension header)
  file(READ "${header}" text)
  string(REGEX REPLACE "(#define JPEG_MAX_DIMENSION +)65500L" "\\1${MOZCODEC_LARGEST_DIMENSION}L" raised "${text}")
  if(raised STREQUAL text)
    message(FATAL_ERROR "mozcodec: ${header} does not define JPEG_MAX_DIMENSION as 65500L")
  endif()
  file(WRITE "${header}" "${raised}")
endfunction()

function(mozcodec_fetch_mozjpeg result)
  set(pin "${CMAKE_CURRENT_SOURCE_DIR}/cmake/mozjpeg-source.txt")
  file(SHA256 "${pin}" pin_hash)
  string(SHA256 pin_hash "${pin_hash} ${MOZCODEC_LARGEST_DIMENSION}")
  string(SUBSTRING "${pin_hash}" 0 12 pin_hash)
  # Beside the build folders, so that the wheel and the programs that the tests run share one copy.
  set(root "${CMAKE_CURRENT_SOURCE_DIR}/build/mozjpeg-${pin_hash}")
  set(${result} "${root}" PARENT_SCOPE)
  if(EXISTS "${root}/jpeglib.h")
    return()
  endif()

  message(STATUS "mozcodec: bringing mozjpeg's source with pip")
  string(RANDOM LENGTH 8 mark)
  set(partial "${root}.partial-${mark}")
  # pip runs the metadata step of a source distribution even here. What it needs (setuptools, cffi) is among our build
  # requirements, so no second environment is wanted; where they are missing, pip makes one.
  mozcodec_pip_download("${pin}" "${partial}" code text --no-build-isolation)
  if(NOT code EQUAL 0)
    mozcodec_pip_download("${pin}" "${partial}" code text)
  endif()
  file(GLOB archive "${partial}/*.tar.gz")
  if(NOT code EQUAL 0 OR NOT archive)
    file(REMOVE_RECURSE "${partial}")
    message(FATAL_ERROR "mozcodec: pip could not bring mozjpeg's source (${code}):\n${text}\n"
      "Point MOZCODEC_MOZJPEG_SOURCE at a folder with mozjpeg 5.0.0's source to build without the index,\n"
      "or set MOZCODEC_SYSTEM_MOZJPEG=ON to link an installed libmozjpeg.")
  endif()
  file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${partial}")
  file(GLOB tree "${partial}/*/mozjpeg")
  if(NOT EXISTS "${tree}/jpeglib.h")
    file(REMOVE_RECURSE "${partial}")
    message(FATAL_ERROR "mozcodec: there is no mozjpeg source in ${archive}")
  endif()
  mozcodec_raise_dimension("${tree}/jmorecfg.h")
  if(NOT EXISTS "${root}/jpeglib.h")   # another build may have been faster
    file(RENAME "${tree}" "${root}")
  endif()
  file(REMOVE_RECURSE "${partial}")
endfunction()

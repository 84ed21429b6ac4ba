/* Properties of this build. */
#include "shim.h"

void mzc_build_info(mzc_build *build)
{
  memset(build, 0, sizeof *build);
#ifdef MOZCODEC_SYSTEM_MOZJPEG
  build->is_static = 0;
  build->simd = -1;
#else
  build->is_static = 1;
#ifdef WITH_SIMD
  build->simd = 1;
#endif
#endif
#ifdef C_ARITH_CODING_SUPPORTED
  build->arithmetic_encoding = 1;
#endif
#ifdef D_ARITH_CODING_SUPPORTED
  build->arithmetic_decoding = 1;
#endif
  build->largest_dimension = JPEG_MAX_DIMENSION;
  build->jpeg_lib_version = JPEG_LIB_VERSION;
  build->library_version = LIBJPEG_TURBO_VERSION_NUMBER;
  build->compress_struct_size = sizeof(struct jpeg_compress_struct);
  build->decompress_struct_size = sizeof(struct jpeg_decompress_struct);
}

/* A DCT that does not overflow for deringed samples.
 *
 * mozjpeg's SIMD DCT adds up 16-bit numbers: eight rows of coefficients that are 32 times as large as half the range of the
 * samples, so that 128 times the range must not exceed 32767. A block of 8-bit samples has a range of at most 255. Deringing
 * raises white samples by up to 31; then the sums can wrap around, and the block is decoded with black and white exchanged
 * (white beside black, four columns each, up to quality 57). The DCT in C adds up 32-bit numbers and is equal otherwise. */
#define JPEG_INTERNALS
#include "../shim.h"

#include <jinclude.h>
#include <jdct.h>
#include <jsimddct.h>

/* The beginning of the library's private structure. */
typedef struct {
  struct jpeg_forward_dct pub;
  void (*dct)(DCTELEM *data);
} forward_dct;

#ifdef WITH_SIMD

enum { LARGEST_RANGE = 255 };

static void islow(DCTELEM *data)
{
  DCTELEM low = data[0], high = data[0];

  for (int i = 1; i < DCTSIZE2; i++) {
    low = data[i] < low ? data[i] : low;
    high = data[i] > high ? data[i] : high;
  }
  if (high - low > LARGEST_RANGE)
    jpeg_fdct_islow(data);
  else
    jsimd_fdct_islow(data);
}

void mzc_guard_dct(j_compress_ptr cinfo)
{
  forward_dct *dct = (forward_dct *)cinfo->fdct;

  if (cinfo->data_precision == 8 && cinfo->dct_method == JDCT_ISLOW && dct->dct == jsimd_fdct_islow &&
      jpeg_c_get_bool_param(cinfo, JBOOLEAN_OVERSHOOT_DERINGING))
    dct->dct = islow;
}

#else

void mzc_guard_dct(j_compress_ptr cinfo)
{
  (void)cinfo;
}

#endif

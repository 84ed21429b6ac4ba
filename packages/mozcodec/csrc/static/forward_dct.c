/* DCTs that do not overflow.
 *
 * mozjpeg's SIMD DCTs calculate with 16-bit numbers. Those in C calculate with 32 bits and are equal where nothing overflows.
 *
 * islow adds up eight rows of coefficients that are 32 times as large as half the range of the samples, so that 128 times the
 * range must not exceed 32767. A block of 8-bit samples has a range of at most 255. Deringing raises white samples by up to
 * 31; then the sums can wrap around, and the block is decoded with black and white exchanged (white beside black, four
 * columns each, up to quality 57).
 *
 * ifast multiplies four times the intermediate values of its second pass. The largest of them, in the columns of frequency 1,
 * are up to 40.2 times the range of the samples (half the sum of the magnitudes of the samples' weights, 80.4), so that 160.8
 * times the range must not exceed 32767. Any block of black and white can exceed that: its coefficients become wrong, and at
 * quality 98 and above so large that Huffman coding has no code for them. */
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

enum {
  LARGEST_ISLOW_RANGE = 255,
  LARGEST_IFAST_RANGE = 200      /* 203, less what the rounding of intermediate values may add */
};

static int range(const DCTELEM *data)
{
  DCTELEM low = data[0], high = data[0];

  for (int i = 1; i < DCTSIZE2; i++) {
    low = data[i] < low ? data[i] : low;
    high = data[i] > high ? data[i] : high;
  }
  return high - low;
}

static void islow(DCTELEM *data)
{
  if (range(data) > LARGEST_ISLOW_RANGE)
    jpeg_fdct_islow(data);
  else
    jsimd_fdct_islow(data);
}

static void ifast(DCTELEM *data)
{
  if (range(data) > LARGEST_IFAST_RANGE)
    jpeg_fdct_ifast(data);
  else
    jsimd_fdct_ifast(data);
}

void mzc_guard_dct(j_compress_ptr cinfo)
{
  forward_dct *dct = (forward_dct *)cinfo->fdct;

  if (cinfo->data_precision != 8)
    return;
  if (cinfo->dct_method == JDCT_IFAST && dct->dct == jsimd_fdct_ifast)
    dct->dct = ifast;
  if (cinfo->dct_method == JDCT_ISLOW && dct->dct == jsimd_fdct_islow &&
      jpeg_c_get_bool_param(cinfo, JBOOLEAN_OVERSHOOT_DERINGING))
    dct->dct = islow;
}

#else

void mzc_guard_dct(j_compress_ptr cinfo)
{
  (void)cinfo;
}

#endif

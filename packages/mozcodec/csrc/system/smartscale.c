/* The errors of a build on an installed libmozjpeg, which has no access to the internals of the pinned source. */
#include "../smartscale.h"

#define WAY_OUT "needs a build without MOZCODEC_SYSTEM_MOZJPEG=ON"

mzc_dct *mzc_dct_open(const mzc_image *image, const mzc_encode_options *options, int block_size, int dct_size,
                      mzc_status *status)
{
  (void)image, (void)options;
  memset(status, 0, sizeof *status);
  mzc_fail(status, MZC_UNAVAILABLE, "encoding blocks of %d by a DCT of %d points " WAY_OUT, block_size, dct_size);
  return NULL;
}

int mzc_dct_encode(const mzc_dct *dct, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                   mzc_engine *engine, mzc_buffer *out, mzc_status *status)
{
  (void)dct, (void)options, (void)markers, (void)num_markers, (void)engine, (void)out;
  memset(status, 0, sizeof *status);
  return mzc_fail(status, MZC_UNAVAILABLE, "DCT-scaled encoding " WAY_OUT);
}

void mzc_dct_close(mzc_dct *dct)
{
  (void)dct;
}

/* What follows is never called: mzc_smartscale_open refuses the streams. */
int mzc_smartscale_configure(j_decompress_ptr cinfo, mzc_smartscale *ss, const mzc_decode_options *options,
                             mzc_status *status)
{
  (void)cinfo, (void)options;
  return mzc_fail(status, MZC_UNAVAILABLE, "SmartScale block size %d " WAY_OUT, ss->block_size);
}

void mzc_smartscale_before_data(j_decompress_ptr cinfo)
{
  (void)cinfo;
}

void mzc_smartscale_put_in_place(const mzc_smartscale *ss, int16_t *block)
{
  (void)ss, (void)block;
}

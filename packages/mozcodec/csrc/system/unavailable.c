/* What an installed libmozjpeg cannot do: its public interface does not reach there. */
#include "decode.h"

#define BUILD_OPTION "mozcodec built with its own mozjpeg (MOZCODEC_SYSTEM_MOZJPEG=OFF)"

mzc_planes *mzc_planes_new(const mzc_image *image, const mzc_encode_options *options, mzc_status *status)
{
  (void)image;
  (void)options;
  memset(status, 0, sizeof *status);
  mzc_fail(status, MZC_UNAVAILABLE, "DCT scaling and SmartScale need " BUILD_OPTION);
  return NULL;
}

/* Without planes nothing below is ever called with anything. */

void mzc_planes_free(mzc_planes *planes)
{
  (void)planes;
}

int mzc_planes_color_space(const mzc_planes *planes)
{
  (void)planes;
  return -1;
}

int mzc_planes_sampling(const mzc_planes *planes, const mzc_encode_options *options, int *h, int *v, mzc_status *status)
{
  (void)planes;
  (void)options;
  (void)h;
  (void)v;
  return mzc_fail(status, MZC_UNAVAILABLE, "DCT scaling and SmartScale need " BUILD_OPTION);
}

mzc_scaled *mzc_scaled_new(const mzc_planes *planes, int block_size, int scale, const int *h, const int *v,
                           mzc_status *status)
{
  (void)planes;
  (void)block_size;
  (void)scale;
  (void)h;
  (void)v;
  mzc_fail(status, MZC_UNAVAILABLE, "DCT scaling and SmartScale need " BUILD_OPTION);
  return NULL;
}

void mzc_scaled_free(mzc_scaled *scaled)
{
  (void)scaled;
}

void mzc_scaled_size(const mzc_scaled *scaled, int *width, int *height)
{
  (void)scaled;
  *width = *height = 0;
}

int mzc_encode_scaled(const mzc_scaled *scaled, const mzc_encode_options *options, const mzc_marker *markers,
                      int num_markers, mzc_buffer *out, mzc_status *status)
{
  (void)scaled;
  (void)options;
  (void)markers;
  (void)num_markers;
  (void)out;
  return mzc_fail(status, MZC_UNAVAILABLE, "DCT scaling and SmartScale need " BUILD_OPTION);
}

void mzc_decode_sequential_small(mzc_decoder *decoder)
{
  mzc_fail(decoder->guard.status, MZC_UNAVAILABLE, "sequential SmartScale streams of blocks below 8 need " BUILD_OPTION);
  longjmp(decoder->guard.jump, 1);
}

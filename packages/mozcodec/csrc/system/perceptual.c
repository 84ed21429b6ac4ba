/* The perceptual mode is made of the engine's parts, which an installed libmozjpeg does not have. */
#include "../shim.h"

int mzc_perceptual_encode(const mzc_image *image, const mzc_perceptual_options *perceptual,
                          const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                          mzc_engine *engine, int cpu, mzc_buffer *out, mzc_status *status)
{
  (void)image;
  (void)perceptual;
  (void)options;
  (void)markers;
  (void)num_markers;
  (void)engine;
  (void)cpu;
  (void)out;
  memset(status, 0, sizeof *status);
  return mzc_fail(status, MZC_UNAVAILABLE, "distance= is not offered by a build that links an installed libmozjpeg");
}

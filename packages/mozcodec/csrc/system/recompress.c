/* The internals of an installed libmozjpeg are private: pixels go through a file. */
#include "../shim.h"

int mzc_recompress(const mzc_recompression *call, const mzc_encode_options *const *options, mzc_engine *engine,
                   int *num_done, mzc_status *status)
{
  (void)call;
  (void)options;
  (void)engine;
  *num_done = 0;
  memset(status, 0, sizeof *status);
  return mzc_fail(status, MZC_UNSUPPORTED, "recompression without a file does not cover an installed libmozjpeg");
}

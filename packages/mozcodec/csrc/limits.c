/* Limits on memory, pixels and scans. */
#include <limits.h>

#include "shim.h"

void mzc_limit_memory(j_common_ptr cinfo, int64_t max_memory)
{
  if (max_memory <= 0 || max_memory > LONG_MAX)
    max_memory = LONG_MAX;
  cinfo->mem->max_memory_to_use = (long)max_memory;   /* otherwise the environment variable JPEGMEM would set it */
}

void mzc_limit_pixels(j_decompress_ptr cinfo, int64_t limit)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;
  int64_t picture = (int64_t)cinfo->image_width * cinfo->image_height;
  int64_t output = (int64_t)cinfo->output_width * cinfo->output_height;

  if (limit <= 0 || (picture <= limit && output <= limit))
    return;
  if (output > picture)   /* a scale above 8 */
    mzc_fail(guard->status, MZC_LIMIT, "%u x %u, decoded to %u x %u, has %lld pixels, more than max_pixels = %lld",
             cinfo->image_width, cinfo->image_height, cinfo->output_width, cinfo->output_height, (long long)output,
             (long long)limit);
  else
    mzc_fail(guard->status, MZC_LIMIT, "%u x %u has %lld pixels, more than max_pixels = %lld", cinfo->image_width,
             cinfo->image_height, (long long)picture, (long long)limit);
  longjmp(guard->jump, 1);
}

/* libjpeg calls this for every row of a scan: a small file with thousands of scans over a big image takes hours. */
static void count_scans(j_common_ptr cinfo)
{
  const mzc_scan_limit *limit = (const mzc_scan_limit *)cinfo->progress;
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  if (limit->max_scans <= 0 || ((j_decompress_ptr)cinfo)->input_scan_number <= limit->max_scans)
    return;
  mzc_fail(guard->status, MZC_LIMIT, "more than max_scans = %d scans", limit->max_scans);
  longjmp(guard->jump, 1);
}

void mzc_limit_scans(j_decompress_ptr cinfo, mzc_scan_limit *limit, int max_scans)
{
  limit->base.progress_monitor = count_scans;
  limit->max_scans = max_scans;
  cinfo->progress = &limit->base;
}

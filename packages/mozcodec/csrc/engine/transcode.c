/* Codes coefficients that are quantized already: lossless optimisation, and coefficients of the caller. */
#include "context.h"

int mzc_engine_write_coefficients(mzc_engine *e, j_compress_ptr cinfo, jvirt_barray_ptr *coefficients)
{
  e->trellis = 0;
  mzc_setup(e, cinfo);
  for (int c = 0; c < e->num_components && !e->declined; c++)
    for (int row = 0; row < e->component[c].height && !e->declined; row++) {
      JBLOCKARRAY blocks = (*cinfo->mem->access_virt_barray)((j_common_ptr)cinfo, coefficients[c], row, 1, FALSE);
      mzc_take_blocks(e, c, row, blocks[0][0]);
    }
  if (mzc_write_picture(e) != 0)
    return -1;
  jpeg_abort((j_common_ptr)cinfo);
  return 0;
}

/* Compares a file that was written with what it was written from: by mozcodec's own comparison (reader/), and what that does
 * not cover by libjpeg's decoder. */
#include "check.h"
#include "engine/engine.h"

static int same_frame(j_decompress_ptr cinfo, const mzc_expected *e)
{
  int same = (int)cinfo->image_width == e->width && (int)cinfo->image_height == e->height &&
             cinfo->num_components == e->num_components && cinfo->data_precision == e->precision;

  for (int i = 0; i < e->num_components && i < 4 && same; i++) {
    const jpeg_component_info *component = &cinfo->comp_info[i];
    same = component->h_samp_factor == e->h[i] && component->v_samp_factor == e->v[i] &&
           (int)component->width_in_blocks == e->wide[i] && (int)component->height_in_blocks == e->high[i];
  }
  return same;
}

static int same_component(j_decompress_ptr cinfo, jvirt_barray_ptr array, const mzc_expected *e, int i)
{
  const JQUANT_TBL *table = cinfo->comp_info[i].quant_table;

  if (table == NULL)
    return e->partial;
  if (memcmp(table->quantval, e->table[i], sizeof e->table[i]) != 0)
    return 0;
  for (int y = 0; y < e->high[i] && !e->partial; y++) {
    JBLOCKARRAY row = cinfo->mem->access_virt_barray((j_common_ptr)cinfo, array, (JDIMENSION)y, 1, FALSE);
    if (memcmp(row[0], e->rows[i][y], (size_t)e->wide[i] * sizeof(JBLOCK)) != 0)
      return 0;
  }
  return 1;
}

int mzc_compare_by_library(const unsigned char *data, size_t size, const mzc_expected *expected, mzc_status *status,
                           const char **what)
{
  struct jpeg_decompress_struct cinfo;
  mzc_guard guard;
  jvirt_barray_ptr *arrays;
  int result = MZC_SAME;

  memset(&cinfo, 0, sizeof cinfo);
  cinfo.err = mzc_guard_init(&guard, status);
  guard.fatal_damage = 1;
  if (setjmp(guard.jump)) {
    *what = status->message;
    jpeg_destroy_decompress(&cinfo);
    return MZC_DIFFERS;
  }
  jpeg_create_decompress(&cinfo);
  jpeg_mem_src(&cinfo, data, size);
  jpeg_read_header(&cinfo, TRUE);
  arrays = jpeg_read_coefficients(&cinfo);
  if (!same_frame(&cinfo, expected))
    result = MZC_DIFFERS;
  for (int i = 0; i < expected->num_components && i < 4 && result == MZC_SAME; i++)
    if (!same_component(&cinfo, arrays[i], expected, i))
      result = MZC_DIFFERS;
  *what = "tables or coefficients";
  jpeg_destroy_decompress(&cinfo);
  return result;
}

int mzc_check_written(const mzc_buffer *written, const mzc_expected *expected, const mzc_engine *engine, mzc_status *status)
{
  mzc_status own;
  const char *what = NULL;
  int result;

  if (mzc_engine_leaves_unproven(engine))
    return 0;
  memset(&own, 0, sizeof own);
  result = mzc_compare_stream(written->data, written->size, expected,
                              mzc_engine_uses_v3(engine) ? MZC_FOR_THIS : MZC_FOR_ALL, &what);
  if (result == MZC_UNCOVERED)
    result = mzc_compare_by_library(written->data, written->size, expected, &own, &what);
  if (result == MZC_SAME)
    return 0;
  return mzc_fail(status, MZC_UNFAITHFUL, "the file that was written differs from its source: %s", what);
}

void mzc_forget_expected(mzc_expected *expected)
{
  for (int i = 0; i < 4; i++)
    free(expected->rows[i]);
}

/* Quantized DCT coefficients, out of a stream and into one. */
#include "check.h"
#include "decode.h"
#include "engine/engine.h"

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static void copy_component(j_decompress_ptr cinfo, jvirt_barray_ptr array, int i, int16_t *blocks)
{
  jpeg_component_info *component = &cinfo->comp_info[i];
  size_t row_size = (size_t)component->width_in_blocks * DCTSIZE2;

  for (JDIMENSION y = 0; y < component->height_in_blocks; y++) {
    JBLOCKARRAY row = cinfo->mem->access_virt_barray((j_common_ptr)cinfo, array, y, 1, FALSE);
    memcpy(blocks + y * row_size, row[0], row_size * sizeof(int16_t));
  }
}

/* By the reader, or by the library where it gives up. */
static jvirt_barray_ptr *read_arrays(mzc_decoder *decoder)
{
  mzc_reader_options options = mzc_decoder_reader_options(decoder);
  jvirt_barray_ptr *arrays;

  options.for_coefficients = 1;
  decoder->guard.status->engine = MZC_ENGINE_LIBRARY;
  if (decoder->options.engine == MZC_ENGINE_LIBRARY || mzc_reader_begin(&decoder->reader, &decoder->cinfo, &options))
    return jpeg_read_coefficients(&decoder->cinfo);
  arrays = jpeg_read_coefficients(&decoder->cinfo);
  if (mzc_reader_end(&decoder->reader, &decoder->rest)) {
    mzc_decoder_start_again(decoder);
    return jpeg_read_coefficients(&decoder->cinfo);
  }
  decoder->guard.status->engine = MZC_ENGINE_FAST;
  return arrays;
}

static void put_in_place(const mzc_decoder *decoder, int i, int16_t *blocks)
{
  const jpeg_component_info *component = &decoder->cinfo.comp_info[i];
  size_t count = (size_t)component->width_in_blocks * component->height_in_blocks;

  for (size_t b = 0; b < count && decoder->smartscale.block_size < DCTSIZE; b++)
    mzc_smartscale_put_in_place(&decoder->smartscale, blocks + b * DCTSIZE2);
}

int mzc_decoder_read_coefficients(mzc_decoder *decoder, int16_t **blocks, uint16_t (*tables)[64], mzc_sent *sent,
                                  mzc_status *status)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  jvirt_barray_ptr *arrays;

  decoder->guard.status = status;
  if (setjmp(decoder->guard.jump))
    return -1;
  arrays = read_arrays(decoder);
  mzc_note_sent(cinfo, 0, sent);
  for (int i = 0; i < cinfo->num_components && i < 4; i++) {
    const JQUANT_TBL *table = cinfo->comp_info[i].quant_table;
    for (int k = 0; k < DCTSIZE2; k++)
      tables[i][k] = table ? table->quantval[k] : 0;   /* no scan of this component: libjpeg multiplies by 0 */
    copy_component(cinfo, arrays[i], i, blocks[i]);
    put_in_place(decoder, i, blocks[i]);
  }
  jpeg_finish_decompress(cinfo);
  mzc_check_end(cinfo, decoder->data, decoder->size,
                decoder->guard.status->engine == MZC_ENGINE_FAST ? decoder->rest : cinfo->src->bytes_in_buffer);
  return 0;
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
} writer;

static void describe(j_compress_ptr cinfo, const mzc_coefficients *coefficients)
{
  J_COLOR_SPACE color_space = mzc_layout_of(coefficients->color_space).color_space;

  cinfo->image_width = coefficients->width;
  cinfo->image_height = coefficients->height;
  cinfo->input_components = coefficients->num_components;
  cinfo->in_color_space = color_space;
  jpeg_set_defaults(cinfo);
  jpeg_set_colorspace(cinfo, color_space);
  cinfo->data_precision = coefficients->precision;
  for (int i = 0; i < coefficients->num_tables; i++) {
    if (cinfo->quant_tbl_ptrs[i] == NULL)
      cinfo->quant_tbl_ptrs[i] = jpeg_alloc_quant_table((j_common_ptr)cinfo);
    memcpy(cinfo->quant_tbl_ptrs[i]->quantval, coefficients->tables[i], sizeof coefficients->tables[i]);
    cinfo->quant_tbl_ptrs[i]->sent_table = FALSE;
  }
  for (int i = 0; i < cinfo->num_components; i++) {
    cinfo->comp_info[i].h_samp_factor = coefficients->h_samp_factor[i];
    cinfo->comp_info[i].v_samp_factor = coefficients->v_samp_factor[i];
    cinfo->comp_info[i].quant_tbl_no = coefficients->table_of[i];
  }
}

static JDIMENSION divide_up(JDIMENSION a, JDIMENSION b)
{
  return (a + b - 1) / b;
}

static void most_sampled(j_compress_ptr cinfo, JDIMENSION *h, JDIMENSION *v)
{
  *h = *v = 1;
  for (int i = 0; i < cinfo->num_components; i++) {
    if (cinfo->comp_info[i].h_samp_factor > (int)*h)
      *h = cinfo->comp_info[i].h_samp_factor;
    if (cinfo->comp_info[i].v_samp_factor > (int)*v)
      *v = cinfo->comp_info[i].v_samp_factor;
  }
}

/* Arrays of whole MCUs: interleaved scans code the blocks beyond the edge too, here empty but for the DC before them. */
static jvirt_barray_ptr *request_arrays(j_compress_ptr cinfo)
{
  jvirt_barray_ptr *arrays =
    cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE, cinfo->num_components * sizeof *arrays);
  JDIMENSION h, v;

  most_sampled(cinfo, &h, &v);
  for (int i = 0; i < cinfo->num_components; i++) {
    jpeg_component_info *component = &cinfo->comp_info[i];
    arrays[i] = cinfo->mem->request_virt_barray(
      (j_common_ptr)cinfo, JPOOL_IMAGE, FALSE, divide_up(cinfo->image_width, h * DCTSIZE) * component->h_samp_factor,
      divide_up(cinfo->image_height, v * DCTSIZE) * component->v_samp_factor, component->v_samp_factor);
  }
  cinfo->mem->realize_virt_arrays((j_common_ptr)cinfo);
  return arrays;
}

static void fill_row(JBLOCKROW row, const int16_t *blocks, JDIMENSION wide, JDIMENSION padded)
{
  memcpy(row, blocks, (size_t)wide * sizeof(JBLOCK));
  for (JDIMENSION x = wide; x < padded; x++) {
    memset(row[x], 0, sizeof(JBLOCK));
    row[x][0] = row[wide - 1][0];
  }
}

static void fill_arrays(j_compress_ptr cinfo, const mzc_coefficients *coefficients, jvirt_barray_ptr *arrays)
{
  JDIMENSION h, v;

  most_sampled(cinfo, &h, &v);
  for (int i = 0; i < cinfo->num_components; i++) {
    jpeg_component_info *component = &cinfo->comp_info[i];
    JDIMENSION wide = divide_up(cinfo->image_width * component->h_samp_factor, h * DCTSIZE);
    JDIMENSION high = divide_up(cinfo->image_height * component->v_samp_factor, v * DCTSIZE);
    JDIMENSION padded_wide = divide_up(cinfo->image_width, h * DCTSIZE) * component->h_samp_factor;
    JDIMENSION padded_high = divide_up(cinfo->image_height, v * DCTSIZE) * component->v_samp_factor;
    for (JDIMENSION y = 0; y < padded_high; y++) {
      JBLOCKARRAY row = cinfo->mem->access_virt_barray((j_common_ptr)cinfo, arrays[i], y, 1, TRUE);
      const int16_t *source = coefficients->blocks[i] + (size_t)(y < high ? y : high - 1) * wide * DCTSIZE2;
      fill_row(row[0], source, wide, padded_wide);
      for (JDIMENSION x = 0; x < padded_wide && y >= high; x++)
        memset(row[0][x] + 1, 0, sizeof(JBLOCK) - sizeof(JCOEF));
    }
  }
}

/* Whether what was written has the caller's coefficients. */
static int expect(const mzc_coefficients *coefficients, int partial, mzc_expected *e)
{
  int h = 1, v = 1;

  memset(e, 0, sizeof *e);
  e->width = coefficients->width;
  e->height = coefficients->height;
  e->num_components = coefficients->num_components;
  e->precision = coefficients->precision;
  e->partial = partial;
  for (int i = 0; i < e->num_components; i++) {
    h = coefficients->h_samp_factor[i] > h ? coefficients->h_samp_factor[i] : h;
    v = coefficients->v_samp_factor[i] > v ? coefficients->v_samp_factor[i] : v;
  }
  for (int i = 0; i < e->num_components; i++) {
    e->h[i] = coefficients->h_samp_factor[i];
    e->v[i] = coefficients->v_samp_factor[i];
    for (int k = 0; k < DCTSIZE2; k++)
      e->table[i][k] = (UINT16)coefficients->tables[coefficients->table_of[i]][k];
    e->wide[i] = (int)divide_up((JDIMENSION)(e->width * e->h[i]), (JDIMENSION)(h * DCTSIZE));
    e->high[i] = (int)divide_up((JDIMENSION)(e->height * e->v[i]), (JDIMENSION)(v * DCTSIZE));
    e->rows[i] = malloc((size_t)e->high[i] * sizeof *e->rows[i]);
    if (e->rows[i] == NULL)
      return -1;
    for (int y = 0; y < e->high[i]; y++)
      e->rows[i][y] = (JBLOCKROW)(coefficients->blocks[i] + (size_t)y * e->wide[i] * DCTSIZE2);
  }
  return 0;
}

int mzc_compare_coefficients(const mzc_coefficients *coefficients, const unsigned char *data, size_t size, int by,
                             mzc_engine *engine)
{
  mzc_expected expected;
  mzc_status status;
  const char *what = NULL;
  int result = -1, processor = MZC_FOR_ALL;

  memset(&status, 0, sizeof status);
  if (mzc_engine_uses_v3(engine))
    processor = by == MZC_BY_COMPARISON_OF_V3 ? MZC_FOR_V3 : MZC_FOR_THIS;
  if (expect(coefficients, 0, &expected) == 0)
    result = by == MZC_BY_LIBRARY ? mzc_compare_by_library(data, size, &expected, &status, &what)
                                  : mzc_compare_stream(data, size, &expected, processor, &what);
  mzc_forget_expected(&expected);
  return result;
}

static int code(writer *w, const mzc_coefficients *coefficients, const mzc_encode_options *options,
                const mzc_marker *markers, int num_markers, mzc_engine *engine)
{
  j_compress_ptr cinfo = &w->cinfo;
  jvirt_barray_ptr *arrays;

  if (setjmp(w->guard.jump))
    return -1;
  jpeg_create_compress(cinfo);
  mzc_limit_memory((j_common_ptr)cinfo, options->max_memory);
  if (options->profile == MZC_PROFILE_FASTEST || options->progressive == 0)
    jpeg_c_set_int_param(cinfo, JINT_COMPRESS_PROFILE, JCP_FASTEST);
  describe(cinfo, coefficients);
  mzc_configure_coding(cinfo, options);
  if (cinfo->num_scans > 0 && options->num_scans == 0 && mzc_keep_gaps(cinfo, &coefficients->sent))
    return mzc_fail(w->guard.status, MZC_UNSUPPORTED, "a component of which nothing was sent cannot be written");
  if (cinfo->num_scans == 0 && mzc_lacks_scans(&coefficients->sent, cinfo->num_components))
    mzc_note(w->guard.status, MZC_NO_SMOOTHING);
  if (mzc_choose_engine(options, engine, engine ? mzc_engine_refuses_coefficients(cinfo) : NULL,
                        w->guard.status) < 0)
    return -1;
  arrays = request_arrays(cinfo);
  fill_arrays(cinfo, coefficients, arrays);
  cinfo->dest = &w->destination.base;
  jpeg_write_coefficients(cinfo, arrays);
  mzc_write_markers(cinfo, markers, num_markers);
  if (mzc_finish_coefficients(cinfo, arrays, options->engine, engine, w->guard.status))
    return -1;
  return mzc_destination_check(&w->destination, w->guard.status);
}

int mzc_write_coefficients(const mzc_coefficients *coefficients, const mzc_encode_options *options,
                           const mzc_marker *markers, int num_markers, mzc_engine *engine, mzc_buffer *out,
                           mzc_status *status)
{
  writer w;
  int result;

  memset(&w.cinfo, 0, sizeof w.cinfo);
  w.cinfo.err = mzc_guard_init(&w.guard, status);
  if (mzc_destination_init(&w.destination, out, (size_t)coefficients->width * coefficients->height / 4, status))
    return -1;
  result = code(&w, coefficients, options, markers, num_markers, engine);
  jpeg_destroy_compress(&w.cinfo);
  if (engine)
    mzc_engine_trim(engine);
  if (result == 0) {
    mzc_expected expected;

    result = expect(coefficients, options->num_scans > 0, &expected) ? mzc_fail(status, MZC_NO_MEMORY, "out of memory")
                                                                      : mzc_check_written(out, &expected, engine, status);
    mzc_forget_expected(&expected);
  }
  if (result == 0)
    return 0;
  mzc_destination_forget(out);
  return -1;
}

/* Raw coefficients through mozjpeg's quantizer, trellis, scan search and coder.
 *
 * libjpeg's forward DCT is replaced by one that hands out the coefficients of an mzc_scaled; everything behind it is the
 * library's. SmartScale streams (block_size other than 8) are made from the same grid of blocks in a container of 8x8
 * blocks: only the frame header, the tables and, below 8, the order of the coefficients differ. */
#include "scaled.h"
#include "stream.h"
#include "zigzag.h"

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
  const mzc_scaled *scaled;
  int imcu_row;
  int small;                    /* block_size < 8: coefficients move to the places of an 8x8 zigzag */
  int zigzag[64], small_zigzag[64];
  int shown_Se;                 /* what a sequential scan header says instead of 63, or -1 */
  void (*write_scan_header)(j_compress_ptr cinfo);
} encoder;

/* ---- coefficients ------------------------------------------------------------------------------------------------- */

/* jcdctmgr.c, quantize_trellis' starting point: nearest multiple, half away from zero. */
static void quantize(const int16_t *raw, const UINT16 *table, JCOEFPTR out, int limit)
{
  for (int k = 0; k < DCTSIZE2; k++) {
    int step = table[k] << 3, magnitude = abs(raw[k]);
    int value = (magnitude + (step >> 1)) / step;
    if (value > limit)
      value = limit;
    out[k] = (JCOEF)(raw[k] < 0 ? -value : value);
  }
}

static const int16_t *in_order(const encoder *e, const int16_t *raw, int16_t *moved)
{
  if (!e->small)
    return raw;
  memset(moved, 0, DCTSIZE2 * sizeof *moved);
  for (int k = 0; k < e->scaled->block_size * e->scaled->block_size; k++)
    moved[e->zigzag[k]] = raw[e->small_zigzag[k]];
  return moved;
}

/* Stands in for the forward DCT; unquantized keeps the raw values for the trellis. */
static void hand_out(j_compress_ptr cinfo, jpeg_component_info *component, JSAMPARRAY samples, JBLOCKROW blocks,
                     JDIMENSION start_row, JDIMENSION start_column, JDIMENSION num_blocks, JBLOCKROW unquantized)
{
  const encoder *e = cinfo->client_data;
  const mzc_scaled *s = e->scaled;
  int i = component->component_index;
  size_t row = (size_t)e->imcu_row * component->v_samp_factor + start_row / DCTSIZE;
  const int16_t *raw = s->raw[i] + (row * s->blocks_wide[i] + start_column / DCTSIZE) * DCTSIZE2;
  const UINT16 *table = cinfo->quant_tbl_ptrs[component->quant_tbl_no]->quantval;
  int16_t moved[DCTSIZE2];

  (void)samples;
  for (JDIMENSION b = 0; b < num_blocks; b++, raw += DCTSIZE2) {
    const int16_t *block = in_order(e, raw, moved);
    if (unquantized != NULL)
      memcpy(unquantized[b], block, DCTSIZE2 * sizeof *block);
    quantize(block, table, blocks[b], (1 << (cinfo->data_precision + 2)) - 1);
  }
}

/* ---- SmartScale headers (libjpeg 8 and later, jcmarker.c) --------------------------------------------------------- */

static void write_two_bytes(j_compress_ptr cinfo, int value)
{
  cinfo->marker->write_marker_byte(cinfo, value >> 8 & 255);
  cinfo->marker->write_marker_byte(cinfo, value & 255);
}

/* Returns whether the table needs 16 bits. A small block has a table of its own length. */
static int write_table(j_compress_ptr cinfo, const encoder *e, int slot)
{
  int count = e->small ? e->scaled->block_size * e->scaled->block_size : DCTSIZE2, wide = 0;
  JQUANT_TBL *table = cinfo->quant_tbl_ptrs[slot];

  for (int k = 0; k < count; k++)
    wide |= table->quantval[e->zigzag[k]] > 255;
  if (table->sent_table)
    return wide;
  cinfo->marker->write_marker_header(cinfo, M_DQT, 1 + count * (wide + 1));
  cinfo->marker->write_marker_byte(cinfo, slot + (wide << 4));
  for (int k = 0; k < count; k++) {
    if (wide)
      write_two_bytes(cinfo, table->quantval[e->zigzag[k]]);
    else
      cinfo->marker->write_marker_byte(cinfo, table->quantval[e->zigzag[k]]);
  }
  table->sent_table = TRUE;
  return wide;
}

static void write_frame_header(j_compress_ptr cinfo)
{
  const encoder *e = cinfo->client_data;
  int sof = 0xC1;   /* extended sequential: a baseline decoder must not take it */

  for (int i = 0; i < cinfo->num_components; i++)
    write_table(cinfo, e, cinfo->comp_info[i].quant_tbl_no);
  if (cinfo->arith_code)
    sof = cinfo->progressive_mode ? 0xCA : 0xC9;
  else if (cinfo->progressive_mode)
    sof = 0xC2;
  cinfo->marker->write_marker_header(cinfo, sof, 6 + 3 * cinfo->num_components);
  cinfo->marker->write_marker_byte(cinfo, cinfo->data_precision);
  write_two_bytes(cinfo, e->scaled->height);
  write_two_bytes(cinfo, e->scaled->width);
  cinfo->marker->write_marker_byte(cinfo, cinfo->num_components);
  for (int i = 0; i < cinfo->num_components; i++) {
    const jpeg_component_info *component = &cinfo->comp_info[i];
    cinfo->marker->write_marker_byte(cinfo, component->component_id);
    cinfo->marker->write_marker_byte(cinfo, component->h_samp_factor << 4 | component->v_samp_factor);
    cinfo->marker->write_marker_byte(cinfo, component->quant_tbl_no);
  }
  if (!cinfo->progressive_mode)
    return;
  cinfo->marker->write_marker_header(cinfo, M_SOS, 4);   /* the pseudo SOS: no components, Se tells the block size */
  cinfo->marker->write_marker_byte(cinfo, 0);
  cinfo->marker->write_marker_byte(cinfo, 0);
  cinfo->marker->write_marker_byte(cinfo, e->scaled->block_size * e->scaled->block_size - 1);
  cinfo->marker->write_marker_byte(cinfo, 0);
}

static void write_scan_header(j_compress_ptr cinfo)
{
  const encoder *e = cinfo->client_data;
  int Se = cinfo->Se;

  if (e->shown_Se >= 0)
    cinfo->Se = e->shown_Se;
  e->write_scan_header(cinfo);
  cinfo->Se = Se;
}

/* ---- small blocks ------------------------------------------------------------------------------------------------- */

/* The k-th entry of the NxN zigzag moves to the place of the k-th of the 8x8 one, as the coefficients do. */
static void move_tables(j_compress_ptr cinfo, const encoder *e)
{
  int count = e->scaled->block_size * e->scaled->block_size;

  for (int slot = 0; slot < NUM_QUANT_TBLS; slot++) {
    UINT16 natural[DCTSIZE2], *table;
    if (cinfo->quant_tbl_ptrs[slot] == NULL)
      continue;
    table = cinfo->quant_tbl_ptrs[slot]->quantval;
    memcpy(natural, table, sizeof natural);
    for (int k = 0; k < DCTSIZE2; k++)
      table[e->zigzag[k]] = k < count ? natural[e->small_zigzag[k]] : 1;
  }
}

/* mozjpeg's search wants its own script, scan by scan: the bands stay, within the last coefficient there is. */
static void narrow_search(j_compress_ptr cinfo, int last)
{
  jpeg_scan_info *scans = (jpeg_scan_info *)cinfo->scan_info;

  for (int i = 0; i < cinfo->num_scans; i++) {
    if (scans[i].Ss == 0)
      continue;
    if (scans[i].Ss > last)
      scans[i].Ss = last;
    else if (scans[i].Ss == 1 && scans[i].Se < 63 && scans[i].Se > last - 1)
      scans[i].Se = last - 1;
    if (scans[i].Se > last)
      scans[i].Se = last;
  }
}

/* Any other script loses the scans that lie beyond the last coefficient. */
static void narrow_script(j_compress_ptr cinfo, int last)
{
  jpeg_scan_info *scans = (jpeg_scan_info *)cinfo->scan_info;
  int kept = 0;

  for (int i = 0; i < cinfo->num_scans; i++) {
    if (scans[i].Ss > last)
      continue;
    scans[kept] = scans[i];
    if (scans[kept].Se > last)
      scans[kept].Se = last;
    kept++;
  }
  cinfo->num_scans = kept;
}

static void narrow_scans(j_compress_ptr cinfo, int last)
{
  int searching = jpeg_c_get_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS);

  if (searching && cinfo->master->num_scans_luma > 0 && last >= 2) {
    narrow_search(cinfo, last);
    return;
  }
  if (searching) {
    jpeg_c_set_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS, FALSE);
    jpeg_simple_progression(cinfo);
  }
  narrow_script(cinfo, last);
}

/* ---- the call ----------------------------------------------------------------------------------------------------- */

static void configure(encoder *e, const mzc_encode_options *options)
{
  j_compress_ptr cinfo = &e->cinfo;
  const mzc_scaled *s = e->scaled;
  mzc_encode_options own = *options;

  cinfo->image_width = s->container_width;
  cinfo->image_height = s->container_height;
  cinfo->in_color_space = s->color_space;
  cinfo->input_components = s->num_components;
  own.color_space = mzc_pixel_format_of(s->color_space);
  own.overshoot_deringing = 0;   /* works on samples, of which there are none here */
  own.num_sampling = s->num_components;
  memcpy(own.h_samp_factor, s->h, sizeof s->h);
  memcpy(own.v_samp_factor, s->v, sizeof s->v);
  mzc_configure(cinfo, &own);
  if (e->small) {
    if (cinfo->scan_info == NULL) {
      mzc_fail(e->guard.status, MZC_UNSUPPORTED, "block_size %d, below 8, needs progressive mode", s->block_size);
      longjmp(e->guard.jump, 1);
    }
    move_tables(cinfo, e);
    narrow_scans(cinfo, s->block_size * s->block_size - 1);
  }
  cinfo->raw_data_in = TRUE;
}

static void install(encoder *e)
{
  j_compress_ptr cinfo = &e->cinfo;

  cinfo->fdct->forward_DCT = hand_out;
  if (e->scaled->block_size == DCTSIZE)
    return;
  cinfo->marker->write_frame_header = write_frame_header;
  e->write_scan_header = cinfo->marker->write_scan_header;
  cinfo->marker->write_scan_header = write_scan_header;
  if (!cinfo->progressive_mode)
    e->shown_Se = e->scaled->block_size * e->scaled->block_size - 1;
}

static int run(encoder *e, const mzc_encode_options *options, const mzc_marker *markers, int num_markers)
{
  j_compress_ptr cinfo = &e->cinfo;
  JSAMPARRAY no_samples[MAX_COMPONENTS] = { NULL };

  if (setjmp(e->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);
  configure(e, options);
  cinfo->dest = &e->destination.base;
  cinfo->client_data = e;
  jpeg_start_compress(cinfo, TRUE);
  install(e);
  mzc_write_markers(cinfo, markers, num_markers);
  for (e->imcu_row = 0; cinfo->next_scanline < cinfo->image_height; e->imcu_row++)
    jpeg_write_raw_data(cinfo, no_samples, cinfo->max_v_samp_factor * DCTSIZE);
  jpeg_finish_compress(cinfo);
  jpeg_destroy_compress(cinfo);
  return mzc_destination_check(&e->destination, e->guard.status);
}

int mzc_encode_scaled(const mzc_scaled *scaled, const mzc_encode_options *options, const mzc_marker *markers,
                      int num_markers, mzc_buffer *out, mzc_status *status)
{
  encoder e;

  memset(&e, 0, sizeof e);
  e.cinfo.err = mzc_guard_init(&e.guard, status);
  e.scaled = scaled;
  e.small = scaled->block_size < DCTSIZE;
  e.shown_Se = -1;
  mzc_zigzag(DCTSIZE, e.zigzag);
  if (e.small)
    mzc_zigzag(scaled->block_size, e.small_zigzag);
  if (mzc_destination_init(&e.destination, out, (size_t)scaled->container_width * scaled->container_height / 4, status))
    return -1;
  if (run(&e, options, markers, num_markers) == 0)
    return 0;
  if (!out->borrowed) {
    free(out->data);
    out->data = NULL;
  }
  return -1;
}

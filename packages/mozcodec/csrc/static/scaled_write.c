/* DCT coefficients to a stream: libjpeg is told that the image has 8 x 8 blocks and does everything it does for one
 * (trellis quantization, scan search, arithmetic coding); where it would transform samples, we hand it the coefficients.
 *
 * In a SmartScale stream of block size N < 8 the k-th coefficient along the zigzag of N x N stands where libjpeg has the
 * k-th of 8 x 8, and so do the quantization table's entries. No other code depends on it. */
#include "scaled.h"
#include "../engine/engine.h"

enum { SOF0 = 0xC0, SOF1 = 0xC1, SOF2 = 0xC2, SOF9 = 0xC9, SOF10 = 0xCA, SOS = 0xDA, DQT = 0xDB, DRI = 0xDD };

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
  const mzc_dct *dct;
  int num_coefficients;         /* of a block */
  int position[64];             /* in our block of the coefficient that libjpeg has at this place */
  JDIMENSION iMCU_row;
  void (*write_scan_header)(j_compress_ptr cinfo);
} writer;

static int is_smartscale(const writer *w)
{
  return w->dct->block_size != DCTSIZE;
}

/* Our place of each of libjpeg's, both natural order. */
static void fill_positions(writer *w)
{
  int own[64], n = w->dct->block_size < DCTSIZE ? w->dct->block_size : DCTSIZE;

  w->num_coefficients = n * n;
  mzc_zigzag(n, own);
  for (int k = 0; k < w->num_coefficients; k++)
    w->position[jpeg_natural_order[k]] = own[k];
}

static void permute_quant_tables(writer *w)
{
  for (int t = 0; t < NUM_QUANT_TBLS; t++) {
    JQUANT_TBL *table = w->cinfo.quant_tbl_ptrs[t];
    UINT16 natural[DCTSIZE2];
    if (table == NULL)
      continue;
    memcpy(natural, table->quantval, sizeof natural);
    for (int k = 0; k < DCTSIZE2; k++) {
      int place = jpeg_natural_order[k];
      table->quantval[place] = k < w->num_coefficients ? natural[w->position[place]] : 1;
    }
  }
}

/* ---- what libjpeg calls ---- */

/* jcdctmgr.c, quantize: to the nearest, halves away from zero; then within what Huffman codes hold. */
static void quantize(const short *coefficients, const UINT16 *table, int largest, JCOEFPTR quantized)
{
  for (int i = 0; i < DCTSIZE2; i++) {
    int step = table[i] << 3, value = abs(coefficients[i]);
    value = (value + step / 2) / step;
    if (value > largest)
      value = largest;
    quantized[i] = (JCOEF)(coefficients[i] < 0 ? -value : value);
  }
}

static void place(const writer *w, const short *ours, JCOEFPTR theirs)
{
  memset(theirs, 0, sizeof(JBLOCK));
  for (int k = 0; k < w->num_coefficients; k++)
    theirs[jpeg_natural_order[k]] = ours[w->position[jpeg_natural_order[k]]];
}

/* Instead of transforming samples. `raw` is what trellis quantization starts from, NULL where there is none; the plainly
 * quantized blocks are wanted even then: the statistics of the first pass are theirs. */
static void hand_over(j_compress_ptr cinfo, jpeg_component_info *component, JSAMPARRAY samples, JBLOCKROW quantized,
                      JDIMENSION start_row, JDIMENSION start_column, JDIMENSION num_blocks, JBLOCKROW raw)
{
  writer *w = (writer *)cinfo->client_data;
  const mzc_dct_component *c = &w->dct->component[component->component_index];
  size_t row = (size_t)w->iMCU_row * component->v_samp_factor + start_row / DCTSIZE;
  const short *ours = c->coefficients + (row * c->blocks_across + start_column / DCTSIZE) * DCTSIZE2;
  const UINT16 *table = cinfo->quant_tbl_ptrs[component->quant_tbl_no]->quantval;
  JBLOCK block;

  (void)samples;
  for (JDIMENSION b = 0; b < num_blocks; b++, ours += DCTSIZE2) {
    place(w, ours, block);
    if (raw != NULL)
      memcpy(raw[b], block, sizeof block);
    quantize(block, table, (1 << (cinfo->data_precision + 2)) - 1, quantized[b]);
  }
}

static void put_byte(j_compress_ptr cinfo, int value)
{
  cinfo->marker->write_marker_byte(cinfo, value);
}

static void put_16(j_compress_ptr cinfo, int value)
{
  put_byte(cinfo, value >> 8);
  put_byte(cinfo, value & 0xFF);
}

/* One marker for each table: readers derive the block size from its length. */
static void put_quant_table(j_compress_ptr cinfo, int number)
{
  const writer *w = (const writer *)cinfo->client_data;
  JQUANT_TBL *table = cinfo->quant_tbl_ptrs[number];
  int wide = 0;

  if (table->sent_table)
    return;
  for (int k = 0; k < w->num_coefficients; k++)
    wide |= table->quantval[jpeg_natural_order[k]] > 255;
  cinfo->marker->write_marker_header(cinfo, DQT, (unsigned int)(1 + w->num_coefficients * (1 + wide)));
  put_byte(cinfo, number + (wide << 4));
  for (int k = 0; k < w->num_coefficients; k++) {
    int entry = table->quantval[jpeg_natural_order[k]];
    if (wide)
      put_16(cinfo, entry);
    else
      put_byte(cinfo, entry);
  }
  table->sent_table = TRUE;
}

static int frame_marker(j_compress_ptr cinfo)
{
  if (cinfo->arith_code)
    return cinfo->progressive_mode ? SOF10 : SOF9;
  return cinfo->progressive_mode ? SOF2 : SOF1;   /* never baseline: there the block size is always 8 */
}

static void write_frame_header(j_compress_ptr cinfo)
{
  const writer *w = (const writer *)cinfo->client_data;

  for (int ci = 0; ci < cinfo->num_components; ci++)
    put_quant_table(cinfo, cinfo->comp_info[ci].quant_tbl_no);
  cinfo->marker->write_marker_header(cinfo, frame_marker(cinfo), (unsigned int)(6 + 3 * cinfo->num_components));
  put_byte(cinfo, cinfo->data_precision);
  put_16(cinfo, w->dct->coded_height);
  put_16(cinfo, w->dct->coded_width);
  put_byte(cinfo, cinfo->num_components);
  for (int ci = 0; ci < cinfo->num_components; ci++) {
    const jpeg_component_info *component = &cinfo->comp_info[ci];
    put_byte(cinfo, component->component_id);
    put_byte(cinfo, (component->h_samp_factor << 4) + component->v_samp_factor);
    put_byte(cinfo, component->quant_tbl_no);
  }
  if (cinfo->progressive_mode) {   /* the pseudo SOS: no components; Se gives the block size */
    cinfo->marker->write_marker_header(cinfo, SOS, 4);
    put_byte(cinfo, 0);
    put_byte(cinfo, 0);
    put_byte(cinfo, w->dct->block_size * w->dct->block_size - 1);
    put_byte(cinfo, 0);
  }
}

/* libjpeg writes DRI when the interval is another than in the scan written last. With an interval of rows it is another in
 * scans of one and of three components, and the scan search keeps only some of those written: each brings its own. */
static void write_restart_interval(j_compress_ptr cinfo)
{
  if (cinfo->restart_in_rows > 0 && cinfo->master->optimize_scans) {
    cinfo->marker->write_marker_header(cinfo, DRI, 2);
    put_16(cinfo, (int)cinfo->restart_interval);
  }
}

/* Sequential SmartScale streams have the block size here. */
static void write_scan_header(j_compress_ptr cinfo)
{
  const writer *w = (const writer *)cinfo->client_data;
  int Se = cinfo->Se;

  write_restart_interval(cinfo);
  if (is_smartscale(w) && !cinfo->progressive_mode)
    cinfo->Se = w->dct->block_size * w->dct->block_size - 1;
  w->write_scan_header(cinfo);
  cinfo->Se = Se;
}

/* ---- scans of fewer than 64 coefficients ---- */

/* The search compares pairs of scans by their number, so their number stays; the points that split them move inside. */
static void clip_search(jpeg_scan_info *scans, int num_scans, int last)
{
  for (int i = 0; i < num_scans; i++) {
    jpeg_scan_info *s = &scans[i];
    if (s->Ss == 1 && s->Se < DCTSIZE2 - 1 && s->Se > last - 1)
      s->Se = last - 1;
    if (s->Ss > last)
      s->Ss = last;
    if (s->Se > last)
      s->Se = last;
  }
}

static int clip_plain(jpeg_scan_info *scans, int num_scans, int last)
{
  int kept = 0;

  for (int i = 0; i < num_scans; i++) {
    if (scans[i].Ss > last)
      continue;
    scans[kept] = scans[i];
    if (scans[kept].Se > last)
      scans[kept].Se = last;
    kept++;
  }
  return kept;
}

static int check_own_scans(const mzc_encode_options *options, int last, mzc_status *status)
{
  for (int i = 0; i < options->num_scans; i++)
    if (options->scans[i].Se > last)
      return mzc_fail(status, MZC_UNSUPPORTED, "scan %d ends at coefficient %d; a block has 0..%d", i, options->scans[i].Se,
                      last);
  return 0;
}

static void clip_scans(j_compress_ptr cinfo, int last)
{
  if (cinfo->master->optimize_scans && cinfo->master->num_scans_luma > 0 && last > 1) {
    clip_search(cinfo->script_space, cinfo->num_scans, last);
    return;
  }
  if (cinfo->master->optimize_scans) {   /* no script to search in: RGB, or a block of one coefficient */
    jpeg_c_set_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS, FALSE);
    jpeg_simple_progression(cinfo);
  }
  cinfo->num_scans = clip_plain(cinfo->script_space, cinfo->num_scans, last);
}

/* ---- the call ---- */

static int check_small_block(const writer *w, const mzc_encode_options *options, mzc_status *status)
{
  int last = w->num_coefficients - 1;

  if (w->cinfo.scan_info == NULL)
    return mzc_fail(status, MZC_UNSUPPORTED, "SmartScale block size %d must be progressive (from 8 on it need not be)",
                    w->dct->block_size);
  return check_own_scans(options, last, status);
}

static int check_same_components(const writer *w, mzc_status *status)
{
  const struct jpeg_compress_struct *cinfo = &w->cinfo;
  const mzc_dct *dct = w->dct;
  int same = cinfo->jpeg_color_space == dct->color_space && cinfo->num_components == dct->num_components;

  for (int ci = 0; same && ci < dct->num_components; ci++)
    same = cinfo->comp_info[ci].h_samp_factor == dct->component[ci].h_samp_factor &&
           cinfo->comp_info[ci].v_samp_factor == dct->component[ci].v_samp_factor;
  return same ? 0 : mzc_fail(status, MZC_UNSUPPORTED, "the image was prepared for another colour space or sampling");
}

static void describe_container(writer *w)
{
  j_compress_ptr cinfo = &w->cinfo;

  cinfo->image_width = (JDIMENSION)w->dct->container_width;
  cinfo->image_height = (JDIMENSION)w->dct->container_height;
  cinfo->in_color_space = w->dct->color_space;
  cinfo->input_components = w->dct->num_components;
}

static int prepare(writer *w, const mzc_encode_options *options)
{
  j_compress_ptr cinfo = &w->cinfo;
  mzc_status *status = w->guard.status;

  describe_container(w);
  mzc_configure(cinfo, options);
  cinfo->smoothing_factor = 0;   /* the planes have been smoothed */
  if (check_same_components(w, status))
    return -1;
  fill_positions(w);
  if (w->dct->block_size < DCTSIZE) {
    if (check_small_block(w, options, status))
      return -1;
    permute_quant_tables(w);
    if (options->num_scans == 0)
      clip_scans(cinfo, w->num_coefficients - 1);
  }
  cinfo->raw_data_in = TRUE;
  cinfo->dest = &w->destination.base;
  cinfo->client_data = w;
  return 0;
}

static void hook(writer *w)
{
  j_compress_ptr cinfo = &w->cinfo;

  cinfo->fdct->forward_DCT = hand_over;
  w->write_scan_header = cinfo->marker->write_scan_header;
  cinfo->marker->write_scan_header = write_scan_header;
  if (is_smartscale(w))
    cinfo->marker->write_frame_header = write_frame_header;
}

static void write_blocks(writer *w)
{
  JSAMPARRAY no_samples[MAX_COMPONENTS] = { NULL };
  j_compress_ptr cinfo = &w->cinfo;

  for (w->iMCU_row = 0; cinfo->next_scanline < cinfo->image_height; w->iMCU_row++)
    jpeg_write_raw_data(cinfo, no_samples, (JDIMENSION)(cinfo->max_v_samp_factor * DCTSIZE));
}

enum { DECLINED = 1 };

/* DECLINED: the engine does not support some coefficients, and the library must code the image. */
static int code(writer *w, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                mzc_engine *engine, int again)
{
  j_compress_ptr cinfo = &w->cinfo;
  mzc_status *status = w->guard.status;
  int choice = MZC_ENGINE_LIBRARY, declined = 0;

  if (setjmp(w->guard.jump))
    return -1;
  jpeg_create_compress(cinfo);
  if (prepare(w, options))
    return -1;
  if (!again)
    choice = mzc_choose_engine(options, engine, engine ? mzc_engine_refuses(cinfo) : NULL, status);
  if (choice < 0)
    return -1;
  mzc_start_compress(cinfo);
  hook(w);
  if (choice == MZC_ENGINE_FAST) {
    mzc_engine_may_hand_over(engine, 0);
    mzc_engine_begin(engine, cinfo, 1);
  }
  mzc_write_markers(cinfo, markers, num_markers);
  write_blocks(w);
  if (choice == MZC_ENGINE_FAST)
    declined = mzc_engine_finish(engine, cinfo);
  else
    jpeg_finish_compress(cinfo);
  return declined ? DECLINED : mzc_destination_check(&w->destination, status);
}

static int run(writer *w, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
               mzc_engine *engine, int again)
{
  int result = code(w, options, markers, num_markers, engine, again);

  jpeg_destroy_compress(&w->cinfo);
  return result;
}

int mzc_dct_encode(const mzc_dct *dct, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                   mzc_engine *engine, mzc_buffer *out, mzc_status *status)
{
  writer w;
  int result;
  size_t samples = (size_t)dct->container_width * dct->container_height;

  memset(&w, 0, sizeof w);
  w.dct = dct;
  w.cinfo.err = mzc_guard_init(&w.guard, status);
  if (mzc_destination_init(&w.destination, out, samples / 4, status))
    return -1;
  result = run(&w, options, markers, num_markers, engine, 0);
  if (result == DECLINED) {
    result = mzc_decline_engine(options->engine, engine, status);
    if (result >= 0)
      result = run(&w, options, markers, num_markers, engine, 1);
  }
  if (engine)
    mzc_engine_trim(engine);
  if (result == 0)
    return 0;
  mzc_destination_forget(out);
  return -1;
}

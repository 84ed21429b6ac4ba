/* Between the library and the rooms: takes the samples of the main pass, and writes the file. */
#include <math.h>

#include "context.h"
#include <jdct.h>
#ifdef WITH_SIMD
#include <jsimd.h>
#include <jsimddct.h>
#endif
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* ---- what is covered ---------------------------------------------------------------------------------------------- */

/* Steps up to here are divided by exactly (hot/tokens.c); of coarser ones the library's 16-bit divisor wraps around. */
enum { LARGEST_EXACT_STEP = 8191 };
/* Up to here the square of a DC candidate's error fits the int that the library computes it in. */
enum { LARGEST_DC_STEP = 3800 };

/* jpeg_search_progression's script, as it fills it. */
static int is_search_script(j_compress_ptr cinfo)
{
  static const int cuts[MZC_NUM_SPLITS] = { 2, 8, 5, 12, 18 };
  const jpeg_scan_info *scan = cinfo->scan_info;
  struct jpeg_comp_master *m = cinfo->master;
  int color = cinfo->num_components == 3, at = 0, same = 1;

#define SCAN(n, c, ss, se, ah, al)                                                                                   \
  (same &= at < cinfo->num_scans && scan[at].comps_in_scan == (n) && scan[at].component_index[0] == (c) &&          \
           scan[at].Ss == (ss) && scan[at].Se == (se) && scan[at].Ah == (ah) && scan[at].Al == (al), at++)
  if (!scan || cinfo->num_scans != (color ? 64 : 23) || m->num_scans_luma != 23 || m->num_scans_luma_dc != 1 ||
      m->Al_max_luma != 3 || m->Al_max_chroma != (color ? 2 : 0) || m->num_scans_chroma_dc != (color ? 3 : 0) ||
      m->num_frequency_splits != MZC_NUM_SPLITS)
    return 0;
  SCAN(m->dc_scan_opt_mode == 0 ? cinfo->num_components : 1, 0, 0, 0, 0, 0);
  for (int group = 0; group <= color; group++) {
    int first = group, last = 2 * group;

    if (group) {
      SCAN(2, 1, 0, 0, 0, 0);
      SCAN(1, 1, 0, 0, 0, 0);
      SCAN(1, 2, 0, 0, 0, 0);
    }
    for (int c = first; c <= last; c++) {
      SCAN(1, c, 1, 8, 0, 0);
      SCAN(1, c, 9, 63, 0, 0);
    }
    for (int Al = 0; Al < (group ? 2 : 3); Al++) {
      for (int c = first; c <= last; c++)
        SCAN(1, c, 1, 63, Al + 1, Al);
      for (int c = first; c <= last; c++) {
        SCAN(1, c, 1, 8, 0, Al + 1);
        SCAN(1, c, 9, 63, 0, Al + 1);
      }
    }
    for (int c = first; c <= last; c++)
      SCAN(1, c, 1, 63, 0, 0);
    for (int i = 0; i < MZC_NUM_SPLITS; i++)
      for (int c = first; c <= last; c++) {
        SCAN(1, c, 1, cuts[i], 0, 0);
        SCAN(1, c, cuts[i] + 1, 63, 0, 0);
      }
  }
#undef SCAN
  return same && at == cinfo->num_scans;
}

/* Scripts of whole DC scans and AC scans down to Al = 3. */
static int is_plain_script(j_compress_ptr cinfo)
{
  int num_dc = 0;

  if (!cinfo->scan_info || cinfo->num_scans < 1 || cinfo->num_scans > MZC_MAX_SCANS)
    return 0;
  for (int i = 0; i < cinfo->num_scans; i++) {
    const jpeg_scan_info *s = &cinfo->scan_info[i];

    if (s->Ss == 0) {
      if (s->Se != 0 || s->Ah != 0 || s->Al != 0 || ++num_dc > MZC_MAX_COMPONENTS)
        return 0;
    } else if (s->comps_in_scan != 1 || s->Al >= MZC_NUM_LEVELS || (s->Ah != 0 && s->Ah != s->Al + 1)) {
      return 0;
    }
  }
  return 1;
}

/* jcmaster.c, per_scan_setup: the library stops at an MCU of more than ten blocks, and no decoder reads one. */
static int has_large_mcus(j_compress_ptr cinfo)
{
  const jpeg_scan_info all = { cinfo->num_components, { 0, 1, 2, 3 }, 0, DCTSIZE2 - 1, 0, 0 };
  int num_scans = cinfo->scan_info ? cinfo->num_scans : 1;

  for (int i = 0; i < num_scans; i++) {
    const jpeg_scan_info *s = cinfo->scan_info ? &cinfo->scan_info[i] : &all;
    int blocks = 0;

    for (int c = 0; c < s->comps_in_scan && s->comps_in_scan > 1; c++) {
      const jpeg_component_info *component = &cinfo->comp_info[s->component_index[c]];
      blocks += component->h_samp_factor * component->v_samp_factor;
    }
    if (blocks > C_MAX_BLOCKS_IN_MCU)
      return 1;
  }
  return 0;
}

static const char *refuses_coding(j_compress_ptr cinfo)
{
  struct jpeg_comp_master *m = cinfo->master;

  if (cinfo->data_precision != 8)
    return "samples of more than 8 bits";
  if (m->lossless)
    return "lossless JPEG";
  if (cinfo->arith_code)
    return "arithmetic coding";
  if (m->compress_profile != (int)JCP_MAX_COMPRESSION)
    return "the fastest profile";
  if (cinfo->num_components > MZC_MAX_COMPONENTS)
    return "more than four components";
  for (int c = 0; c < cinfo->num_components; c++)
    if (cinfo->comp_info[c].dc_tbl_no < 0 || cinfo->comp_info[c].dc_tbl_no >= NUM_HUFF_TBLS ||
        cinfo->comp_info[c].ac_tbl_no < 0 || cinfo->comp_info[c].ac_tbl_no >= NUM_HUFF_TBLS)
      return "Huffman table numbers beyond 3";
  if (!cinfo->scan_info) {
    if (!cinfo->optimize_coding)
      return "sequential JPEG without tables of its own";
  } else if (m->optimize_scans && m->num_scans_luma != 0) {   /* 0: no search for these components, jpeg_start_compress */
    if (cinfo->restart_in_rows)
      return "restart intervals in rows with the scan search";
    if (!is_search_script(cinfo))
      return "a scan search with another script";
  } else if (!is_plain_script(cinfo)) {
    return "this scan script";
  }
  if (has_large_mcus(cinfo))
    return "MCUs of more than ten blocks";
  return NULL;
}

const char *mzc_engine_refuses(j_compress_ptr cinfo)
{
  struct jpeg_comp_master *m = cinfo->master;
  const char *reason = refuses_coding(cinfo);

  if (reason)
    return reason;
  for (int c = 0; c < cinfo->num_components; c++) {
    int number = cinfo->comp_info[c].quant_tbl_no;
    JQUANT_TBL *table = number < 0 || number >= NUM_QUANT_TBLS ? NULL : cinfo->quant_tbl_ptrs[number];

    if (!table)
      return "a missing quantization table";
    for (int i = 0; i < DCTSIZE2; i++)
      if (table->quantval[i] < 1 || table->quantval[i] > 32767)
        return "quantizer steps beyond 32767";
    if (table->quantval[0] > LARGEST_DC_STEP)
      return "DC quantizer steps beyond 3800";
  }
  if (m->trellis_quant) {
    if (m->trellis_eob_opt)
      return "trellis_eob_opt";
    if (m->use_scans_in_trellis)
      return "use_scans_in_trellis";
    if (m->trellis_q_opt)
      return "trellis_q_opt";
    if (m->trellis_num_loops != 1)
      return "several trellis loops";
    if (m->trellis_delta_dc_weight > 0)
      return "trellis_delta_dc_weight";
  }
  return NULL;
}

const char *mzc_engine_refuses_coefficients(j_compress_ptr cinfo)
{
  return refuses_coding(cinfo);
}

/* ---- setting up --------------------------------------------------------------------------------------------------- */

static void set_quantizer(mzc_quantizer *q, const JQUANT_TBL *table)
{
  for (int i = 0; i < DCTSIZE2; i++) {
    int step = table->quantval[i];

    q->weight[i] = (float)(1.0 / (step * step));
    q->step8[i] = 8 * step;
    q->threshold[i] = (float)(4 * step) * (float)(4 * step);
    q->reciprocal[i] = ((uint64_t)1 << 40) / (8 * step) + 1;
  }
}

static int has_coarse_step(const JQUANT_TBL *table)
{
  for (int i = 0; i < DCTSIZE2; i++)
    if (table->quantval[i] > LARGEST_EXACT_STEP)
      return 1;
  return 0;
}

/* jcmaster.c, per_scan_setup: rows of MCUs are counted out for each scan. */
int mzc_restart_interval(const mzc_engine *e, int mcus_per_row)
{
  int64_t interval = (int64_t)e->cinfo->restart_in_rows * mcus_per_row;

  if (interval == 0)
    return (int)e->cinfo->restart_interval;
  return interval < 65535 ? (int)interval : 65535;
}

static void set_component(mzc_engine *e, mzc_component *k, const jpeg_component_info *info)
{
  size_t blocks;

  k->width = info->width_in_blocks;
  k->height = info->height_in_blocks;
  k->h_samp_factor = info->h_samp_factor;
  k->v_samp_factor = info->v_samp_factor;
  k->padded_width = (k->width + k->h_samp_factor - 1) / k->h_samp_factor * k->h_samp_factor;
  k->padded_height = (k->height + k->v_samp_factor - 1) / k->v_samp_factor * k->v_samp_factor;
  k->id = info->component_id;
  k->dc_table = info->dc_tbl_no;
  k->ac_table = info->ac_tbl_no;
  k->quant_table = info->quant_tbl_no;
  k->restart_interval = mzc_restart_interval(e, k->width);
  k->clamps = e->deringing;
  k->num_tokens = k->num_values = 0;
  k->levels_built = 0;
  k->out_of_range = 0;
  k->plain_full = 0;
  memset(k->plain, 0, sizeof k->plain);
  memset(&k->plain_eobs, 0, sizeof k->plain_eobs);
  blocks = (size_t)k->width * k->height;
  if (e->trellis)
    MZC_RESERVE(e->cinfo, k->block, k->block_capacity, blocks);
  MZC_RESERVE(e->cinfo, k->level[0].block, k->level[0].block_capacity, blocks);
  MZC_RESERVE(e->cinfo, k->dc, k->dc_capacity, (size_t)k->padded_width * k->padded_height);
}

/* 2^23 blocks a component: see MZC_MAX_BLOCKS. */
static int too_large(j_compress_ptr cinfo)
{
  for (int c = 0; c < cinfo->num_components; c++)
    if ((size_t)cinfo->comp_info[c].width_in_blocks * cinfo->comp_info[c].height_in_blocks > MZC_MAX_BLOCKS)
      return 1;
  return 0;
}

void mzc_setup(mzc_engine *e, j_compress_ptr cinfo)
{
  struct jpeg_comp_master *m = cinfo->master;
  size_t widest = 0;

  e->cinfo = cinfo;
  e->num_components = cinfo->num_components;
  e->sequential = cinfo->scan_info == NULL;
  e->num_output = 0;
  e->row = 0;
  e->declined = too_large(cinfo);
  if (e->declined)
    return;
  if (m->lambda_log_scale2 > 0.0) {
    e->lambda.numerator = pow(2.0, m->lambda_log_scale1);
    e->lambda.offset = pow(2.0, m->lambda_log_scale2);
  } else {
    e->lambda.numerator = pow(2.0, m->lambda_log_scale1 - 12.0);
    e->lambda.offset = -1;
  }
  for (int c = 0; c < e->num_components; c++) {
    set_component(e, &e->component[c], &cinfo->comp_info[c]);
    memset(&e->statistics[c], 0, sizeof e->statistics[c]);
    if ((size_t)e->component[c].width > widest)
      widest = e->component[c].width;
  }
  widest = (widest + 7) / 8 * 8;
  if (widest * DCTSIZE2 > e->raw_capacity) {
    MZC_RESERVE(cinfo, e->raw, e->raw_capacity, widest * DCTSIZE2);
    memset(e->raw, 0, e->raw_capacity * sizeof *e->raw);   /* the padding of the last group is read, not used */
  }
  MZC_RESERVE(cinfo, e->quantized, e->quantized_capacity, widest * DCTSIZE2);
  MZC_RESERVE(cinfo, e->came_from, e->came_from_capacity, widest * MZC_DC_STRIDE);
  MZC_RESERVE(cinfo, e->dc_candidate, e->dc_candidate_capacity, widest * MZC_DC_STRIDE);
}

/* ---- the main pass ------------------------------------------------------------------------------------------------ */

int mzc_has_white(JSAMPARRAY rows, JDIMENSION column)
{
#if defined(__SSE2__)
  __m128i any = _mm_setzero_si128(), white = _mm_set1_epi8(-1);

  for (int y = 0; y < DCTSIZE; y++)
    any = _mm_or_si128(any, _mm_cmpeq_epi8(_mm_loadl_epi64((const __m128i *)(rows[y] + column)), white));
  return (_mm_movemask_epi8(any) & 0xFF) != 0;
#else
  for (int y = 0; y < DCTSIZE; y++)
    for (int x = 0; x < DCTSIZE; x++)
      if (rows[y][column + x] == 255)
        return 1;
  return 0;
#endif
}

#ifdef WITH_SIMD

int mzc_simd_dct_available(void)
{
  return jsimd_can_convsamp() && jsimd_can_fdct_islow();
}

void mzc_transform_block(JSAMPARRAY rows, JDIMENSION column, JCOEF *out)
{
  jsimd_convsamp(rows, column, out);
  jsimd_fdct_islow(out);
}

#else

int mzc_simd_dct_available(void)
{
  return 0;
}

void mzc_transform_block(JSAMPARRAY rows, JDIMENSION column, JCOEF *out)
{
  (void)rows;
  (void)column;
  (void)out;
}

#endif

/* One row of blocks: raw coefficients, and the library's own quantized ones where it does the DCT. */
static void transform_row(mzc_engine *e, jpeg_component_info *info, JSAMPARRAY samples, JDIMENSION first_row,
                          JDIMENSION num_blocks)
{
  j_compress_ptr cinfo = e->cinfo;

  if (e->simd_dct) {
    JSAMPARRAY rows = samples + first_row;

    for (JDIMENSION b = 0; b < num_blocks; b++) {
      JCOEF *out = e->raw + (size_t)b * DCTSIZE2;
      if (e->deringing && mzc_has_white(rows, b * DCTSIZE))
        (*cinfo->fdct->forward_DCT)(cinfo, info, samples, (JBLOCKROW)e->quantized, first_row, b * DCTSIZE, 1,
                                    (JBLOCKROW)out);
      else
        mzc_transform_block(rows, b * DCTSIZE, out);
    }
    return;
  }
  (*cinfo->fdct->forward_DCT)(cinfo, info, samples, (JBLOCKROW)e->quantized, first_row, 0, num_blocks,
                              (JBLOCKROW)e->raw);
}

/* Statistics of the library's own rounding, where ours is not proven to be the same. */
static void count_plain(mzc_engine *e, mzc_component *k, int row)
{
  const JCOEF *block = e->quantized;

  for (int x = 0; x < k->width; x++, block += DCTSIZE2) {
    size_t index = (size_t)row * k->width + x;
    mzc_eob_runs *eobs = &k->plain_eobs;
    int previous = 0;

    if (k->restart_interval && index % k->restart_interval == 0 && eobs->run) {
      eobs->count[31 - __builtin_clz(eobs->run)]++;
      eobs->run = 0;
    }
    for (int i = 1; i < DCTSIZE2; i++) {
      int amount = abs(block[jpeg_natural_order[i]]);

      if (amount == 0)
        continue;
      if (amount > 1023) {
        k->out_of_range = 1;
        return;
      }
      if (eobs->run) {
        eobs->count[31 - __builtin_clz(eobs->run)]++;
        eobs->run = 0;
      }
      k->plain[(i - previous - 1) * 16 + 32 - __builtin_clz(amount)]++;
      previous = i;
    }
    k->plain_full += previous == DCTSIZE2 - 1;
    if (previous < DCTSIZE2 - 1 && ++eobs->run == MZC_MAX_EOB_RUN) {
      eobs->count[14]++;
      eobs->run = 0;
    }
  }
}

static void reserve_values(mzc_engine *e, mzc_component *k, size_t count)
{
  mzc_sparse *level = &k->level[0];

  MZC_RESERVE(e->cinfo, level->value, level->value_capacity, count);
  MZC_RESERVE(e->cinfo, level->symbol, level->symbol_capacity, count);
}

void mzc_take_blocks(mzc_engine *e, int component, int row, const JCOEF *quantized)
{
  mzc_component *k = &e->component[component];

  reserve_values(e, k, k->num_values + (size_t)k->width * (DCTSIZE2 - 1));
  if (e->kernels->gather_row(k, quantized, row, &e->statistics[component], k->restart_interval) != 0)
    e->declined = 1;
}

void mzc_read_blocks(mzc_engine *e, int component, int row, const JCOEF *raw)
{
  mzc_component *k = &e->component[component];
  mzc_quantizer *q = &e->quantizer[k->quant_table];

  if (e->trellis) {
    MZC_RESERVE(e->cinfo, k->token, k->token_capacity, k->num_tokens + (size_t)k->width * (DCTSIZE2 - 1));
    e->kernels->read_row(k, q, &e->lambda, raw, row, k->restart_interval);
  } else {
    reserve_values(e, k, k->num_values + (size_t)k->width * (DCTSIZE2 - 1));
    if (e->kernels->round_row(k, q, raw, row, &e->statistics[component], k->restart_interval) != 0)
      e->declined = 1;
  }
}

/* With the library's own rounding: of the statistics, kept aside while the token pass counts its own, and of the DC that
 * no trellis will choose. */
static void read_rounded_by_library(mzc_engine *e, int component, int row)
{
  mzc_component *k = &e->component[component];
  uint32_t plain[64 * 16], full;
  mzc_eob_runs eobs;

  count_plain(e, k, row);
  full = k->plain_full;
  memcpy(plain, k->plain, sizeof plain);
  eobs = k->plain_eobs;
  mzc_read_blocks(e, component, row, e->raw);
  memcpy(k->plain, plain, sizeof plain);
  k->plain_eobs = eobs;
  k->plain_full = full;
  for (int x = 0; x < k->width; x++)
    k->dc[(size_t)row * k->padded_width + x] = e->quantized[(size_t)x * DCTSIZE2];
}

static void take_row(mzc_engine *e, int component, int row, JSAMPARRAY samples, JDIMENSION first_row)
{
  j_compress_ptr cinfo = e->cinfo;
  mzc_component *k = &e->component[component];

  transform_row(e, &cinfo->comp_info[component], samples, first_row, k->width);
  if (!e->plain_from_library)
    mzc_read_blocks(e, component, row, e->raw);
  else if (e->trellis)
    read_rounded_by_library(e, component, row);
  else
    mzc_take_blocks(e, component, row, e->quantized);
}

/* Stands in for the library's coefficient controller: one row of MCUs. */
static boolean compress_data(j_compress_ptr cinfo, JSAMPIMAGE input)
{
  mzc_engine *e = (mzc_engine *)((char *)cinfo->coef - offsetof(mzc_engine, controller));

  for (int c = 0; c < e->num_components && !e->declined; c++) {
    mzc_component *k = &e->component[c];

    for (int y = 0; y < k->v_samp_factor; y++) {
      int row = e->row * k->v_samp_factor + y;
      if (row < k->height)
        take_row(e, c, row, input[c], (JDIMENSION)(y * DCTSIZE));
    }
  }
  e->row++;
  return TRUE;
}

void mzc_choose_road(mzc_engine *e, j_compress_ptr cinfo, int own_dct)
{
  struct jpeg_comp_master *m = cinfo->master;

  e->trellis = m->trellis_quant;
  e->trellis_dc = m->trellis_quant_dc;
  e->deringing = m->overshoot_deringing;
  e->own_dct = own_dct;
  /* where another DCT than islow hands over raw coefficients, the library (or that DCT's owner) rounds its own values */
  e->plain_from_library = own_dct || cinfo->dct_method != JDCT_ISLOW;
  for (int c = 0; c < cinfo->num_components; c++) {
    int number = cinfo->comp_info[c].quant_tbl_no;

    set_quantizer(&e->quantizer[number], cinfo->quant_tbl_ptrs[number]);
    e->plain_from_library |= has_coarse_step(cinfo->quant_tbl_ptrs[number]);
  }
  e->simd_dct = !own_dct && !e->plain_from_library && mzc_simd_dct_available();
}

void mzc_engine_begin(mzc_engine *e, j_compress_ptr cinfo, int own_dct)
{
  mzc_choose_road(e, cinfo, own_dct);
  mzc_setup(e, cinfo);
  e->library_controller = cinfo->coef;
  e->controller = *cinfo->coef;
  e->controller.compress_data = compress_data;
  cinfo->coef = &e->controller;
}

/* ---- the file ----------------------------------------------------------------------------------------------------- */

/* Dummy blocks of an interleaved scan repeat the DC of the last block before them in their MCU. */
static void pad_dc(mzc_component *k)
{
  for (int y = 0; y < k->height; y++) {
    int16_t *row = k->dc + (size_t)y * k->padded_width;
    for (int x = k->width; x < k->padded_width; x++)
      row[x] = row[k->width - 1];
  }
  for (int y = k->height; y < k->padded_height; y++) {
    int16_t *row = k->dc + (size_t)y * k->padded_width, *above = row - k->padded_width;
    for (int x = 0; x < k->padded_width; x++)
      row[x] = above[x / k->h_samp_factor * k->h_samp_factor + k->h_samp_factor - 1];
  }
}

static void code_lengths(const JHUFF_TBL *table, uint8_t *length)
{
  int p = 0;

  memset(length, 0, 256);
  for (int l = 1; l <= 16; l++)
    for (int i = 0; i < table->bits[l] && p < 256; i++)
      length[table->huffval[p++]] = (uint8_t)l;
}

/* DC codes that the trellis looks at: those of the tables in force, which progressive mode has not replaced yet; a
 * sequential file has a table made for the component before. */
static int set_dc_lengths(mzc_engine *e, const mzc_component *k, uint8_t *length)
{
  uint32_t histogram[256] = { 0 };
  mzc_huffman table;

  if (!e->sequential) {
    code_lengths(e->cinfo->dc_huff_tbl_ptrs[k->dc_table], length);
    return 0;
  }
  e->kernels->count_dc(k, k->restart_interval, histogram);
  if (e->kernels->build_huffman(histogram, &table) != 0)
    return -1;
  memcpy(length, table.length, sizeof table.length);
  return 0;
}

static void run_trellis(mzc_engine *e, int component)
{
  mzc_component *k = &e->component[component];
  mzc_quantizer *q = &e->quantizer[k->quant_table];
  uint8_t dc_length[256];

  if (!e->plain_from_library && (e->sequential || !e->trellis_dc))
    e->kernels->round_dc(k, q);
  if (k->out_of_range || set_dc_lengths(e, k, dc_length) != 0 ||
      e->kernels->set_rates(&e->rates, k, dc_length, e->sequential) != 0) {
    e->declined = 1;
    return;
  }
  if (e->trellis_dc) {
    int predictor = 0;
    for (int row = 0; row < k->height; row++) {
      if (row % k->v_samp_factor == 0)
        predictor = 0;
      e->kernels->choose_dc(k, q, &e->rates, row, &predictor, e->came_from, e->dc_candidate);
    }
  }
  reserve_values(e, k, k->num_tokens + 1);
  e->kernels->choose_ac(k, q, &e->rates, &e->statistics[component], k->restart_interval);
}

void mzc_write_bytes(j_compress_ptr cinfo, const uint8_t *data, size_t size)
{
  struct jpeg_destination_mgr *dest = cinfo->dest;

  while (size >= dest->free_in_buffer) {
    memcpy(dest->next_output_byte, data, dest->free_in_buffer);
    data += dest->free_in_buffer;
    size -= dest->free_in_buffer;
    dest->next_output_byte += dest->free_in_buffer;
    dest->free_in_buffer = 0;
    if (!(*dest->empty_output_buffer)(cinfo))
      ERREXIT(cinfo, JERR_CANT_SUSPEND);
  }
  memcpy(dest->next_output_byte, data, size);
  dest->next_output_byte += size;
  dest->free_in_buffer -= size;
}

static void write_dri(j_compress_ptr cinfo, int interval)
{
  const uint8_t marker[6] = {
    0xFF, 0xDD, 0, 4, (uint8_t)(interval >> 8), (uint8_t)interval
  };
  mzc_write_bytes(cinfo, marker, sizeof marker);
}

/* The interval is announced in a scan's header when it changes, between its tables and SOS. */
static void write_scan_bytes(mzc_engine *e, const mzc_bytes *scan, int announce)
{
  size_t tables = announce ? 2 + ((size_t)scan->data[2] << 8 | scan->data[3]) : 0;

  if (announce) {
    mzc_write_bytes(e->cinfo, scan->data, tables);
    write_dri(e->cinfo, scan->restart_interval);
  }
  mzc_write_bytes(e->cinfo, scan->data + tables, scan->size - tables);
}

static void write_file(mzc_engine *e)
{
  j_compress_ptr cinfo = e->cinfo;
  int announced = 0;

  (*cinfo->marker->write_frame_header)(cinfo);
  for (int i = 0; i < e->num_output; i++) {
    const mzc_bytes *scan = e->output[i];

    write_scan_bytes(e, scan, scan->restart_interval != announced);
    announced = scan->restart_interval;
  }
  (*cinfo->marker->write_file_trailer)(cinfo);
  (*cinfo->dest->term_destination)(cinfo);
}

int mzc_follow_script(mzc_engine *e)
{
  int num_dc = 0;

  for (int i = 0; i < e->cinfo->num_scans && !e->declined; i++) {
    const jpeg_scan_info *s = &e->cinfo->scan_info[i];

    if (s->Ss == 0) {
      mzc_output_dc(e, num_dc++, s->component_index, s->comps_in_scan);
    } else {
      mzc_describe_scan(&e->script[i], s->component_index[0], s->Ss, s->Se, s->Ah, s->Al);
      mzc_output_scan(e, &e->script[i]);
    }
  }
  return e->declined ? -1 : 0;
}

int mzc_code(mzc_engine *e)
{
  for (int c = 0; c < e->num_components && !e->declined; c++) {
    if (e->trellis)
      run_trellis(e, c);
    pad_dc(&e->component[c]);
  }
  if (e->declined)
    return -1;
  if (e->sequential)
    return mzc_write_sequential(e);
  if ((e->cinfo->master->optimize_scans ? mzc_search_scans(e) : mzc_follow_script(e)) != 0)
    return -1;
  write_file(e);
  return 0;
}

int mzc_engine_finish(mzc_engine *e, j_compress_ptr cinfo)
{
  int result = mzc_code(e);

  cinfo->coef = e->library_controller;
  jpeg_abort((j_common_ptr)cinfo);
  return result;
}

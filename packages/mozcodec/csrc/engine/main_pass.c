/* The main pass: receives the library's samples, transforms them and collects tokens. */
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

/* ---- setting up --------------------------------------------------------------------------------------------------- */

/* Steps up to here are divided by exactly (kernels/tokens.c); of coarser ones the library's 16-bit divisor wraps around. */
enum { LARGEST_EXACT_STEP = 8191 };

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
  k->lambda_scale = NULL;
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

void mzc_forget_component(mzc_engine *e, int component)
{
  set_component(e, &e->component[component], &e->cinfo->comp_info[component]);
  memset(&e->statistics[component], 0, sizeof e->statistics[component]);
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
    mzc_forget_component(e, c);
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

/* Statistics of the library's rounding, where ours is not proven to be equal. */
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

void mzc_take_blocks(mzc_engine *e, int component, int row, const JCOEF *quantized)
{
  mzc_component *k = &e->component[component];

  mzc_reserve_values(e, k, k->num_values + (size_t)k->width * (DCTSIZE2 - 1));
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
    mzc_reserve_values(e, k, k->num_values + (size_t)k->width * (DCTSIZE2 - 1));
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

/* Without a scan search: will the engine need more than 1.3 times the library's memory for the whole image, going by the
 * rows so far? The library holds each coefficient in 2 bytes, twice for the trellis. Here a nonzero coefficient takes 8 bytes
 * as a token and 6 as a value, of one component at a time, and about 2 coded; for progressive scans up to 6 for each of
 * three levels. The library's search holds all its candidates, and takes more than the engine's. */
static int is_memory_hungry(const mzc_engine *e)
{
  double seen = 0, all = 0, nonzero = 0, most = 0, ours, theirs;

  for (int c = 0; c < e->num_components; c++) {
    const mzc_component *k = &e->component[c];
    int rows = e->row * k->v_samp_factor < k->height ? e->row * k->v_samp_factor : k->height;
    double count = (double)(e->trellis ? k->num_tokens : k->num_values);

    seen += (double)rows * k->width;
    all += (double)k->height * k->width;
    nonzero += count;
    most = count > most ? count : most;
  }
  ours = (!e->sequential ? 20 * nonzero : e->trellis ? 10 * nonzero + 6 * most : 8 * nonzero) * all / seen;
  theirs = all * DCTSIZE2 * sizeof(JCOEF) * (e->trellis ? 2 : 1);
  return ours > 1.3 * theirs && mzc_is_large((size_t)ours);
}

/* Replaces the library's coefficient controller: one row of MCUs. */
static boolean compress_data(j_compress_ptr cinfo, JSAMPIMAGE input)
{
  mzc_engine *e = mzc_engine_of(cinfo);

  for (int c = 0; c < e->num_components && !e->declined; c++) {
    mzc_component *k = &e->component[c];

    for (int y = 0; y < k->v_samp_factor; y++) {
      int row = e->row * k->v_samp_factor + y;
      if (row < k->height)
        take_row(e, c, row, input[c], (JDIMENSION)(y * DCTSIZE));
    }
  }
  e->row++;
  if (e->may_hand_over && (e->sequential || !cinfo->master->optimize_scans) && !e->declined &&
      e->row * 16 >= (int)cinfo->total_iMCU_rows)
    e->declined = is_memory_hungry(e);
  return TRUE;
}

void mzc_choose_mode(mzc_engine *e, j_compress_ptr cinfo, int own_dct)
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
  e->is_onepass = mzc_is_onepass(cinfo);
  if (e->is_onepass) {
    mzc_onepass_begin(e, cinfo);
    return;
  }
  mzc_choose_mode(e, cinfo, own_dct);
  mzc_setup(e, cinfo);
  mzc_take_controller(e, cinfo, compress_data);
}

void mzc_engine_may_hand_over(mzc_engine *e, int may)
{
  e->may_hand_over = may;
}

void mzc_engine_search_widely(mzc_engine *e, int wide)
{
  e->wide = wide;
}

int mzc_engine_finish(mzc_engine *e, j_compress_ptr cinfo)
{
  int result;

  if (e->is_onepass)
    return mzc_onepass_finish(e, cinfo);
  result = mzc_write_picture(e);
  cinfo->coef = e->library_controller;
  jpeg_abort((j_common_ptr)cinfo);
  return result;
}

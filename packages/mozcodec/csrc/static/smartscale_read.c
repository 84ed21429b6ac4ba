/* SmartScale and true inverse DCTs in libjpeg's decoder. The stream has been rewritten (smartscale.c) so that libjpeg sees
 * as many 8 x 8 blocks; here they become N x N again. */
#define JPEG_INTERNALS
#include "../smartscale.h"

#include <jdct.h>
#include <jdhuff.h>

#define LARGEST_DC (1 << 20)   /* far beyond any picture's, far from overflow */

/* ---- inverse DCTs of 2 and 4 points ----
 *
 * libjpeg-turbo's own average the samples of the 8-point one (jidctred.c). These are the transforms of that many points,
 * in 13-bit fixed point, with the rounding of libjpeg 7 and later. */

static JSAMPLE clamp(int64_t value)
{
  return (JSAMPLE)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int64_t dequantized(const jpeg_component_info *component, const JCOEF *block, int row, int column)
{
  const ISLOW_MULT_TYPE *table = (const ISLOW_MULT_TYPE *)component->dct_table;

  return (int64_t)block[8 * row + column] * table[8 * row + column];
}

static void idct_2x2(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY out,
                     JDIMENSION column)
{
  int64_t mean = dequantized(component, block, 0, 0) + 4 + (128 << 3), both = dequantized(component, block, 1, 1);
  int64_t across = dequantized(component, block, 0, 1), down = dequantized(component, block, 1, 0);

  (void)cinfo;
  out[0][column] = clamp((mean + down + across + both) >> 3);
  out[0][column + 1] = clamp((mean + down - across - both) >> 3);
  out[1][column] = clamp((mean - down + across - both) >> 3);
  out[1][column + 1] = clamp((mean - down - across + both) >> 3);
}

/* The odd part: first = c1 * a + c3 * b and second = c3 * a - c1 * b, where c1 = sqrt(2) cos(pi / 8) and
 * c3 = sqrt(2) cos(3 pi / 8), by three multiplications. */
static void rotate(int64_t a, int64_t b, int64_t rounding, int shift, int64_t *first, int64_t *second)
{
  int64_t common = (a + b) * 4433 + rounding;   /* 0.541196100 * 2^13 = c3 */

  *first = (common + a * 6270) >> shift;        /* 0.765366865 * 2^13 = c1 - c3 */
  *second = (common - b * 15137) >> shift;      /* 1.847759065 * 2^13 = c1 + c3 */
}

static void idct_4x4(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY out,
                     JDIMENSION column)
{
  int64_t half[4][4], even, difference, first, second;

  (void)cinfo;
  for (int k = 0; k < 4; k++) {   /* columns; two bits more than the result */
    int64_t f0 = dequantized(component, block, 0, k), f2 = dequantized(component, block, 2, k);
    even = (f0 + f2) * 4;
    difference = (f0 - f2) * 4;
    rotate(dequantized(component, block, 1, k), dequantized(component, block, 3, k), 1 << 10, 11, &first, &second);
    half[0][k] = even + first;
    half[3][k] = even - first;
    half[1][k] = difference + second;
    half[2][k] = difference - second;
  }
  for (int y = 0; y < 4; y++) {   /* rows */
    int64_t f0 = half[y][0] + (128 << 5) + (1 << 4);
    even = (f0 + half[y][2]) * 8192;
    difference = (f0 - half[y][2]) * 8192;
    rotate(half[y][1], half[y][3], 0, 0, &first, &second);
    out[y][column] = clamp((even + first) >> 18);
    out[y][column + 3] = clamp((even - first) >> 18);
    out[y][column + 1] = clamp((difference + second) >> 18);
    out[y][column + 2] = clamp((difference - second) >> 18);
  }
}

/* Block sizes below 8: libjpeg has the k-th coefficient at the k-th place of its own zigzag. */
static void idct_in_place(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY out,
                          JDIMENSION column)
{
  const mzc_smartscale *ss = mzc_smartscale_of(cinfo);
  JBLOCK natural = { 0 };

  for (int k = 0; k < ss->block_size * ss->block_size; k++)
    natural[ss->position[k]] = block[jpeg_natural_order[k]];
  ss->idct[component->component_index](cinfo, component, natural, out, column);
}

static void select_idct(j_decompress_ptr cinfo, jpeg_component_info *component, jpeg_idct_method *idct, int *category)
{
  mzc_smartscale *ss = mzc_smartscale_of(cinfo);

  (void)category;   /* at 2 and 4 points it is islow's in any case */
  if (ss->true_idct && component->DCT_scaled_size == 2)
    *idct = idct_2x2;
  if (ss->true_idct && component->DCT_scaled_size == 4)
    *idct = idct_4x4;
  if (ss->block_size < DCTSIZE) {
    ss->idct[component->component_index] = *idct;
    *idct = idct_in_place;
  }
}

/* ---- sequential Huffman streams of block sizes below 8 ----
 *
 * A block ends after coefficient N * N - 1 without an end-of-block code, which libjpeg's own decoder would wait for. */

typedef struct {
  bitread_perm_state bits;
  int last_dc[MAX_COMPS_IN_SCAN];
  unsigned int restarts_to_go;
  int last_coefficient;
  d_derived_tbl *dc[NUM_HUFF_TBLS], *ac[NUM_HUFF_TBLS];
} huffman;

static void start_scan(j_decompress_ptr cinfo)
{
  huffman *h = (huffman *)mzc_smartscale_of(cinfo)->huffman;

  for (int i = 0; i < cinfo->comps_in_scan; i++) {
    const jpeg_component_info *component = cinfo->cur_comp_info[i];
    jpeg_make_d_derived_tbl(cinfo, TRUE, component->dc_tbl_no, &h->dc[component->dc_tbl_no]);
    if (h->last_coefficient > 0)
      jpeg_make_d_derived_tbl(cinfo, FALSE, component->ac_tbl_no, &h->ac[component->ac_tbl_no]);
  }
  memset(h->last_dc, 0, sizeof h->last_dc);
  memset(&h->bits, 0, sizeof h->bits);
  h->restarts_to_go = cinfo->restart_interval;
  cinfo->entropy->insufficient_data = FALSE;
}

static boolean restart(j_decompress_ptr cinfo, huffman *h)
{
  cinfo->marker->discarded_bytes += (unsigned int)h->bits.bits_left / 8;
  h->bits.bits_left = 0;
  if (!cinfo->marker->read_restart_marker(cinfo))
    return FALSE;
  memset(h->last_dc, 0, sizeof h->last_dc);
  h->restarts_to_go = cinfo->restart_interval;
  if (cinfo->unread_marker == 0)
    cinfo->entropy->insufficient_data = FALSE;
  return TRUE;
}

/* T.81 F.2.2.1: s more bits, the upper half of their values positive. */
static int extend(int bits, int s)
{
  return bits < 1 << (s - 1) ? bits - (1 << s) + 1 : bits;
}

static boolean decode_blocks(j_decompress_ptr cinfo, huffman *h, JBLOCKROW *MCU)
{
  BITREAD_STATE_VARS;

  BITREAD_LOAD_STATE(cinfo, h->bits);
  for (int b = 0; b < cinfo->blocks_in_MCU; b++) {
    int ci = cinfo->MCU_membership[b];
    const jpeg_component_info *component = cinfo->cur_comp_info[ci];
    d_derived_tbl *table = h->dc[component->dc_tbl_no];
    int s, r;

    HUFF_DECODE(s, br_state, table, return FALSE, dc_by_bits);
    if (s != 0) {
      CHECK_BIT_BUFFER(br_state, s, return FALSE);
      r = GET_BITS(s);
      s = extend(r, s);
    }
    h->last_dc[ci] += s;
    if (h->last_dc[ci] > LARGEST_DC || h->last_dc[ci] < -LARGEST_DC)
      ERREXIT(cinfo, JERR_BAD_DCT_COEF);
    if (MCU != NULL)
      (*MCU[b])[0] = (JCOEF)h->last_dc[ci];

    table = h->ac[component->ac_tbl_no];
    for (int k = 1; k <= h->last_coefficient; k++) {
      HUFF_DECODE(s, br_state, table, return FALSE, ac_by_bits);
      r = s >> 4;
      s &= 15;
      if (s == 0) {
        if (r != 15)
          break;
        k += 15;
        continue;
      }
      k += r;   /* at most 48 + 15 */
      CHECK_BIT_BUFFER(br_state, s, return FALSE);
      r = GET_BITS(s);
      if (MCU != NULL)
        (*MCU[b])[jpeg_natural_order[k]] = (JCOEF)extend(r, s);
    }
  }
  BITREAD_SAVE_STATE(cinfo, h->bits);
  return TRUE;
}

static boolean decode_mcu(j_decompress_ptr cinfo, JBLOCKROW *MCU)
{
  huffman *h = (huffman *)mzc_smartscale_of(cinfo)->huffman;

  if (cinfo->restart_interval != 0 && h->restarts_to_go == 0 && !restart(cinfo, h))
    return FALSE;
  if (!cinfo->entropy->insufficient_data && !decode_blocks(cinfo, h, MCU))
    return FALSE;
  if (cinfo->restart_interval != 0)
    h->restarts_to_go--;
  return TRUE;
}

void mzc_smartscale_before_data(j_decompress_ptr cinfo, mzc_smartscale *ss)
{
  huffman *h;

  if (ss->block_size >= DCTSIZE || ss->progressive || ss->huffman != NULL)
    return;
  h = cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE, sizeof *h);
  memset(h, 0, sizeof *h);
  h->last_coefficient = ss->block_size * ss->block_size - 1;
  ss->huffman = h;
  cinfo->entropy->start_pass = start_scan;
  cinfo->entropy->decode_mcu = decode_mcu;
  start_scan(cinfo);   /* libjpeg has started the first scan already */
}

/* ---- the decoder's options and rows ---- */

static int ceil_div(int a, int b)
{
  return (a + b - 1) / b;
}

/* As libjpeg 8 and later: a block becomes ceil(N * scale / 8) samples wide. */
int mzc_smartscale_configure(j_decompress_ptr cinfo, mzc_smartscale *ss, const mzc_decode_options *options,
                             mzc_status *status)
{
  int points = ceil_div(ss->block_size * options->scale, 8);

  ss->true_idct = options->true_idct || ss->block_size != DCTSIZE;
  if (ss->true_idct)
    jpeg_set_idct_method_selector(cinfo, select_idct);
  if (ss->block_size == DCTSIZE)
    return 0;
  if (points > MZC_MAX_BLOCK)
    return mzc_fail(status, MZC_UNSUPPORTED, "scale %d/8 of SmartScale block size %d: at most %d/8 is possible",
                    options->scale, ss->block_size, 8 * MZC_MAX_BLOCK / ss->block_size);
  cinfo->scale_num = (unsigned int)points;
  cinfo->scale_denom = DCTSIZE;
  if (ss->block_size < DCTSIZE) {
    mzc_zigzag(ss->block_size, ss->position);
    cinfo->do_block_smoothing = FALSE;   /* would invent the coefficients beyond N * N */
  }
  ss->output_width = ceil_div(ss->width * points, ss->block_size);
  ss->output_height = ceil_div(ss->height * points, ss->block_size);
  return 0;
}

void mzc_smartscale_read_rows(j_decompress_ptr cinfo, const mzc_smartscale *ss, unsigned char *pixels,
                              ptrdiff_t row_stride)
{
  size_t row_size = (size_t)cinfo->output_width * cinfo->output_components;
  JSAMPROW row = cinfo->mem->alloc_large((j_common_ptr)cinfo, JPOOL_IMAGE, row_size);

  while (cinfo->output_scanline < cinfo->output_height) {
    int y = (int)cinfo->output_scanline;
    jpeg_read_scanlines(cinfo, &row, 1);
    if (y < ss->output_height)
      memcpy(pixels + y * row_stride, row, (size_t)ss->output_width * cinfo->output_components);
  }
}

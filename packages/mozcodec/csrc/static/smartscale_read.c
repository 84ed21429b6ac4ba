/* SmartScale in libjpeg's decoder. The stream has been rewritten (smartscale.c) so that libjpeg sees as many 8 x 8 blocks;
 * here they become N x N again. */
#define JPEG_INTERNALS
#include "../decode.h"

#include <jdhuff.h>

#define LARGEST_DC (1 << 20)   /* far beyond any image's, far from overflow */

static mzc_smartscale *of(j_decompress_ptr cinfo)
{
  return (mzc_smartscale *)cinfo->client_data;
}

/* ---- inverse DCTs ---- */

/* Block sizes below 8: libjpeg has the k-th coefficient at the k-th place of its own zigzag. */
void mzc_smartscale_put_in_place(const mzc_smartscale *ss, int16_t *block)
{
  int16_t theirs[DCTSIZE2];

  memcpy(theirs, block, sizeof theirs);
  memset(block, 0, sizeof theirs);
  for (int k = 0; k < ss->block_size * ss->block_size; k++)
    block[ss->position[k]] = theirs[jpeg_natural_order[k]];
}

static void idct_in_place(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY out,
                          JDIMENSION column)
{
  const mzc_smartscale *ss = of(cinfo);
  _Alignas(32) JCOEF natural[DCTSIZE2];   /* libjpeg's SIMD code needs this alignment */

  memcpy(natural, block, sizeof natural);
  mzc_smartscale_put_in_place(ss, natural);
  ss->idct[component->component_index](cinfo, component, natural, out, column);
}

static void select_idct(j_decompress_ptr cinfo, jpeg_component_info *component, jpeg_idct_method *idct, int *category)
{
  mzc_smartscale *ss = of(cinfo);

  mzc_select_true_idct(cinfo, component, idct, category);
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

static void make_table(j_decompress_ptr cinfo, boolean is_dc, int number, d_derived_tbl **tables)
{
  if (number < 0 || number >= NUM_HUFF_TBLS)
    ERREXIT1(cinfo, JERR_NO_HUFF_TABLE, number);
  jpeg_make_d_derived_tbl(cinfo, is_dc, number, &tables[number]);
}

static void start_scan(j_decompress_ptr cinfo)
{
  huffman *h = (huffman *)of(cinfo)->huffman;

  for (int i = 0; i < cinfo->comps_in_scan; i++) {
    make_table(cinfo, TRUE, cinfo->cur_comp_info[i]->dc_tbl_no, h->dc);
    if (h->last_coefficient > 0)
      make_table(cinfo, FALSE, cinfo->cur_comp_info[i]->ac_tbl_no, h->ac);
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

    if (h->last_coefficient > 0)
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
  huffman *h = (huffman *)of(cinfo)->huffman;

  if (cinfo->restart_interval != 0 && h->restarts_to_go == 0 && !restart(cinfo, h))
    return FALSE;
  if (!cinfo->entropy->insufficient_data && !decode_blocks(cinfo, h, MCU))
    return FALSE;
  if (cinfo->restart_interval != 0)
    h->restarts_to_go--;
  return TRUE;
}

void mzc_smartscale_before_data(j_decompress_ptr cinfo)
{
  mzc_smartscale *ss = of(cinfo);
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

static void monitor(j_common_ptr cinfo)
{
  j_decompress_ptr dinfo = (j_decompress_ptr)cinfo;

  of(dinfo)->progress_monitor(cinfo);
  mzc_smartscale_before_data(dinfo);
}

/* ---- the decoder's options ---- */

static int ceil_div(int a, int b)
{
  return (a + b - 1) / b;
}

/* As libjpeg 8 and later: a block becomes ceil(N * scale / 8) samples wide. */
int mzc_smartscale_configure(j_decompress_ptr cinfo, mzc_smartscale *ss, const mzc_decode_options *options,
                             mzc_status *status)
{
  int points = ceil_div(ss->block_size * options->scale, 8);

  if (options->pixel_format == MZC_PLANES)
    return mzc_fail(status, MZC_UNSUPPORTED, "planes of a SmartScale stream (block size %d) are not supported",
                    ss->block_size);
  if (points > MZC_MAX_BLOCK)
    return mzc_fail(status, MZC_UNSUPPORTED, "scale %d/8 of SmartScale block size %d: at most %d/8 is possible",
                    options->scale, ss->block_size, 8 * MZC_MAX_BLOCK / ss->block_size);
  cinfo->client_data = ss;
  if (cinfo->progress->progress_monitor != monitor) {
    ss->progress_monitor = cinfo->progress->progress_monitor;
    cinfo->progress->progress_monitor = monitor;
  }
  cinfo->scale_num = (unsigned int)points;
  cinfo->scale_denom = DCTSIZE;
  jpeg_set_idct_method_selector(cinfo, select_idct);
  if (ss->block_size < DCTSIZE) {
    mzc_zigzag(ss->block_size, ss->position);
    cinfo->do_block_smoothing = FALSE;   /* would invent the coefficients beyond N * N */
  }
  ss->output_width = ceil_div(ss->width * points, ss->block_size);
  ss->output_height = ceil_div(ss->height * points, ss->block_size);
  return 0;
}

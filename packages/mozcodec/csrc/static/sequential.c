/* Sequential Huffman coded blocks smaller than 8x8. libjpeg's decoder would look for an end-of-block code after the last
 * coefficient of an NxN block, and libjpeg 8 and later, which write such streams, send none there. */
#define JPEG_INTERNALS
#include <stdio.h>
#include <stdlib.h>
#include <jinclude.h>

#include "decode.h"
#include "zigzag.h"

#include <jdhuff.h>

typedef struct {
  bitread_perm_state bits;
  unsigned int last_dc[MAX_COMPS_IN_SCAN];   /* unsigned: a corrupt stream may add up beyond an int */
  unsigned int restarts_to_go;
  int last;                     /* N * N - 1 */
  int zigzag[64];
  d_derived_tbl *dc[NUM_HUFF_TBLS], *ac[NUM_HUFF_TBLS];
} small_decoder;

/* T.81, F.2.2.1, EXTEND. */
static int extend(int value, int bits)
{
  return value < 1 << (bits - 1) ? value - (1 << bits) + 1 : value;
}

static void read_restart(j_decompress_ptr cinfo, small_decoder *d)
{
  cinfo->marker->discarded_bytes += d->bits.bits_left / 8;
  d->bits.bits_left = 0;
  cinfo->marker->read_restart_marker(cinfo);
  memset(d->last_dc, 0, sizeof d->last_dc);
  d->restarts_to_go = cinfo->restart_interval;
  if (cinfo->unread_marker == 0)
    cinfo->entropy->insufficient_data = FALSE;
}

/* jdhuff.h's macros keep the bit buffer in locals of their function and jump to labels in it: this one reads the blocks
 * of a whole MCU. FALSE would mean that the source has to wait for data, which one in memory never has. */
static boolean read_blocks(j_decompress_ptr cinfo, small_decoder *d, JBLOCKROW *mcu)
{
  BITREAD_STATE_VARS;

  BITREAD_LOAD_STATE(cinfo, d->bits);
  for (int b = 0; b < cinfo->blocks_in_MCU; b++) {
    int member = cinfo->MCU_membership[b];
    const jpeg_component_info *component = cinfo->cur_comp_info[member];
    JCOEF *block = mcu != NULL ? mcu[b][0] : NULL;
    d_derived_tbl *table = d->dc[component->dc_tbl_no];
    register int s, r;

    HUFF_DECODE(s, br_state, table, return FALSE, dc_slow);
    if (s) {
      CHECK_BIT_BUFFER(br_state, s, return FALSE);
      r = GET_BITS(s);
      s = extend(r, s);
    }
    d->last_dc[member] += (unsigned int)s;
    if (block != NULL)
      block[0] = (JCOEF)d->last_dc[member];
    table = d->ac[component->ac_tbl_no];
    for (int k = 1; k <= d->last; k++) {
      HUFF_DECODE(s, br_state, table, return FALSE, ac_slow);
      r = s >> 4;
      s &= 15;
      if (s == 0) {
        if (r != 15)
          break;
        k += 15;
        continue;
      }
      k += r;
      CHECK_BIT_BUFFER(br_state, s, return FALSE);
      r = GET_BITS(s);
      if (block != NULL && k <= d->last)
        block[d->zigzag[k]] = (JCOEF)extend(r, s);
    }
  }
  BITREAD_SAVE_STATE(cinfo, d->bits);
  return TRUE;
}

static boolean decode_mcu(j_decompress_ptr cinfo, JBLOCKROW *mcu)
{
  small_decoder *d = ((mzc_decoder *)cinfo->client_data)->small;

  if (cinfo->restart_interval > 0 && d->restarts_to_go == 0)
    read_restart(cinfo, d);
  if (!cinfo->entropy->insufficient_data && !read_blocks(cinfo, d, mcu))
    return FALSE;
  d->restarts_to_go--;
  return TRUE;
}

void mzc_decode_sequential_small(mzc_decoder *decoder)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  small_decoder *d = cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE, sizeof *d);

  memset(d, 0, sizeof *d);
  d->last = decoder->smartscale.block_size * decoder->smartscale.block_size - 1;
  d->restarts_to_go = cinfo->restart_interval;
  mzc_zigzag(DCTSIZE, d->zigzag);
  for (int i = 0; i < cinfo->comps_in_scan; i++) {
    const jpeg_component_info *component = cinfo->cur_comp_info[i];
    jpeg_make_d_derived_tbl(cinfo, TRUE, component->dc_tbl_no, &d->dc[component->dc_tbl_no]);
    if (d->last > 0)
      jpeg_make_d_derived_tbl(cinfo, FALSE, component->ac_tbl_no, &d->ac[component->ac_tbl_no]);
  }
  cinfo->entropy->insufficient_data = FALSE;
  decoder->small = d;
  cinfo->entropy->decode_mcu = decode_mcu;
}

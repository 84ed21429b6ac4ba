/* Files of one pass: sequential ones with fixed Huffman tables. The library transforms and rounds; a few MCUs at a
 * time are coded and written, and nothing is kept. */
#include "context.h"

enum {
  MCUS_AT_ONCE = 16,             /* their blocks stay in the first cache */
  WORD_BITS = 26,                /* maximum of a code with its extra bits, limited by a word */
  BLOCK_BYTES = (DCTSIZE2 * WORD_BITS + 7) / 8,
  PIECE_BYTES = MCUS_AT_ONCE * C_MAX_BLOCKS_IN_MCU * BLOCK_BYTES + 16,
  MOST_EXTRA_BITS = 11,          /* of a DC difference; AC coefficients have 10 */
  DC_SYMBOLS = MOST_EXTRA_BITS + 1
};

/* ---- tables ------------------------------------------------------------------------------------------------------- */

static int same_table(const JHUFF_TBL *a, const JHUFF_TBL *b)
{
  return memcmp(a->bits, b->bits, sizeof a->bits) == 0 && memcmp(a->huffval, b->huffval, sizeof a->huffval) == 0;
}

/* Words of the symbols below count, whose low bits are a size. -1 when a code is too long for its word. */
static int fill_words(const JHUFF_TBL *table, int count, uint32_t *word)
{
  unsigned code = 0;
  int p = 0;

  for (int length = 1; length <= 16; length++, code <<= 1)
    for (int i = 0; i < table->bits[length] && p < 256; i++, code++) {
      int symbol = table->huffval[p++], size = symbol & 15;

      if (symbol >= count || size > MOST_EXTRA_BITS)
        continue;
      if (length + size > WORD_BITS)
        return -1;
      word[symbol] = code << size << 6 | (unsigned)(length + size);
    }
  return 0;
}

static int fill_dc_words(const JHUFF_TBL *table, uint32_t *word)
{
  int missing = fill_words(table, DC_SYMBOLS, word);

  for (int size = 0; size < DC_SYMBOLS; size++)
    missing |= word[size] == 0;
  return missing;
}

static int fill_ac_words(const JHUFF_TBL *table, mzc_ac_words *ac)
{
  int missing = fill_words(table, 256, ac->word);

  missing |= ac->word[0] == 0 || ac->word[0xF0] == 0;
  for (int run = 0; run < 16; run++) {
    for (int size = 1; size <= 10; size++)
      missing |= ac->word[run << 4 | size] == 0;
    for (int value = -128; value < 128; value++) {
      int size = value ? 32 - __builtin_clz((unsigned)abs(value)) : 0;
      uint32_t extra = (uint32_t)(value < 0 ? value - 1 : value) & ((1u << size) - 1);
      ac->small[256 * run + 128 + value] = ac->word[run << 4 | size] | extra << 6;
    }
  }
  return missing;
}

/* Not 0 when the tables lack a code that some block needs, or have one that is too long. Most often they are those of the
 * image before. */
static int set_codes(mzc_onepass_codes *codes, const JHUFF_TBL *dc, const JHUFF_TBL *ac)
{
  int missing;

  if (same_table(&codes->dc_table, dc) && same_table(&codes->ac_table, ac))
    return 0;
  memset(codes, 0, sizeof *codes);
  missing = fill_dc_words(dc, codes->dc_word) | fill_ac_words(ac, &codes->ac);
  if (!missing) {
    codes->dc_table = *dc;
    codes->ac_table = *ac;
  }
  return missing;
}

/* ---- bytes -------------------------------------------------------------------------------------------------------- */

static void put_stuffed(mzc_engine *e, const uint8_t *from, const uint8_t *end)
{
  struct jpeg_destination_mgr *dest = e->cinfo->dest;
  size_t most = 2 * (size_t)(end - from) + 16;
  uint8_t *spare = e->dc[0].data + PIECE_BYTES, *to;

  if (dest->free_in_buffer > most) {
    to = e->kernels->stuff(from, end, dest->next_output_byte);
    dest->free_in_buffer -= (size_t)(to - dest->next_output_byte);
    dest->next_output_byte = to;
  } else {
    to = e->kernels->stuff(from, end, spare);
    mzc_write_bytes(e->cinfo, spare, (size_t)(to - spare));
  }
}

/* Fills the last byte with ones. */
static void close_interval(mzc_engine *e)
{
  mzc_waiting_bits *w = &e->onepass.waiting;
  uint8_t byte = (uint8_t)(w->bits << (8 - w->num) | 0xFFu >> w->num);

  if (w->num)
    put_stuffed(e, &byte, &byte + 1);
  *w = (mzc_waiting_bits){ 0, 0 };
}

static void put_restart(mzc_engine *e)
{
  mzc_onepass *o = &e->onepass;
  const uint8_t marker[2] = { 0xFF, (uint8_t)(JPEG_RST0 + (o->num_restarts++ & 7)) };

  close_interval(e);
  mzc_write_bytes(e->cinfo, marker, sizeof marker);
  for (int c = 0; c < e->num_components; c++)
    o->part[c].last_dc = 0;
}

/* ---- the pass ----------------------------------------------------------------------------------------------------- */

/* The blocks of MCUs first .. first + num_mcus - 1 of one component, in the given row of MCUs within the row of iMCUs. */
static void quantize(mzc_engine *e, int component, JSAMPARRAY samples, int row, int first, int num_mcus)
{
  j_compress_ptr cinfo = e->cinfo;
  jpeg_component_info *info = cinfo->cur_comp_info[component];
  mzc_mcu_part *p = &e->onepass.part[component];
  int column = first * p->across, left = (int)info->width_in_blocks - column;
  int top = e->row * info->v_samp_factor + row, below = (int)info->height_in_blocks - top;

  p->width = left < num_mcus * p->across ? left : num_mcus * p->across;
  p->height = below < p->down ? below : p->down;
  for (int v = 0; v < p->height; v++)
    (*cinfo->fdct->forward_DCT)(cinfo, info, samples, (JBLOCKROW)(p->blocks + (size_t)v * p->row_length * DCTSIZE2),
                                (JDIMENSION)((row + v) * DCTSIZE), (JDIMENSION)(column * DCTSIZE), (JDIMENSION)p->width,
                                NULL);
}

/* How many of the MCUs left in the row can be coded in one go; before them the restart marker that is due. */
static int begin_piece(mzc_engine *e, int left)
{
  mzc_onepass *o = &e->onepass;
  int num = left < MCUS_AT_ONCE ? left : MCUS_AT_ONCE;

  if (e->cinfo->restart_interval == 0)
    return num;
  if (o->until_restart == 0) {
    put_restart(e);
    o->until_restart = e->cinfo->restart_interval;
  }
  num = (unsigned)num < o->until_restart ? num : (int)o->until_restart;
  o->until_restart -= (unsigned)num;
  return num;
}

static void write_row(mzc_engine *e, JSAMPIMAGE input, int row)
{
  j_compress_ptr cinfo = e->cinfo;
  mzc_onepass *o = &e->onepass;
  int num_mcus = (int)cinfo->MCUs_per_row, num;
  uint8_t *raw = e->dc[0].data, *end;

  for (int first = 0; first < num_mcus && !e->declined; first += num) {
    num = begin_piece(e, num_mcus - first);
    for (int c = 0; c < e->num_components; c++)
      quantize(e, c, input[cinfo->cur_comp_info[c]->component_index], row, first, num);
    end = e->kernels->write_mcus(o->part, e->num_components, num, &o->waiting, raw);
    if (end == NULL)
      e->declined = 1;
    else
      put_stuffed(e, raw, end);
  }
}

/* Replaces the library's coefficient controller: one row of iMCUs. */
static boolean compress_data(j_compress_ptr cinfo, JSAMPIMAGE input)
{
  mzc_engine *e = mzc_engine_of(cinfo);
  const jpeg_component_info *first = cinfo->cur_comp_info[0];
  int last = (JDIMENSION)e->row == cinfo->total_iMCU_rows - 1, rows = 1;

  if (e->num_components == 1)    /* a scan of one component has MCUs of one block */
    rows = last ? first->last_row_height : first->v_samp_factor;
  for (int row = 0; row < rows; row++)
    write_row(e, input, row);
  e->row++;
  return TRUE;
}

/* Replaces the library's entropy coder at the end. */
static void finish_pass(j_compress_ptr cinfo)
{
  close_interval(mzc_engine_of(cinfo));
}

/* Components with the same tables share their codes. */
static const mzc_onepass_codes *codes_of(mzc_engine *e, int component)
{
  const jpeg_component_info *info = e->cinfo->cur_comp_info[component];
  JHUFF_TBL **dc = e->cinfo->dc_huff_tbl_ptrs, **ac = e->cinfo->ac_huff_tbl_ptrs;
  mzc_onepass_codes *codes = e->onepass.codes;

  for (int c = 0; c < component; c++)
    if (e->cinfo->cur_comp_info[c]->dc_tbl_no == info->dc_tbl_no && e->cinfo->cur_comp_info[c]->ac_tbl_no == info->ac_tbl_no)
      return &codes[c];
  if (set_codes(&codes[component], dc[info->dc_tbl_no], ac[info->ac_tbl_no]) != 0)
    e->declined = 1;
  return &codes[component];
}

static void set_part(mzc_engine *e, int component, int16_t *blocks)
{
  const jpeg_component_info *info = e->cinfo->cur_comp_info[component];
  const mzc_onepass_codes *codes = codes_of(e, component);

  e->onepass.part[component] = (mzc_mcu_part){
    .blocks = blocks, .row_length = (size_t)MCUS_AT_ONCE * info->MCU_width,
    .across = info->MCU_width, .down = info->MCU_height, .dc_word = codes->dc_word, .ac = &codes->ac
  };
}

void mzc_onepass_begin(mzc_engine *e, j_compress_ptr cinfo)
{
  mzc_onepass *o = &e->onepass;
  size_t used = 0;

  e->cinfo = cinfo;
  e->num_components = cinfo->comps_in_scan;
  e->row = e->declined = 0;
  MZC_RESERVE(cinfo, e->quantized, e->quantized_capacity, (size_t)MCUS_AT_ONCE * C_MAX_BLOCKS_IN_MCU * DCTSIZE2);
  MZC_RESERVE(cinfo, e->dc[0].data, e->dc[0].capacity, 3 * PIECE_BYTES + 16);
  for (int c = 0; c < e->num_components; c++) {
    set_part(e, c, e->quantized + used * DCTSIZE2);
    used += o->part[c].row_length * o->part[c].down;
  }
  o->waiting = (mzc_waiting_bits){ 0, 0 };
  o->until_restart = cinfo->restart_interval;
  o->num_restarts = 0;
  o->coder = *cinfo->entropy;
  o->coder.finish_pass = finish_pass;
  cinfo->entropy = &o->coder;
  mzc_take_controller(e, cinfo, compress_data);
}

int mzc_onepass_finish(mzc_engine *e, j_compress_ptr cinfo)
{
  if (e->declined)
    jpeg_abort((j_common_ptr)cinfo);
  else
    jpeg_finish_compress(cinfo);
  return e->declined ? -1 : 0;
}

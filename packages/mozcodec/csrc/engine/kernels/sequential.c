/* A sequential scan: whole blocks, DC and AC, of all components interleaved. */
#include "bits.h"

/* Where the visited block lies in its component: -1 for the dummy blocks that fill up MCUs. */
static INLINE ptrdiff_t block_index(const mzc_component *k, int row, int column)
{
  return row < k->height && column < k->width ? (ptrdiff_t)row * k->width + column : -1;
}

static inline void count_symbols(const mzc_component *k, size_t index, uint32_t *histogram)
{
  const mzc_sparse *p = &k->level[0];
  uint64_t mask = p->block[index].mask;
  const uint32_t *symbol = p->symbol + p->block[index].start, *end = symbol + count_bits(mask);

  for (; symbol < end; symbol++) {
    unsigned run_size = *symbol & 1023;
    histogram[run_size & 255]++;
    histogram[0xF0] += run_size >> 8;
  }
  histogram[0] += !(mask >> 63);
}

/* Histograms by table number. */
static void count_sequential(const mzc_component *const *component, int num_components, int restart_interval,
                             uint32_t (*dc_histogram)[256], uint32_t (*ac_histogram)[256])
{
  dc_scan s = scan_of(component, num_components);

  FOR_DC_DIFFERENCES(&s, restart_interval, (void)0, dc_histogram[k->dc_table][size]++);
  for (int c = 0; c < num_components; c++) {
    const mzc_component *k = component[c];
    size_t blocks = (size_t)k->width * k->height;

    for (size_t i = 0; i < blocks; i++)
      count_symbols(k, i, ac_histogram[k->ac_table]);
    if (num_components > 1)      /* dummy blocks: nothing but an EOB */
      ac_histogram[k->ac_table][0] += (uint32_t)((size_t)k->padded_width * k->padded_height - blocks);
  }
}

/* DC differences of one component by itself, as the library counts them before the trellis. */
static void count_dc(const mzc_component *component, int restart_interval, uint32_t *histogram)
{
  dc_scan s = scan_of(&component, 1);

  FOR_DC_DIFFERENCES(&s, restart_interval, (void)0, histogram[size]++);
}

static INLINE bit_writer put_block(bit_writer w, const mzc_component *k, ptrdiff_t index, const mzc_huffman *t,
                                   const uint32_t *word)
{
  const mzc_sparse *p = &k->level[0];
  uint64_t mask = index < 0 ? 0 : p->block[index].mask;

  if (mask) {
    const uint32_t *symbol = p->symbol + p->block[index].start, *end = symbol + count_bits(mask);
    for (; symbol < end; symbol++)
      put_coefficient(&w, t, word, *symbol & 1023, *symbol >> 10);
  }
  if (!(mask >> 63))
    put_symbol(&w, t, 0);
  return w;
}

/* The entropy-coded data. Tables by number; raw: a place in out, as in write_scan. Returns their size. */
static size_t write_sequential(const mzc_component *const *component, int num_components, int restart_interval,
                               const mzc_huffman *dc_table, const mzc_huffman *ac_table, uint8_t *out, uint8_t *raw)
{
  dc_scan s = scan_of(component, num_components);
  bit_writer w = { 0, 0, raw };
  interval place = { raw, out, 0 };
  uint32_t word[MZC_MAX_COMPONENTS][256];

  for (int c = 0; c < num_components; c++)
    fill_words(&ac_table[component[c]->ac_table], word[component[c]->ac_table]);
  FOR_DC_DIFFERENCES(&s, restart_interval, w = restarted(w, &place), {
    const mzc_huffman *t = &dc_table[k->dc_table];
    uint32_t extra = (uint32_t)(difference + sign) & ((1u << size) - 1);
    put_bits(&w, (uint32_t)t->code[size] << size | extra, t->length[size] + size);
    w = put_block(w, k, block_index(k, y * down + v, x * across + h), &ac_table[k->ac_table], word[k->ac_table]);
  });
  close_interval(&w, &place);
  return place.out - out;
}

/* Sparse coefficients from quantized blocks, and coarser levels of them. */
#include "bits.h"

static inline uint64_t nonzero_mask(const int16_t *block)
{
  uint64_t mask = 0;
#if defined(__SSE2__)
  const __m128i *v = (const __m128i *)block;
  __m128i zero = _mm_setzero_si128();

  for (int i = 0; i < 4; i++) {
    __m128i low = _mm_cmpeq_epi16(_mm_loadu_si128(v + 2 * i), zero);
    __m128i high = _mm_cmpeq_epi16(_mm_loadu_si128(v + 2 * i + 1), zero);
    mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << (16 * i);
  }
  return ~mask;
#else
  for (int i = 0; i < 64; i++)
    mask |= (uint64_t)(block[i] != 0) << i;
  return mask;
#endif
}

/* The coefficients that round to nonzero: |x| >= 4 step. */
static inline uint64_t rounding_mask(const int16_t *raw, const mzc_quantizer *q)
{
  uint64_t mask = 0;

  for (int i = 0; i < 64; i++)
    mask |= (uint64_t)(2 * magnitude(raw[i]) >= q->step8[i]) << i;
  return mask;
}

static inline int rounded(const mzc_component *k, int raw, int i, const mzc_quantizer *q)
{
  int amount = (int)(((unsigned)(magnitude(raw) + q->step8[i] / 2) * q->reciprocal[i]) >> 40);
  if (k->clamps && amount > 1023)
    amount = 1023;
  return raw < 0 ? -amount : amount;
}

/* Appends a block: its nonzero AC coefficients by natural position, quantized already or (with q) to be rounded. -1 when one
 * is out of a JPEG's range: the library then reports it. */
static inline int store_block(mzc_component *k, size_t index, int16_t *dc, uint64_t natural, const int16_t *block,
                              const mzc_quantizer *q, mzc_statistics *s, int restart_interval)
{
  mzc_sparse *out = &k->level[0];
  int16_t *value = out->value + k->num_values;
  uint64_t mask = 0;
  int count = 0, bad;

  *dc = q ? (int16_t)rounded(k, block[0], 0, q) : block[0];
  bad = *dc > LARGEST_DC || *dc < SMALLEST_DC;
  for (natural &= ~(uint64_t)1; natural; natural &= natural - 1)
    mask |= (uint64_t)1 << zigzag_of[lowest(natural)];
  for (uint64_t left = mask; left; left &= left - 1) {
    int z = natural_of[lowest(left)], v = q ? rounded(k, block[z], z, q) : block[z];
    bad |= v > LARGEST_AC || v < -LARGEST_AC;
    value[count++] = (int16_t)v;
  }
  out->block[index] = (mzc_sparse_block){ mask, (uint32_t)k->num_values };
  if (bad)
    return -1;
  k->num_values += count;
  if (restart_before(index, restart_interval))
    end_all_runs(s);
  count_block(s, mask, value, out->symbol + (value - out->value));
  return 0;
}

static int gather_row(mzc_component *k, const int16_t *blocks, int row, mzc_statistics *s, int restart_interval)
{
  int16_t *dc = k->dc + (size_t)row * k->padded_width;
  size_t first = (size_t)row * k->width;

  for (int x = 0; x < k->width; x++, blocks += 64)
    if (store_block(k, first + x, dc + x, nonzero_mask(blocks), blocks, NULL, s, restart_interval) != 0)
      return -1;
  return 0;
}

static int round_row(mzc_component *k, const mzc_quantizer *q, const int16_t *raw, int row, mzc_statistics *s,
                     int restart_interval)
{
  int16_t *dc = k->dc + (size_t)row * k->padded_width;
  size_t first = (size_t)row * k->width;

  for (int x = 0; x < k->width; x++, raw += 64)
    if (store_block(k, first + x, dc + x, rounding_mask(raw, q), raw, q, s, restart_interval) != 0)
      return -1;
  return 0;
}

/* DC without a trellis, of the rows that the token pass has read. */
static void round_dc(mzc_component *k, const mzc_quantizer *q)
{
  for (int y = 0; y < k->height; y++)
    for (int x = 0; x < k->width; x++)
      k->dc[(size_t)y * k->padded_width + x] = (int16_t)rounded(k, k->block[(size_t)y * k->width + x].raw_dc, 0, q);
}

/* Magnitudes halved: the coefficients of level from those of level - 1. */
static void coarser(mzc_component *k, int level)
{
  const mzc_sparse *fine = &k->level[level - 1];
  mzc_sparse *out = &k->level[level];
  size_t blocks = (size_t)k->width * k->height, used = 0;

  for (size_t i = 0; i < blocks; i++) {
    const int16_t *value = fine->value + fine->block[i].start;
    int16_t *half = out->value + used;
    uint32_t *symbol = out->symbol + used;
    uint64_t kept = 0;
    int n = 0, previous = 0;

    for (uint64_t left = fine->block[i].mask; left; left &= left - 1) {
      int v = *value++ / 2, at = lowest(left);

      if (v == 0)
        continue;
      half[n] = (int16_t)v;
      symbol[n++] = symbol_of(v, at - previous - 1, size_of(magnitude(v)));
      previous = at;
      kept |= left & -left;
    }
    out->block[i] = (mzc_sparse_block){ kept, (uint32_t)used };
    used += n;
  }
}

/* Files of one pass: codes MCUs of quantized blocks as they arrive. */
#include "bits.h"

/* ---- blocks in zigzag order --------------------------------------------------------------------------------------- */

#if defined(__AVX2__)

/* Which bytes of the 16 from 16 * group on stand where in zigzag order; the others are made 0. */
#define FROM_GROUP(group, n) ((n) / 16 == (group) ? (n) % 16 : 128)
#define FROM_0(n) FROM_GROUP(0, n)
#define FROM_1(n) FROM_GROUP(1, n)
#define FROM_2(n) FROM_GROUP(2, n)
#define FROM_3(n) FROM_GROUP(3, n)
static const uint8_t shuffles[4][64] ALIGNED = {
  { IN_ZIGZAG_ORDER(FROM_0) }, { IN_ZIGZAG_ORDER(FROM_1) }, { IN_ZIGZAG_ORDER(FROM_2) }, { IN_ZIGZAG_ORDER(FROM_3) }
};

static INLINE __m256i gathered(const __m256i *group, int first)
{
  __m256i sum = _mm256_setzero_si256();

  for (int g = 0; g < 4; g++)
    sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(group[g], *(const __m256i *)(shuffles[g] + first)));
  return sum;
}

static INLINE uint32_t equal_bytes(__m256i a, int value)
{
  return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, _mm256_set1_epi8((char)value)));
}

/* Values in the order of place(), and the zigzag mask of those that are not 0; the DC is excluded. *large: some do not
 * fit. */
static INLINE uint64_t to_bytes(const int16_t *block, int8_t *value, int *large)
{
  const __m256i *v = (const __m256i *)block;
  __m256i packed[2], group[4], low, high;

  for (int i = 0; i < 2; i++) {
    __m256i mixed = _mm256_packs_epi16(_mm256_loadu_si256(v + 2 * i), _mm256_loadu_si256(v + 2 * i + 1));
    packed[i] = _mm256_permute4x64_epi64(mixed, 0xD8);
    group[2 * i] = _mm256_permute2x128_si256(packed[i], packed[i], 0x00);
    group[2 * i + 1] = _mm256_permute2x128_si256(packed[i], packed[i], 0x11);
  }
  low = gathered(group, 0);
  high = gathered(group, 32);
  _mm256_storeu_si256((__m256i *)value, low);
  _mm256_storeu_si256((__m256i *)(value + 32), high);
  *large = ((equal_bytes(low, 127) | equal_bytes(low, -128)) & ~1u) != 0 ||
           (equal_bytes(high, 127) | equal_bytes(high, -128)) != 0;
  return ~((uint64_t)equal_bytes(high, 0) << 32 | equal_bytes(low, 0)) & ~(uint64_t)1;
}

static INLINE int place(int zigzag)
{
  return zigzag;
}

#else

#define ONE(z) ((uint64_t)1 << (z))
#define TWO(m, z) (m), (m) | ONE(z)
#define FOUR(m, y, z) TWO(m, y), TWO((m) | ONE(z), y)
#define EIGHT(m, x, y, z) FOUR(m, x, y), FOUR((m) | ONE(z), x, y)
#define BYTE4(m, w, x, y, z) EIGHT(m, w, x, y), EIGHT((m) | ONE(z), w, x, y)
#define BYTE5(m, v, w, x, y, z) BYTE4(m, v, w, x, y), BYTE4((m) | ONE(z), v, w, x, y)
#define BYTE6(m, u, v, w, x, y, z) BYTE5(m, u, v, w, x, y), BYTE5((m) | ONE(z), u, v, w, x, y)
#define BYTE7(m, t, u, v, w, x, y, z) BYTE6(m, t, u, v, w, x, y), BYTE6((m) | ONE(z), t, u, v, w, x, y)
#define ROW(s, t, u, v, w, x, y, z) { BYTE7((uint64_t)0, s, t, u, v, w, x, y), BYTE7(ONE(z), s, t, u, v, w, x, y) }
/* Zigzag mask of the coefficients of a row, by their bits. */
static const uint64_t zigzag_of_row[8][256] = { ZIGZAG_ROWS(ROW) };

static INLINE uint64_t to_bytes(const int16_t *block, int8_t *value, int *large)
{
  uint64_t natural = nonzero_mask(block), mask = 0;

#if defined(__SSE2__)
  unsigned any = 0;

  for (int i = 0; i < 4; i++) {
    const __m128i *v = (const __m128i *)block + 2 * i;
    __m128i packed = _mm_packs_epi16(_mm_loadu_si128(v), _mm_loadu_si128(v + 1));
    __m128i out = _mm_or_si128(_mm_cmpeq_epi8(packed, _mm_set1_epi8(127)), _mm_cmpeq_epi8(packed, _mm_set1_epi8(-128)));
    any |= (unsigned)_mm_movemask_epi8(out) & (i ? ~0u : ~1u);
    _mm_storeu_si128((__m128i *)value + i, packed);
  }
  *large = any != 0;
#else
  *large = 0;
  for (int i = 1; i < 64; i++) {
    value[i] = (int8_t)block[i];
    *large |= value[i] != block[i];
  }
#endif
  for (int row = 0; row < 8; row++)
    mask |= zigzag_of_row[row][natural >> (8 * row) & 255];
  return mask & ~(uint64_t)1;
}

static INLINE int place(int zigzag)
{
  return natural_of[zigzag];
}

#endif

/* ---- codes -------------------------------------------------------------------------------------------------------- */

/* Codes are collected and stored on request: at most 63 bits may be pending, and up to 7 remain. */
typedef struct {
  uint64_t bits, num;            /* of num the lowest six bits count */
  uint8_t *raw;
} bit_buffer;

static INLINE void add(bit_buffer *c, uint64_t word)
{
  c->bits = c->bits << (word & 63) | word >> 6;
  c->num += word;
}

static INLINE void store(bit_buffer *c)
{
  uint64_t bytes = __builtin_bswap64(c->bits << (-c->num & 63));

  memcpy(c->raw, &bytes, sizeof bytes);
  c->raw += (c->num & 63) >> 3;
  c->num &= 7;
}

static INLINE uint32_t word_of(const uint32_t *words, int symbol, int value, int size)
{
  return words[symbol] | ((uint32_t)(value + (value >> 31)) & ((1u << size) - 1)) << 6;
}

static INLINE void add_zero_runs(bit_buffer *c, const mzc_ac_words *ac, int *run)
{
  store(c);
  for (; *run > 15; *run -= 16) {
    add(c, ac->word[0xF0]);
    store(c);
  }
}

/* Blocks with values beyond a byte. */
static void put_large(bit_buffer *c, const int16_t *block, const mzc_ac_words *ac, uint64_t mask, unsigned *largest)
{
  int next = 1;

  for (; mask; mask &= mask - 1) {
    int at = lowest(mask), value = block[natural_of[at]], run = at - next;

    if (UNLIKELY(run > 15))
      add_zero_runs(c, ac, &run);
    if (value == (int8_t)value) {
      add(c, ac->small[256 * run + 128 + value]);
    } else {
      int size = size_of((unsigned)magnitude(value));
      *largest |= (unsigned)magnitude(value);
      add(c, word_of(ac->word, run << 4 | size, value, size));
    }
    store(c);
    next = at + 1;
  }
}

static INLINE void add_small(bit_buffer *c, const int8_t *value, const mzc_ac_words *ac, uint64_t mask, int *next)
{
  int at = lowest(mask), run = at - *next;

  if (UNLIKELY(run > 15))
    add_zero_runs(c, ac, &run);
  add(c, ac->small[256 * run + 128 + value[place(at)]]);
  *next = at + 1;
}

/* At most 23 bits a code: two of them, with the 7 that may wait, are stored at once. */
static INLINE void put_small(bit_buffer *c, const int8_t *value, const mzc_ac_words *ac, uint64_t mask)
{
  int next = 1;

  while (mask) {
    add_small(c, value, ac, mask, &next);
    mask &= mask - 1;
    if (mask) {
      add_small(c, value, ac, mask, &next);
      mask &= mask - 1;
    }
    store(c);
  }
}

typedef struct {
  unsigned ac, dc;               /* magnitudes, one over the other */
} largest_seen;

/* Leaves the bits of an EOB pending: with those 16, a dummy's 32 or a DC's 26 still fit. */
static INLINE void put_quantized(bit_buffer *c, const int16_t *block, const mzc_mcu_part *p, largest_seen *seen)
{
  int8_t value[64];
  int large, difference = block[0] - p->last_dc, size = size_of(2 * (unsigned)magnitude(difference) + 1) - 1;
  uint64_t mask = to_bytes(block, value, &large);

  seen->dc |= (unsigned)magnitude(difference);
  add(c, word_of(p->dc_word, size, difference, size));
  store(c);
  if (UNLIKELY(large))
    put_large(c, block, p->ac, mask, &seen->ac);
  else
    put_small(c, value, p->ac, mask);
  if (!(mask >> 63))
    add(c, p->ac->word[0]);
}

/* Bits of num_mcus MCUs after those that wait; returns the end of the whole bytes, of which up to 7 more may be written, or
 * NULL when a coefficient is out of a JPEG's range. */
static uint8_t *write_mcus(mzc_mcu_part *parts, int num_parts, int num_mcus, mzc_waiting_bits *waiting, uint8_t *out)
{
  bit_buffer c = { waiting->bits, (uint64_t)waiting->num, out };
  largest_seen seen = { 0, 0 };

  for (int x = 0; x < num_mcus; x++)
    for (mzc_mcu_part *p = parts; p < parts + num_parts; p++)
      for (int v = 0; v < p->down; v++)
        for (int h = 0; h < p->across; h++) {
          int column = x * p->across + h;
          const int16_t *block = p->blocks + ((size_t)v * p->row_length + column) * 64;

          if (v < p->height && column < p->width) {
            put_quantized(&c, block, p, &seen);
            p->last_dc = block[0];
          } else {   /* a dummy: the DC of the block before it, and nothing else */
            add(&c, p->dc_word[0]);
            add(&c, p->ac->word[0]);
            store(&c);
          }
        }
  store(&c);
  *waiting = (mzc_waiting_bits){ c.bits, (int)c.num };
  return seen.ac > LARGEST_AC || seen.dc > LARGEST_DC - SMALLEST_DC ? NULL : c.raw;
}

/* ---- bytes -------------------------------------------------------------------------------------------------------- */

/* Copies bytes with a zero after each 0xFF; returns the end. Up to 15 bytes after it may be written, too. */
static uint8_t *stuff(const uint8_t *from, const uint8_t *end, uint8_t *to)
{
#if defined(__SSE2__)
  while (end - from >= 16) {
    __m128i v = _mm_loadu_si128((const __m128i *)from);
    unsigned ones = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(-1)));
    int n = ones ? lowest(ones) + 1 : 16;

    _mm_storeu_si128((__m128i *)to, v);
    from += n;
    to += n;
    if (ones)
      *to++ = 0;
  }
#endif
  while (from < end)
    if ((*to++ = *from++) == 0xFF)
      *to++ = 0;
  return to;
}

/* Compares a scan with known coefficients. Included once for each processor it is compiled for.
 *
 * A decoder has to find out each symbol before it knows where the next begins. Here the symbol is known: its code, as DHT
 * gives it, is compared with the bits that are there, so that nothing waits for anything but a sum of lengths. What the
 * coefficients leave open, how far a run of ended blocks goes, is decoded. */
#include "compare.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const uint8_t natural_order[64] = {
  0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63
};

/* ---- which coefficients ------------------------------------------------------------------------------------------- */

/* The zigzag positions of a row's coefficients, by the bits of a byte. */
#define BIT_AT(m, i, k) ((m) & 1 << (i) ? (uint64_t)1 << (k) : 0)
#define BYTE(m, a, b, c, d, e, f, g, h)                                                                                \
  BIT_AT(m, 0, a) | BIT_AT(m, 1, b) | BIT_AT(m, 2, c) | BIT_AT(m, 3, d) | BIT_AT(m, 4, e) | BIT_AT(m, 5, f) |          \
    BIT_AT(m, 6, g) | BIT_AT(m, 7, h)
#define BYTES4(m, ...) BYTE((m), __VA_ARGS__), BYTE((m) + 1, __VA_ARGS__), BYTE((m) + 2, __VA_ARGS__), BYTE((m) + 3, __VA_ARGS__)
#define BYTES16(m, ...)                                                                                                \
  BYTES4(m, __VA_ARGS__), BYTES4((m) + 4, __VA_ARGS__), BYTES4((m) + 8, __VA_ARGS__), BYTES4((m) + 12, __VA_ARGS__)
#define BYTES64(m, ...)                                                                                                \
  BYTES16(m, __VA_ARGS__), BYTES16((m) + 16, __VA_ARGS__), BYTES16((m) + 32, __VA_ARGS__), BYTES16((m) + 48, __VA_ARGS__)
#define BYTES256(...)                                                                                                  \
  { BYTES64(0, __VA_ARGS__), BYTES64(64, __VA_ARGS__), BYTES64(128, __VA_ARGS__), BYTES64(192, __VA_ARGS__) }

static const uint64_t positions[8][256] = {
  BYTES256(0, 1, 5, 6, 14, 15, 27, 28),     BYTES256(2, 4, 7, 13, 16, 26, 29, 42),
  BYTES256(3, 8, 12, 17, 25, 30, 41, 43),   BYTES256(9, 11, 18, 24, 31, 40, 44, 53),
  BYTES256(10, 19, 23, 32, 39, 45, 52, 54), BYTES256(20, 22, 33, 38, 46, 51, 55, 60),
  BYTES256(21, 34, 37, 47, 50, 56, 59, 61), BYTES256(35, 36, 48, 49, 57, 58, 62, 63)
};

static inline uint64_t to_zigzag(uint64_t natural)
{
  uint64_t set = 0;

  for (int row = 0; row < 8; row++)
    set |= positions[row][natural >> 8 * row & 255];
  return set;
}

#if defined(__SSE2__)

static inline __m128i magnitudes(const int16_t *row)
{
  __m128i v = _mm_loadu_si128((const __m128i *)row);

  return _mm_max_epi16(v, _mm_sub_epi16(_mm_setzero_si128(), v));
}

#define FIND(name, PREDICATE)                                                                                          \
  static void name(const int16_t (*row)[64], int count, int shift, uint64_t *set)                                      \
  {                                                                                                                    \
    const __m128i below = _mm_set1_epi16((short)((1 << shift) - 1)), one = _mm_set1_epi16((short)(1 << shift));        \
    for (int x = 0; x < count; x++) {                                                                                  \
      uint64_t natural = 0;                                                                                            \
      for (int i = 0; i < 4; i++) {                                                                                    \
        __m128i a = magnitudes(row[x] + 16 * i), b = magnitudes(row[x] + 16 * i + 8);                                  \
        natural |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(PREDICATE(a), PREDICATE(b))) << 16 * i;       \
      }                                                                                                                \
      set[x] = to_zigzag(natural);                                                                                     \
    }                                                                                                                  \
    (void)below, (void)one;                                                                                            \
  }
#define IS_ABOVE(a) _mm_cmpgt_epi16(a, below)
#define HAS_BIT(a) _mm_cmpeq_epi16(_mm_and_si128(a, one), one)

#else

#define FIND(name, PREDICATE)                                                                                          \
  static void name(const int16_t (*row)[64], int count, int shift, uint64_t *set)                                      \
  {                                                                                                                    \
    for (int x = 0; x < count; x++) {                                                                                  \
      uint64_t natural = 0;                                                                                            \
      for (int i = 0; i < 64; i++)                                                                                     \
        natural |= (uint64_t)(PREDICATE(abs(row[x][i])) & 1) << i;                                                     \
      set[x] = to_zigzag(natural);                                                                                     \
    }                                                                                                                  \
  }
#define IS_ABOVE(a) ((a) >> shift != 0)
#define HAS_BIT(a) ((a) >> shift)

#endif

FIND(find, IS_ABOVE)
FIND(find_bits, HAS_BIT)

/* ---- bits --------------------------------------------------------------------------------------------------------- */

/* The next 57 bits and more, the first one leading. */
static inline uint64_t peek(const mzc_comparing *s, uint64_t at)
{
  uint64_t word;

  memcpy(&word, s->data + (at >> 3), sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word << (at & 7);
}

/* Not 0 where the next n bits, 1..57, are not value. */
static inline uint64_t differs(const mzc_comparing *s, uint64_t *at, uint64_t value, unsigned n)
{
  uint64_t difference = peek(s, *at) >> (64 - n) ^ value;

  *at += n;
  return difference;
}

static inline unsigned size_of(unsigned magnitude)
{
  return magnitude ? 32 - (unsigned)__builtin_clz(magnitude) : 0;
}

static inline uint64_t symbol_differs(const mzc_comparing *s, uint64_t *at, const mzc_known_code *code, unsigned run, int value,
                                      unsigned magnitude)
{
  unsigned size = size_of(magnitude);
  uint32_t known = code->code[run << 4 | size];
  uint64_t extra = (magnitude ^ (unsigned)(value >> 31)) & ((1u << size) - 1);

  return differs(s, at, (uint64_t)(known >> 5) << size | extra, (known & 31) + size);
}

/* The symbol among the first count, step apart, that the next bits begin with; -1: none. For what is not known. */
static int decode(const mzc_comparing *s, uint64_t at, const mzc_known_code *code, int count, int step)
{
  uint64_t next = peek(s, at);

  for (int symbol = 0; symbol < count; symbol += step) {
    uint32_t known = code->code[symbol];
    if (next >> (64 - (known & 31)) == known >> 5)
      return symbol;
  }
  return -1;
}

/* The blocks of a run of ended ones that the stream has here, this one included; 0: none. */
static inline uint32_t read_run(const mzc_comparing *s, uint64_t *at, const mzc_known_code *code)
{
  uint64_t next = peek(s, *at);
  int class = (int)code->eob[next >> 56] - 1;
  unsigned length;

  if (__builtin_expect(class < 0, 0)) {
    int symbol = decode(s, *at, code, 0xF0, 16);
    if (symbol < 0)
      return 0;
    class = symbol >> 4;
  }
  length = code->code[class << 4] & 31;
  *at += length + (unsigned)class;
  return (1u << class) + (uint32_t)(next << length >> 1 >> (63 - class));
}

/* ---- scans -------------------------------------------------------------------------------------------------------- */

static inline uint64_t from_to(int Ss, int Se)
{
  return ~(uint64_t)0 << Ss & ~(uint64_t)0 >> (63 - Se);
}

static inline uint64_t ac_differs(const mzc_comparing *s, uint64_t *at, const mzc_known_code *code, const int16_t *block,
                                  uint64_t set, int *next)
{
  uint64_t difference = 0;

  for (; set; set &= set - 1) {
    int k = __builtin_ctzll(set), run = k - *next, value = block[natural_order[k]];

    for (; __builtin_expect(run > 15, 0); run -= 16)
      difference |= differs(s, at, code->code[0xF0] >> 5, code->code[0xF0] & 31);
    difference |= symbol_differs(s, at, code, (unsigned)run, value, (unsigned)abs(value) >> s->Al);
    *next = k + 1;
  }
  return difference;
}

static int ac_first(mzc_comparing *s, int y, int first, int count)
{
  const mzc_comparing_component *c = &s->component[0];
  const uint64_t band = from_to(s->Ss, s->Se), *above = c->above + (size_t)y * c->wide;
  uint64_t at = s->at, difference = 0;
  uint32_t skip = s->skip;
  int16_t (*row)[64] = c->rows[y];

  for (int x = first; x < first + count; x++) {
    int next = s->Ss;

    if (skip > 0) {
      difference |= above[x] & band;
      skip--;
      continue;
    }
    if (at > s->end)
      return -1;
    difference |= ac_differs(s, &at, c->ac, row[x], above[x] & band, &next);
    if (next <= s->Se) {
      skip = read_run(s, &at, c->ac);
      if (skip-- == 0)
        return -1;
    }
  }
  s->at = at;
  s->skip = skip;
  return difference != 0;
}

/* One bit for each of the set: whether the coefficient grows. */
static inline uint64_t growth_differs(const mzc_comparing *s, uint64_t *at, uint64_t set, uint64_t bit)
{
  uint64_t difference = 0;

  while (set) {
    uint64_t value = 0;
    unsigned n = 0;

    for (; set && n < 32; n++, set &= set - 1)
      value = value << 1 | (bit >> __builtin_ctzll(set) & 1);
    difference |= differs(s, at, value, n);
  }
  return difference;
}

/* Up to, but not including, the coefficient of set that comes after n others of it. */
static inline uint64_t before(uint64_t set, int n)
{
  for (; n > 0; n--)
    set &= set - 1;
  return (set & -set) - 1;
}

static int ac_refine(mzc_comparing *s, int y, int first, int count)
{
  const mzc_comparing_component *c = &s->component[0];
  const uint64_t band = from_to(s->Ss, s->Se), *above = c->above + (size_t)y * c->wide, *bit = c->bit + (size_t)y * c->wide;
  uint64_t at = s->at, difference = 0;
  uint32_t skip = s->skip;
  int16_t (*row)[64] = c->rows[y];

  for (int x = first; x < first + count; x++) {
    uint64_t known = above[x], left = band, fresh = bit[x] & ~known;

    if (at > s->end)
      return -1;
    for (; skip == 0 && fresh & left;) {
      int k = __builtin_ctzll(fresh & left);
      uint64_t passed = ((uint64_t)1 << k) - 1;
      int run = __builtin_popcountll(~known & left & passed);
      uint32_t code;

      if (run > 15) {   /* 15 zeros and those that are known between them, up to the 16th */
        passed = before(~known & left, 15);
        difference |= differs(s, &at, c->ac->code[0xF0] >> 5, c->ac->code[0xF0] & 31);
      } else {
        code = c->ac->code[run << 4 | 1];
        difference |= differs(s, &at, (uint64_t)(code >> 5) << 1 | (row[x][natural_order[k]] > 0), (code & 31) + 1);
      }
      difference |= growth_differs(s, &at, known & left & passed, bit[x]);
      left &= ~passed & ~(passed + 1);
      if (at > s->end)
        return -1;
    }
    if (left && skip == 0) {
      skip = read_run(s, &at, c->ac);
      if (skip == 0)
        return -1;
    }
    if (left) {
      difference |= fresh & left;
      difference |= growth_differs(s, &at, known & left, bit[x]);
      skip--;
    }
  }
  s->at = at;
  s->skip = skip;
  return difference != 0;
}

enum { WHOLE, DC_FIRST, DC_REFINE };

/* Blocks beyond the edge may have any values. */
static int read_dummy(mzc_comparing *s, mzc_comparing_component *c, int what)
{
  int symbol, k = 1;

  if (what == DC_REFINE) {
    s->at++;
    return 0;
  }
  symbol = decode(s, s->at, c->dc, 16, 1);
  if (symbol < 0)
    return -1;
  s->at += c->dc->code[symbol] & 31;
  if (symbol > 0) {
    int bits = (int)(peek(s, s->at) >> (64 - symbol));
    c->last_dc += bits >> (symbol - 1) ? bits : bits - (1 << symbol) + 1;
    s->at += (unsigned)symbol;
  }
  while (what == WHOLE && k < 64) {
    symbol = decode(s, s->at, c->ac, 256, 1);
    if (symbol < 0)
      return -1;
    s->at += (c->ac->code[symbol] & 31) + ((unsigned)symbol & 15);
    k = symbol == 0 ? 64 : k + (symbol >> 4) + 1;
  }
  return 0;
}

static inline __attribute__((always_inline)) int compare_block(mzc_comparing *s, mzc_comparing_component *c, int x, int y, int what)
{
  const int16_t *block;
  uint64_t difference;
  int value, change, next = 1;

  if (s->at > s->end)
    return -1;
  if (x >= c->wide || y >= c->high)
    return read_dummy(s, c, what);
  block = c->rows[y][x];
  if (what == DC_REFINE)
    return differs(s, &s->at, (uint64_t)(block[0] >> s->Al & 1), 1) != 0;
  value = block[0] >> (what == DC_FIRST ? s->Al : 0);
  change = value - c->last_dc;
  c->last_dc = value;
  difference = symbol_differs(s, &s->at, c->dc, 0, change, (unsigned)abs(change));
  if (what == WHOLE) {
    difference |= ac_differs(s, &s->at, c->ac, block, c->above[(size_t)y * c->wide + x] & ~(uint64_t)1, &next);
    if (next < 64)
      difference |= differs(s, &s->at, c->ac->code[0] >> 5, c->ac->code[0] & 31);
  }
  return difference != 0;
}

static inline __attribute__((always_inline)) int compare_mcus(mzc_comparing *s, int y, int first, int count, int what)
{
  int difference = 0;

  for (int x = first; x < first + count && !difference; x++)
    for (int i = 0; i < s->num_components; i++) {
      mzc_comparing_component *c = &s->component[i];
      for (int v = 0; v < c->down; v++)
        for (int h = 0; h < c->across; h++)
          difference |= compare_block(s, c, x * c->across + h, y * c->down + v, what);
    }
  return difference;
}

static int sequential(mzc_comparing *s, int y, int first, int count)
{
  return compare_mcus(s, y, first, count, WHOLE);
}

static int dc_first(mzc_comparing *s, int y, int first, int count)
{
  return compare_mcus(s, y, first, count, DC_FIRST);
}

static int dc_refine(mzc_comparing *s, int y, int first, int count)
{
  return compare_mcus(s, y, first, count, DC_REFINE);
}

const mzc_comparers MZC_COMPARERS = { find, find_bits, sequential, dc_first, dc_refine, ac_first, ac_refine };

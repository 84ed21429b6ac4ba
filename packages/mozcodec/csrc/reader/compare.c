/* Compares a scan with known coefficients. Included once for each processor it is compiled for.
 *
 * A decoder has to find out each symbol before it knows where the next begins. Here the symbol is known: its code, as DHT
 * gives it, is compared with the bits that are there, so that nothing waits for anything but a sum of lengths. Runs of ended
 * blocks are expected to be as long as they can be, as both encoders write them; in refinement scans, where buffers of
 * correction bits end them too, their length is decoded. */
#include "compare.h"
#include "compare_sets.h"

/* ---- bits --------------------------------------------------------------------------------------------------------- */

/* The next 57 bits and more, the first one leading. */
static inline uint64_t peek(const uint8_t *data, uint64_t at)
{
  uint64_t word;

  memcpy(&word, data + (at >> 3), sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word << (at & 7);
}

/* Index of the first of a set that is not empty. */
static inline int first_of(uint64_t set)
{
  return __builtin_clzll(set);
}

static inline uint64_t from_to(int Ss, int Se)
{
  return ~(uint64_t)0 >> Ss & ~(uint64_t)0 << (63 - Se);
}

/* The members of set that come after coefficient k. */
static inline uint64_t after(uint64_t set, int k)
{
#if defined(__BMI2__)
  return _bzhi_u64(set, (unsigned)(63 - k));
#else
  return set & (((uint64_t)1 << (63 - k)) - 1);
#endif
}

/* The members of bits that are in set, the first leading. */
static inline uint64_t gathered(uint64_t bits, uint64_t set)
{
#if defined(__BMI2__)
  return _pext_u64(bits, set);
#else
  uint64_t value = 0;

  for (; set; set = after(set, first_of(set)))
    value = value << 1 | (bits >> (63 - first_of(set)) & 1);
  return value;
#endif
}

/* Bits that have to come next and have not been compared yet. */
typedef struct {
  uint64_t value;
  unsigned count;
} expectation;

/* Not 0 where those bits are others: more than 57 never come, unless MZC_NO_CODE is among them. */
static inline uint64_t compare(const uint8_t *data, uint64_t *at, expectation *e)
{
  uint64_t difference = peek(data, *at) >> 1 >> (63 - (e->count & 63)) ^ e->value;

  if (__builtin_expect(e->count > 57, 0))
    difference = 1;
  else
    *at += e->count;
  e->value = 0;
  e->count = 0;
  return difference;
}

/* count bits more, at most 57. */
static inline uint64_t expect(const uint8_t *data, uint64_t *at, expectation *e, uint64_t value, unsigned count)
{
  uint64_t difference = 0;

  if (__builtin_expect(e->count + count > 57, 0))
    difference = compare(data, at, e);
  e->value = e->value << (count & 63) | value;
  e->count += count;
  return difference;
}

static inline uint64_t expect_code(const uint8_t *data, uint64_t *at, expectation *e, uint64_t known)
{
  return expect(data, at, e, known >> 8, known & 255);
}

/* magnitude: that of value, of which the lowest bits may have been dropped. */
static inline uint64_t expect_value(const uint8_t *data, uint64_t *at, expectation *e, const uint64_t *code, int value,
                                    unsigned magnitude)
{
  unsigned size = 31 - (unsigned)__builtin_clz(magnitude << 1 | 1), extra = magnitude ^ (unsigned)(value >> 31);
  uint64_t known = code[size];

#if defined(__BMI2__)
  extra = _bzhi_u32(extra, size);
#else
  extra &= (1u << size) - 1;
#endif
  return expect(data, at, e, known >> 8 | extra, known & 255);
}

/* The symbol among the first count, step apart, that the next bits begin with; -1: none. For what is not known. */
static int decode(const uint8_t *data, uint64_t at, const mzc_known_code *code, int count, int step)
{
  uint64_t next = peek(data, at);

  for (int symbol = 0; symbol < count; symbol += step) {
    uint64_t known = code->code[symbol];
    if (known != MZC_NO_CODE && next >> (64 - mzc_length_of(known, symbol)) == known >> (8 + (symbol & 15)))
      return symbol;
  }
  return -1;
}

/* The blocks of a run of ended ones that the stream has here, this one included; 0: none. */
static inline uint32_t read_run(const uint8_t *data, uint64_t *at, const mzc_known_code *code)
{
  uint64_t next = peek(data, *at);
  int class = (int)code->eob[next >> 56] - 1;
  unsigned length;

  if (__builtin_expect(class < 0, 0)) {
    int symbol = decode(data, *at, code, 0xF0, 16);
    if (symbol < 0)
      return 0;
    class = symbol >> 4;
  }
  length = code->code[class << 4] & 255;
  *at += length + (unsigned)class;
  return (1u << class) + (uint32_t)(next << length >> 1 >> (63 - class));
}

/* ---- scans -------------------------------------------------------------------------------------------------------- */

/* Not 0: the interval ends before. */
static inline __attribute__((always_inline)) int is_beyond(mzc_comparing *s, uint64_t *at)
{
  if (__builtin_expect(*at <= s->limit, 1))
    return 0;
  s->at = *at;
  if (mzc_compare_further(s))
    return 1;
  *at = s->at;
  return 0;
}

/* Not 0 where the bits that come next are others. Without a branch; for one code. */
static inline uint64_t compare_now(const uint8_t *data, uint64_t *at, expectation *e)
{
  unsigned count = e->count & 63;
  uint64_t difference = (peek(data, *at) >> 1 >> (63 - count) ^ e->value) | (e->count & MZC_NO_CODE);

  *at += count;
  e->value = 0;
  e->count = 0;
  return difference;
}

/* Expects the coefficients of set. *next: after the one before, then after the last. now: each is compared by itself, which
 * is faster where nearly all blocks have some; otherwise several together. */
static inline __attribute__((always_inline)) uint64_t expect_ac(const uint8_t *data, uint64_t *at, expectation *e,
                                                                const mzc_known_code *code, const int16_t *block, uint64_t set,
                                                                int Al, int now, int *next)
{
  uint64_t difference = now ? compare(data, at, e) : 0;

  while (set) {
    int k = first_of(set), run = k - *next, value = block[natural_order[k]];

    set = after(set, k);
    for (; __builtin_expect(run > 15, 0); run -= 16) {
      difference |= expect_code(data, at, e, code->code[0xF0]);
      difference |= now ? compare(data, at, e) : 0;
    }
    difference |= expect_value(data, at, e, code->code + (run << 4), value, (unsigned)abs(value) >> Al);
    difference |= now ? compare_now(data, at, e) : 0;
    *next = k + 1;
  }
  return difference;
}

/* The end of a run of ended blocks, as long as it can be; 0: no run. */
static inline uint64_t expect_run(mzc_comparing *s, uint64_t *at, expectation *e, const mzc_known_code *code, uint32_t run)
{
  const uint8_t *data = s->data;
  uint64_t difference = 0, known;
  unsigned class;

  for (; __builtin_expect(run > 0x7FFF, 0); run -= 0x7FFF) {
    known = code->code[14 << 4];
    difference |= expect(data, at, e, known >> 8 << 14 | 0x3FFF, (known & 255) + 14);
    if (is_beyond(s, at))
      return 1;
  }
  class = 31 - (unsigned)__builtin_clz(run | 1);
  known = code->code[class << 4];
  known = run ? (known >> 8 << class | (run ^ 1u << class)) << 8 | ((known & 255) + class) : 0;
  return difference | expect_code(data, at, e, known);
}

enum { CHUNK = 256 };

static inline __attribute__((always_inline)) int compare_ac(mzc_comparing *s, int y, int first, int count, int Al)
{
  const mzc_comparing_component *c = &s->component[0];
  const uint64_t band = from_to(s->Ss, s->Se), *above = c->above + (size_t)(y - c->top) * c->wide;
  const mzc_known_code *code = c->ac;
  const uint8_t *data = s->data;
  const int Ss = s->Ss, Se = s->Se, end = first + count;
  uint64_t at = s->at, difference = 0;
  uint32_t ended = s->ended;
  int16_t (*row)[64] = c->rows[y];
  expectation e = { 0, 0 };

  for (int start = first, stop; start < end; start = stop) {
    uint16_t list[CHUNK];   /* of blocks that have coefficients: without a branch for each block */
    int n = 0, from = start;

    stop = end - start < CHUNK ? end : start + CHUNK;
    for (int x = start; x < stop; x++) {
      list[n] = (uint16_t)(x - start);
      n += (above[x] & band) != 0;
    }
    for (int i = 0; i < n; i++) {
      int x = start + list[i], next = Ss;

      if (is_beyond(s, &at))
        return -1;
      difference |= expect_run(s, &at, &e, code, ended + (uint32_t)(x - from));
      difference |= expect_ac(data, &at, &e, code, row[x], above[x] & band, Al, 0, &next);
      difference |= compare(data, &at, &e);
      ended = next <= Se;
      from = x + 1;
    }
    ended += (uint32_t)(stop - from);
  }
  s->at = at;
  s->ended = ended;
  return difference != 0;
}

static int end_run(mzc_comparing *s)
{
  expectation e = { 0, 0 };
  uint64_t difference = expect_run(s, &s->at, &e, s->component[0].ac, s->ended);

  s->ended = 0;
  return (difference | compare(s->data, &s->at, &e)) != 0;
}

__attribute__((unused)) static int ac_first(mzc_comparing *s, int y, int first, int count)
{
  return s->Al ? compare_ac(s, y, first, count, s->Al) : compare_ac(s, y, first, count, 0);
}

/* One bit for each of the set: whether the coefficient grows. */
static inline uint64_t expect_growth(const uint8_t *data, uint64_t *at, expectation *e, uint64_t set, uint64_t bit)
{
  uint64_t value = gathered(bit, set), difference = 0;
  unsigned n = (unsigned)__builtin_popcountll(set);

  if (__builtin_expect(n > 32, 0)) {
    n -= 32;
    difference = expect(data, at, e, value >> 32, n);
    value &= 0xFFFFFFFF;
    n = 32;
  }
  return difference | expect(data, at, e, value, n);
}

/* The coefficient of set that comes after n others of it. */
static inline int nth(uint64_t set, int n)
{
  for (; n > 0; n--)
    set = after(set, first_of(set));
  return first_of(set);
}

static int ac_refine(mzc_comparing *s, int y, int first, int count)
{
  const mzc_comparing_component *c = &s->component[0];
  const uint64_t band = from_to(s->Ss, s->Se), *above = c->above + (size_t)(y - c->top) * c->wide, *bit = c->bit + (size_t)(y - c->top) * c->wide;
  const mzc_known_code *code = c->ac;
  const uint8_t *data = s->data;
  uint64_t at = s->at, difference = 0;
  uint32_t skip = s->skip;
  int16_t (*row)[64] = c->rows[y];
  expectation e = { 0, 0 };

  for (int x = first; x < first + count; x++) {
    uint64_t known = above[x], left = band, fresh = bit[x] & ~known & band;

    if (is_beyond(s, &at))
      return -1;
    if (skip == 0) {
      while (fresh) {
        int k = first_of(fresh);
        uint64_t to_here = left & ~after(left, k);   /* k included */
        int run = __builtin_popcountll(to_here & ~known) - 1;

        if (__builtin_expect(run > 15, 0)) {   /* 15 zeros and those that are known between them, up to the 16th */
          to_here = left & ~after(left, nth(left & ~known, 15));
          difference |= expect_code(data, &at, &e, code->code[0xF0]);
        } else {
          uint64_t one = code->code[run << 4 | 1];
          difference |= expect(data, &at, &e, one >> 8 | (row[x][natural_order[k]] > 0), one & 255);
          fresh = after(fresh, k);
        }
        left &= ~to_here;
        difference |= expect_growth(data, &at, &e, to_here & known, bit[x]);
      }
      if (left) {
        difference |= compare(data, &at, &e);
        skip = read_run(data, &at, code);
        if (skip == 0)
          return -1;
      }
    }
    if (left) {
      difference |= fresh;
      difference |= expect_growth(data, &at, &e, known & left, bit[x]);
      skip--;
    }
  }
  difference |= compare(data, &at, &e);
  s->at = at;
  s->skip = skip;
  return difference != 0;
}

enum { WHOLE, DC_FIRST, DC_REFINE };

/* Blocks beyond the edge may have any values. */
static int read_dummy(const mzc_comparing *s, uint64_t *at, mzc_comparing_component *c, int what)
{
  const uint8_t *data = s->data;
  int symbol, k = 1;

  if (what == DC_REFINE) {
    ++*at;
    return 0;
  }
  symbol = decode(data, *at, c->dc, 16, 1);
  if (symbol < 0)
    return -1;
  *at += mzc_length_of(c->dc->code[symbol], symbol);
  if (symbol > 0) {
    int bits = (int)(peek(data, *at) >> (64 - symbol));
    c->last_dc += bits >> (symbol - 1) ? bits : bits - (1 << symbol) + 1;
    *at += (unsigned)symbol;
  }
  while (what == WHOLE && k < 64) {
    symbol = decode(data, *at, c->ac, 256, 1);
    if (symbol < 0)
      return -1;
    *at += c->ac->code[symbol] & 255;   /* with the bits of the value */
    k = symbol == 0 ? 64 : k + (symbol >> 4) + 1;
  }
  return 0;
}

/* Expects a block of the image, or its DC coefficient. */
static inline __attribute__((always_inline)) uint64_t expect_block(const mzc_comparing *s, uint64_t *at, expectation *e,
                                                                   mzc_comparing_component *c, const int16_t *block,
                                                                   uint64_t above, int what)
{
  uint64_t difference;
  int value, change, next = 1;

  if (what == DC_REFINE)
    return expect(s->data, at, e, (uint64_t)(block[0] >> s->Al & 1), 1);
  value = block[0] >> (what == DC_FIRST ? s->Al : 0);
  change = value - c->last_dc;
  c->last_dc = value;
  difference = expect_value(s->data, at, e, c->dc->code, change, (unsigned)abs(change));
  if (what == WHOLE) {
    difference |= expect_ac(s->data, at, e, c->ac, block, after(above, 0), 0, 1, &next);
    if (next < 64)
      difference |= expect_code(s->data, at, e, c->ac->code[0]);
  }
  return difference;
}

/* The blocks of component i in MCU x of a row of MCUs. */
static inline __attribute__((always_inline)) int compare_blocks(mzc_comparing *s, uint64_t *at, expectation *e, int i, int x, int y,
                                                                int what, uint64_t *difference)
{
  mzc_comparing_component *c = &s->component[i];

  for (int v = 0; v < c->down; v++) {
    int row = y * c->down + v, column = x * c->across;
    int inside = row >= c->high ? 0 : c->wide - column < c->across ? c->wide - column : c->across;
    const int16_t (*blocks)[64] = inside ? (const int16_t (*)[64])c->rows[row] + column : NULL;
    const uint64_t *above = what == WHOLE ? c->above + (size_t)(row - c->top) * c->wide + column : NULL;

    if (is_beyond(s, at))
      return -1;
    for (int h = 0; h < inside; h++) {
      if (what == WHOLE && h > 0 && is_beyond(s, at))
        return -1;
      *difference |= expect_block(s, at, e, c, blocks[h], what == WHOLE ? above[h] : 0, what);
    }
    if (__builtin_expect(inside < c->across, 0)) {
      *difference |= compare(s->data, at, e);
      for (int h = inside; h < c->across; h++)
        if (is_beyond(s, at) || read_dummy(s, at, c, what))
          return -1;
    }
  }
  return 0;
}

static inline __attribute__((always_inline)) int compare_mcus(mzc_comparing *s, int y, int first, int count, int what)
{
  uint64_t at = s->at, difference = 0;
  expectation e = { 0, 0 };

  for (int x = first; x < first + count; x++)
    for (int i = 0; i < s->num_components; i++)
      if (compare_blocks(s, &at, &e, i, x, y, what, &difference))
        return -1;
  difference |= compare(s->data, &at, &e);
  s->at = at;
  return difference != 0;
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

#if defined(MZC_WITH_AVX512)
#include "compare_tokens.h"
#include "compare_refine.h"

const mzc_comparers MZC_COMPARERS = { find, sequential_by_tokens, dc_first, dc_refine, ac_first_by_tokens, ac_refine_by_units,
                                      end_run, fill_words };
#else
const mzc_comparers MZC_COMPARERS = { find, sequential, dc_first, dc_refine, ac_first, ac_refine, end_run, NULL };
#endif

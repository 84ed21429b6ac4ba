/* Refinements of AC coefficients for processors with AVX-512. Part of compare.c.
 *
 * What the stream has of a block is taken as units: one for each coefficient that becomes other than 0 (its code, its sign, the
 * corrections before it) and one for the rest of the block (the code of a run of ended blocks where one begins, the corrections
 * that are left). The units of some blocks are listed without a branch that depends on the image, then compared four at a
 * time. Runs are expected to be as long as they can be; the last one, which may go on, is read. Where anything differs,
 * ac_refine decides, from the beginning of these blocks. */
#ifndef MZC_READER_COMPARE_REFINE_H
#define MZC_READER_COMPARE_REFINE_H

#include <stddef.h>

enum {
  REFINED = 64,                  /* blocks whose units are listed at once */
  UNITS = REFINED * 64,
  REST = 64                      /* the place of the unit that ends a block; others: zigzag index */
};

typedef struct {
  /* Of each block: what was not 0 before and what is new, ascending: bit k - 1 is zigzag coefficient k, and bit 63 of fresh is
   * the rest of the block. Corrections, the first one leading. The index of the block's last unit. */
  uint64_t known[REFINED], fresh[REFINED], growth[REFINED + 8];
  int last[REFINED];
  uint64_t run[REFINED + 2];     /* at 1 + block: the run that begins there, see mzc_known_code; at 0: one that has begun */
  int open;                      /* the place in run of the last one */
  int count;                     /* of units */
  /* Of each unit, after 64 that are not used: */
  uint8_t place[UNITS + 128];    /* | 128: the coefficient is positive */
  uint8_t known_to[UNITS + 128]; /* how many of the block's coefficients up to it were not 0 before */
  uint8_t size[UNITS + 128], corrections[UNITS + 128];   /* bits of value, bits after them */
  uint32_t value[UNITS + 128];
} units;

static inline uint64_t run_of(const mzc_known_code *code, unsigned run)
{
  unsigned class = 31 - (unsigned)__builtin_clz(run);
  uint64_t known = code->code[class << 4];

  return (known >> 8 << class | (run ^ 1u << class)) << 8 | ((known & 255) + class);
}

static inline __m512i bytes_of(const uint8_t *bytes)
{
  return _mm512_loadu_si512(bytes);
}

/* Each set in the opposite order. */
static inline __m512i reversed(__m512i sets)
{
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i upper = _mm512_broadcast_i32x4(_mm_setr_epi8(0, -128, 64, -64, 32, -96, 96, -32, 16, -112, 80, -48, 48, -80, 112, -16));
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8));
  __m512i low = _mm512_shuffle_epi8(upper, _mm512_and_si512(sets, nibble));
  __m512i high = _mm512_shuffle_epi8(upper, _mm512_and_si512(_mm512_srli_epi16(sets, 4), nibble));

  high = _mm512_and_si512(_mm512_srli_epi16(high, 4), nibble);
  return _mm512_shuffle_epi8(_mm512_or_si512(low, high), order);
}

static inline void order_sets(units *l, const uint64_t *above, const uint64_t *bit, int count, uint64_t band)
{
  const __m512i within = _mm512_set1_epi64((long long)band);

  for (int x = 0; x < count; x += 8) {
    __mmask8 some = (__mmask8)(count - x < 8 ? (1 << (count - x)) - 1 : 255);
    __m512i known = _mm512_maskz_loadu_epi64(some, above + x), fresh = _mm512_maskz_loadu_epi64(some, bit + x);

    fresh = _mm512_srli_epi64(reversed(_mm512_and_si512(_mm512_andnot_si512(known, fresh), within)), 1);
    known = _mm512_srli_epi64(reversed(_mm512_and_si512(known, within)), 1);
    _mm512_storeu_si512(l->known + x, known);
    _mm512_storeu_si512(l->fresh + x, _mm512_or_si512(fresh, _mm512_set1_epi64((long long)((uint64_t)1 << 63))));
  }
}

static inline void list_units(units *l, const mzc_known_code *code, const uint64_t *above, const uint64_t *bit,
                              const int16_t (*blocks)[64], int count, uint64_t band, int Se)
{
  uint8_t bytes[64], below_in_byte[64];
  int16_t order[64];
  __m512i spread, below, index, low, high;
  const __m512i below_byte = _mm512_setr_epi64(0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF);
  const __m512i first_byte = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8));
  int n = 64, open = l->open;

  for (int i = 0; i < 64; i++) {
    bytes[i] = (uint8_t)(i / 8);
    below_in_byte[i] = (uint8_t)((1 << (i % 8)) - 1);
    order[i] = natural_order[i < 63 ? i + 1 : 63];
  }
  spread = bytes_of(bytes);
  below = bytes_of(below_in_byte);
  low = _mm512_loadu_si512(order);
  high = _mm512_loadu_si512(order + 32);
  for (int i = 0; i < 64; i++)
    bytes[i] = (uint8_t)(i + 1);
  index = bytes_of(bytes);
  for (int x = 0; x < count; x++) {
    const uint64_t before = above[x] & band, fresh = l->fresh[x];
    __m512i a = _mm512_loadu_si512(blocks[x]), b = _mm512_loadu_si512(blocks[x] + 32);
    __m512i known = _mm512_set1_epi64((long long)l->known[x]), known_to;
    uint64_t below_0 = _mm512_movepi16_mask(_mm512_permutex2var_epi16(a, low, b));
    int is_new = fresh << 1 != 0, whole = (int)(fresh >> (Se - 1) & 1);

    below_0 |= (uint64_t)_mm512_movepi16_mask(_mm512_permutex2var_epi16(a, high, b)) << 32;
    known_to = _mm512_popcnt_epi8(_mm512_and_si512(_mm512_shuffle_epi8(known, spread), below));
    known = _mm512_shuffle_epi8(_mm512_popcnt_epi64(_mm512_and_si512(known, below_byte)), first_byte);
    known_to = _mm512_add_epi8(known_to, known);
    a = _mm512_mask_add_epi8(index, ~below_0 << 1 >> 1, index, _mm512_set1_epi8(-128));
    _mm512_storeu_si512(l->place + n, _mm512_maskz_compress_epi8(fresh, a));
    _mm512_storeu_si512(l->known_to + n, _mm512_maskz_compress_epi8(fresh, known_to));
    n += __builtin_popcountll(fresh);
    l->last[x] = n - 1;
    l->growth[x] = _pext_u64(bit[x], before) << (-__builtin_popcountll(before) & 63);
    l->run[x + 1] = 0;
    open = is_new ? x + 1 : open;
    l->run[open] = whole ? 0 : run_of(code, (unsigned)(x + 2 - open));
    open += whole;
  }
  l->count = n - 64;
  l->open = open;
}

/* Of 64 units from i on: the upper and lower bytes of their codes, then their signs. */
static inline void write_values(units *l, int i, __m512i upper, __m512i lower)
{
  uint8_t uppers[64], lowers[64];

  _mm512_storeu_si512(uppers, upper);
  _mm512_storeu_si512(lowers, lower);
  for (int j = 0; j < 64; j += 16) {
    __m512i high = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(uppers + j)));
    __m512i low = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(lowers + j)));
    __m512i sign = _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(l->place + i + j))), 7);

    high = _mm512_or_si512(_mm512_slli_epi32(high, 9), _mm512_slli_epi32(low, 1));
    _mm512_storeu_si512(l->value + i + j, _mm512_or_si512(high, sign));
  }
}

/* What the units' codes are: those of new coefficients by their run of zeros; one of 16 and more is left out (size 128). */
static inline void find_values(units *l, const mzc_known_code *code, int Ss, int count)
{
  uint8_t size[64], upper[64], lower[64];
  const __m512i rest = _mm512_set1_epi8(REST), start = _mm512_set1_epi8((char)Ss), place = _mm512_set1_epi8(127);
  __m512i sizes, uppers, lowers;

  memset(size, MZC_NO_CODE, sizeof size);
  memset(upper, 0, sizeof upper);
  memset(lower, 0, sizeof lower);
  for (int run = 0; run < 16; run++) {
    uint64_t one = code->code[run << 4 | 1];

    size[run] = (uint8_t)one;
    upper[run] = (uint8_t)(one >> 17);
    lower[run] = (uint8_t)(one >> 9);
  }
  sizes = bytes_of(size);
  uppers = bytes_of(upper);
  lowers = bytes_of(lower);
  l->place[63] = REST;
  l->known_to[63] = 0;
  for (int i = 64; i < 64 + l->count; i += 64) {
    __m512i here = bytes_of(l->place + i), known_to = bytes_of(l->known_to + i), at = _mm512_and_si512(here, place);
    __m512i last = _mm512_and_si512(bytes_of(l->place + i - 1), place), known = bytes_of(l->known_to + i - 1), run, zeros;
    __mmask64 goes_on = _mm512_cmpneq_epi8_mask(last, rest), is_new = _mm512_cmpneq_epi8_mask(at, rest);

    known = _mm512_maskz_mov_epi8(goes_on, known);
    zeros = _mm512_maskz_sub_epi8(goes_on, _mm512_sub_epi8(last, _mm512_add_epi8(start, _mm512_set1_epi8(-1))), known);
    run = _mm512_sub_epi8(_mm512_sub_epi8(_mm512_sub_epi8(at, start), known_to), zeros);
    _mm512_storeu_si512(l->size + i, _mm512_maskz_permutexvar_epi8(is_new, run, sizes));
    _mm512_storeu_si512(l->corrections + i, _mm512_sub_epi8(known_to, known));
    write_values(l, i, _mm512_permutexvar_epi8(run, uppers), _mm512_permutexvar_epi8(run, lowers));
  }
  for (int x = 0; x < count; x++) {
    l->value[l->last[x]] = (uint32_t)(l->run[x + 1] >> 8);
    l->size[l->last[x]] = (uint8_t)l->run[x + 1];
  }
}

/* Where some blocks begin in the stream: what mzc_compare_further, which moves it, changes. */
typedef struct {
  uint8_t state[offsetof(mzc_comparing, num_components)];
  uint64_t at;
  int is_saved;
} beginning;

/* As mzc_compare_further, but the beginning is kept. */
static __attribute__((noinline)) int moves_beyond(mzc_comparing *s, beginning *b, uint64_t *at)
{
  if (!b->is_saved) {
    s->at = b->at;
    memcpy(b->state, s, sizeof b->state);
    b->is_saved = 1;
  }
  s->at = *at;
  if (mzc_compare_further(s))
    return 1;
  *at = s->at;
  return 0;
}

typedef struct {
  const uint64_t *above, *bit;
  uint64_t band;
  int block;                     /* of the next unit */
} refining;

/* Twice four codes as one number of bits. */
typedef struct {
  uint64_t value[2];
  unsigned size[2];
} four_codes;

/* Of eight codes. A size above 57: the value is wrong. */
static inline four_codes put_together(__m512i value, __m512i size)
{
  four_codes f;

  for (int i = 0; i < 2; i++) {   /* in lanes 0, 2, 4 and 6 two codes, then in 0 and 4 all four */
    __m512i next = i ? _mm512_permutex_epi64(value, _MM_SHUFFLE(2, 2, 2, 2)) : _mm512_unpackhi_epi64(value, value);
    __m512i next_size = i ? _mm512_permutex_epi64(size, _MM_SHUFFLE(2, 2, 2, 2)) : _mm512_unpackhi_epi64(size, size);

    value = _mm512_or_si512(_mm512_sllv_epi64(value, next_size), next);
    size = _mm512_add_epi64(size, next_size);
  }
  f.value[0] = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(value));
  f.value[1] = (uint64_t)_mm_cvtsi128_si64(_mm512_extracti64x2_epi64(value, 2));
  f.size[0] = (unsigned)_mm_cvtsi128_si32(_mm512_castsi512_si128(size));
  f.size[1] = (unsigned)_mm_cvtsi128_si32(_mm512_extracti64x2_epi64(size, 2));
  return f;
}

static inline uint64_t compare_four(const uint8_t *data, uint64_t *at, const four_codes *f, int i)
{
  uint64_t difference = peek(data, *at) >> 1 >> (63 - f->size[i]) ^ f->value[i];

  *at += f->size[i];
  return difference;
}

/* A unit of any size. */
static __attribute__((noinline)) uint64_t compare_unit(const mzc_comparing *s, const units *l, const refining *r, uint64_t *at,
                                                       int block, int i)
{
  const uint8_t *data = s->data;
  const mzc_known_code *code = s->component[0].ac;
  const uint64_t bit = r->bit[block];
  int place = l->place[i] & 127, last = l->place[i - 1] & 127;
  uint64_t left = last == REST ? r->band : after(r->band, last), known = r->above[block] & left, difference = 0;
  expectation e = { 0, 0 };

  if (place == REST) {
    difference |= expect_code(data, at, &e, l->run[block + 1]);
  } else {
    int run;

    left &= ~after(left, place);
    known &= left;
    run = __builtin_popcountll(left & ~known) - 1;
    for (; run > 15; run -= 16) {   /* 15 zeros and those that are known between them, up to the 16th */
      uint64_t to_here = left & ~after(left, nth(left & ~known, 15));

      difference |= expect_code(data, at, &e, code->code[0xF0]);
      difference |= expect_growth(data, at, &e, to_here & known, bit);
      left &= ~to_here;
    }
    difference |= expect_code(data, at, &e, code->code[run << 4 | 1] | (uint64_t)(l->place[i] >> 7) << 8);
  }
  difference |= expect_growth(data, at, &e, left & known, bit);
  return difference | compare(data, at, &e);
}

/* Units from .. end - 1. Not 0: others, or the end of the interval. */
static inline uint64_t compare_units(mzc_comparing *s, const units *l, refining *r, beginning *begin, int from, int end, uint64_t *place)
{
  const __m512i below = _mm512_setr_epi64(0, 1, 3, 7, 15, 31, 63, 127), word = _mm512_set1_epi64(64);
  const uint8_t *data = s->data;
  uint64_t at = *place, difference = 0;
  int block = r->block;

  for (int i = from; i < end; i += 8) {
    const __mmask8 some = (__mmask8)(end - i < 8 ? (1 << (end - i)) - 1 : 255);
    const __m128i here = _mm_loadl_epi64((const __m128i *)(l->place + i));
    const unsigned rests = _mm_cmpeq_epi8_mask(here, _mm_set1_epi8(REST)) & some;
    /* masked loads: GCC 12 fails on masked conversions of 8 bytes */
    __m512i n = _mm512_cvtepu8_epi64(_mm_maskz_loadu_epi8(some, l->corrections + i));
    __m512i size = _mm512_cvtepu8_epi64(_mm_maskz_loadu_epi8(some, l->size + i));
    __m512i v = _mm512_cvtepu32_epi64(_mm256_maskz_loadu_epi32(some, l->value + i));
    __m512i known = _mm512_sub_epi64(_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(l->known_to + i))), n);
    __m512i of = _mm512_popcnt_epi64(_mm512_and_si512(_mm512_set1_epi64((long long)rests), below));
    __m512i growth = _mm512_permutexvar_epi64(of, _mm512_loadu_si512(l->growth + block));
    four_codes codes;

    if (__builtin_expect(at > s->limit, 0) && moves_beyond(s, begin, &at))
      return 1;
    growth = _mm512_srlv_epi64(_mm512_sllv_epi64(growth, known), _mm512_sub_epi64(word, n));
    v = _mm512_or_si512(_mm512_sllv_epi64(v, n), growth);
    size = _mm512_add_epi64(size, n);
    codes = put_together(v, size);
    if (__builtin_expect(codes.size[0] > 57 || codes.size[1] > 57, 0)) {
      for (int j = 0; j < 8 && i + j < end; j++)
        difference |= compare_unit(s, l, r, &at, block + __builtin_popcount(rests & ((1u << j) - 1)), i + j);
    } else {
      difference |= compare_four(data, &at, &codes, 0);
      difference |= compare_four(data, &at, &codes, 1);
    }
    block += __builtin_popcount(rests);
  }
  *place = at;
  r->block = block;
  return difference;
}

/* As ac_refine, at most REFINED blocks. Not 0: that has to decide, from the beginning. */
static int refine_by_units(mzc_comparing *s, units *l, refining *r, const int16_t (*blocks)[64], beginning *begin, int count)
{
  const mzc_known_code *code = s->component[0].ac;
  const int skip = s->skip < (uint32_t)count ? (int)s->skip : count;
  uint64_t at = s->at;
  int rest, end;

  order_sets(l, r->above, r->bit, count, r->band);
  for (int x = 0; x < skip; x++)
    if (l->fresh[x] << 1)
      return 1;   /* a new coefficient within a run */
  if (skip > 0 && skip < count && l->fresh[skip] << 1 == 0)
    return 1;   /* a run that ends before */
  l->open = skip == 0;
  list_units(l, code, r->above, r->bit, blocks, count, r->band, s->Se);
  l->run[l->open] = 0;
  find_values(l, code, s->Ss, count);
  end = 64 + l->count;
  rest = l->open > 0 ? count + 1 - l->open : count;   /* the blocks of the last run, a unit each */
  if (compare_units(s, l, r, begin, 64, end - rest, &at))
    return 1;
  if (l->open == 0) {
    s->skip -= (uint32_t)count;
  } else if (rest > 0) {
    if (at > s->limit && moves_beyond(s, begin, &at))
      return 1;
    s->skip = read_run(s->data, &at, code);
    if (s->skip < (uint32_t)rest)
      return 1;
    s->skip -= (uint32_t)rest;
  } else {
    s->skip = 0;
  }
  if (compare_units(s, l, r, begin, end - rest, end, &at))
    return 1;
  s->at = at;
  return 0;
}

static int ac_refine_by_units(mzc_comparing *s, int y, int first, int count)
{
  const mzc_comparing_component *c = &s->component[0];
  const size_t row = (size_t)(y - c->top) * c->wide;
  units l;
  beginning begin;

  for (int stop, end = first + count; first < end; first = stop) {
    refining r = { c->above + row + first, c->bit + row + first, from_to(s->Ss, s->Se), 0 };
    const uint32_t skip = s->skip;

    stop = end - first < REFINED ? end : first + REFINED;
    begin.at = s->at;
    begin.is_saved = 0;
    if (refine_by_units(s, &l, &r, (const int16_t (*)[64])c->rows[y] + first, &begin, stop - first) == 0)
      continue;
    if (begin.is_saved)
      memcpy(s, begin.state, sizeof begin.state);
    s->at = begin.at;
    s->skip = skip;
    if (ac_refine(s, y, first, stop - first))
      return 1;
  }
  return 0;
}

#endif

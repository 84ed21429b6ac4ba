/* Scans as lists of symbols, for processors with AVX-512. Part of compare.c.
 *
 * First all symbols of some blocks are listed: which coefficients are not 0 decides no branch, a list is as long as it
 * becomes. Then sizes and the bits of the values are found for 16 at a time, and their codes are compared with the stream, four
 * at a time. Where that does not apply, and it has to be rare, compare.c's functions are called instead. */
#ifndef MZC_READER_COMPARE_TOKENS_H
#define MZC_READER_COMPARE_TOKENS_H

enum {
  LIST = 1024,                   /* symbols that are listed at once */
  AT_ONCE = 64                   /* symbols between two looks at the end of the data */
};

/* token: the place of its code in mzc_words, the bits of its value << 16. */
typedef struct {
  int16_t value[LIST + 64];
  uint8_t before, place[LIST + 64];   /* zigzag index; the component's slot << 6 */
  uint32_t token[LIST + 64];
  int count;
  __m512i sizes;                 /* of the values so far, together */
} symbols;

static void fill_words(uint64_t *words, const mzc_known_code *code)
{
  const __m512i low_byte = _mm512_set1_epi64(255), longest = _mm512_set1_epi64(48), none = _mm512_set1_epi64(MZC_NO_CODE);
  uint64_t zeros = 0;            /* the codes before: value << 16 | length */

  for (int run = 0; run < 64; run += 16) {
    const __m512i value = _mm512_set1_epi64((long long)(zeros >> 16)), bits = _mm512_set1_epi64((long long)(zeros & 255));

    for (int i = 0; i < 256; i += 8) {
      __m512i known = _mm512_loadu_si512(code->code + i), length = _mm512_add_epi64(_mm512_and_si512(known, low_byte), bits);
      __m512i both = _mm512_sllv_epi64(value, _mm512_and_si512(known, low_byte));
      __mmask8 is_long = _mm512_cmpgt_epu64_mask(length, longest);

      both = _mm512_or_si512(_mm512_slli_epi64(_mm512_or_si512(both, _mm512_srli_epi64(known, 8)), 16), length);
      _mm512_storeu_si512(words + (run << 4) + i, _mm512_mask_mov_epi64(both, is_long, none));
    }
    zeros = words[run << 4 | 0xF0];
  }
}

typedef struct {
  __m512i low, high, index;      /* zigzag coefficients 0 .. 31, 32 .. 63; 0 .. 63 */
} zigzag;

static inline zigzag make_zigzag(void)
{
  zigzag z;
  int16_t order[64];
  uint8_t index[64];

  for (int k = 0; k < 64; k++) {
    order[k] = natural_order[k];
    index[k] = (uint8_t)k;
  }
  z.low = _mm512_loadu_si512(order);
  z.high = _mm512_loadu_si512(order + 32);
  z.index = _mm512_loadu_si512(index);
  return z;
}

/* Adds the coefficients of band (bit k: zigzag index k) that are not 0 after a shift, and those of always. */
static inline __attribute__((always_inline)) void list_block(symbols *l, const zigzag *z, const int16_t *block, int Al,
                                                             uint64_t band, uint64_t always, int slot)
{
  __m512i a = _mm512_loadu_si512(block), b = _mm512_loadu_si512(block + 32);
  __m512i low = _mm512_permutex2var_epi16(a, z->low, b), high = _mm512_permutex2var_epi16(a, z->high, b);
  const __m512i zero = _mm512_setzero_si512();
  uint64_t set;
  int half;

  if (Al > 0) {
    const __m128i shift = _mm_cvtsi32_si128(Al);
    __mmask32 below = _mm512_movepi16_mask(low), above = _mm512_movepi16_mask(high);

    low = _mm512_srl_epi16(_mm512_abs_epi16(low), shift);
    high = _mm512_srl_epi16(_mm512_abs_epi16(high), shift);
    low = _mm512_mask_sub_epi16(low, below, zero, low);
    high = _mm512_mask_sub_epi16(high, above, zero, high);
  }
  set = _mm512_test_epi16_mask(low, low) | (uint64_t)_mm512_test_epi16_mask(high, high) << 32;
  set = (set & band) | always;
  half = __builtin_popcount((uint32_t)set);
  _mm512_storeu_si512(l->value + l->count, _mm512_maskz_compress_epi16((__mmask32)set, low));
  _mm512_storeu_si512(l->value + l->count + half, _mm512_maskz_compress_epi16((__mmask32)(set >> 32), high));
  _mm512_storeu_si512(l->place + l->count,
                      _mm512_maskz_compress_epi8(set, _mm512_or_si512(z->index, _mm512_set1_epi8((char)(slot << 6)))));
  l->count += __builtin_popcountll(set);
}

/* whole: place 0 is a DC difference, a 0 at place 63 the end of a block. */
static inline __attribute__((always_inline)) void make_tokens(symbols *l, int whole)
{
  const __m512i one = _mm512_set1_epi32(1), zero = _mm512_setzero_si512();
  __m512i sizes = _mm512_setzero_si512();

  for (int i = 0; i < l->count; i += 16) {
    __m512i v = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(l->value + i)));
    __m512i at = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(l->place + i)));
    __m512i last = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(l->place + i - 1)));
    __m512i size = _mm512_sub_epi32(_mm512_set1_epi32(32), _mm512_lzcnt_epi32(_mm512_abs_epi32(v)));
    __m512i extra = _mm512_add_epi32(v, _mm512_srai_epi32(v, 31)), word;

    extra = _mm512_andnot_si512(_mm512_sllv_epi32(_mm512_set1_epi32(-1), size), extra);
    word = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_sub_epi32(at, last), one), 4);
    if (whole) {
      __mmask16 is_dc = _mm512_testn_epi32_mask(at, _mm512_set1_epi32(63));
      __m512i slot = _mm512_srli_epi32(at, 6);

      sizes = _mm512_or_si512(sizes, size);
      word = _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(v, v), word);
      word = _mm512_mask_mov_epi32(_mm512_add_epi32(word, _mm512_slli_epi32(slot, 10)), is_dc,
                                   _mm512_sub_epi32(_mm512_slli_epi32(slot, 4), _mm512_set1_epi32(MZC_AC_WORDS)));
    }
    word = _mm512_add_epi32(word, _mm512_add_epi32(size, _mm512_set1_epi32(MZC_AC_WORDS)));
    _mm512_storeu_si512(l->token + i, _mm512_or_si512(word, _mm512_slli_epi32(extra, 16)));
  }
  if (whole)
    l->sizes = _mm512_or_si512(l->sizes, sizes);
  _mm512_storeu_si512(l->token + l->count, _mm512_add_epi32(zero, _mm512_set1_epi32(MZC_NO_WORD)));
}

/* One token whose code may be longer than a word holds, or not be there at all. */
static __attribute__((noinline)) uint64_t compare_token(const mzc_comparing *s, const uint64_t *words, uint64_t *at, uint32_t token)
{
  unsigned place = token & 0xFFFF;
  uint64_t known = words[place], difference;
  expectation e = { 0, 0 };

  if (!(known & MZC_NO_CODE)) {
    difference = expect(s->data, at, &e, (known | token) >> 16, known & 255);
  } else if (place >= MZC_AC_WORDS) {
    const mzc_known_code *code = s->slot_ac[(place - MZC_AC_WORDS) >> 10];
    int run = (place - MZC_AC_WORDS) >> 4 & 63;

    difference = 0;
    for (; run > 15; run -= 16)
      difference |= expect_code(s->data, at, &e, code->code[0xF0]);
    known = code->code[run << 4 | (place & 15)];
    difference |= expect(s->data, at, &e, known >> 8 | token >> 16, known & 255);
  } else {
    return 1;
  }
  return difference | compare(s->data, at, &e);
}

/* Not 0: other codes, or the end of the interval before the last of them. Empties the list. */
static inline uint64_t compare_tokens(mzc_comparing *s, symbols *l, uint64_t *place)
{
  const uint64_t *words = s->words;
  const uint8_t *data = s->data;
  uint64_t at = *place, difference = 0;
  const int n = l->count;

  l->count = 0;
  for (int i = 0; i < n;) {
    int stop = i + AT_ONCE < n ? i + AT_ONCE : n;

    if (is_beyond(s, &at))
      return 1;
    for (; i < stop; i += 4) {
      const uint32_t *t = l->token + i;
      uint64_t a = words[t[0] & 0xFFFF], b = words[t[1] & 0xFFFF], c = words[t[2] & 0xFFFF], d = words[t[3] & 0xFFFF];
      unsigned count = (unsigned)((a & 255) + (b & 255) + (c & 255) + (d & 255));
      uint64_t value = (a ^ t[0]) >> 16;   /* without the place of the code */

      if (__builtin_expect(count > 57, 0)) {
        for (int j = 0; j < 4; j++)
          difference |= compare_token(s, words, &at, t[j]);
        continue;
      }
      value = value << (b & 63) | (b ^ t[1]) >> 16;
      value = value << (c & 63) | (c ^ t[2]) >> 16;
      value = value << (d & 63) | (d ^ t[3]) >> 16;
      difference |= peek(data, at) >> 1 >> (63 - count) ^ value;
      at += count;
    }
  }
  *place = at;
  return difference;
}

/* MCUs in which no block lies beyond the edge: their number from first on. */
static int whole_mcus(const mzc_comparing *s, int y, int first, int count)
{
  for (int i = 0; i < s->num_components; i++) {
    const mzc_comparing_component *c = &s->component[i];
    int end = c->wide / c->across - first;

    if ((y + 1) * c->down > c->high || end <= 0)
      return 0;
    count = end < count ? end : count;
  }
  return count;
}

/* The sets of the blocks of MCUs first .. first + count - 1. Not 0: see find. */
static int find_sets(mzc_comparing *s, int y, int first, int count)
{
  int has_lowest = 0;

  for (int i = 0; i < s->num_components; i++) {
    mzc_comparing_component *c = &s->component[i];
    int from = first * c->across, end = (first + count) * c->across;

    end = end < c->wide ? end : c->wide;
    for (int row = y * c->down; row < (y + 1) * c->down && row < c->high && from < end; row++) {
      uint64_t *sets = c->above + (size_t)(row - c->top) * c->wide + from;
      has_lowest |= find((const int16_t (*)[64])c->rows[row] + from, end - from, 0, sets, 0);
    }
  }
  return has_lowest;
}

static int sequential_by_tokens(mzc_comparing *s, int y, int first, int count)
{
  const zigzag z = make_zigzag();
  int whole = whole_mcus(s, y, first, count);
  uint64_t at = s->at, difference = 0;
  symbols l;

  l.count = 0;
  l.sizes = _mm512_setzero_si512();
  for (int x = first; x < first + whole; x++)
    for (int i = 0; i < s->num_components; i++) {
      mzc_comparing_component *c = &s->component[i];

      for (int v = 0; v < c->down; v++) {
        const int16_t (*blocks)[64] = (const int16_t (*)[64])c->rows[y * c->down + v] + (ptrdiff_t)x * c->across;

        for (int h = 0; h < c->across; h++) {
          int change = blocks[h][0] - c->last_dc, place = l.count;

          prefetch_ahead(blocks[h]);
          c->last_dc = blocks[h][0];
          list_block(&l, &z, blocks[h], 0, ~(uint64_t)0, (uint64_t)1 << 63 | 1, c->slot);
          l.value[place] = (int16_t)change;
          difference |= abs(change) > INT16_MAX;
          if (l.count > LIST - 64) {
            make_tokens(&l, 1);
            difference |= compare_tokens(s, &l, &at);
          }
        }
      }
    }
  make_tokens(&l, 1);
  difference |= compare_tokens(s, &l, &at);
  s->at = at;
  if (_mm512_test_epi32_mask(l.sizes, _mm512_set1_epi32(16)))
    return MZC_LOWEST;
  if (difference)
    return 1;
  first += whole;
  count -= whole;
  if (count == 0)
    return 0;
  return find_sets(s, y, first, count) ? MZC_LOWEST : sequential(s, y, first, count);
}

static inline uint32_t run_token(uint32_t run)
{
  unsigned class = 31 - (unsigned)__builtin_clz(run | 1);

  return run ? class | (run ^ 1u << class) << 16 : MZC_NO_WORD;
}

static inline __attribute__((always_inline)) int ac_by_tokens(mzc_comparing *s, int y, int first, int count, int Al)
{
  const mzc_comparing_component *c = &s->component[0];
  const uint64_t band = from_to(s->Ss, s->Se), *above = c->above + (size_t)(y - c->top) * c->wide;
  const uint64_t ascending = ~(uint64_t)0 << s->Ss & ~(uint64_t)0 >> (63 - s->Se), slot = (uint64_t)1 << (s->Ss - 1);
  const zigzag z = make_zigzag();
  const int end = first + count, last = 63 - s->Se;
  uint64_t at = s->at, difference = 0;
  uint32_t ended = s->ended;
  int16_t (*row)[64] = c->rows[y];
  symbols l;

  l.count = 0;
  for (int start = first, stop; start < end; start = stop) {
    uint16_t list[CHUNK], places[CHUNK];
    uint32_t runs[CHUNK];
    int n = 0, done = 0, from = start;

    stop = end - start < CHUNK ? end : start + CHUNK;
    if (ended > 0x7FFF - CHUNK) {
      s->at = at;
      s->ended = ended;
      if (compare_ac(s, y, start, stop - start, Al))
        return 1;
      at = s->at;
      ended = s->ended;
      continue;
    }
    for (int x = start; x < stop; x++) {
      list[n] = (uint16_t)(x - start);
      n += (above[x] & band) != 0;
    }
    for (int i = 0; i < n; i++) {
      int x = start + list[i];

      runs[i] = run_token(ended + (uint32_t)(x - from));
      ended = !(above[x] >> last & 1);
      from = x + 1;
      places[i] = (uint16_t)l.count;
      list_block(&l, &z, row[x], Al, ascending, slot, 0);
      if (l.count > LIST - 64 || i == n - 1) {
        make_tokens(&l, 0);
        for (; done <= i; done++)
          l.token[places[done]] = runs[done];
        difference |= compare_tokens(s, &l, &at);
      }
    }
    ended += (uint32_t)(stop - from);
  }
  s->at = at;
  s->ended = ended;
  return difference != 0;
}

static int ac_first_by_tokens(mzc_comparing *s, int y, int first, int count)
{
  return s->Al ? ac_by_tokens(s, y, first, count, s->Al) : ac_by_tokens(s, y, first, count, 0);
}

#endif

/* Huffman decoding of ordinary 8-bit streams, T.81 annexes F and G. Included once for each processor it is compiled for. */
#include "entropy.h"

#if defined(__BMI2__)
#include <immintrin.h>
#endif

static const uint8_t natural[64] = {
  0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63
};

/* ---- codes -------------------------------------------------------------------------------------------------------- */

static inline uint32_t entry(int length, int value, mzc_code_use use)
{
  uint32_t run = (uint32_t)value >> 4, appended = (uint32_t)value & 15;

  if (use == MZC_CODE_DC) {
    run = 0;
  } else if (appended == 0 && run != 15) {
    appended = use == MZC_CODE_SEQUENTIAL ? 0 : run;
    run = MZC_RUN_END;
  } else if (use == MZC_CODE_REFINE && appended > 1) {
    run = MZC_RUN_INVALID;
  }
  return run << 24 | appended << 16 | (uint32_t)length << 8 | ((uint32_t)length + appended);
}

static int build(mzc_code *code, const uint8_t *counts, const uint8_t *values, mzc_code_use use)
{
  uint32_t *look = code->look, *const look_end = look + (1 << MZC_LOOKAHEAD);
  int32_t next = 0, p = 0;

  code->values = values;
  code->use = use;
  for (int length = 1; length <= 16; length++) {
    int n = counts[length];
    code->offset[length] = p - next;
    code->largest[length] = n ? next + n - 1 : -1;
    if (p + n > 256)
      return -1;
    for (int i = 0; i < n; i++, p++) {
      if (use == MZC_CODE_DC && values[p] > 15)
        return -1;
      if (length <= MZC_LOOKAHEAD) {
        uint32_t e = entry(length, values[p], use);
        int fill = 1 << (MZC_LOOKAHEAD - length);
        if (look_end - look < fill)
          return -1;
        for (int k = 0; k < fill; k++)
          *look++ = e;
      }
    }
    next += n;
    if (n && next >= 1 << length)   /* the code of ones alone is forbidden */
      return -1;
    next <<= 1;
  }
  memset(look, 0, (size_t)(look_end - look) * sizeof *look);
  return 0;
}

/* ---- bits --------------------------------------------------------------------------------------------------------- */

typedef struct {
  const uint8_t *next;
  uint64_t buffer;
  int count;
} bits;

static inline uint64_t big_endian(const uint8_t *p)
{
  uint64_t word;

  memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

/* At least 56 bits. What lies in buffer beyond count is the stream's too, and is put there once more by the next call. */
static inline void refill(bits *b)
{
  b->buffer |= big_endian(b->next) >> b->count;
  b->next += (63 - b->count) >> 3;
  b->count |= 56;
}

static inline void drop(bits *b, int n)
{
  b->buffer <<= n;
  b->count -= n;
}

static uint32_t long_code(const mzc_code *code, uint64_t buffer)
{
  for (int length = MZC_LOOKAHEAD + 1; length <= 16; length++) {
    int32_t c = (int32_t)(buffer >> (64 - length));
    if (c <= code->largest[length])
      return entry(length, code->values[code->offset[length] + c], code->use);
  }
  return (uint32_t)MZC_RUN_INVALID << 24 | 1;
}

static inline uint32_t look(const mzc_code *code, uint64_t buffer)
{
  uint32_t e = code->look[buffer >> (64 - MZC_LOOKAHEAD)];

  return __builtin_expect(e == 0, 0) ? long_code(code, buffer) : e;
}

/* T.81 F.2.2.1 EXTEND: the bits after the code; the upper half of their values is positive. 0 for no bits. */
static inline int32_t appended_value(uint64_t buffer, uint32_t e)
{
  int n = e >> 16 & 255;
  uint64_t b = buffer << (e >> 8 & 255);
  int32_t negative = (int32_t)((int64_t)~b >> 63);

  return (int32_t)(b >> 1 >> (63 - n)) + (negative & (int32_t)(1 - (1u << n)));
}

static inline uint32_t appended_bits(uint64_t buffer, uint32_t e)
{
  return (uint32_t)(buffer << (e >> 8 & 255) >> 1 >> (63 - (e >> 16 & 255)));
}

static inline bits load(const mzc_reading *r)
{
  return (bits){ r->next, r->buffer, r->count };
}

static inline void store(mzc_reading *r, const bits *b)
{
  r->next = b->next;
  r->buffer = b->buffer;
  r->count = b->count;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

/* With at least 31 bits in the buffer. */
static inline int read_dc(bits *b, mzc_reading_component *component)
{
  uint32_t e = look(component->dc, b->buffer);

  component->last_dc += appended_value(b->buffer, e);
  drop(b, e & 255);
  return e >> 24 || component->last_dc != (int32_t)component->last_dc ? -1 : 0;
}

/* Coefficients k..Se that no scan has sent before. Returns the entry that led beyond Se, 0 if none did. */
static inline uint32_t read_ac(bits *b, const mzc_code *code, int16_t *block, int k, int Se, int Al, uint64_t *nonzero)
{
  for (;;) {
    uint32_t e;
    int16_t value;

    refill(b);
#define COEFFICIENT                                                                                                    \
    e = look(code, b->buffer);                                                                                         \
    k += e >> 24;                                                                                                      \
    if (k > Se)                                                                                                        \
      return e;                                                                                                        \
    value = (int16_t)((uint32_t)appended_value(b->buffer, e) << Al);                                                   \
    block[natural[k]] = value;                                                                                         \
    if (nonzero)                                                                                                       \
      *nonzero |= (uint64_t)(value != 0) << (63 - k);                                                                        \
    drop(b, e & 255);                                                                                                  \
    if (++k > Se)                                                                                                      \
      return 0;
    COEFFICIENT
    if (__builtin_expect(b->count < 31, 0))
      refill(b);
    COEFFICIENT
    if (__builtin_expect(b->count < 31, 0))
      refill(b);
    COEFFICIENT
#undef COEFFICIENT
  }
}

/* A run of 16 zeros may lead beyond the band, as in libjpeg; values may not. */
static inline int is_zeros(uint32_t e)
{
  return e >> 24 == 15 && (e >> 16 & 255) == 0;
}

/* What read_blocks reads of each block. */
enum { WHOLE_BLOCK, DC_FIRST, DC_REFINE };

/* The DC coefficient or the whole of one block. -1: something that an undamaged stream does not have. */
static inline __attribute__((always_inline)) int read_block(bits *b, const mzc_reading *r, mzc_reading_component *component,
                                                            int16_t *block, int what)
{
  uint32_t e;

  if (what != DC_REFINE || b->count < 1)
    refill(b);
  if (b->next > r->limit)
    return -1;
  if (what == DC_REFINE) {
    block[0] = (int16_t)(block[0] | (int)(b->buffer >> 63) << r->Al);
    drop(b, 1);
    return 0;
  }
  if (read_dc(b, component))
    return -1;
  block[0] = (int16_t)((uint32_t)component->last_dc << (what == DC_FIRST ? r->Al : 0));
  if (what == DC_FIRST)
    return 0;
  e = read_ac(b, component->ac, block, 1, 63, 0, NULL);
  if (e) {
    if (e >> 24 != MZC_RUN_END && !is_zeros(e))
      return -1;
    drop(b, e & 255);
  }
  return 0;
}

static inline __attribute__((always_inline)) int read_blocks(mzc_reading *r, int first, int count, int what)
{
  bits b = load(r);

  for (int x = first; x < first + count; x++)
    for (int i = 0; i < r->num_components; i++) {
      mzc_reading_component *component = &r->component[i];
      for (int v = 0; v < component->height; v++) {
        int16_t (*blocks)[64] = component->rows[v] + (ptrdiff_t)x * component->width;
        for (int h = 0; h < component->width; h++)
          if (read_block(&b, r, component, blocks[h], what))
            return -1;
      }
    }
  store(r, &b);
  return 0;
}

static int sequential(mzc_reading *r, int first, int count)
{
  return read_blocks(r, first, count, WHOLE_BLOCK);
}

static int dc_first(mzc_reading *r, int first, int count)
{
  return read_blocks(r, first, count, DC_FIRST);
}

static int dc_refine(mzc_reading *r, int first, int count)
{
  return read_blocks(r, first, count, DC_REFINE);
}

static int ac_first(mzc_reading *r, int first, int count)
{
  bits b = load(r);
  mzc_reading_component *component = &r->component[0];
  const int Ss = r->Ss, Se = r->Se, Al = r->Al, end = first + count;
  uint32_t skip = r->blocks_to_skip;

  for (int x = first; x < end; x++) {
    uint64_t nonzero = 0;
    uint32_t e;

    if (skip > 0) {
      uint32_t n = skip < (uint32_t)(end - x) ? skip : (uint32_t)(end - x);
      skip -= n;
      x += (int)n - 1;
      continue;
    }
    if (b.next > r->limit)
      return -1;
    e = read_ac(&b, component->ac, component->rows[0][x], Ss, Se, Al, &nonzero);
    component->nonzero[x] |= nonzero;
    if (e) {
      if (e >> 24 == MZC_RUN_END)
        skip = (1u << (e >> 16 & 255)) + appended_bits(b.buffer, e) - 1;
      else if (!is_zeros(e))
        return -1;
      drop(&b, e & 255);
    }
  }
  r->blocks_to_skip = skip;
  store(r, &b);
  return 0;
}

/* Sets of coefficients have zigzag coefficient k at bit 63 - k: the first one leads, as in the stream. */
static inline uint64_t from_to(int Ss, int Se)
{
  return (~(uint64_t)0 >> Ss) & (~(uint64_t)0 << (63 - Se));
}

/* The coefficient of set that comes after n others of it, 0 if there is none. */
static inline uint64_t after(uint64_t set, int n)
{
#if defined(__BMI2__)
  int left = __builtin_popcountll(set) - 1 - n;
  return left < 0 ? 0 : _pdep_u64((uint64_t)1 << left, set);
#else
  for (; set && n > 0; n--)
    set &= ~((uint64_t)1 << 63 >> __builtin_clzll(set));
  return set ? (uint64_t)1 << 63 >> __builtin_clzll(set) : 0;
#endif
}

/* One bit of the stream for each coefficient of set: those that grow. */
static inline uint64_t growing(bits *b, uint64_t set)
{
  uint64_t grown = 0;

#if defined(__BMI2__)
  int n = __builtin_popcountll(set);
  if (__builtin_expect(n <= b->count, 1)) {
    grown = _pdep_u64(b->buffer >> 1 >> (63 - n), set);
    drop(b, n);
    return grown;
  }
#endif
  while (set) {
    uint64_t place = (uint64_t)1 << 63 >> __builtin_clzll(set);
    if (b->count < 1)
      refill(b);
    grown |= place & (uint64_t)((int64_t)b->buffer >> 63);
    drop(b, 1);
    set &= ~place;
  }
  return grown;
}

static int ac_refine(mzc_reading *r, int first, int count)
{
  bits b = load(r);
  mzc_reading_component *component = &r->component[0];
  const int Se = r->Se, Al = r->Al;
  uint32_t skip = r->blocks_to_skip;

  for (int x = first; x < first + count; x++) {
    int16_t *block = component->rows[0][x];
    const uint64_t known = component->nonzero[x];
    uint64_t band = from_to(r->Ss, Se), grown = 0;

    if (b.next > r->limit)
      return -1;
    while (skip == 0 && band) {
      uint64_t place, before;
      uint32_t e, run;
      int32_t value;

      refill(&b);
      e = look(component->ac, b.buffer);
      run = e >> 24;
      if (run >= MZC_RUN_END) {
        if (run != MZC_RUN_END)
          return -1;
        skip = (1u << (e >> 16 & 255)) + appended_bits(b.buffer, e);
        drop(&b, e & 255);
        break;
      }
      value = appended_value(b.buffer, e);
      drop(&b, e & 255);
      place = after(band & ~known, (int)run);
      if (place == 0) {   /* fewer zeros than the run has: only one without a value may lead there */
        if (value)
          return -1;
        grown |= growing(&b, band & known);
        band = 0;
        break;
      }
      before = ~(place | (place - 1));
      grown |= growing(&b, band & known & before);
      band &= place - 1;
      block[natural[__builtin_clzll(place)]] = (int16_t)((uint32_t)value << Al);
      component->nonzero[x] |= value ? place : 0;
    }
    if (skip > 0) {
      grown |= growing(&b, band & known);
      skip--;
    }
    for (; grown; grown &= grown - 1) {   /* away from zero */
      int16_t *coefficient = &block[natural[__builtin_clzll(grown & -grown)]];
      int32_t sign = *coefficient >> 15;
      *coefficient = (int16_t)(*coefficient + (((1 << Al) ^ sign) - sign));
    }
  }
  r->blocks_to_skip = skip;
  store(r, &b);
  return 0;
}

const mzc_readers MZC_READERS = { build, sequential, dc_first, dc_refine, ac_first, ac_refine };

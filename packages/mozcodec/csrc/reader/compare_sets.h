/* Which coefficients of each block are not 0, as sets of 64 bits. Part of compare.c, which is compiled for each processor. */
#ifndef MZC_READER_COMPARE_SETS_H
#define MZC_READER_COMPARE_SETS_H

#include "compare.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

static const uint8_t natural_order[64] = {
  0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63
};

/* Large images come from memory, where processors do not look far enough ahead by themselves. Beyond the end of a row nothing
 * is read. */
static inline __attribute__((always_inline)) void prefetch_ahead(const int16_t *block)
{
  enum { BLOCKS_AHEAD = 32 };
  const uintptr_t ahead = (uintptr_t)block + BLOCKS_AHEAD * 64 * sizeof *block;

  __builtin_prefetch((const void *)ahead);
  __builtin_prefetch((const void *)(ahead + 64));
}

/* Sets have zigzag coefficient k at bit 63 - k: the first one leads, as in the stream. */
#if defined(MZC_WITH_AVX512)

/* Of 64 coefficients in reversed zigzag order, those with one of the bits. */
static inline uint64_t having(__m512i low, __m512i high, __m512i bits)
{
  return _mm512_test_epi16_mask(low, bits) | (uint64_t)_mm512_test_epi16_mask(high, bits) << 32;
}

static int find(const int16_t (*row)[64], int count, int shift, uint64_t *sets, size_t stride)
{
  __m512i low, high, all = _mm512_setzero_si512();
  int16_t reversed[64];

  for (int k = 0; k < 64; k++)
    reversed[63 - k] = natural_order[k];
  low = _mm512_loadu_si512(reversed);
  high = _mm512_loadu_si512(reversed + 32);
  for (int x = 0; x < count; x++) {
    __m512i a = _mm512_abs_epi16(_mm512_loadu_si512(row[x])), b = _mm512_abs_epi16(_mm512_loadu_si512(row[x] + 32));
    __m512i first = _mm512_permutex2var_epi16(a, low, b), second = _mm512_permutex2var_epi16(a, high, b);

    prefetch_ahead(row[x]);
    all = _mm512_or_si512(all, _mm512_or_si512(a, b));
    for (int i = 0; i <= shift; i++)
      sets[(size_t)i * stride + x] = having(first, second, _mm512_set1_epi16((short)(0xFFFFu << i)));
    for (int i = 0; i < shift; i++)
      sets[(size_t)(shift + 1 + i) * stride + x] = having(first, second, _mm512_set1_epi16((short)(1 << i)));
  }
  return _mm512_movepi16_mask(all) != 0;
}

#elif defined(__AVX2__)

/* Bytes from positions of rows 2i and 2i + 1 (natural order) to the lower or upper half of the reversed zigzag order: byte
 * n of the lower half is coefficient 63 - n. */
#define FROM(i, z, n) ((z)[63 - (n)] / 16 == (i) ? (char)((z)[63 - (n)] % 16) : (char)-1)

typedef struct {
  __m256i of[4][2];
} orders;

static inline orders make_orders(void)
{
  orders o;
  char bytes[32];

  for (int i = 0; i < 4; i++)
    for (int half = 0; half < 2; half++) {
      for (int n = 0; n < 32; n++)
        bytes[n] = FROM(i, natural_order, 32 * half + n);
      o.of[i][half] = _mm256_loadu_si256((const __m256i *)bytes);
    }
  return o;
}

static inline __m256i reordered(const orders *o, const __m256i *rows, int half)
{
  __m256i a = _mm256_or_si256(_mm256_shuffle_epi8(rows[0], o->of[0][half]), _mm256_shuffle_epi8(rows[1], o->of[1][half]));
  __m256i b = _mm256_or_si256(_mm256_shuffle_epi8(rows[2], o->of[2][half]), _mm256_shuffle_epi8(rows[3], o->of[3][half]));

  return _mm256_or_si256(a, b);
}

static inline uint64_t signs(__m256i low, __m256i high)
{
  return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

static inline __attribute__((always_inline)) int find_levels(const orders *o, const int16_t (*row)[64], int count, int shift,
                                                             uint64_t *sets, size_t stride)
{
  const __m256i below = _mm256_set1_epi16((short)((1 << shift) - 1)), sign = _mm256_set1_epi16(-128);
  __m256i all = _mm256_setzero_si256();

  for (int x = 0; x < count; x++) {
    __m256i v[4], rows[4], low, high;
    uint64_t set;

    prefetch_ahead(row[x]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {   /* bytes: the sign: above; the lower bits: those of |c| */
      __m256i a = _mm256_abs_epi16(_mm256_loadu_si256((const __m256i *)(row[x] + 16 * i)));

      all = _mm256_or_si256(all, a);
      v[i] = _mm256_and_si256(_mm256_cmpgt_epi16(a, below), sign);
      if (shift > 0)
        v[i] = _mm256_or_si256(v[i], _mm256_and_si256(a, below));
    }
    low = _mm256_packs_epi16(v[0], v[1]);
    high = _mm256_packs_epi16(v[2], v[3]);
    rows[0] = _mm256_permute4x64_epi64(low, 0x88);
    rows[1] = _mm256_permute4x64_epi64(low, 0xDD);
    rows[2] = _mm256_permute4x64_epi64(high, 0x88);
    rows[3] = _mm256_permute4x64_epi64(high, 0xDD);
    low = reordered(o, rows, 0);
    high = reordered(o, rows, 1);
    set = signs(low, high);
    sets[(size_t)shift * stride + x] = set;
    for (int i = shift; i > 0; i--) {
      const __m128i left = _mm_cvtsi32_si128(8 - i);
      uint64_t bit = signs(_mm256_sll_epi16(low, left), _mm256_sll_epi16(high, left));

      set |= bit;
      sets[(size_t)(shift + i) * stride + x] = bit;
      sets[(size_t)(i - 1) * stride + x] = set;
    }
  }
  return _mm256_movemask_epi8(_mm256_srai_epi16(all, 15)) != 0;
}

static int find(const int16_t (*row)[64], int count, int shift, uint64_t *sets, size_t stride)
{
  const orders o = make_orders();

  switch (shift) {
  case 0: return find_levels(&o, row, count, 0, sets, stride);
  case 1: return find_levels(&o, row, count, 1, sets, stride);
  case 2: return find_levels(&o, row, count, 2, sets, stride);
  default: return find_levels(&o, row, count, shift, sets, stride);
  }
}

#else

/* Positions of a row's coefficients in the set, by the bits of a byte. */
#define BIT_AT(m, i, k) ((m) & 1 << (i) ? (uint64_t)1 << (63 - (k)) : 0)
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

static inline uint64_t natural_bits(__m128i a, __m128i b)
{
  return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b));
}

static int find(const int16_t (*row)[64], int count, int shift, uint64_t *sets, size_t stride)
{
  const __m128i below = _mm_set1_epi16((short)((1 << shift) - 1));
  __m128i all = _mm_setzero_si128();

  for (int x = 0; x < count; x++) {
    uint64_t natural = 0, set;
    __m128i a[8];

    prefetch_ahead(row[x]);
    for (int i = 0; i < 8; i++) {
      a[i] = magnitudes(row[x] + 8 * i);
      all = _mm_or_si128(all, a[i]);
    }
    for (int i = 0; i < 4; i++)
      natural |= natural_bits(_mm_cmpgt_epi16(a[2 * i], below), _mm_cmpgt_epi16(a[2 * i + 1], below)) << 16 * i;
    set = to_zigzag(natural);
    sets[(size_t)shift * stride + x] = set;
    for (int level = shift; level > 0; level--) {
      const __m128i left = _mm_cvtsi32_si128(16 - level);
      uint64_t bit;

      natural = 0;
      for (int i = 0; i < 4; i++)
        natural |= natural_bits(_mm_srai_epi16(_mm_sll_epi16(a[2 * i], left), 15),
                                _mm_srai_epi16(_mm_sll_epi16(a[2 * i + 1], left), 15)) << 16 * i;
      bit = to_zigzag(natural);
      set |= bit;
      sets[(size_t)(shift + level) * stride + x] = bit;
      sets[(size_t)(level - 1) * stride + x] = set;
    }
  }
  return _mm_movemask_epi8(_mm_srai_epi16(all, 15)) != 0;
}

#else

static int find(const int16_t (*row)[64], int count, int shift, uint64_t *sets, size_t stride)
{
  int has_lowest = 0;

  for (int x = 0; x < count; x++) {
    for (int level = 0; level <= 2 * shift; level++) {
      uint64_t natural = 0;

      for (int i = 0; i < 64; i++) {
        int a = abs(row[x][i]);
        natural |= (uint64_t)(level <= shift ? a >> level != 0 : a >> (level - shift - 1) & 1) << i;
        has_lowest |= row[x][i] == INT16_MIN;
      }
      sets[(size_t)level * stride + x] = to_zigzag(natural);
    }
  }
  return has_lowest;
}

#endif

#endif

#endif

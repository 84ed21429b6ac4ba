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

/* Sets have zigzag coefficient k at bit 63 - k: the first one leads, as in the stream. */
#if defined(__AVX2__)

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

static inline __attribute__((always_inline)) int find_in_row(const orders *o, const int16_t (*row)[64], int count, int shift,
                                                             uint64_t *above, uint64_t *bit)
{
  const __m256i below = _mm256_set1_epi16((short)((1 << shift) - 1));
  const __m128i left = _mm_cvtsi32_si128(16 - shift);   /* 16: no bit */
  __m256i all = _mm256_setzero_si256();

  for (int x = 0; x < count; x++) {
    __m256i v[4], rows[4], low, high;

#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      __m256i a = _mm256_abs_epi16(_mm256_loadu_si256((const __m256i *)(row[x] + 16 * i)));
      __m256i is_above = _mm256_cmpgt_epi16(a, below);

      all = _mm256_or_si256(all, a);
      v[i] = is_above;
      if (bit)   /* the sign: above; the lowest bit: bit */
        v[i] = _mm256_sub_epi16(_mm256_add_epi16(is_above, is_above), _mm256_srai_epi16(_mm256_sll_epi16(a, left), 15));
    }
    low = _mm256_packs_epi16(v[0], v[1]);
    high = _mm256_packs_epi16(v[2], v[3]);
    rows[0] = _mm256_permute4x64_epi64(low, 0x88);
    rows[1] = _mm256_permute4x64_epi64(low, 0xDD);
    rows[2] = _mm256_permute4x64_epi64(high, 0x88);
    rows[3] = _mm256_permute4x64_epi64(high, 0xDD);
    low = reordered(o, rows, 0);
    high = reordered(o, rows, 1);
    above[x] = signs(low, high);
    if (bit)
      bit[x] = signs(_mm256_slli_epi16(low, 7), _mm256_slli_epi16(high, 7));
  }
  return _mm256_movemask_epi8(_mm256_srai_epi16(all, 15)) != 0;
}

static int find(int16_t (**rows)[64], int wide, int high, int shift, uint64_t *above, uint64_t *bit)
{
  const orders o = make_orders();
  int has_lowest = 0;

  for (int y = 0; y < high; y++, above += wide) {
    const int16_t (*row)[64] = (const int16_t (*)[64])rows[y];

    has_lowest |= bit ? find_in_row(&o, row, wide, shift, above, bit) : find_in_row(&o, row, wide, shift, above, NULL);
    if (bit)
      bit += wide;
  }
  return has_lowest;
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

static int find_in_row(const int16_t (*row)[64], int count, int shift, uint64_t *above, uint64_t *bit)
{
  const __m128i below = _mm_set1_epi16((short)((1 << shift) - 1)), one = _mm_set1_epi16((short)(1 << shift >> 1));
  __m128i all = _mm_setzero_si128();

  for (int x = 0; x < count; x++) {
    uint64_t natural = 0, bits = 0;

    for (int i = 0; i < 4; i++) {
      __m128i a = magnitudes(row[x] + 16 * i), b = magnitudes(row[x] + 16 * i + 8);

      all = _mm_or_si128(all, _mm_or_si128(a, b));
      natural |= natural_bits(_mm_cmpgt_epi16(a, below), _mm_cmpgt_epi16(b, below)) << 16 * i;
      if (bit)
        bits |= natural_bits(_mm_cmpeq_epi16(_mm_and_si128(a, one), one), _mm_cmpeq_epi16(_mm_and_si128(b, one), one))
                << 16 * i;
    }
    above[x] = to_zigzag(natural);
    if (bit)
      bit[x] = to_zigzag(bits);
  }
  return _mm_movemask_epi8(_mm_srai_epi16(all, 15)) != 0;
}

#else

static int find_in_row(const int16_t (*row)[64], int count, int shift, uint64_t *above, uint64_t *bit)
{
  int has_lowest = 0;

  for (int x = 0; x < count; x++) {
    uint64_t natural = 0, bits = 0;

    for (int i = 0; i < 64; i++) {
      natural |= (uint64_t)(abs(row[x][i]) >> shift != 0) << i;
      bits |= (uint64_t)(abs(row[x][i]) << 1 >> shift & 1) << i;
      has_lowest |= row[x][i] == INT16_MIN;
    }
    above[x] = to_zigzag(natural);
    if (bit)
      bit[x] = to_zigzag(bits);
  }
  return has_lowest;
}

#endif

static int find(int16_t (**rows)[64], int wide, int high, int shift, uint64_t *above, uint64_t *bit)
{
  int has_lowest = 0;

  for (int y = 0; y < high; y++)
    has_lowest |= find_in_row((const int16_t (*)[64])rows[y], wide, shift, above + (size_t)y * wide,
                              bit ? bit + (size_t)y * wide : NULL);
  return has_lowest;
}

#endif

#endif

/* Three planes as pixels of three samples. */
#include "bits.h"

static void interleave(const uint8_t *const plane[3], size_t num, uint8_t *out)
{
  size_t x = 0;

#if defined(__SSSE3__)
  /* Sample s of each group of 16 bytes: n of plane p stands at byte 3 n + p of 48. */
#define AT(part, p, i) ((16 * (part) + (i)) % 3 == (p) ? (16 * (part) + (i)) / 3 : -128)
#define FOUR_AT(part, p, i) AT(part, p, i), AT(part, p, i + 1), AT(part, p, i + 2), AT(part, p, i + 3)
#define SHUFFLE(part, p) _mm_setr_epi8(FOUR_AT(part, p, 0), FOUR_AT(part, p, 4), FOUR_AT(part, p, 8), FOUR_AT(part, p, 12))
#define PART(part)                                                                                                   \
  _mm_storeu_si128((__m128i *)(out + 3 * x) + (part),                                                                \
                   _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, SHUFFLE(part, 0)), _mm_shuffle_epi8(b, SHUFFLE(part, 1))), \
                                _mm_shuffle_epi8(c, SHUFFLE(part, 2))))
  for (; x + 16 <= num; x += 16) {
    __m128i a = _mm_loadu_si128((const __m128i *)(plane[0] + x));
    __m128i b = _mm_loadu_si128((const __m128i *)(plane[1] + x));
    __m128i c = _mm_loadu_si128((const __m128i *)(plane[2] + x));

    PART(0);
    PART(1);
    PART(2);
  }
#undef AT
#undef FOUR_AT
#undef SHUFFLE
#undef PART
#endif
  for (; x < num; x++)
    for (int p = 0; p < 3; p++)
      out[3 * x + p] = plane[p][x];
}

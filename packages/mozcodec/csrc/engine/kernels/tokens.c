/* The token pass: what the trellis needs to know of each block, eight blocks at a time.
 *
 * Exactness. The library computes per block, in float: norm = the sum of squares of the 63 AC coefficients in natural
 * order; lambda from it; then the running sum of x * x * lambda * weight in zigzag order. A lane is a block here, so every
 * sum has the library's order. x * x of a 16-bit value rounds as float product exactly as (float)(int product) does.
 */
#include "bits.h"

/* 8 blocks of 64 shorts -> natural position by block, as float. */
static inline void transpose_blocks(const int16_t *raw, float (*by_position)[8])
{
  for (int r = 0; r < 8; r++) {
    short8 a[8], b[8];

    for (int block = 0; block < 8; block++)
      memcpy(&a[block], raw + 64 * block + 8 * r, sizeof a[block]);
#if defined(__clang__)
#define LOW(x, y) __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(x, y) __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(x, y) __builtin_shuffle(x, y, (short8){ 0, 8, 1, 9, 2, 10, 3, 11 })
#define HIGH(x, y) __builtin_shuffle(x, y, (short8){ 4, 12, 5, 13, 6, 14, 7, 15 })
#endif
    for (int half = 0; half < 4; half++) {
      b[2 * half] = LOW(a[half], a[half + 4]);
      b[2 * half + 1] = HIGH(a[half], a[half + 4]);
    }
    for (int half = 0; half < 4; half++) {
      a[2 * half] = LOW(b[half], b[half + 4]);
      a[2 * half + 1] = HIGH(b[half], b[half + 4]);
    }
    for (int half = 0; half < 4; half++) {
      b[2 * half] = LOW(a[half], a[half + 4]);
      b[2 * half + 1] = HIGH(a[half], a[half + 4]);
    }
    for (int c = 0; c < 8; c++) {
      float *out = by_position[8 * r + c];
#if LANES == 8
      *(float8 *)out = __builtin_convertvector(__builtin_convertvector(b[c], int8), float8);
#else
      /* a short doubled into both halves of an int and shifted down is sign-extended */
      *(float4 *)out = __builtin_convertvector((int4)LOW(b[c], b[c]) >> 16, float4);
      *(float4 *)(out + 4) = __builtin_convertvector((int4)HIGH(b[c], b[c]) >> 16, float4);
#endif
    }
#undef LOW
#undef HIGH
  }
}

static inline unsigned lane_bits(int_lanes condition)
{
#if LANES == 8
  return (unsigned)_mm256_movemask_ps((__m256)condition);
#elif defined(__SSE2__)
  return (unsigned)_mm_movemask_ps((__m128)condition);
#else
  unsigned bits = 0;
  for (int i = 0; i < LANES; i++)
    bits |= (unsigned)(condition[i] & 1) << i;
  return bits;
#endif
}

/* Bit b of 64 bytes -> mask by byte. */
static inline uint64_t column(const uint8_t *bytes, int b)
{
  uint64_t mask = 0;
#if defined(__AVX2__)
  const __m256i *v = (const __m256i *)bytes;
  __m128i shift = _mm_cvtsi32_si128(7 - b);
  mask = (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(v[0], shift));
  mask |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(v[1], shift)) << 32;
#elif defined(__SSE2__)
  const __m128i *v = (const __m128i *)bytes;
  __m128i shift = _mm_cvtsi32_si128(7 - b);
  for (int i = 0; i < 4; i++)
    mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_sll_epi16(v[i], shift)) << (16 * i);
#else
  for (int i = 0; i < 64; i++)
    mask |= (uint64_t)(bytes[i] >> b & 1) << i;
#endif
  return mask;
}

typedef struct {
  float square[64][8] ALIGNED;         /* natural order */
  float zero_distortion[64][8] ALIGNED;   /* running sum in zigzag order */
  float lambda[8] ALIGNED;
  uint8_t nonzero[64] ALIGNED;         /* by zigzag position: a bit for each block that rounds to nonzero there */
} eight_blocks;

static inline void measure(eight_blocks *e, const mzc_quantizer *q, const mzc_lambda *lambda, const int16_t *raw,
                           const float *lambda_scale, int count)
{
  float mean[8] ALIGNED;

  transpose_blocks(raw, e->square);
  for (int half = 0; half < 8; half += LANES) {
    lanes sum = { 0 };
    for (int i = 1; i < 64; i++) {
      lanes x = *(lanes *)(e->square[i] + half);
      x *= x;
      *(lanes *)(e->square[i] + half) = x;
      sum += x;
    }
    *(lanes *)(mean + half) = sum;
  }
  for (int b = 0; b < 8; b++) {
    mean[b] = (float)(mean[b] / 63.0);
    e->lambda[b] = (float)(lambda->offset < 0 ? lambda->numerator : lambda->numerator / (lambda->offset + mean[b]));
    e->zero_distortion[0][b] = 0;
  }
  for (int b = 0; lambda_scale && b < count; b++)
    e->lambda[b] *= lambda_scale[b];
  memset(e->nonzero, 0, sizeof e->nonzero);
  for (int half = 0; half < 8; half += LANES) {
    lanes scale = *(lanes *)(e->lambda + half), sum = { 0 };
    for (int i = 1; i < 64; i++) {
      int z = natural_of[i];
      lanes square = *(lanes *)(e->square[z] + half);
      sum = square * scale * q->weight[z] + sum;
      *(lanes *)(e->zero_distortion[i] + half) = sum;
      /* |x| >= 4 step <=> fl(x x) >= fl((4 step)^2): rounding keeps the order, and squares of neighbours differ by more
       * than the spacing of floats there */
      e->nonzero[i] |= (uint8_t)(lane_bits(square >= (lanes){ 0 } + q->threshold[z]) << half);
    }
  }
}

static void read_row(mzc_component *k, const mzc_quantizer *q, const mzc_lambda *lambda, const int16_t *raw, int row,
                     int restart_interval)
{
  eight_blocks e;
  mzc_eob_runs eobs = k->plain_eobs;
  mzc_token *token = k->token + k->num_tokens;
  size_t first = (size_t)row * k->width;

  for (int x = 0; x < k->width; x += 8) {
    const int16_t *group = raw + (size_t)x * 64;
    int count = k->width - x < 8 ? k->width - x : 8;

    measure(&e, q, lambda, group, k->lambda_scale ? k->lambda_scale + first + x : NULL, count);
    for (int b = 0; b < count; b++) {
      const int16_t *block = group + 64 * b;
      size_t index = first + x + b;
      uint64_t mask = column(e.nonzero, b);
      int previous = 0;

      if (restart_before(index, restart_interval))
        end_run(&eobs);
      k->block[index] = (mzc_block){ mask, e.lambda[b], e.zero_distortion[63][b], block[0] };
      if (!mask) {
        pass_block(&eobs);
        continue;
      }
      code_block(&eobs, !(mask >> 63));
      k->plain_full += mask >> 63;
      do {
        int i = lowest(mask), z = natural_of[i], value = block[z];
        /* (x + d/2) / d by a 40-bit reciprocal: exact for every divisor 8..65528 and x <= 32767 (tried, all of them), and
         * equal to the library's 16-bit SIMD quantizer there */
        unsigned rounded = (unsigned)(((unsigned)(magnitude(value) + q->step8[z] / 2) * q->reciprocal[z]) >> 40);

        if (UNLIKELY(rounded > LARGEST_AC)) {
          k->out_of_range |= !k->clamps;
          rounded = LARGEST_AC;
        }
        *token++ = (mzc_token){ e.zero_distortion[i - 1][b], (int16_t)value, (uint16_t)rounded };
        k->plain[(i - previous - 1) * 16 + size_of(rounded)]++;
        previous = i;
        mask &= mask - 1;
      } while (mask);
    }
  }
  k->num_tokens = token - k->token;
  k->plain_eobs = eobs;
}

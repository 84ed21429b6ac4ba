/* Bit and vector helpers of the kernels. */
#ifndef MZC_ENGINE_BITS_H
#define MZC_ENGINE_BITS_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* Lanes of one machine vector. A lane is a block or a candidate, never a term of a sum: no vector reorders additions. */
#if defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t int_lanes __attribute__((vector_size(4 * LANES)));
typedef float unaligned_lanes __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int16_t short8 __attribute__((vector_size(16)));
typedef int32_t int4 __attribute__((vector_size(16)));
typedef float float4 __attribute__((vector_size(16)));
typedef int32_t int8 __attribute__((vector_size(32)));
typedef float float8 __attribute__((vector_size(32)));

enum { LARGEST_AC = 1023, LARGEST_DC = 1023, SMALLEST_DC = -1024 };

#define ALIGNED __attribute__((aligned(64)))
#define INLINE inline __attribute__((always_inline))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Size class of a positive value: its number of bits. */
static inline int size_of(unsigned value)
{
  return 32 - __builtin_clz(value);
}

static inline int lowest(uint64_t mask)
{
  return __builtin_ctzll(mask);
}

static inline int highest(uint64_t mask)
{
  return 63 - __builtin_clzll(mask);
}

static inline int count_bits(uint64_t mask)
{
  return __builtin_popcountll(mask);
}

/* Coefficients 0..last in zigzag order. */
static inline uint64_t up_to(int last)
{
  return ((uint64_t)2 << last) - 1;
}

static inline int magnitude(int value)
{
  return value < 0 ? -value : value;
}

/* Zigzag position -> natural position, and back. F: macro for each position, or for each row of the block. */
#define THEMSELVES(...) __VA_ARGS__
#define IN_ZIGZAG_ORDER(F)                                                                                          \
  F(0), F(1), F(8), F(16), F(9), F(2), F(3), F(10), F(17), F(24), F(32), F(25), F(18), F(11), F(4), F(5),           \
  F(12), F(19), F(26), F(33), F(40), F(48), F(41), F(34), F(27), F(20), F(13), F(6), F(7), F(14), F(21), F(28),     \
  F(35), F(42), F(49), F(56), F(57), F(50), F(43), F(36), F(29), F(22), F(15), F(23), F(30), F(37), F(44), F(51),   \
  F(58), F(59), F(52), F(45), F(38), F(31), F(39), F(46), F(53), F(60), F(61), F(54), F(47), F(55), F(62), F(63)
static const uint8_t natural_of[64] = { IN_ZIGZAG_ORDER(THEMSELVES) };
#define ZIGZAG_ROWS(F)                                                                                              \
  F(0, 1, 5, 6, 14, 15, 27, 28), F(2, 4, 7, 13, 16, 26, 29, 42), F(3, 8, 12, 17, 25, 30, 41, 43),                   \
  F(9, 11, 18, 24, 31, 40, 44, 53), F(10, 19, 23, 32, 39, 45, 52, 54), F(20, 22, 33, 38, 46, 51, 55, 60),           \
  F(21, 34, 37, 47, 50, 56, 59, 61), F(35, 36, 48, 49, 57, 58, 62, 63)
static const uint8_t zigzag_of[64] = { ZIGZAG_ROWS(THEMSELVES) };

/* What a coefficient is coded as (mzc_sparse). */
static inline uint32_t symbol_of(int value, int run, int size)
{
  uint32_t extra = (uint32_t)(value + (value >> 31)) & ((1u << size) - 1);
  return extra << 10 | (uint32_t)(run << 4 | size);
}

/* ---- EOB runs ----------------------------------------------------------------------------------------------------- */

static inline void end_run(mzc_eob_runs *runs)
{
  if (runs->run) {
    runs->count[size_of(runs->run) - 1]++;
    runs->run = 0;
  }
}

/* A block without coefficients in the band. */
static inline void pass_block(mzc_eob_runs *runs)
{
  if (UNLIKELY(++runs->run == MZC_MAX_EOB_RUN))
    end_run(runs);
}

/* A block with coefficients; ends_early: zeros follow the last one. */
static inline void code_block(mzc_eob_runs *runs, int ends_early)
{
  end_run(runs);
  runs->run = ends_early;
}

/* Whether a restart marker precedes this MCU. */
static inline int restart_before(size_t mcu, int interval)
{
  return UNLIKELY(interval) && mcu % (unsigned)interval == 0 && mcu != 0;
}

#endif

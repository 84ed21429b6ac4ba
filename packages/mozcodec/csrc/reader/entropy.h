/* The interface between reader.c (markers, scans) and entropy.c (coefficients; compiled for each processor). */
#ifndef MZC_READER_ENTROPY_H
#define MZC_READER_ENTROPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MZC_LOOKAHEAD 10        /* bits of code that one lookup resolves */
#define MZC_READER_PAD 320      /* zeros after the data: a block takes at most 64 * 31 bits, and 8 bytes are read ahead */

/* A Huffman code, as entries: bits 0-7 length of code and appended bits, 8-15 length of the code, 16-23 appended bits,
 * 24-31 zero coefficients before the value. */
enum { MZC_RUN_END = 128, MZC_RUN_INVALID = 192 };   /* runs beyond every block: end of the block or run of blocks */
typedef enum { MZC_CODE_DC, MZC_CODE_SEQUENTIAL, MZC_CODE_FIRST, MZC_CODE_REFINE } mzc_code_use;

typedef struct {
  uint32_t look[1 << MZC_LOOKAHEAD];   /* 0: the code is longer */
  int32_t largest[17], offset[17];     /* for those: by length, the greatest code (-1: none), index of value - code */
  const uint8_t *values;
  mzc_code_use use;
} mzc_code;

typedef struct {
  const mzc_code *dc, *ac;
  int width, height;            /* blocks of this component in an MCU */
  int64_t last_dc;
  int16_t (*rows[4])[64];       /* the rows of blocks of this row of MCUs */
  uint64_t *nonzero;            /* scans of AC coefficients: one word a block, bit 63 - k = zigzag coefficient k is not 0 */
} mzc_reading_component;

/* A scan in the course of being read. Bits: the next count bits of the stream lead buffer. */
typedef struct {
  const uint8_t *next, *limit;  /* no block begins with next beyond limit */
  uint64_t buffer;
  int count;
  int num_components;
  mzc_reading_component component[4];
  int Ss, Se, Al;
  uint32_t blocks_to_skip;      /* of a run of ended blocks */
} mzc_reading;

/* MCUs first .. first + count - 1 of the row. -1: something that an undamaged stream does not have. */
typedef int (*mzc_read_mcus)(mzc_reading *, int first, int count);

typedef struct {
  int (*build)(mzc_code *, const uint8_t *counts, const uint8_t *values, mzc_code_use);   /* counts[1..16]; -1: no code */
  mzc_read_mcus sequential, dc_first, dc_refine, ac_first, ac_refine;
} mzc_readers;

extern const mzc_readers mzc_readers_baseline, mzc_readers_v3;

#endif

/* The interface between reader_compare.c (segments, scans) and compare.c (codes; compiled for each processor). */
#ifndef MZC_READER_COMPARE_H
#define MZC_READER_COMPARE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* AVX-512 as processors have it since Ice Lake and Zen 4. */
#if defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512CD__) && \
  defined(__AVX512VBMI__) && defined(__AVX512VBMI2__) && defined(__AVX512BITALG__) && defined(__AVX512VPOPCNTDQ__)
#define MZC_WITH_AVX512
#endif

enum {
  MZC_COMPARE_PAD = 512,         /* bytes after the data: more than a block of the longest codes */
  MZC_COMPARE_BYTES = 4096,      /* of a scan at a time */
  MZC_MAX_SHIFT = 7,             /* see find */
  MZC_NO_CODE = 128,             /* more bits than are ever compared at once */
  MZC_NO_WORD = 4 * 16,          /* see mzc_comparing.words */
  MZC_AC_WORDS = 128
};

/* A Huffman code as read from DHT. By symbol, whose lower four bits are the size of the value that follows: code << size << 8 |
 * length + size. */
typedef struct {
  uint64_t code[256 + 16];
  uint8_t eob[256];              /* by the next 8 bits: 1 + the class of the end of a run of blocks that they begin with */
} mzc_known_code;

static inline unsigned mzc_length_of(uint64_t known, int symbol)
{
  return (unsigned)(known & 255) - ((unsigned)symbol & 15);
}

typedef struct {
  const mzc_known_code *dc, *ac;
  int across, down, wide, high;  /* blocks in an MCU; blocks of the component */
  int last_dc, slot;             /* slot: see mzc_comparing.words */
  int16_t (**rows)[64];
  int top;                       /* the row of blocks that above and bit begin with */
  uint64_t *above, *bit;         /* a word a block, bit 63 - k = zigzag coefficient k: |c| >> (AC refinement: Ah, otherwise Al)
                                    is not 0; AC refinement: bit Al of |c| is 1 */
} mzc_comparing_component;

typedef struct {
  uint8_t data[MZC_COMPARE_BYTES + MZC_COMPARE_PAD];   /* of one restart interval, without stuffing */
  uint64_t at, end, limit;       /* bits; beyond limit: see mzc_compare_further */
  const uint8_t *next, *stop;    /* what comes after data in the file; the marker that ends the scan */
  const uint8_t *marker;         /* the one that ends the interval, once data reach up to it */
  int num_components, Ss, Se, Ah, Al;
  uint32_t skip;                 /* AC refinement: blocks left of a run of ended blocks, whose code was read */
  uint32_t ended;                /* other AC scans: ended blocks whose code comes next */
  mzc_comparing_component component[4];
  /* Of comparers that list tokens. As in mzc_known_code, but code << size << 16 | length + size, at slot << 4 (a pair of tables): DC differences by size, in progressive
   * AC scans runs of ended blocks by class; at MZC_NO_WORD: nothing, with no bits; at MZC_AC_WORDS + (slot << 10 | run << 4 | size): a
   * coefficient after that many zeros, the codes of 16 zeros among them included. MZC_NO_CODE: also those that are too long. */
  uint64_t *words;
  const mzc_known_code *slot_dc[4], *slot_ac[4];
} mzc_comparing;

/* Moves data on, so that they hold a block after bit at. Not 0: at is beyond the end of the interval. */
int mzc_compare_further(mzc_comparing *);

enum { MZC_LOWEST = 2 };
/* MCUs first .. first + count - 1 in row y of them; of a scan of one component: blocks. Not 0: they are others; MZC_LOWEST: one
 * is -32768. */
typedef int (*mzc_compare_mcus)(mzc_comparing *, int y, int first, int count);

typedef struct {
  /* The sets of a row of blocks, at most MZC_MAX_SHIFT: at sets + i * stride, i of 0 .. shift: |c| >> i is not 0; i of
   * shift + 1 .. 2 * shift: bit i - shift - 1 of |c| is 1. Not 0: one is -32768, and the sets may be wrong. */
  int (*find)(const int16_t (*row)[64], int count, int shift, uint64_t *sets, size_t stride);
  mzc_compare_mcus sequential, dc_first, dc_refine, ac_first, ac_refine;
  int (*end_run)(mzc_comparing *);   /* after ac_first, where a restart interval ends. Not 0: it ends otherwise */
  void (*fill_words)(uint64_t *words, const mzc_known_code *);   /* of a slot; NULL: sequential and ac_first need
                                      none; otherwise sequential finds the sets that it needs */
} mzc_comparers;

extern const mzc_comparers mzc_comparers_baseline, mzc_comparers_v3, mzc_comparers_v4;

#endif

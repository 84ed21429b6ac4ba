/* The interface between reader_compare.c (segments, scans) and compare.c (codes; compiled for each processor). */
#ifndef MZC_READER_COMPARE_H
#define MZC_READER_COMPARE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  MZC_COMPARE_PAD = 512,         /* bytes after the data: more than a block of the longest codes */
  MZC_NO_CODE = 1 << 21 | 16     /* a code of 16 bits that no 16 bits are equal to */
};

/* A Huffman code as read from DHT. By symbol: code << 5 | length. */
typedef struct {
  uint32_t code[256 + 16];
  uint8_t eob[256];              /* by the next 8 bits: 1 + the class of the end of a run of blocks that they begin with */
} mzc_known_code;

typedef struct {
  const mzc_known_code *dc, *ac;
  int across, down, wide, high;  /* blocks in an MCU; blocks of the component */
  int last_dc;
  int16_t (**rows)[64];
  const uint64_t *above, *bit;   /* a word a block, bit k = zigzag coefficient k: |c| >> (AC refinement: Ah, otherwise Al) is
                                    not 0; bit Al of |c| is 1 */
} mzc_comparing_component;

typedef struct {
  const uint8_t *data;           /* of one restart interval, without stuffing */
  uint64_t at, end;              /* bits */
  int num_components, Ss, Se, Ah, Al;
  uint32_t skip;                 /* blocks left of a run of ended blocks */
  mzc_comparing_component component[4];
} mzc_comparing;

/* MCUs first .. first + count - 1 in row y of them; of a scan of one component: blocks. Not 0: they are others. */
typedef int (*mzc_compare_mcus)(mzc_comparing *, int y, int first, int count);

typedef struct {
  void (*find)(const int16_t (*row)[64], int count, int shift, uint64_t *above);
  void (*find_bits)(const int16_t (*row)[64], int count, int shift, uint64_t *bit);
  mzc_compare_mcus sequential, dc_first, dc_refine, ac_first, ac_refine;
} mzc_comparers;

extern const mzc_comparers mzc_comparers_baseline, mzc_comparers_v3;

#endif

/* The data that the parts of the engine exchange.
 *
 *   samples -> main_pass.c -> raw coefficients (one row of blocks, times 8, natural order)
 *           -> kernels/tokens.c -> tokens, masks, zero distortions, histogram of the plainly rounded coefficients
 *           -> kernels/trellis.c -> sparse coefficients and the DC plane
 *           -> kernels/statistics.c -> histograms of every scan that the search needs first
 *           -> write_picture.c: search.c (sequential files: sequential.c), with sizes from kernels/huffman.c and
 *              kernels/emission.c
 *           -> the scans of the file, in order
 *
 * Sequential files with fixed Huffman tables need one pass only: onepass.c and kernels/onepass.c code the library's
 * quantized blocks as they arrive.
 *
 * kernels/ is compiled twice, for baseline x86-64 (or any other processor) and for x86-64-v3; kernels.c selects one at
 * run time. The kernels allocate no memory and raise no errors: their callers reserve what they may fill.
 */
#ifndef MZC_ENGINE_TYPES_H
#define MZC_ENGINE_TYPES_H

#include <stddef.h>
#include <stdint.h>

enum {
  MZC_MAX_COMPONENTS = 4,
  MZC_NUM_LEVELS = 4,            /* successive approximation goes down to Al = 3 */
  MZC_NUM_SPLITS = 5,
  MZC_MAX_BANDS = 10,            /* between neighbouring places of the wide search */
  MZC_MAX_BLOCKS = 1 << 23,      /* of one component: every count stays below the 10^9 at which the library's Huffman
                                    construction stops merging */
  MZC_MAX_CORRECTION_BITS = 937, /* jcphuff.c: MAX_CORR_BITS - DCTSIZE2 + 1; more pending ones force the EOB run out */
  MZC_MAX_EOB_RUN = 0x7FFF,
  MZC_DC_CANDIDATES = 9,
  MZC_DC_STRIDE = 16,            /* candidates of a block, padded to whole vectors */
  MZC_DC_RATES = 8192            /* rate of a DC difference, by difference + 4096 */
};

/* ---- coefficients ------------------------------------------------------------------------------------------------- */

/* An AC coefficient that rounds to nonzero. The others have the one choice 0 and enter the trellis only through the
 * running sum of zero distortions. */
typedef struct {
  float zero_before;             /* distortion of zeroing everything before it in the block */
  int16_t raw;
  uint16_t rounded;              /* its magnitude in quantizer steps, at most 1023 */
} mzc_token;

/* Quantized blocks: a bit for each nonzero AC coefficient in zigzag order, their values packed in that order. */
typedef struct {
  uint64_t mask;
  uint32_t start;                /* of the block's values */
} mzc_sparse_block;

/* symbol: run of zeros since the last nonzero coefficient << 4 | size, and from bit 10 on the extra bits. */
typedef struct {
  mzc_sparse_block *block;
  int16_t *value;
  uint32_t *symbol;
  size_t block_capacity, value_capacity, symbol_capacity;
} mzc_sparse;

/* The result of the token pass for a block. */
typedef struct {
  uint64_t tokens;               /* zigzag mask of the coefficients that round to nonzero */
  float lambda;
  float zero_total;              /* distortion of zeroing the whole block */
  int16_t raw_dc;
} mzc_block;

/* One quantization table, in natural order. */
typedef struct {
  float weight[64];              /* 1 / step^2, as the library rounds it */
  float threshold[64];           /* (4 step)^2: a raw coefficient whose square reaches it rounds to nonzero */
  uint64_t reciprocal[64];       /* floor(2^40 / (8 step)) + 1 */
  int step8[64];                 /* 8 step: raw coefficients are scaled by 8 */
} mzc_quantizer;

/* lambda of a block = numerator / (offset + mean squared AC coefficient); a negative offset: = numerator */
typedef struct {
  double numerator, offset;
} mzc_lambda;

typedef struct {
  int run;                       /* blocks since the last coefficient, not yet written */
  uint32_t count[16];            /* of EOB symbols by size class */
} mzc_eob_runs;

typedef struct {
  int width, height;             /* in blocks */
  int padded_width, padded_height;   /* with the dummy blocks of an interleaved scan */
  int h_samp_factor, v_samp_factor, id, dc_table, ac_table, quant_table;
  int restart_interval;          /* in scans of this component alone */
  const float *lambda_scale;     /* by block, what its lambda is multiplied by; NULL: nothing */

  mzc_block *block;
  mzc_token *token;
  size_t num_tokens, token_capacity, block_capacity, dc_capacity;
  uint32_t plain[64 * 16];       /* symbols of the plainly rounded blocks, by run * 16 + size */
  mzc_eob_runs plain_eobs;
  uint32_t plain_full;           /* of the plainly rounded blocks, those whose last coefficient is not 0: no EOB */
  int clamps;                    /* with deringing the library clamps what it rounds to +-1023 */
  int out_of_range;              /* a rounded coefficient that the library would refuse to code */

  int16_t *dc;                   /* padded_width x padded_height */
  mzc_sparse level[MZC_NUM_LEVELS];   /* coefficients >> Al */
  size_t num_values;             /* of level 0 */
  int levels_built;
} mzc_component;

/* ---- rates -------------------------------------------------------------------------------------------------------- */

typedef struct {
  uint8_t bits[17];              /* codes of each length, as in DHT */
  uint8_t value[256];            /* symbols in the order of their codes */
  int num_symbols;
  uint8_t length[256];
  uint16_t code[256];
} mzc_huffman;

typedef struct {
  float ac[16][64];              /* by size and run: code, its extra bits and the ZRLs of the run */
  float eob;
  float shorter_run_excess;      /* the most by which a shorter run is dearer than a longer one of the same size */
  int has_gaps;                  /* the table lacks symbols (sequential files) */
  uint64_t gaps[12];             /* runs without a code, at this size or a smaller one */
  float dc[MZC_DC_RATES];
  uint8_t dc_length[16];         /* code lengths that dc was made from, once it is filled */
  int dc_filled;
} mzc_rates;

/* ---- scans -------------------------------------------------------------------------------------------------------- */

/* Histograms of one component at one level, all from one pass over its blocks. Symbols by run * 16 + size. */
typedef struct {
  uint32_t zone[4][64 * 16];     /* coefficients 1..2, 3..5, 6..8, 9..63, runs counted from the last nonzero of any zone */
  int32_t cut[3][64 * 16];       /* what changes for the upper band when the band is cut at 2, 5, 8 */
  uint32_t coarse[2][64 * 16];   /* at Al + 1, coefficients 1..8 and 9..63 */
  uint32_t new_ones[64];         /* refinement to Al: newly nonzero coefficients by the run of zeros before them */
  mzc_eob_runs whole, low[3], high[3], coarse_low, coarse_high, refine;
  uint32_t empty;                /* blocks without coefficients since the last with some, not yet in the runs */
  uint32_t pending_corrections;  /* correction bits waiting with the refinement's EOB run */
  uint64_t num_corrections;
} mzc_statistics;

/* The same for all bands between two of several places. Bands by their first and last zone, which lie between neighbouring
 * places. */
typedef struct {
  uint32_t zone[MZC_MAX_BANDS][64 * 16];   /* runs counted from the last nonzero of any zone */
  int32_t first[MZC_MAX_BANDS][MZC_MAX_BANDS][64 * 16];   /* by first zone and that of the first nonzero: what changes */
  mzc_eob_runs eobs[MZC_MAX_BANDS][MZC_MAX_BANDS];
  uint32_t empty[MZC_MAX_BANDS]; /* blocks without coefficients from the start of a zone on, not yet in the runs */
} mzc_band_statistics;

typedef struct {
  uint8_t *data;
  size_t size, capacity;
  int restart_interval;          /* of the scan that these are */
} mzc_bytes;

/* A scan of AC coefficients that the search may choose. */
typedef struct {
  int component, Ss, Se, Ah, Al;
  int counted, priced, written;
  uint32_t histogram[256];
  uint64_t extra_bits;           /* everything but the codes */
  mzc_huffman table;
  int64_t lower, upper;          /* proven bounds of its size in bytes; equal once it is written */
  mzc_bytes bytes;
} mzc_scan_bytes;

/* ---- files of one pass -------------------------------------------------------------------------------------------- */

/* Words: code << number of its extra bits << 6 | bits of both. */
typedef struct {
  uint32_t word[256 + 16];       /* by symbol; beyond 255 what sizes out of range ask for, 0 */
  uint32_t small[16 * 256];      /* by run * 256 + value + 128, the extra bits of the value included */
} mzc_ac_words;

/* One component's quantized blocks, natural order, of some MCUs in a row. */
typedef struct {
  int16_t *blocks;               /* down rows of them */
  size_t row_length;             /* blocks from one row to the next */
  int across, down;              /* blocks of an MCU */
  int width, height;             /* blocks that there are; the others of the MCUs are dummies */
  const uint32_t *dc_word;       /* by size, to 17 */
  const mzc_ac_words *ac;
  int last_dc;
} mzc_mcu_part;

/* The last bits of a scan that fill no byte yet: the lowest num, at most 7. */
typedef struct {
  uint64_t bits;
  int num;
} mzc_waiting_bits;

#endif

/* The inner loops (kernels/) as a table of functions, one table for each processor that they are compiled for. */
#ifndef MZC_ENGINE_KERNELS_H
#define MZC_ENGINE_KERNELS_H

#include "types.h"

typedef struct {
  const char *name;

  /* Tokens of one row of blocks. raw: 64 values a block, the last group of 8 blocks padded; 63 tokens a block reserved. */
  void (*read_row)(mzc_component *, const mzc_quantizer *, const mzc_lambda *, const int16_t *raw, int row,
                   int restart_interval);

  /* Rates from the plainly rounded blocks; dc_length: code lengths of the DC table in force. */
  int (*set_rates)(mzc_rates *, const mzc_component *, const uint8_t *dc_length, int sequential);
  /* DC trellis of one row of blocks; scratch: two areas of width * MZC_DC_STRIDE. */
  void (*choose_dc)(mzc_component *, const mzc_quantizer *, const mzc_rates *, int row, int *predictor,
                    uint8_t *came_from, int16_t *candidate);
  /* AC trellis of the component, with the statistics of what it chose. */
  void (*choose_ac)(mzc_component *, const mzc_quantizer *, const mzc_rates *, mzc_statistics *, int restart_interval);
  /* Without a trellis: DC coefficients of the blocks read, or whole rows of blocks, rounded; or rows of quantized blocks
   * in natural order. 63 values a block reserved. -1: a coefficient is out of a JPEG's range. */
  void (*round_dc)(mzc_component *, const mzc_quantizer *);
  int (*round_row)(mzc_component *, const mzc_quantizer *, const int16_t *raw, int row, mzc_statistics *,
                   int restart_interval);
  int (*gather_row)(mzc_component *, const int16_t *blocks, int row, mzc_statistics *, int restart_interval);

  void (*coarser)(mzc_component *, int level);      /* level from level - 1 */
  void (*flush_statistics)(mzc_statistics *);                 /* before the statistics are read */
  void (*count_level)(mzc_component *, int level, mzc_statistics *, int restart_interval);
  void (*count_scan)(const mzc_component *, mzc_scan_bytes *, int restart_interval);
  /* places: num starts of bands, and 64. */
  void (*count_bands)(const mzc_component *, int level, const uint8_t *places, int num, mzc_band_statistics *,
                      int restart_interval);
  void (*fold)(mzc_scan_bytes *, const uint32_t *by_run, int num_runs, const mzc_eob_runs *);

  int (*build_huffman)(const uint32_t *histogram, mzc_huffman *);
  void (*write_scan)(const mzc_component *, mzc_scan_bytes *, int restart_interval, uint8_t *raw);
  size_t (*write_dc)(const mzc_component *const *components, int num_components, int restart_interval, uint8_t *out,
                     uint8_t *raw);
  /* DC symbols of one component by itself; symbols of a sequential scan, by table; its data. */
  void (*count_dc)(const mzc_component *, int restart_interval, uint32_t *histogram);
  void (*count_sequential)(const mzc_component *const *components, int num_components, int restart_interval,
                           uint32_t (*dc_histogram)[256], uint32_t (*ac_histogram)[256]);
  size_t (*write_sequential)(const mzc_component *const *components, int num_components, int restart_interval,
                             const mzc_huffman *dc_table, const mzc_huffman *ac_table, uint8_t *out, uint8_t *raw);
  /* Files of one pass: MCUs as bits after those that wait, unstuffed; the end of the whole bytes, after which up to 7 more
   * may be written, or NULL: a coefficient is out of a JPEG's range. Then bytes with a zero after each 0xFF; up to 15 after
   * the end that is returned may be written. */
  uint8_t *(*write_mcus)(mzc_mcu_part *parts, int num_parts, int num_mcus, mzc_waiting_bits *, uint8_t *out);
  uint8_t *(*stuff)(const uint8_t *from, const uint8_t *end, uint8_t *to);
  /* num pixels of three planes, side by side. */
  void (*interleave)(const uint8_t *const plane[3], size_t num, uint8_t *out);
} mzc_kernels;

/* What this processor runs (mzc_engine_cpu). */
enum { MZC_CPU_NONE = 0, MZC_CPU_BASELINE = 1, MZC_CPU_V3 = 2 };
const mzc_kernels *mzc_kernels_of(int cpu);

#endif

/* Work on rows of pixels, compiled once for every processor and once for x86-64-v3; both give the same bits.
 *
 * A row buffer has MZC_ROW_MARGIN zeros before its first value and at least as many after its last; rows of float that the
 * functions write keep them. Every function works value by value, so that a compiler may use any vectors; sums run over
 * eight lanes in a fixed order. */
#ifndef MZC_PERCEPTUAL_ROWS_H
#define MZC_PERCEPTUAL_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum {
  MZC_ROW_MARGIN = 8,
  MZC_BLUR_RADIUS = 4,
  MZC_BLUR_ROWS = 2 * MZC_BLUR_RADIUS + 1,
  MZC_RECURSION_ABOVE = 6,         /* the recursive blur of row y adds rows y - 6 and y + 4 to its states */
  MZC_NUM_STATES = 3
};

/* Sums over an image of the three error maps of SSIMULACRA2 and of their fourth powers. */
typedef struct {
  double sum[3], fourth[3];      /* structure, ringing, blurring */
} mzc_error_sums;

/* Derivatives of the weighted error with respect to the sums' terms: slope[m] + cubic[m] * e^3 for an error e. */
typedef struct {
  float slope[3], cubic[3];
} mzc_error_slopes;

/* One row of one channel. Means are blurred rows: of the reference, of the distorted image, of the sum of their squares
 * and of their product. */
typedef struct {
  const float *reference, *distorted;
  const float *mean_reference, *mean_distorted, *mean_squares, *mean_product;
} mzc_compared_row;

typedef struct {
  const char *name;

  /* Linear RGB 0..1 to the three channels that SSIMULACRA2 compares. */
  void (*opsin)(const float *const linear[3], float *const channel[3], int n);
  /* Derivatives with respect to the channels to those with respect to linear RGB. */
  void (*opsin_adjoint)(const float *const channel[3], const float *const slope[3], float *const linear[3], int n);
  void (*blur_across)(const float *in, float *out, int n);
  void (*blur_down)(const float *const rows[MZC_BLUR_ROWS], float *out, int n);
  /* The same blur as the published program does it, with its rounding. newest, older: the states of the last two rows; the
   * next ones take the place of older. */
  void (*blur_down_recursively)(const float *above, const float *below, float *const newest[MZC_NUM_STATES],
                                float *const older[MZC_NUM_STATES], float *out, int n);
  /* a^2 + b^2 and a b. */
  void (*products)(const float *a, const float *b, float *squares, float *product, int n);
  /* scratch: three row buffers. */
  void (*compare)(const mzc_compared_row *, float *const scratch[3], mzc_error_sums *, int n);
  /* Derivatives with respect to the distorted row itself and to its three means. */
  void (*compare_adjoint)(const mzc_compared_row *, const mzc_error_slopes *, float *direct, float *mean, float *squares,
                          float *product, int n);
  /* direct + mean + 2 distorted squares + reference product. */
  void (*gather_adjoint)(const float *direct, const float *mean, const float *squares, const float *product,
                         const float *reference, const float *distorted, float *out, int n);
  /* Means of 2 x 2; n: of the rows that come in. The last value of an odd row counts twice. */
  void (*halve)(const float *upper, const float *lower, float *out, int n);
  void (*to_linear)(const float *samples, float *linear, int n);   /* sRGB 0..255 to 0..1 */
  void (*from_linear)(const float *linear, float *samples, int n);

  /* sRGB 0..255 to Y and to Cb, Cr around 0. */
  void (*to_ycc)(const float *const rgb[3], float *y, float *cb, float *cr, int n);
  /* Y of every pixel, changed so that with this chroma its luminance in linear light is that of rgb. */
  void (*correct_luma)(const float *const rgb[3], const float *cb, const float *cr, float *y, float strength, int n);
  void (*to_rgb)(const float *y, const float *cb, const float *cr, float *const rgb[3], int n);   /* rounded to 0..255 */

  /* Blocks side by side in eight rows of samples; raw coefficients, times 8, rounded. */
  void (*forward_dct)(const float *samples, size_t row_length, float level, int16_t *out, int num_blocks);
  /* Coefficients in steps to samples 0..255, rounded. */
  void (*inverse_dct)(const int16_t *blocks, const float *steps, float *samples, size_t row_length, int num_blocks);
  /* Of each block the sum over the coefficients of a difference of samples, (coefficient / step)^2. */
  void (*distortion)(const float *difference, size_t row_length, const float *reciprocal_steps, float *out,
                     int num_blocks);

  /* Pixels of 8 bits to R, G and B 0..255; step: samples from a pixel to the next, place: of the three in a pixel. */
  void (*spread)(const uint8_t *pixels, int step, const int place[3], float *const rgb[3], int n);
  /* Adds share times the sums of across (1 or 2) values to out, or overwrites it; n: of out. */
  void (*add_means)(const float *row, int across, float share, int adds, float *out, int n);
  /* libjpeg's "fancy" upsampling, around 0: three quarters of the nearer sample, one quarter of the other neighbour. n:
   * of the rows that come in; scratch: a row buffer of as many. */
  void (*upsample)(const uint8_t *near, const uint8_t *other, int across, float *scratch, float *out, int n);
  void (*to_bytes)(const float *samples, uint8_t *out, int n);   /* of integers 0..255 */
} mzc_row_functions;

extern const mzc_row_functions mzc_rows_baseline;
#if defined(MZC_HAVE_V3)
extern const mzc_row_functions mzc_rows_v3;
#endif
const mzc_row_functions *mzc_row_functions_of(int cpu);

#endif

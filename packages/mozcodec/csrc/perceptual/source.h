/* Images as rows of float samples, whatever they are stored as. */
#ifndef MZC_PERCEPTUAL_SOURCE_H
#define MZC_PERCEPTUAL_SOURCE_H

#include "../shim.h"
#include "rows.h"

typedef struct {
  const unsigned char *first;
  ptrdiff_t row_stride;
  int width, height;
  int step;                      /* samples from a pixel to the next */
  int place[3];                  /* of R, G and B in a pixel; all 0 for gray */
  int precision;                 /* 8, 16 or 32: unsigned char, uint16_t or float 0..1 */
  int linear;                    /* linear light instead of sRGB */
  const mzc_row_functions *functions;
} mzc_source;

/* Gray and RGB in any order, at 8, 16 or 32 bits a sample. */
void mzc_source_open(mzc_source *source, const mzc_image *image, int cpu);
/* sRGB 0..255. */
void mzc_source_samples(const mzc_source *source, int y, float *const rgb[3]);
/* Linear RGB 0..1; of 8-bit samples exact to float. */
void mzc_source_linear(const mzc_source *source, int y, float *const rgb[3]);
/* Multiplies by the derivative of linear light with respect to samples of 0..255. */
void mzc_source_scale_slopes(const mzc_source *source, int y, float *const slope[3]);

#endif

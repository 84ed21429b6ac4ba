/* The perceptual mode: planes of float samples, what is known of their coded form, and the steps that change them. */
#ifndef MZC_PERCEPTUAL_ENCODER_H
#define MZC_PERCEPTUAL_ENCODER_H

#include "../source.h"
#include "../../engine/engine.h"

typedef struct {
  int width, height;             /* that carry the image; beyond them the last column and row are repeated */
  int blocks_wide, blocks_high;
  size_t row_length;             /* 8 * blocks_wide */
  float *samples;
  uint8_t *decoded;              /* as a decoder reconstructs it */
  float step[DCTSIZE2], reciprocal[DCTSIZE2];
  float *lambda_scale;           /* by block; NULL: 1 */
} mzc_plane;

typedef struct {
  j_compress_ptr cinfo;
  mzc_engine *engine;
  mzc_source source;
  const mzc_row_functions *f;
  int cpu, num_components, h, v; /* h x v luma samples for each of chroma */
  mzc_plane plane[3];
  float *rows;                   /* memory of the rows below */
  float *rgb[3], *chroma[2], *down, *blocks;
  JCOEF *coefficients;           /* a row of blocks */
} mzc_perceptual_picture;

/* Raises libjpeg's error when there is no memory. */
void *mzc_picture_memory(mzc_perceptual_picture *picture, size_t count, size_t size);
void mzc_plane_free(mzc_plane *plane);
void mzc_picture_free(mzc_perceptual_picture *picture);

/* Planes, from the source. */
void mzc_picture_fill(mzc_perceptual_picture *picture);
/* Chroma of row y at full width, around 0, as decoders interpolate it. */
void mzc_upsample_row(const mzc_perceptual_picture *picture, int component, int y, float *out);
/* Changes the luma so that luminance in linear light is the original's, with the decoded chroma. */
void mzc_picture_correct_luma(mzc_perceptual_picture *picture);
/* Sets lambda_scale of every plane from the derivative of SSIMULACRA2 at the decoded planes. */
void mzc_picture_weigh_blocks(mzc_perceptual_picture *picture);

#endif

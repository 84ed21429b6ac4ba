/* Images as DCT coefficients before quantization. */
#ifndef MOZCODEC_SCALED_H
#define MOZCODEC_SCALED_H

#define JPEG_INTERNALS
#include "../smartscale.h"

#define MAX_PLANES 4

typedef struct {
  int h_samp_factor, v_samp_factor;
  int blocks_across, block_rows;
  short *coefficients;          /* per block 8 x 8 in natural order, scaled by 8 as libjpeg's islow DCT leaves them */
} mzc_dct_component;

struct mzc_dct {
  int block_size, dct_size;
  int image_width, image_height;
  int coded_width, coded_height;   /* the size in the stream's header */
  int container_width, container_height;   /* the same blocks at 8 x 8 samples each: what libjpeg is told */
  J_COLOR_SPACE color_space;
  int num_components;
  mzc_dct_component component[MAX_PLANES];
};

#endif

/* What DCT scaling and SmartScale share. */
#ifndef MOZCODEC_SCALED_H
#define MOZCODEC_SCALED_H

#define JPEG_INTERNALS
#include <stdio.h>
#include <stdlib.h>
#include <jinclude.h>

#include "shim.h"

struct mzc_planes {
  int width, height, num_planes;
  J_COLOR_SPACE color_space;
  unsigned char *samples[4];    /* width x height each */
};

struct mzc_scaled {
  int block_size, scale;
  int width, height;            /* of the stream */
  int container_width, container_height;   /* of an 8x8 stream with the same grid of blocks */
  int num_components;
  J_COLOR_SPACE color_space;
  int h[4], v[4];
  int blocks_wide[4], blocks_high[4];
  int16_t *raw[4];              /* 64 a block, natural order, times 8 as libjpeg's forward DCT gives them */
};

int mzc_divide_up(int a, int b);

/* The rows of blocks of one component: samples is wide * h_size x high * v_size. */
void mzc_forward_dct(const unsigned char *samples, int wide, int high, int h_size, int v_size, int16_t *raw);

#endif

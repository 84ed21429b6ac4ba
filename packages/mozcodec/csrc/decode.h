/* What the files that decode share. */
#ifndef MOZCODEC_DECODE_H
#define MOZCODEC_DECODE_H

#include "shim.h"
#include "smartscale.h"

struct mzc_decoder {
  struct jpeg_decompress_struct cinfo;
  mzc_guard guard;
  mzc_scan_limit scan_limit;
  mzc_decode_options options;
  unsigned char *rewritten;     /* the stream that libjpeg reads where it is not the caller's */
  mzc_smartscale smartscale;
  int output_width, output_height;   /* of the whole; libjpeg's may be larger where blocks are not 8x8 */
  void *small;                  /* state of the decoder of sequential blocks below 8 */
  int zigzag[64], small_zigzag[64];   /* of 8x8 blocks and of smaller ones */
  jpeg_idct_method idct[MAX_COMPONENTS];   /* what they go through when their coefficients are back in place */
  J_COLOR_SPACE convert_to;     /* what libjpeg cannot give and mzc_convert_row does; else JCS_UNKNOWN */
};

int mzc_is_lossless(j_decompress_ptr cinfo);

/* After jpeg_calc_output_dimensions: the stream without the scans that a 1/8 picture does not need, in memory for the
 * caller to free; NULL where nothing can be left out. Such a stream must be decoded without block smoothing. */
unsigned char *mzc_drop_scans(j_decompress_ptr cinfo, const unsigned char *data, size_t size, size_t *new_size);

/* Gray, RGB or CMYK samples (Adobe's: 0 is full ink) as one of libjpeg's RGB layouts, alpha at its maximum. */
void mzc_convert_row(J_COLOR_SPACE from, const void *source, J_COLOR_SPACE to, void *target, int width, int precision);

/* The real inverse transform of size 2 or 4, where libjpeg's own is a box average; else NULL. */
jpeg_idct_method mzc_true_idct(int size);
/* For jpeg_set_idct_method_selector; client_data is the decoder. */
void mzc_select_idct(j_decompress_ptr cinfo, jpeg_component_info *component, jpeg_idct_method *method, int *category);

/* After jpeg_start_decompress of a sequential Huffman stream of blocks below 8. */
void mzc_decode_sequential_small(mzc_decoder *decoder);

#endif

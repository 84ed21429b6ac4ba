/* Shared by the files of the decoder. */
#ifndef MOZCODEC_DECODE_H
#define MOZCODEC_DECODE_H

#include "reader/reader.h"
#include "smartscale.h"

struct mzc_decoder {
  struct jpeg_decompress_struct cinfo;
  mzc_guard guard;
  mzc_scan_limit scan_limit;
  mzc_decode_options options;
  mzc_smartscale smartscale;
  const unsigned char *source;  /* the caller's */
  const unsigned char *data;    /* what libjpeg reads */
  size_t size;
  int read_by_reader;
  size_t rest;                  /* then: bytes after EOI */
  mzc_reader *reader;
  unsigned char *rewritten;     /* the stream that libjpeg reads if it is not the caller's */
  int bits;                     /* of the samples of a lossless file that libjpeg reads as one of 16 bits; 0 = others */
  J_COLOR_SPACE convert_to;     /* the target of mzc_convert_row; JCS_UNKNOWN if libjpeg converts */
};

int mzc_is_lossless(j_decompress_ptr cinfo);

/* What the reader has to know to read the stream of a decoder. */
mzc_reader_options mzc_decoder_reader_options(const struct mzc_decoder *decoder);
/* Opens the stream once more, from its first byte. */
void mzc_decoder_start_again(struct mzc_decoder *decoder);

/* Whether the scans in the data send every coefficient to its last bit. */
int mzc_sends_everything(const unsigned char *data, size_t size);

/* After jpeg_calc_output_dimensions: the stream without the scans that a 1/8 image does not need, in memory for the
 * caller to free; NULL where nothing can be left out. Such a stream must be decoded without block smoothing. */
unsigned char *mzc_drop_scans(j_decompress_ptr cinfo, const unsigned char *data, size_t size, size_t *new_size);

/* Gray, RGB or CMYK samples (Adobe's: 0 is full ink) as one of libjpeg's RGB layouts, alpha at its maximum. */
void mzc_convert_row(J_COLOR_SPACE from, const void *source, J_COLOR_SPACE to, void *target, int width, int precision);

/* The true inverse DCT of a size, or NULL if libjpeg's is one. */
jpeg_idct_method mzc_true_idct(int size);
/* For jpeg_set_idct_method_selector: real 2- and 4-point inverse transforms. */
void mzc_select_true_idct(j_decompress_ptr cinfo, jpeg_component_info *component, jpeg_idct_method *method, int *category);

#endif

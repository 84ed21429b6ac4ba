/* SmartScale: JPEG with blocks of N x N coefficients, N = 1..16, as the files of the decoder share it. */
#ifndef MOZCODEC_SMARTSCALE_H
#define MOZCODEC_SMARTSCALE_H

#include "shim.h"

#define MZC_MAX_BLOCK 16

/* natural[k] = 8 * row + column of the k-th of n * n coefficients, n <= 8. */
void mzc_zigzag(int n, int *natural);

/* What the decoder keeps of a stream. Block size 8 is ordinary JPEG: then the other fields are not used. */
typedef struct {
  int block_size;
  int width, height;            /* of the coded image */
  int progressive, arithmetic;
  unsigned char *stream;        /* ordinary JPEG with as many 8 x 8 blocks */
  size_t stream_size;
  int output_width, output_height;
  int position[64];             /* block size below 8: place in its block of the k-th coefficient ... */
  jpeg_idct_method idct[MAX_COMPONENTS];   /* ... and the inverse DCT that reads it there */
  void *huffman;                /* the sequential decoder's state, once it runs */
  void (*progress_monitor)(j_common_ptr cinfo);   /* the one that was there before ours */
} mzc_smartscale;

/* The block size in a stream's header, of sequential frames only where mozcodec has marked them; 0 where it makes
 * no sense. */
int mzc_block_size(const unsigned char *data, size_t size);

/* Looks at the header; of a SmartScale stream it makes an ordinary JPEG. Colours that libmozjpeg would mistake are refused.
 * requested: a sequential frame whose scan ends at N * N - 1 is SmartScale, whatever encoder wrote it. Call
 * mzc_smartscale_close in any case. */
int mzc_smartscale_open(mzc_smartscale *ss, const unsigned char *data, size_t size, int requested, mzc_status *status);
void mzc_smartscale_close(mzc_smartscale *ss);

/* The rest is for block sizes other than 8. After jpeg_read_header and the other options: output size, inverse DCTs. Takes
 * client_data and wraps the progress monitor, which libjpeg calls before it decodes anything. */
int mzc_smartscale_configure(j_decompress_ptr cinfo, mzc_smartscale *ss, const mzc_decode_options *options,
                             mzc_status *status);
/* After jpeg_start_decompress, where rows may be skipped without a call of the progress monitor. */
void mzc_smartscale_before_data(j_decompress_ptr cinfo);
/* Moves the coefficients of a block from libjpeg's positions to their own, in natural order. */
void mzc_smartscale_put_in_place(const mzc_smartscale *ss, int16_t *block);

#endif

/* SmartScale streams (libjpeg 8 and later), as streams that libmozjpeg reads. */
#ifndef MOZCODEC_SMARTSCALE_H
#define MOZCODEC_SMARTSCALE_H

#include "shim.h"

typedef struct {
  int block_size;               /* 8: an ordinary JPEG, and nothing else is filled in */
  int width, height;            /* that the stream says */
  int progressive, arithmetic;
  unsigned char *stream;        /* in 8x8 blocks with the same coefficients, for the caller to free */
  size_t stream_size;
} mzc_smartscale;

/* Looks at a stream, and rewrites it where its blocks are not 8x8. */
int mzc_smartscale_read(const unsigned char *data, size_t size, mzc_smartscale *result, mzc_status *status);

#endif

/* A JPEG as its marker segments. */
#ifndef MOZCODEC_STREAM_H
#define MOZCODEC_STREAM_H

#include <stddef.h>

enum {
  M_TEM = 0x01, M_SOF0 = 0xC0, M_SOF1 = 0xC1, M_SOF2 = 0xC2, M_SOF3 = 0xC3, M_DHT = 0xC4, M_JPG = 0xC8, M_SOF9 = 0xC9,
  M_SOF10 = 0xCA, M_DAC = 0xCC, M_RST0 = 0xD0, M_SOI = 0xD8, M_EOI = 0xD9, M_SOS = 0xDA, M_DQT = 0xDB, M_DRI = 0xDD, M_APP0 = 0xE0,
  M_LSE = 0xF8
};

typedef struct {
  const unsigned char *data;
  size_t size;
  size_t start;                 /* of the segment: its 0xFF */
  size_t end;                   /* one past the segment; for SOS, one past its coded data */
  size_t content, content_size; /* after marker and length */
  int marker;
} mzc_segment;

/* Before the first segment. */
void mzc_segments(mzc_segment *segment, const unsigned char *data, size_t size);
/* The next segment: 1, or 0 at EOI, at the end of the data, or where one is cut off. */
int mzc_next_segment(mzc_segment *segment);
/* The same, but coded data is scanned only when the segment after it is requested; end is that of the header. */
int mzc_next_header(mzc_segment *segment);
int mzc_is_sof(int marker);

#endif

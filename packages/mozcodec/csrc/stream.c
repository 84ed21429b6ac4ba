/* A JPEG as its marker segments. */
#include "stream.h"

#include <string.h>

void mzc_segments(mzc_segment *segment, const unsigned char *data, size_t size)
{
  memset(segment, 0, sizeof *segment);
  segment->data = data;
  segment->size = size;
  segment->end = 2;   /* after SOI */
}

int mzc_is_sof(int marker)
{
  return marker >= 0xC0 && marker <= 0xCF && marker != M_DHT && marker != M_JPG && marker != M_DAC;
}

/* The 0xFF of the next marker at or after `at`, past coded data (where 0xFF is stuffed or begins a restart marker), fill
 * bytes, and whatever else libjpeg would skip; the size if there is none. */
static size_t next_marker(const unsigned char *data, size_t size, size_t at)
{
  while (at < size) {
    const unsigned char *ff = memchr(data + at, 0xFF, size - at);
    if (ff == NULL || (size_t)(ff - data) + 1 >= size)
      return size;
    at = ff - data;
    if (ff[1] > M_TEM && (ff[1] < M_RST0 || ff[1] > M_SOI) && ff[1] != 0xFF)
      return at;
    at += ff[1] == 0xFF ? 1 : 2;
  }
  return size;
}

int mzc_next_header(mzc_segment *s)
{
  size_t at = next_marker(s->data, s->size, s->end), length;

  if (at + 2 > s->size)
    return 0;
  s->marker = s->data[at + 1];
  s->start = at;
  if (s->marker == M_EOI || at + 4 > s->size)
    return 0;
  length = (size_t)s->data[at + 2] << 8 | s->data[at + 3];
  if (length < 2 || at + 2 + length > s->size)
    return 0;
  s->content = at + 4;
  s->content_size = length - 2;
  s->end = at + 2 + length;
  return 1;
}

int mzc_next_segment(mzc_segment *s)
{
  if (!mzc_next_header(s))
    return 0;
  if (s->marker == M_SOS)
    s->end = next_marker(s->data, s->size, s->end);
  return 1;
}

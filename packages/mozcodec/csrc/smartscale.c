/* SmartScale streams (libjpeg 8 and later), as streams that libmozjpeg reads: the pseudo SOS goes, the frame header
 * gets the size that the same grid of blocks has at 8x8, short quantization tables are filled up at their natural places,
 * and sequential scans say Se = 63. */
#include "smartscale.h"

#include <stdlib.h>
#include <string.h>

#include "shim.h"
#include "stream.h"
#include "zigzag.h"

#define M_LSE 0xF8
#define M_APP0 0xE0

/* Block size that a last coefficient of size * size - 1 tells, or 0. */
static int size_of(int Se)
{
  for (int size = 1; size <= 16; size++)
    if (size * size - 1 == Se)
      return size;
  return 0;
}

static int is_progressive(int sof)
{
  return (sof & 3) == 2;
}

/* ---- what it is --------------------------------------------------------------------------------------------------- */

typedef struct {
  int sof;
  int reversible;               /* an LSE marker: IJG 9's reversible colour transform */
  int wide_gamut;               /* JFIF 2: IJG 9's big gamut YCC */
} survey;

/* Fills in what stands before the first scan. */
static void look(const unsigned char *data, size_t size, mzc_smartscale *result, survey *seen)
{
  mzc_segment s;

  mzc_segments(&s, data, size);
  while (mzc_next_segment(&s)) {
    const unsigned char *content = data + s.content;
    if (s.marker == M_LSE)
      seen->reversible = 1;
    if (s.marker == M_APP0 && s.content_size >= 7 && memcmp(content, "JFIF", 5) == 0)
      seen->wide_gamut = content[5] == 2;
    if (mzc_is_sof(s.marker) && s.content_size >= 6) {
      seen->sof = s.marker;
      result->height = content[1] << 8 | content[2];
      result->width = content[3] << 8 | content[4];
    }
    if (s.marker != M_SOS)
      continue;
    if (s.content_size >= 4 && seen->sof != 0 && seen->sof != 0xC0 && (seen->sof & 3) != 3) {
      int pseudo = content[0] == 0;
      if (pseudo || !is_progressive(seen->sof))   /* libjpeg: baseline is never SmartScale */
        result->block_size = size_of(content[s.content_size - 2]);
    }
    return;
  }
}

/* ---- rewriting ---------------------------------------------------------------------------------------------------- */

typedef struct {
  unsigned char *data;
  size_t size;
} writer;

static void put(writer *w, const unsigned char *bytes, size_t size)
{
  memcpy(w->data + w->size, bytes, size);
  w->size += size;
}

/* A table of fewer than 64 entries, one to a segment, at the places that its NxN zigzag gives them; the rest is 1. */
static int put_short_table(writer *w, const mzc_segment *s, int block_size)
{
  const unsigned char *content = s->data + s->content;
  int count = block_size * block_size, wide = s->content_size > 0 && content[0] >> 4 ? 1 : 0;
  int zigzag[64], small_zigzag[64], place[64];
  unsigned char segment[5 + 128] = { 0xFF, M_DQT, 0, (unsigned char)(3 + 64 * (wide + 1)) };

  if (block_size >= 8 || s->content_size != (size_t)(1 + count * (wide + 1)))
    return 0;
  mzc_zigzag(8, zigzag);
  mzc_zigzag(block_size, small_zigzag);
  for (int k = 0; k < 64; k++)
    place[zigzag[k]] = k;
  segment[4] = content[0];
  for (int k = 0; k < 64; k++)
    segment[5 + k * (wide + 1) + wide] = 1;
  for (int k = 0; k < count; k++)
    memcpy(segment + 5 + place[small_zigzag[k]] * (wide + 1), content + 1 + k * (wide + 1), wide + 1);
  put(w, segment, 5 + 64 * (wide + 1));
  return 1;
}

static void put_frame_header(writer *w, const mzc_segment *s, int width, int height)
{
  unsigned char *size = w->data + w->size + 5;

  put(w, s->data + s->start, s->end - s->start);
  size[0] = height >> 8;
  size[1] = height & 255;
  size[2] = width >> 8;
  size[3] = width & 255;
}

static void put_scan(writer *w, const mzc_segment *s, const mzc_smartscale *result)
{
  size_t at = w->size;

  put(w, s->data + s->start, s->end - s->start);
  if (!result->progressive)
    w->data[at + 4 + s->content_size - 2] = 63;
}

static void rewrite(writer *w, const unsigned char *data, size_t size, const mzc_smartscale *result, int width, int height)
{
  size_t end = 2;
  mzc_segment s;

  put(w, data, 2);
  mzc_segments(&s, data, size);
  while (mzc_next_segment(&s)) {
    end = s.end;
    if (s.marker == M_SOS && result->progressive && s.content_size >= 1 && data[s.content] == 0)
      continue;   /* the pseudo SOS */
    if (s.marker == M_SOS && s.content_size >= 4)
      put_scan(w, &s, result);
    else if (mzc_is_sof(s.marker) && s.content_size >= 6)
      put_frame_header(w, &s, width, height);
    else if (s.marker != M_DQT || !put_short_table(w, &s, result->block_size))
      put(w, data + s.start, s.end - s.start);
  }
  put(w, data + end, size - end);
}

static int refuse(const mzc_smartscale *result, const survey *seen, mzc_status *status)
{
  if (seen->reversible)
    return mzc_fail(status, MZC_UNSUPPORTED, "the LSE marker of libjpeg 9's reversible colours is not supported");
  if (seen->wide_gamut)
    return mzc_fail(status, MZC_UNSUPPORTED, "the JFIF 2 colours of libjpeg 9 are not supported");
  if (result->block_size == 0)
    return mzc_fail(status, MZC_UNSUPPORTED, "the stream tells no block size of 1..16");
  if (result->arithmetic && !result->progressive && result->block_size < 8)
    return mzc_fail(status, MZC_UNSUPPORTED, "sequential arithmetic coding of blocks below 8 is not supported");
  return 0;
}

/* A short table grows to a full one: by 126 bytes at most. */
static size_t room_for(const unsigned char *data, size_t size)
{
  size_t room = size;
  mzc_segment s;

  mzc_segments(&s, data, size);
  while (mzc_next_segment(&s))
    if (s.marker == M_DQT)
      room += 128;
  return room;
}

int mzc_smartscale_read(const unsigned char *data, size_t size, mzc_smartscale *result, mzc_status *status)
{
  survey seen = { 0 };
  writer w = { NULL, 0 };
  int64_t width, height;

  memset(result, 0, sizeof *result);
  result->block_size = 8;
  look(data, size, result, &seen);
  result->progressive = is_progressive(seen.sof);
  result->arithmetic = seen.sof >= 0xC9;
  if (refuse(result, &seen, status))
    return -1;
  if (result->block_size == 8)
    return 0;
  width = ((int64_t)result->width * 8 + result->block_size - 1) / result->block_size;
  height = ((int64_t)result->height * 8 + result->block_size - 1) / result->block_size;
  if (width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION)
    return mzc_fail(status, MZC_LIMIT, "%d x %d in blocks of %d is too large: %lld x %lld in blocks of 8", result->width,
                    result->height, result->block_size, (long long)width, (long long)height);
  w.data = malloc(room_for(data, size));
  if (w.data == NULL)
    return mzc_fail(status, MZC_NO_MEMORY, "no memory for a stream of %zu bytes", size);
  rewrite(&w, data, size, result, (int)width, (int)height);
  result->stream = w.data;
  result->stream_size = w.size;
  return 0;
}

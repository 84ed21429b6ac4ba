/* Parses the headers of SmartScale streams and rewrites the streams as ordinary JPEG that libjpeg reads.
 *
 * The format is the Independent JPEG Group's (libjpeg 8 to 9f: jdmarker.c, jdinput.c). Blocks of N x N coefficients,
 * N = 1..16, above 8 only the lowest 8 x 8 of them. Se = N * N - 1 gives N: in a scan header without components
 * right after a progressive frame header (the "pseudo SOS"), or in the scan header of a sequential frame other than
 * baseline. Every other decoder reads such a sequential frame as 8 x 8, so it counts as SmartScale on request only, or where
 * mozcodec's own marker says so. Coefficients and quantization tables of N < 8 are listed along the zigzag of N x N. */
#include "smartscale.h"
#include "stream.h"

typedef struct {
  int frame;                    /* its marker, 0 before it came */
  int num_components;
  unsigned char id[4];
  int marked;                   /* by mozcodec's encoder */
  int jfif_2;                   /* a JFIF marker of version 2 */
  int lse;
} survey;

typedef struct {
  unsigned char *data;
  size_t size, capacity;
  int failed;                   /* out of memory */
} growing;

static const char own_marker[] = "SmartScale";   /* in APP9, _smartscale.py */

void mzc_zigzag(int n, int *natural)
{
  int k = 0;

  for (int diagonal = 0; diagonal < 2 * n - 1; diagonal++)
    for (int i = 0; i <= diagonal; i++) {
      int row = diagonal % 2 ? i : diagonal - i, column = diagonal - row;
      if (row < n && column < n)
        natural[k++] = row * 8 + column;
    }
}

static int block_size_of(int Se)
{
  for (int n = 1; n <= MZC_MAX_BLOCK; n++)
    if (n * n - 1 == Se)
      return n;
  return 0;
}

static int read_16(const unsigned char *at)
{
  return at[0] << 8 | at[1];
}

static const unsigned char *content_of(const mzc_segment *s)
{
  return s->data + s->content;
}

static int is_progressive(int frame)
{
  return frame == M_SOF2 || frame == M_SOF10;
}

/* Sequential, and free to have blocks of another size: baseline is always 8. */
static int is_extended(int frame)
{
  return frame == M_SOF1 || frame == M_SOF9;
}

static int is_scan_header(const mzc_segment *s)
{
  return s->marker == M_SOS && s->content_size >= 4 && s->content_size == 4 + 2 * (size_t)content_of(s)[0];
}

/* No components: it only gives the block size. */
static int is_pseudo(const mzc_segment *s)
{
  return content_of(s)[0] == 0;
}

static int Se_of(const mzc_segment *s)
{
  return content_of(s)[s->content_size - 2];
}

static void note_frame(const mzc_segment *s, survey *found, mzc_smartscale *ss)
{
  if (s->content_size < 6)
    return;
  found->frame = s->marker;
  found->num_components = content_of(s)[5];
  for (int i = 0; i < 4 && i < found->num_components && 6 + 3 * (size_t)i < s->content_size; i++)
    found->id[i] = content_of(s)[6 + 3 * i];
  ss->height = read_16(content_of(s) + 1);
  ss->width = read_16(content_of(s) + 3);
  ss->progressive = is_progressive(s->marker);
  ss->arithmetic = s->marker >= M_SOF9;
}

static void note_jfif(const mzc_segment *s, survey *found)
{
  if (s->content_size >= 7 && memcmp(content_of(s), "JFIF", 5) == 0)
    found->jfif_2 = content_of(s)[5] == 2;
}

/* Colours of libjpeg 9 that libmozjpeg would take for others, by jcparam.c and jdapimin.c of 9a to 9f. */
static int check_colours(const survey *found, mzc_status *status)
{
  if (found->lse)
    return mzc_fail(status, MZC_UNSUPPORTED, "a colour transform of libjpeg 9 (marker LSE, 0xF8) is not supported");
  if (found->num_components != 3)
    return 0;
  if (memcmp(found->id, "rgb", 3) == 0)
    return mzc_fail(status, MZC_UNSUPPORTED, "big gamut RGB (components named r, g, b) is not supported");
  if (found->jfif_2 || memcmp(found->id, "\x01\x22\x23", 3) == 0)
    return mzc_fail(status, MZC_UNSUPPORTED, "big gamut YCC (JFIF version 2) is not supported");
  return 0;
}

/* Reads up to the first scan. A block size that makes no sense is 0. */
static void look(mzc_smartscale *ss, survey *found, const unsigned char *data, size_t size, int requested)
{
  mzc_segment s;

  ss->block_size = 8;
  if (size < 2 || data[0] != 0xFF || data[1] != 0xD8)   /* another format: libjpeg says so */
    return;
  mzc_segments(&s, data, size);
  while (mzc_next_header(&s)) {
    found->lse |= s.marker == M_LSE;
    if (s.marker == M_APP0)
      note_jfif(&s, found);
    if (s.marker == M_APP0 + 9 && s.content_size >= sizeof own_marker)
      found->marked |= memcmp(content_of(&s), own_marker, sizeof own_marker) == 0;
    if (mzc_is_sof(s.marker))
      note_frame(&s, found, ss);
    if (!is_scan_header(&s))
      continue;
    if ((requested || found->marked) && is_extended(found->frame) && block_size_of(Se_of(&s)) != 0)
      ss->block_size = block_size_of(Se_of(&s));
    if (!is_pseudo(&s))
      return;
    if (is_progressive(found->frame))
      ss->block_size = block_size_of(Se_of(&s));
  }
}

int mzc_block_size(const unsigned char *data, size_t size)
{
  mzc_smartscale ss;
  survey found;

  memset(&found, 0, sizeof found);
  look(&ss, &found, data, size, 0);
  return ss.block_size;
}

static void put(growing *out, const void *from, size_t size)
{
  if (out->capacity - out->size < size && !out->failed) {
    size_t capacity = 2 * out->capacity + size;
    unsigned char *grown = realloc(out->data, capacity);
    if (grown == NULL) {
      out->failed = 1;
      return;
    }
    out->data = grown;
    out->capacity = capacity;
  }
  if (out->failed)
    return;
  memcpy(out->data + out->size, from, size);
  out->size += size;
}

static int square_root(int count)
{
  int n = 1;

  while (n * n < count)
    n++;
  return n * n == count ? n : 0;
}

/* One table of `count` entries of `width` bytes as one of 64; entries that are not there are 1. */
static void put_table(growing *out, const unsigned char *table, int count, int width)
{
  unsigned char segment[5 + 128] = { 0xFF, M_DQT, 0, (unsigned char)(3 + 64 * width), table[0] };
  int full[64], own[64], position[64], n = square_root(count);

  mzc_zigzag(8, full);
  mzc_zigzag(n != 0 ? n : 8, own);
  for (int k = 0; k < 64; k++)
    position[full[k]] = k;
  for (int k = 0; k < 64; k++)
    segment[5 + width * k + width - 1] = 1;
  for (int k = 0; k < count; k++)
    memcpy(segment + 5 + width * position[own[k]], table + 1 + width * k, (size_t)width);
  put(out, segment, 5 + 64 * (size_t)width);
}

static void put_tables(growing *out, const mzc_segment *s)
{
  size_t at = 0;

  while (at < s->content_size) {
    int width = content_of(s)[at] >> 4 ? 2 : 1;
    size_t entries = (s->content_size - at - 1) / (size_t)width;
    int count = entries < 64 ? (int)entries : 64;
    put_table(out, content_of(s) + at, count, width);
    if (count < 64)
      break;
    at += 1 + 64 * (size_t)width;
  }
}

static int ceil_div(int a, int b)
{
  return (a + b - 1) / b;
}

/* The same grid of blocks, 8 x 8 each. */
static void put_frame(growing *out, const mzc_smartscale *ss, const mzc_segment *s)
{
  int height = ceil_div(8 * ss->height, ss->block_size), width = ceil_div(8 * ss->width, ss->block_size);
  unsigned char size[4] = {
    (unsigned char)(height >> 8), (unsigned char)height, (unsigned char)(width >> 8), (unsigned char)width
  };

  put(out, s->data + s->start, 5);   /* marker, length, precision */
  put(out, size, 4);
  put(out, s->data + s->start + 9, s->end - s->start - 9);
}

static void put_scan_header(growing *out, const mzc_segment *s)
{
  static const unsigned char last_coefficient = 63;

  put(out, s->data + s->start, s->end - 2 - s->start);
  put(out, &last_coefficient, 1);
  put(out, s->data + s->end - 1, 1);
}

static void put_segment(growing *out, const mzc_smartscale *ss, const mzc_segment *s)
{
  if (s->marker == M_DQT)
    put_tables(out, s);
  else if (mzc_is_sof(s->marker) && s->content_size >= 6)
    put_frame(out, ss, s);
  else if (is_scan_header(s) && is_pseudo(s))
    ;   /* left out */
  else if (is_scan_header(s) && !ss->progressive)
    put_scan_header(out, s);
  else
    put(out, s->data + s->start, s->end - s->start);
}

static int rewrite(mzc_smartscale *ss, const unsigned char *data, size_t size, mzc_status *status)
{
  growing out = { NULL, 0, 0, 0 };
  size_t done = 0;
  mzc_segment s;

  mzc_segments(&s, data, size);
  while (mzc_next_header(&s)) {
    put(&out, data + done, s.start - done);   /* coded data */
    put_segment(&out, ss, &s);
    done = s.end;
  }
  put(&out, data + done, size - done);
  ss->stream = out.data;
  ss->stream_size = out.size;
  return out.failed ? mzc_fail(status, MZC_NO_MEMORY, "no memory for a SmartScale stream of %zu bytes", size) : 0;
}

int mzc_smartscale_open(mzc_smartscale *ss, const unsigned char *data, size_t size, int requested, mzc_status *status)
{
  survey found;
  int limit;

  memset(ss, 0, sizeof *ss);
  memset(&found, 0, sizeof found);
  look(ss, &found, data, size, requested);
  if (check_colours(&found, status))
    return -1;
  if (ss->block_size == 8)
    return 0;
  if (ss->block_size == 0)
    return mzc_fail(status, MZC_LIBRARY, "SmartScale: Se in its header is not N * N - 1 of a block size N = 1..16");
#ifdef MOZCODEC_SYSTEM_MOZJPEG
  return mzc_fail(status, MZC_UNAVAILABLE, "SmartScale streams (this one's block size is %d) are read by a build without "
                  "MOZCODEC_SYSTEM_MOZJPEG=ON", ss->block_size);
#endif
  if (ss->arithmetic && !ss->progressive && ss->block_size < 8)
    return mzc_fail(status, MZC_UNSUPPORTED, "sequential arithmetic SmartScale of block size %d is not supported: below 8 "
                    "only progressive or Huffman streams are", ss->block_size);
  limit = JPEG_MAX_DIMENSION * ss->block_size / 8;
  if (ss->width > limit || ss->height > limit)
    return mzc_fail(status, MZC_LIMIT, "%d x %d of SmartScale block size %d: at most %d x %d is supported", ss->width,
                    ss->height, ss->block_size, limit, limit);
  return rewrite(ss, data, size, status);
}

void mzc_smartscale_close(mzc_smartscale *ss)
{
  free(ss->stream);
  ss->stream = NULL;
}

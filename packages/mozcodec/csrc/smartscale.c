/* SmartScale streams as bytes: what the header says, and the same blocks as an ordinary JPEG that libjpeg reads.
 *
 * The format is the Independent JPEG Group's (libjpeg 8 to 9f: jdmarker.c, jdinput.c). Blocks of N x N coefficients,
 * N = 1..16, above 8 only the lowest 8 x 8 of them. N is told by Se = N * N - 1: in a scan header without components
 * right after a progressive frame header (the "pseudo SOS"), or in the scan header of a sequential frame other than
 * baseline. Coefficients and quantization tables of N < 8 are listed along the zigzag of N x N. */
#include "smartscale.h"

enum {
  TEM = 0x01, SOF0 = 0xC0, SOF1 = 0xC1, SOF2 = 0xC2, DHT = 0xC4, JPG = 0xC8, SOF9 = 0xC9, SOF10 = 0xCA, DAC = 0xCC,
  RST0 = 0xD0, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, APP0 = 0xE0, LSE = 0xF8
};

typedef struct {
  int code;
  size_t start;                 /* of the marker */
  const unsigned char *content;   /* after the length */
  size_t size;                  /* of the content */
  size_t end;                   /* of the whole segment */
} segment;

typedef struct {
  int frame;                    /* its marker, 0 before it came */
  int num_components;
  unsigned char id[4];
  int jfif_2;                   /* a JFIF marker of version 2 */
} survey;

typedef struct {
  unsigned char *data;
  size_t size, capacity;
  int failed;                   /* out of memory */
} growing;

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

/* Finds the next marker segment at or after *at and moves *at behind it; coded data between is passed over. Returns 0 at
 * the end of the picture, or where libjpeg will have something to say. */
static int next_segment(const unsigned char *data, size_t size, size_t *at, segment *found)
{
  size_t i = *at;

  for (;;) {
    const unsigned char *mark = i < size ? memchr(data + i, 0xFF, size - i) : NULL;
    if (mark == NULL)
      return 0;
    i = (size_t)(mark - data) + 1;
    while (i < size && data[i] == 0xFF)
      i++;
    if (i == size || data[i] == EOI)
      return 0;
    found->code = data[i++];
    if (found->code != 0 && found->code != TEM && (found->code < RST0 || found->code > SOI))
      break;
  }
  found->start = i - 2;
  if (size - i < 2 || read_16(data + i) < 2 || (size_t)read_16(data + i) > size - i)
    return 0;
  found->content = data + i + 2;
  found->size = (size_t)read_16(data + i) - 2;
  *at = found->end = i + 2 + found->size;
  return 1;
}

static int is_frame(int code)
{
  return code >= SOF0 && code <= 0xCF && code != DHT && code != JPG && code != DAC;
}

static int is_progressive(int frame)
{
  return frame == SOF2 || frame == SOF10;
}

/* Sequential, and free to have blocks of another size: baseline is always 8. */
static int is_extended(int frame)
{
  return frame == SOF1 || frame == SOF9;
}

static int is_scan_header(const segment *s)
{
  return s->code == SOS && s->size >= 4 && s->size == 4 + 2 * (size_t)s->content[0];
}

static int Se_of(const segment *s)
{
  return s->content[s->size - 2];
}

static void note_frame(const segment *s, survey *found, mzc_smartscale *ss)
{
  if (s->size < 6)
    return;
  found->frame = s->code;
  found->num_components = s->content[5];
  for (int i = 0; i < 4 && i < found->num_components && 6 + 3 * (size_t)i < s->size; i++)
    found->id[i] = s->content[6 + 3 * i];
  ss->height = read_16(s->content + 1);
  ss->width = read_16(s->content + 3);
  ss->progressive = is_progressive(s->code);
  ss->arithmetic = s->code >= SOF9;
}

static void note_jfif(const segment *s, survey *found)
{
  if (s->size >= 7 && memcmp(s->content, "JFIF", 5) == 0)
    found->jfif_2 = s->content[5] == 2;
}

/* Colours of libjpeg 9 that libmozjpeg would take for others, by jcparam.c and jdapimin.c of 9a to 9f. */
static int check_colours(const survey *found, mzc_status *status)
{
  if (found->num_components != 3)
    return 0;
  if (memcmp(found->id, "rgb", 3) == 0)
    return mzc_fail(status, MZC_UNSUPPORTED, "big gamut RGB (components named r, g, b) is not supported");
  if (found->jfif_2 || memcmp(found->id, "\x01\x22\x23", 3) == 0)
    return mzc_fail(status, MZC_UNSUPPORTED, "big gamut YCC (JFIF version 2) is not supported");
  return 0;
}

/* Reads up to the first scan. */
static int read_header(mzc_smartscale *ss, const unsigned char *data, size_t size, mzc_status *status)
{
  survey found = { 0 };
  segment s;
  size_t at = 0;

  ss->block_size = 8;
  while (next_segment(data, size, &at, &s)) {
    if (s.code == LSE)
      return mzc_fail(status, MZC_UNSUPPORTED, "a colour transform of libjpeg 9 (marker LSE, 0xF8) is not supported");
    if (s.code == APP0)
      note_jfif(&s, &found);
    if (is_frame(s.code))
      note_frame(&s, &found, ss);
    if (!is_scan_header(&s))
      continue;
    if (is_extended(found.frame) && block_size_of(Se_of(&s)) != 0)
      ss->block_size = block_size_of(Se_of(&s));
    if (s.content[0] != 0)
      break;
    if (is_progressive(found.frame) && (ss->block_size = block_size_of(Se_of(&s))) == 0)
      return mzc_fail(status, MZC_LIBRARY, "SmartScale: Se = %d is not N * N - 1 of a block size N = 1..16", Se_of(&s));
  }
  return check_colours(&found, status);
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
  unsigned char segment[5 + 128] = { 0xFF, DQT, 0, (unsigned char)(3 + 64 * width), table[0] };
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

static void put_tables(growing *out, const segment *s)
{
  size_t at = 0;

  while (at < s->size) {
    int width = s->content[at] >> 4 ? 2 : 1;
    size_t entries = (s->size - at - 1) / (size_t)width;
    int count = entries < 64 ? (int)entries : 64;
    put_table(out, s->content + at, count, width);
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
static void put_frame(growing *out, const mzc_smartscale *ss, const unsigned char *data, const segment *s)
{
  int height = ceil_div(8 * ss->height, ss->block_size), width = ceil_div(8 * ss->width, ss->block_size);
  unsigned char size[4] = {
    (unsigned char)(height >> 8), (unsigned char)height, (unsigned char)(width >> 8), (unsigned char)width
  };

  put(out, data + s->start, 5);   /* marker, length, precision */
  put(out, size, 4);
  put(out, data + s->start + 9, s->end - s->start - 9);
}

static void put_scan_header(growing *out, const unsigned char *data, const segment *s)
{
  static const unsigned char last_coefficient = 63;

  put(out, data + s->start, s->end - 2 - s->start);
  put(out, &last_coefficient, 1);
  put(out, data + s->end - 1, 1);
}

static int rewrite(mzc_smartscale *ss, const unsigned char *data, size_t size, mzc_status *status)
{
  growing out = { NULL, 0, 0, 0 };
  segment s;
  size_t at = 0, done = 0;

  while (next_segment(data, size, &at, &s)) {
    int frame = is_frame(s.code) && s.size >= 6, scan = is_scan_header(&s);
    if (s.code != DQT && !frame && !(scan && (s.content[0] == 0 || !ss->progressive)))
      continue;
    put(&out, data + done, s.start - done);
    if (s.code == DQT)
      put_tables(&out, &s);
    else if (frame)
      put_frame(&out, ss, data, &s);
    else if (s.content[0] != 0)
      put_scan_header(&out, data, &s);
    done = s.end;
  }
  put(&out, data + done, size - done);
  ss->stream = out.data;
  ss->stream_size = out.size;
  return out.failed ? mzc_fail(status, MZC_NO_MEMORY, "no memory for a SmartScale stream of %zu bytes", size) : 0;
}

int mzc_smartscale_open(mzc_smartscale *ss, const unsigned char *data, size_t size, mzc_status *status)
{
  int limit;

  memset(ss, 0, sizeof *ss);
  if (read_header(ss, data, size, status))
    return -1;
  if (ss->block_size == 8)
    return 0;
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

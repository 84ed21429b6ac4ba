/* Whether a Huffman stream of 8 bits has the given frame, tables and coefficients: segments and scans; compare.c compares
 * the codes. It shares nothing with what writes a file, nor with the reader. */
#include "../check.h"
#include "../stream.h"
#include "compare.h"

enum { UNSENT = -1 };

typedef struct {
  const mzc_expected *expected;
  const mzc_comparers *kernels;
  const char *what;              /* differs */
  int progressive, frames, scans;
  int id[4], table_of[4];
  UINT16 tables[4][DCTSIZE2];
  int has_table[4], has_code[2][4];
  unsigned restart_interval;
  int8_t sent[4][DCTSIZE2];      /* zigzag: the Al of each coefficient so far */
  uint64_t *above[4], *bit[4];
  int shift[4];                  /* that they are filled for (bit: that less one); -1: none */
  uint8_t *unstuffed;
  mzc_known_code code[2][4];     /* DC, AC */
  mzc_comparing scan;
} comparison;

static int unlike(comparison *c, const char *what)
{
  c->what = what;
  return MZC_DIFFERS;
}

/* ---- tables ------------------------------------------------------------------------------------------------------- */

static int read_dqt(comparison *c, const unsigned char *p, size_t size)
{
  static const uint8_t order[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,
    7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63
  };

  while (size > 0) {
    int wide = *p >> 4, index = *p & 15;
    size_t length = 1 + 64 * (size_t)(wide + 1);

    if (wide > 1 || index > 3 || size < length || c->scans > 0)
      return MZC_UNCOVERED;
    for (int k = 0; k < DCTSIZE2; k++)
      c->tables[index][order[k]] = wide ? (UINT16)(p[1 + 2 * k] << 8 | p[2 + 2 * k]) : p[1 + k];
    c->has_table[index] = 1;
    p += length;
    size -= length;
  }
  return MZC_SAME;
}

static int fill_code(mzc_known_code *to, const unsigned char *counts, const unsigned char *values, unsigned largest)
{
  uint32_t next = 0;

  for (int i = 0; i < 256 + 16; i++)
    to->code[i] = MZC_NO_CODE;
  memset(to->eob, 0, sizeof to->eob);
  for (uint32_t length = 1; length <= 16; length++, next <<= 1)
    for (int i = 0; i < counts[length - 1]; i++, next++) {
      unsigned symbol = *values++;

      /* the code of ones is not allowed */
      if (symbol > largest || next >= (1u << length) - 1 || to->code[symbol] != MZC_NO_CODE)
        return -1;
      to->code[symbol] = (uint64_t)next << (symbol & 15) << 8 | (length + (symbol & 15));
      if (length <= 8 && symbol < 0xF0 && (symbol & 15) == 0)
        memset(to->eob + (next << (8 - length)), 1 + (int)(symbol >> 4), (size_t)1 << (8 - length));
    }
  return 0;
}

static int read_dht(comparison *c, const unsigned char *p, size_t size)
{
  while (size > 0) {
    int is_ac = *p >> 4, index = *p & 15;
    size_t length = 17;

    if (is_ac > 1 || index > 3 || size < length)
      return MZC_UNCOVERED;
    for (int i = 1; i <= 16; i++)
      length += p[i];
    if (size < length || length > 17 + 256 || fill_code(&c->code[is_ac][index], p + 1, p + 17, is_ac ? 255 : 15))
      return unlike(c, "a Huffman table is invalid");
    c->has_code[is_ac][index] = 1;
    p += length;
    size -= length;
  }
  return MZC_SAME;
}

/* ---- frame -------------------------------------------------------------------------------------------------------- */

static int read_sof(comparison *c, int marker, const unsigned char *p, size_t size)
{
  const mzc_expected *e = c->expected;

  if (marker > M_SOF2 || size < 6 || p[0] != 8 || p[5] > 4 || e->precision != 8 || c->frames++)
    return MZC_UNCOVERED;
  c->progressive = marker == M_SOF2;
  if ((p[1] << 8 | p[2]) != e->height || (p[3] << 8 | p[4]) != e->width || p[5] != e->num_components ||
      size != (size_t)(6 + 3 * p[5]))
    return unlike(c, "the size of the image");
  for (int i = 0; i < e->num_components; i++, p += 3) {
    if (p[7] >> 4 != e->h[i] || (p[7] & 15) != e->v[i] || p[8] > 3)
      return unlike(c, "sampling factors");
    c->id[i] = p[6];
    c->table_of[i] = p[8];
    for (int j = 0; j < i; j++)
      if (c->id[j] == c->id[i])
        return MZC_UNCOVERED;
  }
  return MZC_SAME;
}

static int check_tables(comparison *c)
{
  for (int i = 0; i < c->expected->num_components; i++)
    if (!c->has_table[c->table_of[i]] ||
        memcmp(c->tables[c->table_of[i]], c->expected->table[i], sizeof c->expected->table[i]) != 0)
      return unlike(c, "quantization tables");
  return MZC_SAME;
}

/* ---- coded data --------------------------------------------------------------------------------------------------- */

/* The bytes up to the next marker. Returns where that is, NULL at the end of the stream. */
static const unsigned char *next_interval(comparison *c, const unsigned char *p, const unsigned char *end)
{
  uint8_t *out = c->unstuffed;

  for (;;) {
    const unsigned char *mark = memchr(p, 0xFF, (size_t)(end - p));
    if (mark == NULL || mark + 1 >= end)
      return NULL;
    memcpy(out, p, (size_t)(mark - p));
    out += mark - p;
    if (mark[1] != 0) {
      memset(out, 0, MZC_COMPARE_PAD);
      c->scan.at = 0;
      c->scan.end = 8 * (uint64_t)(out - c->unstuffed);
      c->scan.skip = c->scan.ended = 0;
      for (int i = 0; i < 4; i++)
        c->scan.component[i].last_dc = 0;
      return mark;
    }
    *out++ = 0xFF;
    p = mark + 2;
  }
}

/* The last byte is filled up with ones. */
static int ends_here(comparison *c)
{
  mzc_comparing *s = &c->scan;
  unsigned left;

  if (s->at > s->end || (s->ended && c->kernels->end_run(s)))
    return 0;
  left = (unsigned)(s->end - s->at);
  return s->at <= s->end && s->end - s->at < 8 && s->skip == 0 &&
         (left == 0 || (s->data[s->end / 8 - 1] & ((1u << left) - 1)) == (1u << left) - 1);
}

static mzc_compare_mcus comparer(const comparison *c)
{
  if (!c->progressive)
    return c->kernels->sequential;
  if (c->scan.Ss == 0)
    return c->scan.Ah ? c->kernels->dc_refine : c->kernels->dc_first;
  return c->scan.Ah ? c->kernels->ac_refine : c->kernels->ac_first;
}

static int compare_data(comparison *c, const unsigned char **p, const unsigned char *end, int wide, int high)
{
  mzc_compare_mcus compare = comparer(c);
  unsigned to_go = c->restart_interval, restarts = 0;
  const unsigned char *mark = next_interval(c, *p, end);

  for (int y = 0; y < high; y++)
    for (int x = 0, n; x < wide; x += n) {
      if (mark == NULL)
        return unlike(c, "the end of a scan");
      n = wide - x;
      if (c->restart_interval && to_go == 0) {
        if (!ends_here(c) || mark[1] != 0xD0 + (restarts++ & 7))
          return unlike(c, "a restart interval");
        mark = next_interval(c, mark + 2, end);
        to_go = c->restart_interval;
        n = 0;
        continue;
      }
      if (c->restart_interval) {
        n = (unsigned)n < to_go ? n : (int)to_go;
        to_go -= (unsigned)n;
      }
      if (compare(&c->scan, y, x, n))
        return unlike(c, "coefficients");
    }
  if (mark == NULL || !ends_here(c) || (mark[1] & ~7) == 0xD0)
    return unlike(c, "the end of a scan");
  *p = mark;
  return MZC_SAME;
}

/* ---- scans -------------------------------------------------------------------------------------------------------- */

static int allocate_sets(const mzc_expected *e, int i, uint64_t **sets)
{
  if (*sets == NULL)
    *sets = malloc((size_t)e->wide[i] * e->high[i] * sizeof **sets);
  return *sets == NULL ? -1 : 0;
}

static int fill_sets(comparison *c, int i, int shift)
{
  const mzc_expected *e = c->expected;
  int failed;

  if (c->shift[i] == shift)
    return 0;
  if (c->shift[i] == 1 && shift == 0) {
    for (size_t b = 0; b < (size_t)e->wide[i] * e->high[i]; b++)
      c->above[i][b] |= c->bit[i][b];
    c->shift[i] = 0;
    return 0;
  }
  if (allocate_sets(e, i, &c->above[i]) || (shift > 0 && allocate_sets(e, i, &c->bit[i])))
    return -1;
  failed = c->kernels->find((int16_t (**)[64])e->rows[i], e->wide[i], e->high[i], shift, c->above[i],
                            shift > 0 ? c->bit[i] : NULL);
  c->shift[i] = failed ? -1 : shift;
  return failed ? -1 : 0;
}

static int note_sent(comparison *c, const int *index, int num)
{
  const mzc_comparing *s = &c->scan;

  for (int i = 0; i < num; i++)
    for (int k = s->Ss; k <= s->Se; k++) {
      int8_t *sent = &c->sent[index[i]][k];
      if (s->Ah == 0 ? *sent != UNSENT : *sent != s->Ah || s->Al != s->Ah - 1)
        return MZC_UNCOVERED;
      *sent = (int8_t)s->Al;
    }
  return MZC_SAME;
}

static int set_component(comparison *c, int at, int index, int dc, int ac, int num)
{
  const mzc_expected *e = c->expected;
  mzc_comparing *s = &c->scan;
  mzc_comparing_component *k = &s->component[at];
  int wants_dc = s->Ss == 0 && s->Ah == 0, wants_ac = !c->progressive || s->Ss > 0;

  if ((wants_dc && (dc > 3 || !c->has_code[0][dc])) || (wants_ac && (ac > 3 || !c->has_code[1][ac])))
    return unlike(c, "a Huffman table that is not there");
  k->dc = &c->code[0][dc & 3];
  k->ac = &c->code[1][ac & 3];
  k->across = num > 1 ? e->h[index] : 1;
  k->down = num > 1 ? e->v[index] : 1;
  k->wide = e->wide[index];
  k->high = e->high[index];
  k->rows = (int16_t (**)[64])e->rows[index];
  if (wants_ac && fill_sets(c, index, s->Ah ? s->Ah : s->Al))
    return MZC_UNCOVERED;
  k->above = c->above[index];
  k->bit = c->bit[index];
  return MZC_SAME;
}

static int read_scan(comparison *c, const unsigned char *p, size_t size, const unsigned char **data, const unsigned char *end)
{
  const mzc_expected *e = c->expected;
  mzc_comparing *s = &c->scan;
  int num = size > 0 ? p[0] : 0, index[4], most_h = 1, most_v = 1, wide, high, result;

  if (c->frames != 1 || num < 1 || num > 4 || size != (size_t)(4 + 2 * num))
    return MZC_UNCOVERED;
  if (c->scans++ == 0 && check_tables(c))
    return MZC_DIFFERS;
  s->num_components = num;
  s->Ss = p[1 + 2 * num];
  s->Se = p[2 + 2 * num];
  s->Ah = p[3 + 2 * num] >> 4;
  s->Al = p[3 + 2 * num] & 15;
  if (c->progressive ? s->Se > 63 || s->Ss > s->Se || s->Al > 13 || (s->Ss == 0 ? s->Se != 0 : num > 1)
                     : s->Ss != 0 || s->Se != 63 || s->Ah != 0 || s->Al != 0)
    return MZC_UNCOVERED;
  for (int i = 0; i < num; i++) {
    index[i] = -1;
    for (int j = 0; j < e->num_components; j++)
      if (c->id[j] == p[1 + 2 * i])
        index[i] = j;
    if (index[i] < 0)
      return unlike(c, "a component of a scan");
    result = set_component(c, i, index[i], p[2 + 2 * i] >> 4, p[2 + 2 * i] & 15, num);
    if (result)
      return result;
  }
  result = note_sent(c, index, num);
  if (result)
    return result;
  for (int i = 0; i < e->num_components; i++) {
    most_h = e->h[i] > most_h ? e->h[i] : most_h;
    most_v = e->v[i] > most_v ? e->v[i] : most_v;
  }
  wide = num > 1 ? (e->width + 8 * most_h - 1) / (8 * most_h) : e->wide[index[0]];
  high = num > 1 ? (e->height + 8 * most_v - 1) / (8 * most_v) : e->high[index[0]];
  return compare_data(c, data, end, wide, high);
}

/* What no scan has sent must be 0. */
static int check_unsent(comparison *c)
{
  const mzc_expected *e = c->expected;
  static const uint8_t one[64] = { 0 };

  for (int i = 0; i < e->num_components; i++) {
    uint64_t whole = 0;

    if (memcmp(c->sent[i], one, sizeof one) == 0)
      continue;
    for (int shift = 0; shift < 15; shift++) {
      uint64_t lacking = 0;
      for (int k = 0; k < DCTSIZE2; k++)
        if (c->sent[i][k] == UNSENT || c->sent[i][k] > shift)
          lacking |= (uint64_t)1 << (63 - k);
      if (lacking == 0)
        continue;
      if (fill_sets(c, i, shift + 1))
        return MZC_UNCOVERED;
      for (size_t b = 0; b < (size_t)e->wide[i] * e->high[i]; b++)
        whole |= c->bit[i][b] & lacking;
    }
    if (whole)
      return unlike(c, "coefficients that no scan sends");
  }
  return MZC_SAME;
}

static int read_segments(comparison *c, const unsigned char *data, size_t size)
{
  const unsigned char *p = data + 2, *end = data + size;
  int result = MZC_SAME;

  if (size < 4 || data[0] != 0xFF || data[1] != M_SOI)
    return unlike(c, "SOI");
  while (result == MZC_SAME) {
    int marker;
    size_t length;

    if (end - p < 2 || p[0] != 0xFF)
      return unlike(c, "a marker");
    marker = p[1];
    if (marker == M_EOI)
      return end - p == 2 ? MZC_SAME : unlike(c, "bytes after EOI");
    length = end - p < 4 ? 0 : (size_t)p[2] << 8 | p[3];
    if (length < 2 || length > (size_t)(end - p) - 2)
      return unlike(c, "a marker");
    p += 2 + length;
    if (marker == M_DQT)
      result = read_dqt(c, p - length + 2, length - 2);
    else if (marker == M_DHT)
      result = read_dht(c, p - length + 2, length - 2);
    else if (mzc_is_sof(marker))
      result = read_sof(c, marker, p - length + 2, length - 2);
    else if (marker == M_DRI && length == 4)
      c->restart_interval = (unsigned)p[-2] << 8 | p[-1];
    else if (marker == M_SOS)
      result = read_scan(c, p - length + 2, length - 2, &p, end);
    else if ((marker < M_APP0 || marker > M_APP0 + 15) && marker != JPEG_COM)   /* these change no coefficient */
      return MZC_UNCOVERED;
  }
  return result;
}

int mzc_compare_stream(const unsigned char *data, size_t size, const mzc_expected *expected, int is_v3,
                       const char **what)
{
  comparison *c = malloc(sizeof *c);
  int result = MZC_UNCOVERED;

  if (c == NULL)
    return result;
  memset(c, 0, offsetof(comparison, code));
  memset(&c->scan, 0, sizeof c->scan);
  memset(c->sent, UNSENT, sizeof c->sent);
  for (int i = 0; i < 4; i++)
    c->shift[i] = -1;
  c->expected = expected;
  c->kernels = &mzc_comparers_baseline;
#if defined(MZC_HAVE_V3)
  if (is_v3)
    c->kernels = &mzc_comparers_v3;
#endif
  (void)is_v3;
  c->unstuffed = malloc(size + MZC_COMPARE_PAD);
  c->scan.data = c->unstuffed;
  if (c->unstuffed != NULL)
    result = read_segments(c, data, size);
  if (result == MZC_SAME && !expected->partial)
    result = c->scans > 0 ? check_unsent(c) : unlike(c, "scans");
  *what = c->what;
  for (int i = 0; i < 4; i++) {
    free(c->above[i]);
    free(c->bit[i]);
  }
  free(c->unstuffed);
  free(c);
  return result;
}

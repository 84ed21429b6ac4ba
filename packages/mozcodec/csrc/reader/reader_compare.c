/* Whether a Huffman stream of 8 bits has the given frame, tables and coefficients: segments and scans; compare.c compares
 * the codes. It shares nothing with what writes a file, nor with the reader. All scans are compared at once, a row of MCUs
 * of each, so that the coefficients are read from memory once. */
#include "../check.h"
#include "../stream.h"
#include "compare.h"

enum { UNSENT = -1, MAX_SCANS = 64, MAX_CODES = 256 };

typedef struct {
  mzc_comparing codes;
  mzc_compare_mcus compare;
  int index[4];                  /* of its components */
  unsigned restart_interval, to_go, restarts;
} compared_scan;

typedef struct {
  const mzc_expected *expected;
  const mzc_comparers *kernels;
  const char *what;              /* differs */
  int progressive, frames, num_scans, num_codes;
  int id[4], table_of[4];
  UINT16 tables[4][DCTSIZE2];
  int has_table[4];
  unsigned restart_interval;
  int8_t sent[4][DCTSIZE2];      /* zigzag: the Al of each coefficient so far */
  int shift[4];                  /* of the sets that the scans need, -1: none */
  uint64_t *sets[4];             /* of the rows of blocks in a row of MCUs */
  const mzc_known_code *code[2][4];     /* DC, AC: the latest of each */
  mzc_known_code *codes[MAX_CODES];
  compared_scan *scan[MAX_SCANS];
} comparison;

static int unlike(comparison *c, const char *what)
{
  c->what = what;
  return MZC_DIFFERS;
}

/* ---- tables ------------------------------------------------------------------------------------------------------- */

static const uint8_t order[64] = {
  0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,
  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
  53, 60, 61, 54, 47, 55, 62, 63
};

static int read_dqt(comparison *c, const unsigned char *p, size_t size)
{
  while (size > 0) {
    int wide = *p >> 4, index = *p & 15;
    size_t length = 1 + 64 * (size_t)(wide + 1);

    if (wide > 1 || index > 3 || size < length || c->num_scans > 0)
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
    mzc_known_code *code;

    if (is_ac > 1 || index > 3 || size < length || c->num_codes == MAX_CODES)
      return MZC_UNCOVERED;
    for (int i = 1; i <= 16; i++)
      length += p[i];
    code = malloc(sizeof *code);
    if (code == NULL)
      return MZC_UNCOVERED;
    c->codes[c->num_codes++] = code;
    if (size < length || length > 17 + 256 || fill_code(code, p + 1, p + 17, is_ac ? 255 : 15))
      return unlike(c, "a Huffman table is invalid");
    c->code[is_ac][index] = code;
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

int mzc_compare_further(mzc_comparing *s)
{
  size_t used = (size_t)(s->at >> 3), have = (size_t)(s->end >> 3);

  if (s->marker || used > have)
    return s->at > s->end;
  have -= used;
  memmove(s->data, s->data + used, have);
  s->at &= 7;
  while (have < MZC_COMPARE_BYTES && s->marker == NULL) {
    size_t left = (size_t)(s->stop - s->next), room = MZC_COMPARE_BYTES - have, n = left < room ? left : room;
    const uint8_t *mark = memchr(s->next, 0xFF, n);

    n = mark ? (size_t)(mark - s->next) : n;
    memcpy(s->data + have, s->next, n);
    have += n;
    s->next += n;
    if (mark && mark[1] == 0) {
      s->data[have++] = 0xFF;
      s->next += 2;
    } else if (mark || s->next == s->stop) {
      s->marker = s->next;
    }
  }
  memset(s->data + have, 0, MZC_COMPARE_PAD);
  s->end = 8 * (uint64_t)have;
  s->limit = s->marker ? s->end : s->end - 8 * MZC_COMPARE_PAD;
  return s->at > s->limit;
}

static void begin_interval(mzc_comparing *s, const uint8_t *next)
{
  s->next = next;
  s->marker = NULL;
  s->at = s->end = 0;
  s->skip = s->ended = 0;
  for (int i = 0; i < 4; i++)
    s->component[i].last_dc = 0;
  mzc_compare_further(s);
}

/* The last byte is filled up with ones. */
static int ends_here(const comparison *c, mzc_comparing *s)
{
  unsigned left;

  if (s->ended && c->kernels->end_run(s))
    return 0;
  if (s->marker == NULL)
    mzc_compare_further(s);
  left = (unsigned)(s->end - s->at);
  return s->marker && s->at <= s->end && s->end - s->at < 8 && s->skip == 0 &&
         (left == 0 || (s->data[s->end / 8 - 1] & ((1u << left) - 1)) == (1u << left) - 1);
}

/* MCUs 0 .. wide - 1 of a row. */
static int compare_row(comparison *c, compared_scan *scan, int y, int wide)
{
  mzc_comparing *s = &scan->codes;

  for (int x = 0, n; x < wide; x += n) {
    n = wide - x;
    if (scan->restart_interval && scan->to_go == 0) {
      if (!ends_here(c, s) || s->marker == s->stop || s->marker[1] != 0xD0 + (scan->restarts++ & 7))
        return unlike(c, "a restart interval");
      begin_interval(s, s->marker + 2);
      scan->to_go = scan->restart_interval;
    }
    if (scan->restart_interval) {
      n = (unsigned)n < scan->to_go ? n : (int)scan->to_go;
      scan->to_go -= (unsigned)n;
    }
    switch (scan->compare(s, y, x, n)) {
    case 0: break;
    case MZC_LOWEST: return MZC_UNCOVERED;
    default: return unlike(c, "coefficients");
    }
  }
  return MZC_SAME;
}

/* ---- all scans, row by row ---------------------------------------------------------------------------------------- */

static int allocate_sets(comparison *c)
{
  const mzc_expected *e = c->expected;

  for (int i = 0; i < e->num_components; i++) {
    size_t stride = (size_t)e->v[i] * e->wide[i];

    if (c->shift[i] < 0)
      continue;
    c->sets[i] = malloc((2 * (size_t)c->shift[i] + 1) * stride * sizeof *c->sets[i]);
    if (c->sets[i] == NULL)
      return -1;
  }
  for (int j = 0; j < c->num_scans; j++) {
    mzc_comparing *s = &c->scan[j]->codes;
    int shift = s->Ah ? s->Ah : s->Al;

    for (int at = 0; at < s->num_components && (s->Ss > 0 || !c->progressive); at++) {
      int i = c->scan[j]->index[at];
      size_t stride = (size_t)e->v[i] * e->wide[i];

      s->component[at].above = c->sets[i] + (size_t)shift * stride;
      s->component[at].bit = c->sets[i] + (size_t)(c->shift[i] + shift) * stride;
    }
  }
  return 0;
}

/* Row y of MCUs of a whole frame: of the scans of component i alone. */
static int compare_component(comparison *c, int i, int y)
{
  const mzc_expected *e = c->expected;
  int top = y * e->v[i], end = top + e->v[i] < e->high[i] ? top + e->v[i] : e->high[i];
  size_t stride = (size_t)e->v[i] * e->wide[i];
  int needs_sets = c->shift[i] >= 0 && (c->progressive || c->kernels->fill_words == NULL);

  for (int row = top; row < end; row++) {
    if (needs_sets && c->kernels->find((const int16_t (*)[64])e->rows[i][row], e->wide[i], c->shift[i],
                                       c->sets[i] + (size_t)(row - top) * e->wide[i], stride))
      return MZC_UNCOVERED;
    for (int j = 0; j < c->num_scans; j++)
      if (c->scan[j]->codes.num_components == 1 && c->scan[j]->index[0] == i) {
        int result;

        c->scan[j]->codes.component[0].top = top;
        result = compare_row(c, c->scan[j], row, e->wide[i]);
        if (result)
          return result;
      }
  }
  return MZC_SAME;
}

static int compare_scans(comparison *c)
{
  const mzc_expected *e = c->expected;
  int most_h = 1, most_v = 1, wide, high, result;

  if (allocate_sets(c))
    return MZC_UNCOVERED;
  for (int i = 0; i < e->num_components; i++) {
    most_h = e->h[i] > most_h ? e->h[i] : most_h;
    most_v = e->v[i] > most_v ? e->v[i] : most_v;
  }
  wide = (e->width + 8 * most_h - 1) / (8 * most_h);
  high = (e->height + 8 * most_v - 1) / (8 * most_v);
  for (int y = 0; y < high; y++) {
    for (int i = 0; i < e->num_components; i++) {
      result = compare_component(c, i, y);
      if (result)
        return result;
    }
    for (int j = 0; j < c->num_scans; j++) {
      compared_scan *scan = c->scan[j];

      for (int at = 0; at < scan->codes.num_components; at++)
        scan->codes.component[at].top = y * e->v[scan->index[at]];
      result = scan->codes.num_components > 1 ? compare_row(c, scan, y, wide) : MZC_SAME;
      if (result)
        return result;
    }
  }
  for (int j = 0; j < c->num_scans; j++)
    if (!ends_here(c, &c->scan[j]->codes) || c->scan[j]->codes.marker != c->scan[j]->codes.stop)
      return unlike(c, "the end of a scan");
  return MZC_SAME;
}

/* ---- scans -------------------------------------------------------------------------------------------------------- */

static mzc_compare_mcus comparer(const comparison *c, const mzc_comparing *s)
{
  if (!c->progressive)
    return c->kernels->sequential;
  if (s->Ss == 0)
    return s->Ah ? c->kernels->dc_refine : c->kernels->dc_first;
  return s->Ah ? c->kernels->ac_refine : c->kernels->ac_first;
}

static int note_sent(comparison *c, const compared_scan *scan)
{
  const mzc_comparing *s = &scan->codes;

  for (int i = 0; i < s->num_components; i++)
    for (int k = s->Ss; k <= s->Se; k++) {
      int8_t *sent = &c->sent[scan->index[i]][k];
      if (s->Ah == 0 ? *sent != UNSENT : *sent != s->Ah || s->Al != s->Ah - 1)
        return MZC_UNCOVERED;
      *sent = (int8_t)s->Al;
    }
  return MZC_SAME;
}

/* Runs of ended blocks, the bits of their length included, by class. */
static uint64_t run_word(const mzc_known_code *code, unsigned class)
{
  uint64_t known = code->code[class << 4];

  return known == MZC_NO_CODE ? known : (known >> 8 << class) << 8 | ((known & 255) + class);
}

static int make_words(const comparison *c, mzc_comparing *s)
{
  int slots = 0;

  s->words = malloc((MZC_AC_WORDS + 1024 * (size_t)s->num_components) * sizeof *s->words);
  if (s->words == NULL)
    return -1;
  for (int i = 0; i < s->num_components; i++) {
    mzc_comparing_component *k = &s->component[i];

    for (k->slot = 0; k->slot < slots; k->slot++)
      if (s->slot_dc[k->slot] == k->dc && s->slot_ac[k->slot] == k->ac)
        break;
    if (k->slot < slots)
      continue;
    s->slot_dc[slots] = k->dc;
    s->slot_ac[slots] = k->ac;
    c->kernels->fill_words(s->words + MZC_AC_WORDS + (slots << 10), k->ac);
    for (unsigned i = 0; i < 16; i++) {
      uint64_t known = c->progressive ? run_word(k->ac, i) : k->dc->code[i];

      s->words[(slots << 4) + (int)i] = known >> 8 << 16 | (known & 255);
    }
    slots++;
  }
  s->words[MZC_NO_WORD] = 0;
  return 0;
}

static int set_component(comparison *c, compared_scan *scan, int at, int dc, int ac)
{
  const mzc_expected *e = c->expected;
  mzc_comparing *s = &scan->codes;
  mzc_comparing_component *k = &s->component[at];
  int index = scan->index[at], wants_dc = s->Ss == 0 && s->Ah == 0, wants_ac = !c->progressive || s->Ss > 0;
  int shift = s->Ah ? s->Ah : s->Al;

  if ((wants_dc && (dc > 3 || !c->code[0][dc])) || (wants_ac && (ac > 3 || !c->code[1][ac])))
    return unlike(c, "a Huffman table that is not there");
  if (wants_ac && shift > MZC_MAX_SHIFT)
    return MZC_UNCOVERED;
  if (wants_ac && shift > c->shift[index])
    c->shift[index] = shift;
  k->dc = c->code[0][dc & 3];
  k->ac = c->code[1][ac & 3];
  k->across = s->num_components > 1 ? e->h[index] : 1;
  k->down = s->num_components > 1 ? e->v[index] : 1;
  k->wide = e->wide[index];
  k->high = e->high[index];
  k->rows = (int16_t (**)[64])e->rows[index];
  return MZC_SAME;
}

/* The marker that ends a scan; NULL: none. */
static const unsigned char *end_of_scan(const unsigned char *p, const unsigned char *end)
{
  for (;; p += 2) {
    p = memchr(p, 0xFF, (size_t)(end - p));
    if (p == NULL || p + 1 >= end)
      return NULL;
    if (p[1] != 0 && (p[1] & ~7) != 0xD0)
      return p;
  }
}

static int read_scan(comparison *c, const unsigned char *p, size_t size, const unsigned char **data, const unsigned char *end)
{
  const mzc_expected *e = c->expected;
  compared_scan *scan;
  mzc_comparing *s;
  int num = size > 0 ? p[0] : 0, result;

  if (c->frames != 1 || num < 1 || num > 4 || size != (size_t)(4 + 2 * num) || c->num_scans == MAX_SCANS)
    return MZC_UNCOVERED;
  if (c->num_scans == 0 && check_tables(c))
    return MZC_DIFFERS;
  scan = malloc(sizeof *scan);
  if (scan == NULL)
    return MZC_UNCOVERED;
  scan->codes.words = NULL;
  c->scan[c->num_scans++] = scan;
  s = &scan->codes;
  s->num_components = num;
  s->Ss = p[1 + 2 * num];
  s->Se = p[2 + 2 * num];
  s->Ah = p[3 + 2 * num] >> 4;
  s->Al = p[3 + 2 * num] & 15;
  if (c->progressive ? s->Se > 63 || s->Ss > s->Se || s->Al > 13 || (s->Ss == 0 ? s->Se != 0 : num > 1)
                     : s->Ss != 0 || s->Se != 63 || s->Ah != 0 || s->Al != 0)
    return MZC_UNCOVERED;
  for (int i = 0; i < num; i++) {
    scan->index[i] = -1;
    for (int j = 0; j < e->num_components; j++)
      if (c->id[j] == p[1 + 2 * i])
        scan->index[i] = j;
    if (scan->index[i] < 0)
      return unlike(c, "a component of a scan");
    result = set_component(c, scan, i, p[2 + 2 * i] >> 4, p[2 + 2 * i] & 15);
    if (result)
      return result;
  }
  result = note_sent(c, scan);
  if (result)
    return result;
  s->stop = end_of_scan(*data, end);
  if (s->stop == NULL)
    return unlike(c, "the end of a scan");
  scan->compare = comparer(c, s);
  if (c->kernels->fill_words && (!c->progressive || s->Ss > 0) && s->Ah == 0 && make_words(c, s))
    return MZC_UNCOVERED;
  scan->restart_interval = scan->to_go = c->restart_interval;
  scan->restarts = 0;
  begin_interval(s, *data);
  *data = s->stop;
  return MZC_SAME;
}

/* What no scan has sent must be 0. */
static int check_unsent(comparison *c)
{
  const mzc_expected *e = c->expected;
  static const uint8_t all_sent[DCTSIZE2] = { 0 };

  for (int i = 0; i < e->num_components; i++) {
    int lacking[DCTSIZE2];

    if (memcmp(c->sent[i], all_sent, sizeof all_sent) == 0)
      continue;
    for (int k = 0; k < DCTSIZE2; k++)
      lacking[order[k]] = c->sent[i][k] == UNSENT ? 0xFFFF : (1 << c->sent[i][k]) - 1;
    for (int y = 0; y < e->high[i]; y++)
      for (int x = 0; x < e->wide[i]; x++)
        for (int k = 0; k < DCTSIZE2; k++)
          if (abs(e->rows[i][y][x][k]) & lacking[k])
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

static int compare_all(comparison *c, const unsigned char *data, size_t size)
{
  int result = read_segments(c, data, size);

  if (result == MZC_SAME && c->num_scans > 0)
    result = compare_scans(c);
  if (result == MZC_SAME && !c->expected->partial)
    result = c->num_scans > 0 ? check_unsent(c) : unlike(c, "scans");
  return result;
}

#if defined(MZC_HAVE_V4)
static int has_avx512(void)
{
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512bitalg") &&
         __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

int mzc_compare_stream(const unsigned char *data, size_t size, const mzc_expected *expected, int processor,
                       const char **what)
{
  comparison *c = calloc(1, sizeof *c);
  int result;

  if (c == NULL)
    return MZC_UNCOVERED;
  memset(c->sent, UNSENT, sizeof c->sent);
  for (int i = 0; i < 4; i++)
    c->shift[i] = -1;
  c->expected = expected;
  c->kernels = &mzc_comparers_baseline;
#if defined(MZC_HAVE_V3)
  if (processor >= MZC_FOR_V3)
    c->kernels = &mzc_comparers_v3;
#endif
#if defined(MZC_HAVE_V4)
  if (processor >= MZC_FOR_THIS && has_avx512())
    c->kernels = &mzc_comparers_v4;
#endif
  (void)processor;
  result = compare_all(c, data, size);
  *what = c->what;
  for (int i = 0; i < 4; i++)
    free(c->sets[i]);
  for (int i = 0; i < c->num_scans; i++) {
    free(c->scan[i]->codes.words);
    free(c->scan[i]);
  }
  for (int i = 0; i < c->num_codes; i++)
    free(c->codes[i]);
  free(c);
  return result;
}

/* Scans as bytes: table, header, entropy-coded data. */
#include "bits.h"

/* ---- bits ---------------------------------------------------------------------------------------------------------

   Bits are stored unstuffed: each code stores eight bytes, of which the complete ones are kept.
   A finished interval (a scan, or what lies between two restart markers) then moves to its place, with a zero byte after
   each byte 0xFF. Both share one buffer: the file's bytes grow from its front, the raw ones lie so far behind that
   even when every byte is stuffed the front never reaches a raw byte before it has been moved. */

typedef struct {
  uint64_t bits;                 /* the lowest num are waiting: at most 7 between two codes */
  int num;
  uint8_t *raw;                  /* up to 7 bytes after it may be written, too */
} bit_writer;

typedef struct {
  uint8_t *raw;                  /* where the interval began */
  uint8_t *out;
  int num_restarts;
} interval;

/* length: at most 32, and 0 for none. */
static INLINE void put_bits(bit_writer *w, uint32_t code, int length)
{
  uint64_t word;

  w->bits = w->bits << length | code;
  w->num += length;
  word = __builtin_bswap64(w->bits << (-w->num & 63));
  memcpy(w->raw, &word, sizeof word);
  w->raw += w->num >> 3;
  w->num &= 7;
}

static INLINE void put_symbol(bit_writer *w, const mzc_huffman *t, int symbol)
{
  put_bits(w, t->code[symbol], t->length[symbol]);
}

/* Fills the last byte with ones, and moves the interval to its place. */
static void close_interval(bit_writer *w, interval *i)
{
  int fill = -w->num & 7;
  const uint8_t *from = i->raw;

  put_bits(w, (1u << fill) - 1, fill);
  while (from < w->raw) {
    const uint8_t *ones = memchr(from, 0xFF, w->raw - from), *end = ones ? ones + 1 : w->raw;

    memmove(i->out, from, end - from);
    i->out += end - from;
    from = end;
    if (ones)
      *i->out++ = 0;
  }
  i->raw = w->raw;
}

static bit_writer restarted(bit_writer w, interval *i)
{
  close_interval(&w, i);
  *i->out++ = 0xFF;
  *i->out++ = (uint8_t)(0xD0 + (i->num_restarts++ & 7));
  return w;
}

static INLINE void put_eob_run(bit_writer *w, const mzc_huffman *t, int *run)
{
  if (*run) {
    int size = size_of(*run) - 1;
    put_bits(w, ((uint32_t)t->code[size << 4] << size) | (*run & ((1u << size) - 1)), t->length[size << 4] + size);
    *run = 0;
  }
}

/* ---- markers ------------------------------------------------------------------------------------------------------ */

static uint8_t *put_marker(uint8_t *out, int marker, int length)
{
  *out++ = 0xFF;
  *out++ = (uint8_t)marker;
  *out++ = (uint8_t)(length >> 8);
  *out++ = (uint8_t)length;
  return out;
}

static uint8_t *put_table(uint8_t *out, const mzc_huffman *t, int id)
{
  *out++ = (uint8_t)id;
  memcpy(out, t->bits + 1, 16);
  memcpy(out + 16, t->value, t->num_symbols);
  return out + 16 + t->num_symbols;
}

static uint8_t *put_ac_header(uint8_t *out, const mzc_component *k, const mzc_scan_bytes *scan)
{
  const uint8_t parameters[6] = {
    1, (uint8_t)k->id, (uint8_t)k->ac_table, (uint8_t)scan->Ss, (uint8_t)scan->Se, (uint8_t)(scan->Ah << 4 | scan->Al)
  };

  out = put_marker(out, 0xC4, 19 + scan->table.num_symbols);
  out = put_table(out, &scan->table, 0x10 + k->ac_table);
  out = put_marker(out, 0xDA, 8);
  memcpy(out, parameters, sizeof parameters);
  return out + sizeof parameters;
}

/* ---- AC scans ----------------------------------------------------------------------------------------------------- */

/* By run << 4 | size: code << 6 | length of code and extra bits, with room for the extra bits in the code. */
static void fill_words(const mzc_huffman *t, uint32_t *word)
{
  for (int symbol = 0; symbol < 256; symbol++) {
    int size = symbol & 15;
    word[symbol] = size > 10 ? 0 : (uint32_t)t->code[symbol] << size << 6 | (uint32_t)(t->length[symbol] + size);
  }
}

static INLINE void put_coefficient(bit_writer *w, const mzc_huffman *t, const uint32_t *word, uint32_t run_size,
                                   uint32_t extra)
{
  uint32_t entry;

  for (; UNLIKELY(run_size > 255); run_size -= 256)
    put_symbol(w, t, 0xF0);
  entry = word[run_size];
  put_bits(w, entry >> 6 | extra, entry & 63);
}

/* The writer is a copy, so that it stays in registers; only restarts see it in memory. */
static bit_writer write_first(bit_writer w, const mzc_component *k, const mzc_scan_bytes *scan, int restart_interval,
                              interval *place)
{
  const mzc_sparse *p = &k->level[scan->Al];
  const mzc_huffman *t = &scan->table;
  uint64_t band = up_to(scan->Se) & ~up_to(scan->Ss - 1), below = up_to(scan->Ss - 1);
  size_t blocks = (size_t)k->width * k->height;
  uint32_t word[256];
  int run = 0;

  fill_words(t, word);
  for (size_t i = 0; i < blocks; i++) {
    uint64_t mask = p->block[i].mask & band;
    const uint32_t *symbol, *end;

    if (restart_before(i, restart_interval)) {
      put_eob_run(&w, t, &run);
      w = restarted(w, place);
    }
    if (!mask) {
      if (UNLIKELY(++run == MZC_MAX_EOB_RUN))
        put_eob_run(&w, t, &run);
      continue;
    }
    if (UNLIKELY(run > 1))
      put_eob_run(&w, t, &run);
    put_bits(&w, t->code[0] & -(uint32_t)run, t->length[0] & -run);   /* most often 0 or 1: no branch */
    symbol = p->symbol + p->block[i].start + count_bits(p->block[i].mask & below);
    end = symbol + count_bits(mask);
    /* the run of the band's first coefficient begins where the band does */
    put_coefficient(&w, t, word, (uint32_t)(lowest(mask) - scan->Ss) << 4 | (*symbol & 15), *symbol >> 10);
    while (++symbol != end)
      put_coefficient(&w, t, word, *symbol & 1023, *symbol >> 10);
    run = highest(mask) != scan->Se;
  }
  put_eob_run(&w, t, &run);
  return w;
}

/* Correction bits of one block that wait for the symbol or EOB run that they follow. */
typedef struct {
  uint64_t bits;
  int num;
} corrections;

typedef struct {
  corrections block[MZC_MAX_CORRECTION_BITS + 1];   /* a block joins only with at least one bit */
  int num_blocks, num_bits, run;
} pending_run;

static INLINE void put_corrections(bit_writer *w, corrections *c)
{
  if (c->num > 32) {
    put_bits(w, (uint32_t)(c->bits >> 32), c->num - 32);
    put_bits(w, (uint32_t)c->bits, 32);
  } else if (c->num) {
    put_bits(w, (uint32_t)c->bits, c->num);
  }
  c->bits = 0;
  c->num = 0;
}

static INLINE void put_pending(bit_writer *w, const mzc_huffman *t, pending_run *pending)
{
  put_eob_run(w, t, &pending->run);
  for (int i = 0; i < pending->num_blocks; i++)
    put_corrections(w, &pending->block[i]);
  pending->num_blocks = pending->num_bits = 0;
}

static inline uint64_t newly_nonzero(uint64_t mask, const int16_t *value)
{
  uint64_t ones = 0;

  for (; mask; mask &= mask - 1)
    ones |= magnitude(*value++) == 1 ? mask & -mask : 0;
  return ones;
}

static bit_writer write_refinement(bit_writer w, const mzc_component *k, const mzc_scan_bytes *scan, int restart_interval,
                                   interval *place)
{
  const mzc_sparse *p = &k->level[scan->Al];
  const mzc_huffman *t = &scan->table;
  uint64_t band = up_to(scan->Se) & ~up_to(scan->Ss - 1), below = up_to(scan->Ss - 1);
  size_t blocks = (size_t)k->width * k->height;
  pending_run pending;

  pending.num_blocks = pending.num_bits = pending.run = 0;
  for (size_t i = 0; i < blocks; i++) {
    uint64_t mask = p->block[i].mask & band, ones;
    const int16_t *value = p->value + p->block[i].start + count_bits(p->block[i].mask & below);
    int zeros = 0, previous = scan->Ss - 1, last_new;
    corrections own = { 0, 0 };

    if (restart_before(i, restart_interval)) {
      put_pending(&w, t, &pending);
      w = restarted(w, place);
    }
    ones = newly_nonzero(mask, value);
    last_new = ones ? highest(ones) : scan->Ss - 1;
    for (; mask; mask &= mask - 1) {
      int at = lowest(mask), v = *value++;

      zeros += at - previous - 1;
      previous = at;
      while (UNLIKELY(zeros > 15) && at <= last_new) {
        put_pending(&w, t, &pending);
        put_symbol(&w, t, 0xF0);
        zeros -= 16;
        put_corrections(&w, &own);
      }
      if (!(ones >> at & 1)) {
        own.bits = own.bits << 1 | (magnitude(v) & 1);
        own.num++;
        continue;
      }
      put_pending(&w, t, &pending);
      put_bits(&w, (uint32_t)t->code[zeros << 4 | 1] << 1 | (v > 0), t->length[zeros << 4 | 1] + 1);
      put_corrections(&w, &own);
      zeros = 0;
    }
    if (last_new == scan->Se)
      continue;
    pending.run++;
    if (own.num) {
      pending.block[pending.num_blocks++] = own;
      pending.num_bits += own.num;
    }
    if (pending.run == MZC_MAX_EOB_RUN || pending.num_bits > MZC_MAX_CORRECTION_BITS)
      put_pending(&w, t, &pending);
  }
  put_pending(&w, t, &pending);
  return w;
}

/* raw: a place in scan->bytes, with room before it for every byte stuffed and behind it for all of them and 8 more. */
static void write_scan(const mzc_component *k, mzc_scan_bytes *scan, int restart_interval, uint8_t *raw)
{
  bit_writer w = { 0, 0, raw };
  interval place = { raw, put_ac_header(scan->bytes.data, k, scan), 0 };

  if (scan->Ah)
    w = write_refinement(w, k, scan, restart_interval, &place);
  else
    w = write_first(w, k, scan, restart_interval, &place);
  close_interval(&w, &place);
  scan->bytes.size = place.out - scan->bytes.data;
}

/* ---- DC scans ----------------------------------------------------------------------------------------------------- */

typedef struct {
  const mzc_component *const *component;
  int num_components, width, height;   /* in MCUs */
} dc_scan;

static dc_scan scan_of(const mzc_component *const *component, int num_components)
{
  const mzc_component *first = component[0];
  int alone = num_components == 1;

  return (dc_scan){ component, num_components, alone ? first->width : first->padded_width / first->h_samp_factor,
                    alone ? first->height : first->padded_height / first->v_samp_factor };
}

/* Calls visit(state, component of the scan, difference) for each block in MCU order; restart(state) before an MCU. */
#define FOR_DC_DIFFERENCES(scan, interval, RESTART, VISIT)                                            \
  do {                                                                                                \
    int last[MZC_MAX_COMPONENTS] = { 0 }, alone = (scan)->num_components == 1;                        \
    for (int y = 0; y < (scan)->height; y++)                                                          \
      for (int x = 0; x < (scan)->width; x++) {                                                       \
        if (restart_before((size_t)y * (scan)->width + x, interval)) {                                \
          memset(last, 0, sizeof last);                                                               \
          RESTART;                                                                                    \
        }                                                                                             \
        for (int c = 0; c < (scan)->num_components; c++) {                                            \
          const mzc_component *k = (scan)->component[c];                                              \
          int across = alone ? 1 : k->h_samp_factor, down = alone ? 1 : k->v_samp_factor;             \
          const int16_t *dc = k->dc + (size_t)y * down * k->padded_width + (size_t)x * across;        \
          for (int v = 0; v < down; v++, dc += k->padded_width)                                       \
            for (int h = 0; h < across; h++) {                                                        \
              int difference = dc[h] - last[c], sign = difference >> 31;                              \
              unsigned amount = (unsigned)((difference ^ sign) - sign);                               \
              int size = amount ? size_of(amount) : 0;                                                \
              last[c] = dc[h];                                                                        \
              VISIT;                                                                                  \
            }                                                                                         \
        }                                                                                             \
      }                                                                                               \
  } while (0)

static int count_tables(const dc_scan *s, const mzc_huffman *table, int *length)
{
  int seen = 0, num = 0;

  *length = 2;
  for (int c = 0; c < s->num_components; c++) {
    int id = s->component[c]->dc_table;
    if (!(seen >> id & 1)) {
      *length += 17 + table[id].num_symbols;
      num++;
    }
    seen |= 1 << id;
  }
  return num;
}

static uint8_t *put_dc_header(uint8_t *out, const dc_scan *s, const mzc_huffman *table)
{
  int length, seen = 0;

  count_tables(s, table, &length);
  out = put_marker(out, 0xC4, length);
  for (int c = 0; c < s->num_components; c++) {
    int id = s->component[c]->dc_table;
    if (!(seen >> id & 1))
      out = put_table(out, &table[id], id);
    seen |= 1 << id;
  }
  out = put_marker(out, 0xDA, 6 + 2 * s->num_components);
  *out++ = (uint8_t)s->num_components;
  for (int c = 0; c < s->num_components; c++) {
    *out++ = (uint8_t)s->component[c]->id;
    *out++ = (uint8_t)(s->component[c]->dc_table << 4);
  }
  *out++ = 0;
  *out++ = 0;
  *out++ = 0;
  return out;
}

/* One scan of all DC coefficients of the components. Returns its size; raw: a place in out, as in write_scan. */
static size_t write_dc(const mzc_component *const *component, int num_components, int restart_interval, uint8_t *out,
                       uint8_t *raw)
{
  dc_scan s = scan_of(component, num_components);
  uint32_t histogram[MZC_MAX_COMPONENTS][256] = { { 0 } };
  mzc_huffman table[MZC_MAX_COMPONENTS];
  bit_writer w = { 0, 0, raw };
  interval place = { raw, out, 0 };

  FOR_DC_DIFFERENCES(&s, restart_interval, (void)0, histogram[k->dc_table][size]++);
  for (int i = 0; i < MZC_MAX_COMPONENTS; i++)
    build_huffman(histogram[i], &table[i]);   /* 12 symbols at most: never too deep */
  place.out = put_dc_header(out, &s, table);
  FOR_DC_DIFFERENCES(&s, restart_interval, w = restarted(w, &place), {
    const mzc_huffman *t = &table[k->dc_table];
    uint32_t extra = (uint32_t)(difference + sign) & ((1u << size) - 1);
    put_bits(&w, (uint32_t)t->code[size] << size | extra, t->length[size] + size);
  });
  close_interval(&w, &place);
  return place.out - out;
}

/* Histograms of scans.
 *
 * A scan's size follows, but for stuffed bytes, from the histogram of its symbols. The search looks first at: the whole
 * band; the band cut at 2, 5 and 8; the two bands 1..8 and 9..63 at Al + 1; the refinement to Al. One walk over a block's
 * nonzero coefficients gives them all: zone histograms add up to any of these bands, except that the first nonzero
 * coefficient after a cut counts its run from the cut (the small correction table), and every scan keeps its own EOB run.
 */
#include "bits.h"

static const int CUT[3] = { 2, 5, 8 };
static const uint8_t zone_of[64] = {
  0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
  3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3
};
#define NUM_CUTS 3

static inline void code_band(mzc_eob_runs *runs, uint64_t band, int last)
{
  if (band)
    code_block(runs, !(band >> last));
  else
    pass_block(runs);
}

static inline void end_refinement_run(mzc_statistics *s)
{
  end_run(&s->refine);
  s->pending_corrections = 0;
}

static inline void pass_blocks(mzc_eob_runs *runs, uint32_t count)
{
  runs->run += (int)count;
  while (UNLIKELY(runs->run >= MZC_MAX_EOB_RUN)) {
    runs->count[size_of(MZC_MAX_EOB_RUN) - 1]++;
    runs->run -= MZC_MAX_EOB_RUN;
  }
}

/* The empty blocks so far join every scan's run. */
static __attribute__((noinline)) void flush_statistics(mzc_statistics *s)
{
  uint32_t count = s->empty;
  int refining = s->refine.run;

  s->empty = 0;
  pass_blocks(&s->whole, count);
  for (int c = 0; c < NUM_CUTS; c++) {
    pass_blocks(&s->low[c], count);
    pass_blocks(&s->high[c], count);
  }
  pass_blocks(&s->coarse_low, count);
  pass_blocks(&s->coarse_high, count);
  pass_blocks(&s->refine, count);
  if (refining + count >= MZC_MAX_EOB_RUN)
    s->pending_corrections = 0;   /* a run was full and took its correction bits along */
}

static void end_all_runs(mzc_statistics *s)
{
  flush_statistics(s);
  end_run(&s->whole);
  for (int c = 0; c < NUM_CUTS; c++) {
    end_run(&s->low[c]);
    end_run(&s->high[c]);
  }
  end_run(&s->coarse_low);
  end_run(&s->coarse_high);
  end_refinement_run(s);
}

/* The first coefficient above a cut: its run starts at the cut, not at the nonzero coefficient below it. */
static inline void count_cut(mzc_statistics *s, int c, uint64_t mask, const uint8_t *sizes)
{
  int cut = CUT[c];
  uint64_t low = mask & up_to(cut), high = mask & ~up_to(cut);

  code_band(&s->low[c], low, cut);
  code_band(&s->high[c], high, 63);
  if (high) {
    int first = lowest(high), below = low ? highest(low) : 0;
    if (below != cut) {
      int size = sizes[count_bits(low)];
      s->cut[c][(first - below - 1) * 16 + size]--;
      s->cut[c][(first - cut - 1) * 16 + size]++;
    }
  }
}

/* Counts one block and notes its symbols.
 *
 * jcphuff.c, encode_mcu_AC_refine: a block whose last newly nonzero coefficient is not the 63rd joins an EOB run with the
 * correction bits that follow it; too many of either flush the run. */
static inline void count_block(mzc_statistics *s, uint64_t mask, const int16_t *value, uint32_t *symbol)
{
  uint8_t sizes[64];
  uint64_t left = mask, coarse = 0;
  int n = 0, previous = 0, coarse_previous = 0;
  int zeros = 0, corrections = 0, last_new = 0;

  if (!mask) {
    s->empty++;
    return;
  }
  if (s->empty)
    flush_statistics(s);
  do {
    int i = lowest(left), v = value[n], amount = magnitude(v), size = size_of(amount), run = i - previous - 1;

    left &= left - 1;
    s->zone[zone_of[i]][run * 16 + size]++;
    symbol[n] = symbol_of(v, run, size);
    sizes[n++] = (uint8_t)size;
    zeros += run;
    previous = i;
    if (amount >= 2) {
      if (i > 8 && coarse_previous < 8)
        coarse_previous = 8;
      s->coarse[i > 8][(i - coarse_previous - 1) * 16 + size - 1]++;
      coarse_previous = i;
      coarse |= (uint64_t)1 << i;
      corrections++;
      s->num_corrections++;
    } else {
      if (!last_new)
        end_refinement_run(s);
      s->new_ones[zeros]++;
      zeros = corrections = 0;
      last_new = i;
    }
  } while (left);
  if (last_new != 63) {
    s->refine.run++;
    s->pending_corrections += corrections;
    if (s->refine.run == MZC_MAX_EOB_RUN || s->pending_corrections > MZC_MAX_CORRECTION_BITS)
      end_refinement_run(s);
  }
  code_block(&s->whole, !(mask >> 63));
  code_band(&s->coarse_low, coarse & up_to(8), 8);
  code_band(&s->coarse_high, coarse & ~up_to(8), 63);
  for (int c = 0; c < NUM_CUTS; c++)
    count_cut(s, c, mask, sizes);
}

static void count_level(mzc_component *k, int level, mzc_statistics *s, int restart_interval)
{
  mzc_sparse *p = &k->level[level];
  size_t blocks = (size_t)k->width * k->height;

  for (size_t i = 0; i < blocks; i++) {
    if (restart_before(i, restart_interval))
      end_all_runs(s);
    count_block(s, p->block[i].mask, p->value + p->block[i].start, p->symbol + p->block[i].start);
  }
}

/* Symbols by run and size, and EOB runs -> the scan's histogram and its extra bits. */
static void fold(mzc_scan_bytes *scan, const uint32_t *by_run, int num_runs, const mzc_eob_runs *eobs)
{
  uint32_t *h = scan->histogram;
  uint32_t column[16] = { 0 };   /* fewer than 2^30 symbols: MZC_MAX_BLOCKS */
  uint64_t bits = 0;

  memset(h, 0, sizeof scan->histogram);
  for (int run = 0; run < num_runs; run++) {
    const uint32_t *row = by_run + 16 * run;
    uint32_t sum = 0;

    for (int size = 0; size < 16; size++) {
      h[(run & 15) * 16 + size] += row[size];
      column[size] += row[size];
      sum += row[size];
    }
    if (run > 15 && sum)
      h[0xF0] += sum * (run >> 4);
  }
  for (int size = 1; size < 16; size++)
    bits += (uint64_t)column[size] * size;
  for (int size = 0; size < 15; size++) {
    uint32_t count = eobs->count[size] + (eobs->run > 0 && size_of(eobs->run) - 1 == size);
    h[size << 4] += count;
    bits += (uint64_t)count * size;
  }
  scan->extra_bits = bits;
  scan->counted = 1;
}

/* Histogram of any one scan, for those that the search seldom reaches. */
static void count_scan(const mzc_component *k, mzc_scan_bytes *scan, int restart_interval)
{
  const mzc_sparse *p = &k->level[scan->Al];
  uint64_t band = up_to(scan->Se) & ~up_to(scan->Ss - 1), below = up_to(scan->Ss - 1), corrections = 0;
  size_t blocks = (size_t)k->width * k->height;
  uint32_t by_run[64 * 16] = { 0 }, pending = 0;
  mzc_eob_runs eobs = { 0 };

  for (size_t i = 0; i < blocks; i++) {
    uint64_t mask = p->block[i].mask & band;
    const int16_t *value = p->value + p->block[i].start + count_bits(p->block[i].mask & below);
    int previous = scan->Ss - 1, zeros = 0, waiting = 0, last_new = scan->Ss - 1;

    if (restart_before(i, restart_interval)) {
      end_run(&eobs);
      pending = 0;
    }
    if (!scan->Ah)
      code_band(&eobs, mask, scan->Se);
    for (; mask; mask &= mask - 1) {
      int at = lowest(mask), amount = magnitude(*value++);

      zeros += at - previous - 1;
      previous = at;
      if (!scan->Ah) {
        by_run[zeros * 16 + size_of(amount)]++;
        zeros = 0;
      } else if (amount > 1) {
        waiting++;
        corrections++;
      } else {
        end_run(&eobs);
        pending = 0;
        by_run[zeros * 16 + 1]++;
        zeros = waiting = 0;
        last_new = at;
      }
    }
    if (scan->Ah && last_new != scan->Se) {
      pending += waiting;
      pass_block(&eobs);
      if (pending > MZC_MAX_CORRECTION_BITS)
        end_run(&eobs);
      if (!eobs.run)
        pending = 0;
    }
  }
  fold(scan, by_run, 64, &eobs);
  scan->extra_bits += corrections;
}

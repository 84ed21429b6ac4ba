/* Histograms of all bands between two places, from one walk over a component: for the wide search (bands.c).
 *
 * The coefficients from one place to the next are a zone. The zones of a band add up to its histogram, except that its
 * first nonzero coefficient counts its run from the start of the band, and every band keeps its own EOB run.
 */
#include "bits.h"

/* Blocks without coefficients from this start on join the runs of its bands. */
static void flush_start(mzc_band_statistics *s, int start, int num)
{
  uint32_t count = s->empty[start];

  s->empty[start] = 0;
  if (count)
    for (int end = start; end < num; end++)
      pass_blocks(&s->eobs[start][end], count);
}

static void end_band_runs(mzc_band_statistics *s, int num)
{
  for (int start = 0; start < num; start++) {
    flush_start(s, start, num);
    for (int end = start; end < num; end++)
      end_run(&s->eobs[start][end]);
  }
}

/* places: num starts of bands, and 64. zone: of each coefficient. */
static inline void count_block_in_bands(mzc_band_statistics *s, const uint8_t *places, int num, const uint8_t *zone,
                                        uint64_t mask, const int16_t *value)
{
  uint8_t sizes[64];
  int n = 0, previous = 0;

  for (uint64_t left = mask; left; left &= left - 1) {
    int i = lowest(left), size = size_of((unsigned)magnitude(value[n]));

    s->zone[zone[i]][(i - previous - 1) * 16 + size]++;
    sizes[n++] = (uint8_t)size;
    previous = i;
  }
  for (int start = 0; start < num; start++) {
    uint64_t below = mask & up_to(places[start] - 1), band = mask ^ below;

    if (!band) {
      s->empty[start]++;
      continue;
    }
    flush_start(s, start, num);
    if (start > 0) {
      int first = lowest(band), last_below = below ? highest(below) : 0;
      int32_t *change = s->first[start][zone[first]];
      int size = sizes[count_bits(below)];

      change[(first - last_below - 1) * 16 + size]--;
      change[(first - places[start]) * 16 + size]++;
    }
    for (int end = start; end < num; end++)
      code_band(&s->eobs[start][end], band & up_to(places[end + 1] - 1), places[end + 1] - 1);
  }
}

static void count_bands(const mzc_component *k, int level, const uint8_t *places, int num, mzc_band_statistics *s,
                        int restart_interval)
{
  const mzc_sparse *p = &k->level[level];
  size_t blocks = (size_t)k->width * k->height;
  uint8_t zone[64] = { 0 };

  for (int z = 0; z < num; z++)
    memset(zone + places[z], z, places[z + 1] - places[z]);
  memset(s, 0, sizeof *s);
  for (size_t i = 0; i < blocks; i++) {
    if (restart_before(i, restart_interval))
      end_band_runs(s, num);
    count_block_in_bands(s, places, num, zone, p->block[i].mask, p->value + p->block[i].start);
  }
  for (int start = 0; start < num; start++)
    flush_start(s, start, num);
}

/* The wide search: bands cut at more places than the library tries.
 *
 * The library cuts the AC coefficients of a component once, at one of five places. Every scan has a Huffman table of its
 * own, so further cuts can save more than their headers and EOB codes cost. Here every band between two of the places has
 * a price, its size but for stuffed bytes, and dynamic programming finds the cheapest bands from 1 to 63: for the
 * coefficients as they are, and for successive approximation with one bit, or with as many as the library's search chose.
 * The bands replace the library's scans only where they are proven to be smaller: no file is larger than with its search.
 */
#include "context.h"

enum { MOST_BANDS = 8, LUMA_PLACES = 10, CHROMA_PLACES = 6 };

/* Starts of bands. 3, 6, 9, 13 and 19 are the library's. These were chosen among 21 on photographs, one by one, by the bytes
 * that they save: docs/results.md. */
static const uint8_t LUMA[LUMA_PLACES + 1] = { 1, 2, 3, 5, 9, 13, 19, 22, 32, 48, 64 };
static const uint8_t CHROMA[CHROMA_PLACES + 1] = { 1, 2, 3, 5, 9, 19, 64 };

static const int64_t NEVER = INT64_MAX / 4;

typedef struct {
  int64_t size;                  /* but for stuffed bytes */
  int num;
  uint8_t place[MOST_BANDS + 1]; /* where they start, and the end of the last */
} bands;

/* The prices of all bands that start at a place, by their last zone. */
static void price_bands(mzc_engine *e, int component, int start, const uint8_t *places, int num, int64_t *price)
{
  const mzc_band_statistics *s = e->band_statistics;
  uint32_t by_run[64 * 16] = { 0 };
  mzc_scan_bytes scan;

  for (int end = start; end < num; end++) {
    for (int i = 0; i < 64 * 16; i++)
      by_run[i] += s->zone[end][i] + (uint32_t)s->first[start][end][i];
    mzc_describe_scan(&scan, component, places[start], places[end + 1] - 1, 0, 0);
    e->kernels->fold(&scan, by_run, places[end + 1] - places[start], &s->eobs[start][end]);
    price[end] = NEVER;
    if (mzc_price_scan(e->kernels, &scan, mzc_num_restarts(&e->component[component])) == 0)
      price[end] = scan.lower;
  }
}

static bands cheapest_bands(mzc_engine *e, int component, int Al, const uint8_t *places, int num)
{
  int64_t size[MOST_BANDS + 1][MZC_MAX_BANDS + 1], price[MZC_MAX_BANDS];
  uint8_t from[MOST_BANDS + 1][MZC_MAX_BANDS + 1] = { { 0 } };
  mzc_component *k = &e->component[component];
  bands best = { NEVER, 0, { 0 } };
  int at = num;

  for (int n = 0; n <= MOST_BANDS; n++)
    for (int end = 0; end <= num; end++)
      size[n][end] = n == 0 && end == 0 ? 0 : NEVER;
  mzc_need_level(e, k, Al);
  e->kernels->count_bands(k, Al, places, num, e->band_statistics, k->restart_interval);
  for (int start = 0; start < num; start++) {
    price_bands(e, component, start, places, num, price);
    for (int end = start; end < num; end++)
      for (int n = 1; n <= MOST_BANDS; n++)
        if (size[n - 1][start] + price[end] < size[n][end + 1]) {
          size[n][end + 1] = size[n - 1][start] + price[end];
          from[n][end + 1] = (uint8_t)start;
        }
  }
  for (int n = 1; n <= MOST_BANDS; n++)
    if (size[n][num] < best.size) {
      best.size = size[n][num];
      best.num = n;
    }
  for (int n = best.num; n >= 0; n--) {
    best.place[n] = places[at];
    at = from[n][at];
  }
  return best;
}

/* The library refines all coefficients of a component in one scan; further cuts gain nothing there. */
void mzc_search_bands(mzc_engine *e, int component, int Al, mzc_scan_sum *chosen)
{
  const uint8_t *places = component ? CHROMA : LUMA;
  int num_places = component ? CHROMA_PLACES : LUMA_PLACES, level = 0;
  mzc_scan_bytes *refine = e->candidates[component].refine;
  mzc_scan_sum found = { { 0 }, 0 };
  bands best = { NEVER, 0, { 0 } };
  int64_t refinements = 0;

  MZC_RESERVE(e->cinfo, e->band_statistics, e->band_statistics_capacity, 1);
  for (int a = 0; a <= (Al > 1 ? Al : 1) && !e->declined; a++) {
    bands b = cheapest_bands(e, component, a, places, num_places);

    if (a > 0) {
      mzc_price(e, &refine[a - 1]);
      refinements += refine[a - 1].lower;
    }
    if (b.size + refinements < best.size) {
      best = b;
      best.size += refinements;
      level = a;
    }
  }
  if (best.size >= NEVER)
    return;
  for (int i = 0; i < best.num; i++) {
    mzc_scan_bytes *scan = &e->script[e->num_script + i];

    mzc_describe_scan(scan, component, best.place[i], best.place[i + 1] - 1, 0, level);
    found.scan[found.num++] = scan;
  }
  for (int a = level - 1; a >= 0; a--)
    found.scan[found.num++] = &refine[a];
  if (mzc_costs_less(e, &found, chosen)) {
    *chosen = found;
    e->num_script += best.num;
  }
}

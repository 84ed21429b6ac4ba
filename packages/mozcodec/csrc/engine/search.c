/* The search for the cheapest scans, in the library's order (jcmaster.c, select_scans), decided by bounds.
 *
 * For luma, then for both chroma components together:
 *   1. successive approximation: with bands 1..8 and 9..63, does one more level (and a refinement scan for each) cost less?
 *      Stop at the first that does not.
 *   2. at that level: the whole band, or cut at 2, 8, 5, 12, 18; after 2 and 8 stop if neither helped; after 5 stop unless 8
 *      is the best; after 12 stop unless it is.
 * The library writes each candidate twice, first for its statistics, and compares sizes. Here a candidate has bounds, and
 * where they do not decide, the undecided one with the lowest bound is written to get its size. Estimates are never
 * used: choosing by lower bounds alone went wrong in 2 of 99 searches for a cut.
 */
#include "context.h"

typedef mzc_scan_sum sum;        /* of sizes */

static void add(sum *s, mzc_scan_bytes *scan)
{
  s->scan[s->num++] = scan;
}

static int64_t lower(const sum *s)
{
  int64_t total = 0;
  for (int i = 0; i < s->num; i++)
    total += s->scan[i]->lower;
  return total;
}

static int64_t upper(const sum *s)
{
  int64_t total = 0;
  for (int i = 0; i < s->num; i++)
    total += s->scan[i]->upper;
  return total;
}

static size_t num_blocks(const mzc_component *k)
{
  return (size_t)k->width * k->height;
}

size_t mzc_num_restarts(const mzc_component *k)
{
  return k->restart_interval ? (num_blocks(k) - 1) / k->restart_interval : 0;
}

/* ---- one scan ----------------------------------------------------------------------------------------------------- */

void mzc_need_level(mzc_engine *e, mzc_component *k, int level)
{
  while (k->levels_built < level) {
    mzc_sparse *out = &k->level[k->levels_built + 1];

    MZC_RESERVE(e->cinfo, out->block, out->block_capacity, num_blocks(k));
    MZC_RESERVE(e->cinfo, out->value, out->value_capacity, k->num_values + 1);
    MZC_RESERVE(e->cinfo, out->symbol, out->symbol_capacity, k->num_values + 1);
    e->kernels->coarser(k, ++k->levels_built);
  }
}

void mzc_price(mzc_engine *e, mzc_scan_bytes *scan)
{
  mzc_component *k = &e->component[scan->component];

  if (scan->priced)
    return;
  if (!scan->counted) {
    mzc_need_level(e, k, scan->Al);
    e->kernels->count_scan(k, scan, k->restart_interval);
  }
  if (mzc_price_scan(e->kernels, scan, mzc_num_restarts(k)) != 0)
    e->declined = 1;
}

static void write(mzc_engine *e, mzc_scan_bytes *scan)
{
  mzc_component *k = &e->component[scan->component];
  size_t restarts, raw;

  if (scan->written)
    return;
  mzc_price(e, scan);
  if (e->declined)
    return;
  mzc_need_level(e, k, scan->Al);
  /* Unstuffed, the data are at most lower - header - 2 restarts, and a filled byte for each restart: that much and 8
   * bytes of what the writer stores ahead lie behind raw. Stuffed, they are at most twice that, and the header and the
   * markers: that ends where the raw data end, and is never ahead of them, if raw stands at lower + restarts. */
  restarts = mzc_num_restarts(k);
  raw = (size_t)scan->lower + restarts;
  MZC_RESERVE(e->cinfo, scan->bytes.data, scan->bytes.capacity, 2 * raw + 8);
  e->kernels->write_scan(k, scan, k->restart_interval, scan->bytes.data + raw);
#ifdef MZC_ENGINE_CHECK
  if ((int64_t)scan->bytes.size < scan->lower || (int64_t)scan->bytes.size > scan->upper) {
    fprintf(stderr, "scan %d..%d %d %d: %zu bytes, bounds %lld..%lld\n", scan->Ss, scan->Se, scan->Ah, scan->Al,
            scan->bytes.size, (long long)scan->lower, (long long)scan->upper);
    abort();
  }
#endif
  if (mzc_is_large(scan->bytes.capacity)) {   /* where the raw data were */
    uint8_t *fitting = realloc(scan->bytes.data, scan->bytes.size);
    if (fitting != NULL) {
      scan->bytes.data = fitting;
      scan->bytes.capacity = scan->bytes.size;
    }
  }
  scan->written = 1;
  scan->lower = scan->upper = (int64_t)scan->bytes.size;
}

void mzc_output_scan(mzc_engine *e, mzc_scan_bytes *scan)
{
  write(e, scan);
  scan->bytes.restart_interval = e->component[scan->component].restart_interval;
  e->output[e->num_output++] = &scan->bytes;
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */

enum { NO = 0, YES = 1, OPEN = 2 };

static int costs_less(const sum *a, const sum *b)
{
  if (upper(a) < lower(b))
    return YES;
  return lower(a) >= upper(b) ? NO : OPEN;
}

static int is_open(const sum *s)
{
  return upper(s) > lower(s);
}

static void price_all(mzc_engine *e, sum *s)
{
  for (int i = 0; i < s->num; i++)
    mzc_price(e, s->scan[i]);
}

/* Writes the scans of the undecided sum with the lowest bound. */
static void tighten(mzc_engine *e, sum *const *sums, int num)
{
  sum *cheapest = NULL;

  for (int i = 0; i < num; i++)
    if (is_open(sums[i]) && (cheapest == NULL || lower(sums[i]) < lower(cheapest)))
      cheapest = sums[i];
  for (int i = 0; i < cheapest->num; i++)
    write(e, cheapest->scan[i]);
}

int mzc_costs_less(mzc_engine *e, mzc_scan_sum *a, mzc_scan_sum *b)
{
  sum *both[2] = { a, b };
  int answer = NO;

  price_all(e, a);
  price_all(e, b);
  while (!e->declined && (answer = costs_less(a, b)) == OPEN)
    tighten(e, both, 2);
  return answer == YES;
}

/* ---- candidates --------------------------------------------------------------------------------------------------- */

static const int CUTS[MZC_NUM_SPLITS] = { 2, 8, 5, 12, 18 };   /* the library's order */

void mzc_describe_scan(mzc_scan_bytes *scan, int component, int Ss, int Se, int Ah, int Al)
{
  scan->component = component;
  scan->Ss = Ss;
  scan->Se = Se;
  scan->Ah = Ah;
  scan->Al = Al;
  scan->counted = scan->priced = scan->written = 0;
}

static void add_histogram(uint32_t *to, const uint32_t *from)
{
  for (int i = 0; i < 64 * 16; i++)
    to[i] += from[i];
}

/* The bands cut at 2, 5, 8: zones below the cut, and the rest with its first runs corrected. */
static void fold_cuts(mzc_engine *e, mzc_candidates *d, const mzc_statistics *s, const uint32_t *whole)
{
  static const int index_of[3] = { 0, 2, 1 };   /* of the cuts 2, 5, 8 in CUTS */
  uint32_t low[64 * 16] = { 0 }, high[64 * 16];

  for (int c = 0; c < 3; c++) {
    mzc_scan_bytes *pair = d->split[index_of[c]];

    add_histogram(low, s->zone[c]);
    for (int i = 0; i < 64 * 16; i++)
      high[i] = whole[i] - low[i] + (uint32_t)s->cut[c][i];
    e->kernels->fold(&pair[0], low, 8, &s->low[c]);
    e->kernels->fold(&pair[1], high, 63, &s->high[c]);
  }
}

/* From the statistics of level Al: the whole band and its cuts there, the refinement to Al, the two bands at Al + 1. */
static void make_candidates(mzc_engine *e, int component, int Al, mzc_statistics *s)
{
  mzc_candidates *d = &e->candidates[component];
  uint32_t whole[64 * 16];

  e->kernels->flush_statistics(s);
  if (Al + 1 < MZC_NUM_LEVELS) {
    uint32_t ones[64 * 16] = { 0 };

    for (int run = 0; run < 63; run++)
      ones[run * 16 + 1] = s->new_ones[run];
    mzc_describe_scan(&d->refine[Al], component, 1, 63, Al + 1, Al);
    e->kernels->fold(&d->refine[Al], ones, 63, &s->refine);
    d->refine[Al].extra_bits += s->num_corrections;
    mzc_describe_scan(&d->coarse[Al + 1][0], component, 1, 8, 0, Al + 1);
    e->kernels->fold(&d->coarse[Al + 1][0], s->coarse[0], 8, &s->coarse_low);
    mzc_describe_scan(&d->coarse[Al + 1][1], component, 9, 63, 0, Al + 1);
    e->kernels->fold(&d->coarse[Al + 1][1], s->coarse[1], 63, &s->coarse_high);
  }
  mzc_describe_scan(&d->whole, component, 1, 63, 0, Al);
  for (int c = 0; c < MZC_NUM_SPLITS; c++) {
    mzc_describe_scan(&d->split[c][0], component, 1, CUTS[c], 0, Al);
    mzc_describe_scan(&d->split[c][1], component, CUTS[c] + 1, 63, 0, Al);
  }
  memcpy(whole, s->zone[0], sizeof whole);
  for (int z = 1; z < 4; z++)
    add_histogram(whole, s->zone[z]);
  e->kernels->fold(&d->whole, whole, 63, &s->whole);
  fold_cuts(e, d, s, whole);
}

static void next_level(mzc_engine *e, int component, int Al)
{
  mzc_component *k = &e->component[component];
  mzc_statistics *s = &e->statistics[component];

  mzc_need_level(e, k, Al);
  memset(s, 0, sizeof *s);
  e->kernels->count_level(k, Al, s, k->restart_interval);
  make_candidates(e, component, Al, s);
}

/* The pair of scans of cut number c; at Al > 0 the search for Al has had the cut at 8 already. */
static mzc_scan_bytes *pair_of(mzc_candidates *d, int c, int Al)
{
  return CUTS[c] == 8 && Al > 0 ? d->coarse[Al] : d->split[c];
}

/* ---- the search --------------------------------------------------------------------------------------------------- */

/* Luma, or both chroma components: what was chosen for them. */
typedef struct {
  int first, num;                /* components */
  int Al;
  int cut;                       /* 0 = whole band, c = cut number c - 1 */
} band_plan;

static void search_level(mzc_engine *e, band_plan *g, int largest_Al)
{
  sum best = { { 0 }, 0 };

  for (int c = g->first; c < g->first + g->num; c++)
    for (int half = 0; half < 2; half++)
      add(&best, &e->candidates[c].split[1][half]);
  for (int Al = 1; Al <= largest_Al; Al++) {
    sum deeper = { { 0 }, 0 };

    for (int c = g->first; c < g->first + g->num; c++) {
      add(&deeper, &e->candidates[c].coarse[Al][0]);
      add(&deeper, &e->candidates[c].coarse[Al][1]);
      for (int a = 0; a < Al; a++)
        add(&deeper, &e->candidates[c].refine[a]);
    }
    if (!mzc_costs_less(e, &deeper, &best) || e->declined)
      return;
    best = deeper;
    g->Al = Al;
    /* The candidates of level 0 are no longer needed; those of this level replace them, except coarse and refine scans
     * of the levels above, which stay. */
    for (int c = g->first; c < g->first + g->num; c++)
      next_level(e, c, Al);
  }
}

static int all_priced(const sum *s)
{
  for (int i = 0; i < s->num; i++)
    if (!s->scan[i]->priced)
      return 0;
  return 1;
}

/* The outcomes that are still possible when cut number `next` is due and `best` leads, as a set of bits: 1 << plan, or
 * UNKNOWN << plan when that plan's statistics are wanted first. Branches with the same outcome cost nothing. */
enum { NUM_PLANS = 1 + MZC_NUM_SPLITS, UNKNOWN = 1 << NUM_PLANS };

static int outcomes(const sum *plan, int next, int best)
{
  int set = 0, answer;

  if (!all_priced(&plan[next]))
    return UNKNOWN << next;
  answer = costs_less(&plan[next], &plan[best]);
  for (int wins = 0; wins < 2; wins++) {
    int leader = wins ? next : best;

    if (answer != OPEN && answer != wins)
      continue;
    if (next == 5 || (next == 2 && leader == 0) || (next == 3 && leader != 2) || (next == 4 && leader != 4))
      set |= 1 << leader;
    else
      set |= outcomes(plan, next + 1, leader);
  }
  return set;
}

static void search_cut(mzc_engine *e, band_plan *g)
{
  sum plan[NUM_PLANS] = { { { 0 }, 0 } };
  int set;

  for (int c = g->first; c < g->first + g->num; c++) {
    add(&plan[0], &e->candidates[c].whole);
    for (int p = 1; p < NUM_PLANS; p++) {
      mzc_scan_bytes *pair = pair_of(&e->candidates[c], p - 1, g->Al);
      add(&plan[p], &pair[0]);
      add(&plan[p], &pair[1]);
    }
  }
  price_all(e, &plan[0]);
  while (!e->declined) {
    sum *open[NUM_PLANS];
    int num_open = 0, wanted;

    set = outcomes(plan, 1, 0);
    if ((set & (set - 1)) == 0 && set < UNKNOWN) {
      g->cut = __builtin_ctz(set);
      return;
    }
    wanted = set < UNKNOWN ? 0 : __builtin_ctz(set / UNKNOWN);
    if (wanted && plan[wanted].scan[0]->counted) {
      price_all(e, &plan[wanted]);
      continue;
    }
    for (int p = 0; p < NUM_PLANS; p++)
      if (all_priced(&plan[p]) && is_open(&plan[p]))
        open[num_open++] = &plan[p];
    if (num_open && (set & (set - 1)))
      tighten(e, open, num_open);
    else
      price_all(e, &plan[__builtin_ctz(set / UNKNOWN)]);
  }
}

static void output_band(mzc_engine *e, const band_plan *g)
{
  for (int c = g->first; c < g->first + g->num; c++) {
    mzc_candidates *d = &e->candidates[c];

    if (g->cut == 0) {
      mzc_output_scan(e, &d->whole);
    } else {
      mzc_scan_bytes *pair = pair_of(d, g->cut - 1, g->Al);
      mzc_output_scan(e, &pair[0]);
      mzc_output_scan(e, &pair[1]);
    }
  }
}

/* The scans of one component that the file takes, in order. */
static void list_scans(mzc_engine *e, const band_plan *g, int component, sum *list)
{
  mzc_candidates *d = &e->candidates[component];

  list->num = 0;
  if (g->cut == 0) {
    add(list, &d->whole);
  } else {
    add(list, &pair_of(d, g->cut - 1, g->Al)[0]);
    add(list, &pair_of(d, g->cut - 1, g->Al)[1]);
  }
  for (int Al = g->Al - 1; Al >= 0; Al--)
    add(list, &d->refine[Al]);
}

/* Writes them, and frees what only the others need: luma's memory is not held while chroma is searched. */
static void finish_component(mzc_engine *e, sum *taken, int component)
{
  for (int i = 0; i < taken->num; i++)
    write(e, taken->scan[i]);
  mzc_release_searched(e, component, (const mzc_scan_bytes *const *)taken->scan, taken->num);
}

static void output_refinements(mzc_engine *e, const band_plan *g, int from, int to)
{
  for (int Al = from; Al >= to; Al--)
    for (int c = g->first; c < g->first + g->num; c++)
      mzc_output_scan(e, &e->candidates[c].refine[Al]);
}

/* One scan of the DC coefficients of num components, into the given buffer. */
void mzc_output_dc(mzc_engine *e, int slot, const int *components, int num)
{
  const mzc_component *component[MZC_MAX_COMPONENTS];
  mzc_bytes *bytes = &e->dc[slot];
  size_t blocks = 0, raw;
  int interval;

  for (int i = 0; i < num; i++) {
    component[i] = &e->component[components[i]];
    blocks += (size_t)component[i]->padded_width * component[i]->padded_height;
  }
  /* a header of at most 500 bytes; a block: 16 bits of code and 11 of value, 4 bytes; with restarts 5 bytes, as each may end
   * an interval, and a marker */
  interval = num == 1 ? component[0]->restart_interval
                      : mzc_restart_interval(e, component[0]->padded_width / component[0]->h_samp_factor);
  raw = 512 + blocks * (interval ? 7 : 4);
  MZC_RESERVE(e->cinfo, bytes->data, bytes->capacity, raw + blocks * 5 + 16);
  bytes->size = e->kernels->write_dc(component, num, interval, bytes->data, bytes->data + raw);
#ifdef MZC_ENGINE_CHECK
  if (bytes->size > raw + blocks * (interval ? 5 : 4)) {
    fprintf(stderr, "DC scan: %zu bytes of %zu blocks\n", bytes->size, blocks);
    abort();
  }
#endif
  bytes->restart_interval = interval;
  e->output[e->num_output++] = bytes;
}

/* dc_scan_opt_mode 0: one scan for all; 1: one for each component; 2: chroma together unless that is larger. The wide
 * search takes the smallest of these: with subsampling, a scan for all visits luma's blocks in another order. */
static void output_dc_scans(mzc_engine *e, int mode)
{
  static const int all[3] = { 0, 1, 2 };
  int first = e->num_output, together = 0;
  size_t size;

  if (e->num_components == 1 || (mode == 0 && !e->wide)) {
    mzc_output_dc(e, 0, all, e->num_components);
    return;
  }
  for (int c = 0; c < 3; c++)
    mzc_output_dc(e, c, all + c, 1);
  if (mode == 1 && !e->wide)
    return;
  mzc_output_dc(e, 3, all + 1, 2);
  together = e->dc[3].size <= e->dc[1].size + e->dc[2].size;
  size = e->dc[0].size + (together ? e->dc[3].size : e->dc[1].size + e->dc[2].size);
  e->num_output = first + (together ? 2 : 3);
  if (together)
    e->output[first + 1] = &e->dc[3];
  if (!e->wide)
    return;
  mzc_output_dc(e, 4, all, 3);
  if (e->dc[4].size <= size)
    e->output[first] = &e->dc[4];
  e->num_output = first + (e->dc[4].size <= size ? 1 : together ? 2 : 3);
}

/* The library's order: refinement scans that both luma and chroma still need come last, in turn. */
static void output_plans(mzc_engine *e, const band_plan *luma, const band_plan *chroma)
{
  int color = e->num_components == 3, common;

  common = color && chroma->Al < luma->Al ? chroma->Al : color ? luma->Al : 0;
  output_band(e, luma);
  output_refinements(e, luma, luma->Al - 1, common);
  if (color) {
    output_band(e, chroma);
    output_refinements(e, chroma, chroma->Al - 1, common);
  }
  for (int Al = common - 1; Al >= 0; Al--) {
    output_refinements(e, luma, Al, Al);
    output_refinements(e, chroma, Al, Al);
  }
}

/* All bands, then all refinements. */
static void output_lists(mzc_engine *e, const sum *list)
{
  for (int refining = 0; refining < 2; refining++)
    for (int c = 0; c < e->num_components; c++)
      for (int i = 0; i < list[c].num; i++)
        if ((list[c].scan[i]->Ah > 0) == refining)
          mzc_output_scan(e, list[c].scan[i]);
}

int mzc_search_scans(mzc_engine *e)
{
  band_plan luma = { 0, 1, 0, 0 }, chroma = { 1, 2, 0, 0 };
  sum list[3] = { { { 0 }, 0 } };

  e->num_script = 0;
  for (int c = 0; c < e->num_components; c++)
    make_candidates(e, c, 0, &e->statistics[c]);
  for (int c = 0; c < e->num_components && !e->declined; c++) {
    band_plan *g = c == 0 ? &luma : &chroma;

    if (c < 2) {
      search_level(e, g, c == 0 ? 3 : 2);
      search_cut(e, g);
    }
    list_scans(e, g, c, &list[c]);
    if (e->wide)
      mzc_search_bands(e, c, g->Al, &list[c]);
    if (c == 0 && e->num_components == 3)
      finish_component(e, &list[0], 0);
  }
  if (e->declined)
    return -1;
  e->num_output = 0;
  output_dc_scans(e, e->cinfo->master->dc_scan_opt_mode);
  if (e->wide)
    output_lists(e, list);
  else
    output_plans(e, &luma, &chroma);
  return e->declined ? -1 : 0;
}

/* Trellis quantization: the library's choice for every coefficient, looking only at those that can be nonzero.
 *
 * The library's costs, in float and in this order (jcdctmgr.c, quantize_trellis), of coefficient i after predecessor j:
 *   cost = rate(run, size) + distortion;  cost += zero_before(i) - zero_after(j) + accumulated(j)
 * with the candidates 1, 3, 7 .. 2^k - 1 below the rounded magnitude and that magnitude itself, predecessors ascending, the
 * first of equals winning. The cases skipped here are proven not to win:
 *
 * (a) A candidate below the rounded magnitude costs, at the same predecessor, at most 27 bits of rate less than the
 *     magnitude itself: its code is at least 1 bit and theirs at most 16, their extra bits at most 10 against at least 1
 *     (16 - 1 + 10 - 1 = 24), and 27 leaves room. If its distortion is more than that above theirs, it loses for every
 *     predecessor; so do the smaller ones, whose distortion is larger still.
 * (b) Let d(j) = accumulated(j) - zero_after(j). Against the newest coefficient n, an earlier j saves at most
 *     shorter_run_excess bits of rate for anything that follows, because n's run is the shorter one. So if d(j) > d(n) +
 *     shorter_run_excess, j never wins again.
 * Both compare two symbols that have codes. Sequential files' tables have gaps: where the run from any predecessor meets one,
 * at any size that the token may take, nothing is left out.
 * Both with a margin for rounding: sums of at most 64 terms, each rounded to 2^-24 of the partial sum.
 */
#include "bits.h"

#define LARGEST_RATE_DIFFERENCE 27.0f
#define NEVER 1e38f

/* Rates of DC differences; those of the last table stay, for components that share it. */
static void set_dc_rates(mzc_rates *rates, const uint8_t *dc_length)
{
  float *rate = rates->dc + MZC_DC_RATES / 2;

  if (rates->dc_filled && memcmp(rates->dc_length, dc_length, sizeof rates->dc_length) == 0)
    return;
  rates->dc_filled = 1;
  memcpy(rates->dc_length, dc_length, sizeof rates->dc_length);
  rate[0] = dc_length[0];
  for (int size = 1; 1 << size <= MZC_DC_RATES / 2; size++)
    for (int difference = 1 << (size - 1); difference < 1 << size; difference++)
      rate[difference] = rate[-difference] = (float)(size + dc_length[size]);
}

/* The library takes AC rates from a table of the plainly rounded blocks. In progressive files every symbol that the trellis
 * may want has been counted once before; sequential ones have an EOB in each block that ends early, and symbols that did
 * not occur have no code: the library skips them. */
static int set_rates(mzc_rates *rates, const mzc_component *k, const uint8_t *dc_length, int sequential)
{
  mzc_eob_runs block_ends = { 0, { (uint32_t)k->width * (uint32_t)k->height - k->plain_full } };
  mzc_scan_bytes scan;
  mzc_huffman table;
  float excess = 0;

  fold(&scan, k->plain, 63, sequential ? &block_ends : &k->plain_eobs);
  for (int run = 0; run < 16 && !sequential; run++)
    for (int size = 0; size < 12; size++)
      scan.histogram[16 * run + size]++;
  if (build_huffman(scan.histogram, &table) != 0)
    return -1;
  memset(rates->gaps, 0, sizeof rates->gaps);
  for (int size = 1; size < 12; size++) {
    float cheapest = NEVER;
    rates->gaps[size] = rates->gaps[size - 1];
    for (int run = 62; run >= 0; run--) {
      int has_code = table.length[(run & 15) * 16 + size] && (run < 16 || table.length[0xF0]);
      float rate = (float)(table.length[(run & 15) * 16 + size] + size + (run >> 4) * table.length[0xF0]);
      if (!has_code) {
        rates->ac[size][run] = NEVER;
        rates->gaps[size] |= (uint64_t)1 << run;
        continue;
      }
      rates->ac[size][run] = rate;
      if (rate - cheapest > excess)
        excess = rate - cheapest;
      if (rate < cheapest)
        cheapest = rate;
    }
  }
  rates->shorter_run_excess = excess;
  rates->has_gaps = sequential;
  rates->eob = table.length[0];
  set_dc_rates(rates, dc_length);
  return 0;
}

/* ---- DC ----------------------------------------------------------------------------------------------------------- */

/* The library's number of DC candidates: more where steps are fine. */
static int num_dc_candidates(int step)
{
  int n = (2 + 60 / step) | 1;
  return n < MZC_DC_CANDIDATES ? n : MZC_DC_CANDIDATES;
}

static inline float squared(int difference)
{
  return (float)(int)((unsigned)difference * (unsigned)difference);
}

typedef struct {
  float cost[MZC_DC_STRIDE];
  int value[MZC_DC_STRIDE];      /* signed, clamped to the coefficient range */
} dc_state;

/* Candidates u0, u0 + 1, .. of the magnitude: a vector over candidates, previous candidates one after another. The
 * candidates' rates lie side by side in the table because the values do. */
static inline void extend_dc(dc_state *now, const dc_state *before, const float *dc, int sign, int u0, int count,
                             const float *distortion, uint8_t *came_from)
{
  const float *rate = dc + MZC_DC_RATES / 2 + u0;

  for (int half = 0; half < count; half += LANES) {
    lanes own = *(const lanes *)(distortion + half);
    lanes best = *(const unaligned_lanes *)(rate + half - sign * before->value[0]) + own + before->cost[0];
    int_lanes from = { 0 };
    for (int l = 1; l < count; l++) {
      lanes cost = *(const unaligned_lanes *)(rate + half - sign * before->value[l]) + own + before->cost[l];
      int_lanes better = cost < best;
      best = (lanes)((better & (int_lanes)cost) | (~better & (int_lanes)best));
      from = (better & l) | (~better & from);
    }
    memcpy(now->cost + half, &best, sizeof best);
    for (int j = 0; j < LANES; j++)
      came_from[half + j] = (uint8_t)from[j];
  }
}

static inline float dc_rate(const mzc_rates *rates, int difference)
{
  return rates->dc[MZC_DC_RATES / 2 + difference];
}

/* The same one by one, for the first block of a row and near the end of the coefficient range. */
static void extend_dc_clamped(dc_state *now, const dc_state *before, const mzc_rates *rates, int count,
                              const float *distortion, uint8_t *came_from)
{
  for (int j = 0; j < count; j++) {
    now->cost[j] = dc_rate(rates, now->value[j] - before->value[0]) + distortion[j] + before->cost[0];
    came_from[j] = 0;
    for (int l = 1; l < count; l++) {
      float cost = dc_rate(rates, now->value[j] - before->value[l]) + distortion[j] + before->cost[l];
      if (cost < now->cost[j]) {
        now->cost[j] = cost;
        came_from[j] = (uint8_t)l;
      }
    }
  }
}

static void choose_dc(mzc_component *k, const mzc_quantizer *q, const mzc_rates *rates, int row, int *predictor,
                      uint8_t *came_from, int16_t *candidate)
{
  int step = q->step8[0], count = num_dc_candidates(step / 8), best = 0;
  size_t first = (size_t)row * k->width;
  int16_t *out = k->dc + (size_t)row * k->padded_width;
  dc_state state[2];

  for (int x = 0; x < k->width; x++) {
    dc_state *now = &state[x & 1], *before = &state[~x & 1];
    int raw = k->block[first + x].raw_dc, sign = raw < 0 ? -1 : 1, amount = magnitude(raw);
    int u0 = (amount + step / 2) / step - count / 2;
    float scale = k->block[first + x].lambda * q->weight[0];
    float distortion[MZC_DC_STRIDE] ALIGNED;

    for (int j = 0; j < MZC_DC_STRIDE; j++) {
      int u = u0 + j < 1023 ? u0 + j : 1023;
      distortion[j] = squared(u * step - amount) * scale;
      now->value[j] = sign * u;
    }
    if (x == 0) {
      for (int j = 0; j < count; j++) {
        now->cost[j] = dc_rate(rates, now->value[j] - *predictor) + distortion[j];
        came_from[j] = 0;
      }
    } else if (u0 + MZC_DC_STRIDE < 1023) {
      extend_dc(now, before, rates->dc, sign, u0, count, distortion, came_from);
    } else {
      extend_dc_clamped(now, before, rates, count, distortion, came_from);
    }
    for (int j = 0; j < MZC_DC_CANDIDATES; j++)
      candidate[j] = (int16_t)now->value[j];
    came_from += MZC_DC_STRIDE;
    candidate += MZC_DC_STRIDE;
  }
  for (int j = 1; j < count; j++)
    if (state[~k->width & 1].cost[j] < state[~k->width & 1].cost[best])
      best = j;
  for (int x = k->width - 1; x >= 0; x--) {
    came_from -= MZC_DC_STRIDE;
    candidate -= MZC_DC_STRIDE;
    out[x] = candidate[best];
    best = came_from[best];
  }
  *predictor = out[k->width - 1];
}

/* ---- AC ----------------------------------------------------------------------------------------------------------- */

/* What a token may become at what distortion: sizes smallest .. size; value 2^s - 1 below the largest. */
typedef struct {
  int position, amount, step, rounded, size, smallest;
  float weight, zero_before, zero_after;
  float distortion[12];
} choices;

typedef struct {
  float lambda, zero_total, largest;   /* largest: the highest cost so far, for the margins */
  const mzc_rates *rates;
  float accumulated[64], zero_after[64];   /* of the tokens so far; 0 is the start of the block */
  uint8_t position[64], came_from[64], open[64];
  int16_t value[64];
  int num_open;                  /* predecessors that can still win, the newest last */
} ac_path;

static INLINE float distortion_of(const ac_path *p, const choices *c, int value)
{
  int delta = value * c->step - c->amount;
  return (float)(delta * delta) * p->lambda * c->weight;
}

/* (a): can this smaller candidate still win against the full magnitude? */
static INLINE int may_win(const ac_path *p, const choices *c, float distortion)
{
  return !(distortion > c->distortion[c->size] + LARGEST_RATE_DIFFERENCE +
                          (p->zero_total + p->largest + distortion) * 1e-6f);
}

/* The newest predecessor is the only one left: in five of six cases. */
static INLINE float follow_newest(const ac_path *p, choices *c, int newest, int *chosen_size)
{
  int run = c->position - 1 - p->position[newest];
  float before = c->zero_before - p->zero_after[newest] + p->accumulated[newest];
  float best = p->rates->ac[c->size][run] + c->distortion[c->size] + before;

  *chosen_size = c->size;
  for (int s = c->size - 1; s >= 1; s--) {
    float d = distortion_of(p, c, (1 << s) - 1), cost;
    if (!may_win(p, c, d))
      break;
    cost = p->rates->ac[s][run] + d + before;
    if (cost <= best) {          /* of equals the library keeps the smaller, which it meets first */
      best = cost;
      *chosen_size = s;
    }
  }
  return best;
}

static float follow_any(const ac_path *p, choices *c, int *from, int *chosen_size)
{
  float best = NEVER;

  for (c->smallest = c->size; c->smallest > 1; c->smallest--) {
    float d = distortion_of(p, c, (1 << (c->smallest - 1)) - 1);
    if (!may_win(p, c, d))
      break;
    c->distortion[c->smallest - 1] = d;
  }
  for (int a = 0; a < p->num_open; a++) {
    int j = p->open[a], run = c->position - 1 - p->position[j];
    float before = c->zero_before - p->zero_after[j] + p->accumulated[j];

    for (int s = c->smallest; s <= c->size; s++) {
      float cost = p->rates->ac[s][run] + c->distortion[s];
      cost += before;
      if (cost < best) {
        best = cost;
        *from = j;
        *chosen_size = s;
      }
    }
  }
  return best;
}

/* Every predecessor and every size: where some symbol has no code, nothing is proven. Of equals the first wins. */
static float follow_all(const ac_path *p, choices *c, int num_tokens, int *from, int *chosen_size)
{
  float best = NEVER;

  for (int s = 1; s < c->size; s++)
    c->distortion[s] = distortion_of(p, c, (1 << s) - 1);
  for (int j = 0; j <= num_tokens; j++) {
    int run = c->position - 1 - p->position[j];
    float before = c->zero_before - p->zero_after[j] + p->accumulated[j];

    for (int s = 1; s <= c->size; s++) {
      float cost = p->rates->ac[s][run] + c->distortion[s];
      cost += before;
      if (cost < best) {         /* adding to NEVER does not change it */
        best = cost;
        *from = j;
        *chosen_size = s;
      }
    }
  }
  return best;
}

/* (b): token n joins the predecessors; those that can no longer win are removed. */
static INLINE void join_open(ac_path *p, int n)
{
  float limit = p->accumulated[n] - p->zero_after[n] + p->rates->shorter_run_excess + 0.05f +
                (p->zero_total + p->largest) * 2e-6f;

  if (p->num_open == 1) {
    p->num_open = 1 + !(p->accumulated[n - 1] - p->zero_after[n - 1] > limit);
    p->open[0] = (uint8_t)(n - 1);
  } else {
    int kept = 0;
    for (int a = 0; a < p->num_open; a++) {
      int j = p->open[a];
      p->open[kept] = (uint8_t)j;
      kept += !(p->accumulated[j] - p->zero_after[j] > limit);
    }
    p->num_open = kept + 1;
  }
  p->open[p->num_open - 1] = (uint8_t)n;
}

/* Values along the chosen path in zigzag order; returns their mask. */
static INLINE uint64_t trace_back(const ac_path *p, int last, int16_t *out)
{
  uint64_t chosen = 0;
  uint8_t order[64];
  int count = 0;

  for (int j = last; j; j = p->came_from[j]) {
    order[count++] = (uint8_t)j;
    chosen |= (uint64_t)1 << p->position[j];
  }
  while (count)
    *out++ = p->value[order[--count]];
  return chosen;
}

/* Chooses one block; the values go to out in zigzag order. Returns their mask. */
static INLINE uint64_t choose_block(uint64_t mask, const mzc_token *token, float lambda, float zero_total,
                                    const mzc_quantizer *q, const mzc_rates *rates, int gaps, int16_t *out)
{
  uint64_t positions = (uint64_t)1 << 63;   /* of the predecessors, the first one highest */
  ac_path p;
  float best_end = zero_total + rates->eob;
  int n = 0, last = 0;

  p.lambda = lambda;
  p.zero_total = zero_total;
  p.largest = 0;
  p.rates = rates;
  p.accumulated[0] = p.zero_after[0] = 0;
  p.position[0] = p.open[0] = 0;
  p.num_open = 1;
  do {
    int i = lowest(mask), z = natural_of[i], raw = token->raw, from = n, size = 0, value;
    choices c;
    float best, end;

    c.position = i;
    c.amount = magnitude(raw);
    c.step = q->step8[z];
    c.weight = q->weight[z];
    c.rounded = token->rounded;
    c.size = size_of((unsigned)c.rounded);
    c.zero_before = token->zero_before;
    c.zero_after = (float)(c.amount * c.amount) * lambda * c.weight + c.zero_before;
    c.distortion[c.size] = distortion_of(&p, &c, c.rounded);
    if (gaps && (positions >> (64 - i) & rates->gaps[c.size]))
      best = follow_all(&p, &c, n, &from, &size);
    else if (p.num_open == 1)
      best = follow_newest(&p, &c, n, &size);
    else
      best = follow_any(&p, &c, &from, &size);
    mask &= mask - 1;
    positions |= (uint64_t)1 << (63 - i);
    token++;
    n++;
    value = size == c.size ? c.rounded : (1 << size) - 1;
    p.accumulated[n] = best;
    p.zero_after[n] = c.zero_after;
    p.position[n] = (uint8_t)i;
    p.came_from[n] = (uint8_t)from;
    p.value[n] = (int16_t)(raw < 0 ? -value : value);
    if (best > p.largest)
      p.largest = best;
    join_open(&p, n);
    end = best + zero_total - c.zero_after;
    if (i < 63)
      end += rates->eob;
    if (end < best_end) {
      best_end = end;
      last = n;
    }
  } while (mask);
  return trace_back(&p, last, out);
}

static void choose_ac(mzc_component *k, const mzc_quantizer *q, const mzc_rates *rates, mzc_statistics *s,
                      int restart_interval)
{
  mzc_sparse *out = &k->level[0];
  const mzc_token *token = k->token;
  size_t blocks = (size_t)k->width * k->height, used = 0;
  int gaps = rates->has_gaps;

  for (size_t i = 0; i < blocks; i++) {
    const mzc_block *b = &k->block[i];
    uint64_t chosen = 0;

    if (b->tokens) {
      chosen = gaps ? choose_block(b->tokens, token, b->lambda, b->zero_total, q, rates, 1, out->value + used)
                    : choose_block(b->tokens, token, b->lambda, b->zero_total, q, rates, 0, out->value + used);
      token += count_bits(b->tokens);
    }
    out->block[i] = (mzc_sparse_block){ chosen, (uint32_t)used };
    if (restart_before(i, restart_interval))
      end_all_runs(s);
    count_block(s, chosen, out->value + used, out->symbol + used);
    used += count_bits(chosen);
  }
  k->num_values = used;
}

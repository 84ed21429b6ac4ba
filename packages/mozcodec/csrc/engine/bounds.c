/* Bounds of a scan's size, from its histogram alone.
 *
 * size = header and table + bytes of the bits + a zero byte after each byte 0xFF (+ what restart markers add). Only the
 * number of stuffed bytes is unknown. Lower bound: none.
 *
 * Upper bound. A stuffed byte is eight ones in a row at a byte boundary, so a run of r ones holds at most (r + 1) / 8 of
 * them, and never more than the number of k in 8, 16, 24 .. up to r. How many runs of at least m ones are there? A code
 * has a zero bit, so such a run cannot cover one; it lies
 *   - inside a code, between two zeros, or
 *   - in the tail of one symbol (the ones at the end of its code, and its extra bits, which may all be ones) and the head
 *     of the next (the ones at the start of its code).
 * For a run of m ones of the second kind and any k >= 1, either the tail has at least k ones or the head has at least
 * m + 1 - k. So (symbols with tail >= k) + (symbols with head >= m + 1 - k) bounds their number, and so does the minimum over
 * k; summed over m = 8, 16, 24 .. it bounds the stuffed bytes at junctions. The last byte, filled with ones, may add some.
 */
#include "context.h"

enum { MAX_ONES = 40 };          /* a tail: 16 bits of code at most, 14 extra bits at most */

typedef struct {
  uint32_t heads[MAX_ONES + 1], tails[MAX_ONES + 1];   /* symbols with at least that many ones there */
  uint64_t inside;               /* symbols whose code has room for eight ones between two zeros */
} ones;

static int bit_length(unsigned value)
{
  return value ? 32 - __builtin_clz(value) : 0;
}

static int extra_bits_of(int symbol)
{
  if (symbol & 15)
    return symbol & 15;
  return symbol == 0xF0 ? 0 : symbol >> 4;   /* ZRL, or an EOB run */
}

static void count_ones(const mzc_scan_bytes *scan, ones *o)
{
  const mzc_huffman *t = &scan->table;

  memset(o, 0, sizeof *o);
  for (int i = 0; i < t->num_symbols; i++) {
    int symbol = t->value[i], length = t->length[symbol];
    unsigned zeros = ~(unsigned)t->code[symbol] & ((1u << length) - 1);   /* never 0 */
    int head = length - bit_length(zeros), tail = __builtin_ctz(zeros);
    uint32_t count = scan->histogram[symbol];

    o->heads[head] += count;
    o->tails[tail + extra_bits_of(symbol)] += count;
    if (bit_length(zeros) - 1 - tail > 8)
      o->inside += count;
  }
  for (int i = MAX_ONES - 1; i >= 0; i--) {
    o->heads[i] += o->heads[i + 1];
    o->tails[i] += o->tails[i + 1];
  }
}

static int64_t most_stuffed(const ones *o)
{
  int64_t sum = (int64_t)o->inside + 5;

  for (int m = 8; m <= MAX_ONES + 7; m += 8) {
    uint64_t fewest = UINT64_MAX;
    for (int k = 1; k <= MAX_ONES && k <= m; k++) {
      int head = m + 1 - k;
      uint64_t junctions = (uint64_t)o->tails[k] + (head > MAX_ONES ? 0 : o->heads[head]);
      if (junctions < fewest)
        fewest = junctions;
    }
    if (fewest == 0)             /* nor are there longer runs */
      break;
    sum += (int64_t)fewest;
  }
  return sum;
}

int mzc_price_scan(const mzc_kernels *kernels, mzc_scan_bytes *scan, size_t num_restarts)
{
  const mzc_huffman *t = &scan->table;
  uint64_t bits = scan->extra_bits;
  int64_t header, bytes, stuffed;

  if (kernels->build_huffman(scan->histogram, &scan->table) != 0)
    return -1;
  for (int i = 0; i < t->num_symbols; i++)
    bits += (uint64_t)scan->histogram[t->value[i]] * t->length[t->value[i]];
  header = 2 + 2 + 17 + t->num_symbols + 10;
  bytes = (int64_t)((bits + 7) / 8);
  scan->lower = header + bytes + 2 * (int64_t)num_restarts;
  stuffed = bytes;
  /* refinement scans scatter correction bits between the codes, restarts fill bytes with ones: every byte may be 0xFF */
  if (!scan->Ah && !num_restarts) {
    ones o;
    count_ones(scan, &o);
    if (most_stuffed(&o) < stuffed)
      stuffed = most_stuffed(&o);
  }
  /* each interval ends at a byte of its own, which may be 0xFF too */
  scan->upper = scan->lower + stuffed + 2 * (int64_t)num_restarts;
  scan->priced = 1;
  scan->written = 0;
  return 0;
}

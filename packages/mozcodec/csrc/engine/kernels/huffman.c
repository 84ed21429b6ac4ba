/* The library's optimal Huffman tables, by two sorted queues instead of a search through all counts at each step. */
#include "bits.h"

enum { MAX_TREE_LENGTH = 32, MAX_LEAVES = 257 + 8, MAX_NODES = 2 * 257 };   /* leaves: to whole vectors */

/* A key orders nodes as the library does: the smallest count first; among equals the one that stands later in the list
 * of symbols, where a merged node keeps the place of the smaller child and the reserved code (which keeps the all-ones
 * word free) stands last. */
static inline uint64_t node_key(uint64_t count, int place)
{
  return count << 9 | (unsigned)(511 - place);
}

static inline int place_of(uint64_t key)
{
  return 511 - (int)(key & 511);
}

/* How many keys are smaller, for each of size counts. A lane is a place: nothing here branches on a count. A count fits an
 * int: MZC_MAX_BLOCKS blocks have fewer than 2^30 symbols. Counts beyond size, to a whole vector, are readable. */
static void rank_keys(const int32_t *count, int size, int32_t *rank)
{
  for (int group = 0; group < size; group += LANES) {
    int_lanes own = *(const int_lanes *)(count + group), smaller = { 0 }, lane;
    int after = group + LANES < size ? group + LANES : size;

    for (int l = 0; l < LANES; l++)
      lane[l] = group + l;
    for (int j = 0; j < group; j++)
      smaller -= (int_lanes){ 0 } + count[j] < own;
    for (int j = group; j < after; j++)      /* of equal counts the later place is the smaller key */
      smaller -= (int_lanes){ 0 } + count[j] < own - ((int_lanes){ 0 } + j > lane);
    for (int j = after; j < size; j++)
      smaller -= (int_lanes){ 0 } + count[j] <= own;
    *(int_lanes *)(rank + group) = smaller;
  }
}

/* The smaller of the first leaf and the first merged node. */
static inline uint64_t take_smallest(const uint64_t **leaf, const uint64_t **merged)
{
  int from_merged = **merged < **leaf;
  uint64_t key = from_merged ? **merged : **leaf;

  *merged += from_merged;
  *leaf += !from_merged;
  return key;
}

/* Depth of each leaf; leaves are the symbols in use and, last, the reserved one. 0 when the tree is deeper than 32.
 *
 * Two sorted queues, of leaves and of merged nodes: a merged node's count is never below that of one made before it, so it
 * joins at the end, or before nodes of the same count whose keys are larger. */
static int leaf_depths(const uint32_t *histogram, const uint8_t *symbol, int num_symbols, uint8_t *depth)
{
  int32_t count[MAX_LEAVES] ALIGNED, rank[MAX_LEAVES] ALIGNED;
  uint64_t leaves[MAX_LEAVES], merged_nodes[MAX_LEAVES];
  uint16_t parent[MAX_NODES], node_at[MAX_LEAVES];   /* node_at: which node stands at a place now */
  uint8_t node_depth[MAX_NODES];
  int16_t place[MAX_LEAVES];
  const uint64_t *leaf = leaves, *merged = merged_nodes;
  uint64_t *end = merged_nodes;
  int size = num_symbols + 1, nodes = size, ones = 1, others = 0;

  /* symbols seen once are many, and come first, the later the earlier */
  leaves[0] = node_key(1, num_symbols);
  for (int i = num_symbols - 1; i >= 0; i--) {
    leaves[ones] = node_key(1, i);
    ones += histogram[symbol[i]] == 1;
  }
  for (int i = 0; i < num_symbols; i++) {
    count[others] = (int32_t)histogram[symbol[i]];
    place[others] = (int16_t)i;
    others += count[others] != 1;
  }
  for (int i = others; i < others + LANES; i++)
    count[i] = 0;
  rank_keys(count, others, rank);
  for (int i = 0; i < others; i++)
    leaves[ones + rank[i]] = node_key((uint64_t)count[i], place[i]);
  for (int i = 0; i < size; i++)
    node_at[i] = (uint16_t)i;
  leaves[size] = *end = UINT64_MAX;
  for (int left = size; left > 1; left--) {
    uint64_t smallest = take_smallest(&leaf, &merged), second = take_smallest(&leaf, &merged), key, *at = end;
    int at_place = place_of(smallest);

    parent[node_at[at_place]] = parent[node_at[place_of(second)]] = (uint16_t)nodes;
    node_at[at_place] = (uint16_t)nodes++;
    key = node_key((smallest >> 9) + (second >> 9), at_place);
    for (; at > merged && at[-1] > key; at--)
      *at = at[-1];
    *at = key;
    *++end = UINT64_MAX;
  }
  node_depth[nodes - 1] = 0;
  for (int i = nodes - 2; i >= 0; i--) {
    int d = node_depth[parent[i]] + 1;
    if (d > MAX_TREE_LENGTH)
      return 0;
    node_depth[i] = (uint8_t)d;
  }
  memcpy(depth, node_depth, num_symbols + 1);
  return 1;
}

/* The symbols in use, in order. */
static int list_symbols(const uint32_t *histogram, uint8_t *symbol)
{
  int n = 0;

  for (int s = 0; s < 256; s++) {
    symbol[n] = (uint8_t)s;
    n += histogram[s] != 0;
  }
  return n;
}

/* T.81, K.2: no code longer than 16 bits, and the reserved one dropped. */
static void limit_lengths(uint8_t *bits)
{
  int length;

  for (length = MAX_TREE_LENGTH; length > 16; length--)
    while (bits[length] > 0) {
      int shorter = length - 2;
      while (bits[shorter] == 0)
        shorter--;
      bits[length] -= 2;
      bits[length - 1]++;
      bits[shorter + 1] += 2;
      bits[shorter]--;
    }
  while (bits[length] == 0)
    length--;
  bits[length]--;
}

/* 0, or -1 when a code would be longer than 32 bits before limiting (the library stops there). */
static int build_huffman(const uint32_t *histogram, mzc_huffman *table)
{
  uint8_t depth[257], bits[MAX_TREE_LENGTH + 1] = { 0 };
  int place[MAX_TREE_LENGTH + 2], n, p = 0;
  uint8_t symbol[256 + 1];
  unsigned code = 0;

  n = list_symbols(histogram, symbol);
  table->num_symbols = n;
  if (!leaf_depths(histogram, symbol, n, depth))
    return -1;
  for (int i = 0; i <= n; i++)
    bits[depth[i]]++;
  /* as in the library, symbols are sorted by their lengths before limiting */
  for (int length = 1; length <= MAX_TREE_LENGTH; length++) {
    place[length] = p;
    p += bits[length];
  }
  for (int i = 0; i < n; i++)
    table->value[place[depth[i]]++] = symbol[i];
  limit_lengths(bits);
  memcpy(table->bits, bits, sizeof table->bits);
  memset(table->length, 0, sizeof table->length);
  p = 0;
  for (int length = 1; length <= 16; length++) {
    for (int i = 0; i < bits[length]; i++, p++) {
      table->length[table->value[p]] = (uint8_t)length;
      table->code[table->value[p]] = (uint16_t)code++;
    }
    code <<= 1;
  }
  return 0;
}

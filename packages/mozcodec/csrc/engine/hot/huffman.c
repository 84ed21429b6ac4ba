/* The library's optimal Huffman tables, by a heap instead of a search through all counts at each step. */
#include "bits.h"

enum { MAX_TREE_LENGTH = 32, MAX_NODES = 2 * 257 };

/* A key orders nodes as the library does: the smallest count first; among equals the one that stands later in the list
 * of symbols, where a merged node keeps the place of the smaller child and the reserved code (which keeps the all-ones
 * word free) stands last. */
static inline uint64_t node_key(uint64_t count, int place)
{
  return count << 9 | (unsigned)(511 - place);
}

static inline void sift_down(uint64_t *heap, int size, int at)
{
  uint64_t key = heap[at];

  for (;;) {
    int child = 2 * at + 1;
    if (child >= size)
      break;
    if (child + 1 < size && heap[child + 1] < heap[child])
      child++;
    if (heap[child] >= key)
      break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = key;
}

/* Depth of each leaf; leaves are the symbols in use and, last, the reserved one. 0 when the tree is deeper than 32. */
static int leaf_depths(const uint32_t *histogram, const uint8_t *symbol, int num_symbols, uint8_t *depth)
{
  uint64_t heap[257];
  uint16_t parent[MAX_NODES], node_at[257];   /* node_at: which node stands at a place now */
  uint8_t node_depth[MAX_NODES];
  int size = num_symbols + 1, nodes = size;

  for (int i = 0; i < size; i++) {
    heap[i] = node_key(i < num_symbols ? histogram[symbol[i]] : 1, i);
    node_at[i] = (uint16_t)i;
  }
  for (int i = size / 2 - 1; i >= 0; i--)
    sift_down(heap, size, i);
  while (size > 1) {
    uint64_t smallest = heap[0], second;
    int place = 511 - (int)(smallest & 511);

    heap[0] = heap[--size];
    sift_down(heap, size, 0);
    second = heap[0];
    parent[node_at[place]] = parent[node_at[511 - (second & 511)]] = (uint16_t)nodes;
    node_at[place] = (uint16_t)nodes++;
    heap[0] = node_key((smallest >> 9) + (second >> 9), place);
    sift_down(heap, size, 0);
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
  int place[MAX_TREE_LENGTH + 2], n = 0, p = 0;
  uint8_t symbol[256];
  unsigned code = 0;

  for (int s = 0; s < 256; s++)
    if (histogram[s])
      symbol[n++] = (uint8_t)s;
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

/* Random numbers and hashes that are the same for every compiler and processor. */
#ifndef MOZCODEC_CHANCE_H
#define MOZCODEC_CHANCE_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xCBF29CE484222325u

static uint64_t chance;   /* the state of draw() */

static inline uint32_t draw(uint32_t below)   /* splitmix64 */
{
  uint64_t z = chance += 0x9E3779B97F4A7C15u;

  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (uint32_t)((z ^ z >> 31) % below);
}

/* Returns the FNV-1a hash of data after that of what stands before, or HASH_START. */
static inline uint64_t hash(uint64_t before, const void *data, size_t size)
{
  for (const unsigned char *p = data; size--; p++)
    before = (before ^ *p) * 0x100000001B3u;
  return before;
}

#endif

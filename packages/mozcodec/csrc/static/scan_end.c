/* How the coded data of a scan ends: an encoder fills its last byte with ones. */
#define JPEG_INTERNALS
#include "../shim.h"

#include <jdhuff.h>

/* The beginning that the Huffman decoders of sequential and of progressive files share. */
typedef struct {
  struct jpeg_entropy_decoder pub;
  bitread_perm_state bitstate;
} huffman_decoder;

static int ends_in_ones(j_decompress_ptr cinfo)
{
  const bitread_perm_state *bits = &((huffman_decoder *)cinfo->entropy)->bitstate;
  int part = bits->bits_left & 7, ones = (1 << part) - 1;

  return ((int)(bits->get_buffer >> (bits->bits_left - part)) & ones) == ones;
}

static void finish_input_pass(j_decompress_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  guard->clean_scan_end = 0;
  if (!cinfo->arith_code && !cinfo->master->lossless && ends_in_ones(cinfo))
    guard->clean_scan_end = cinfo->input_scan_number;
  (*guard->finish_input_pass)(cinfo);
}

void mzc_watch_scan_ends(j_decompress_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  guard->finish_input_pass = cinfo->inputctl->finish_input_pass;
  cinfo->inputctl->finish_input_pass = finish_input_pass;
}

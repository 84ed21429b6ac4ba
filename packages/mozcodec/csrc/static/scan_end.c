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

/* Some encoders fill up a restart interval whose codes end with a byte by a whole byte of ones, FF 00. libjpeg has it in
 * its bit buffer, counted as skipped, or before it. Codes of progressive scans may end with as many ones themselves. */
static boolean read_restart_marker(j_decompress_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;
  struct jpeg_marker_reader *marker = cinfo->marker;
  const JOCTET *at = cinfo->src->next_input_byte;
  size_t size = cinfo->src->bytes_in_buffer;
  int wanted = 0xD0 + marker->next_restart_num;

  if (!cinfo->arith_code && !cinfo->master->lossless && !cinfo->progressive_mode) {
    if (cinfo->unread_marker == 0 && marker->discarded_bytes == 0 && size >= 4 && at[0] == 0xFF && at[1] == 0 &&
        at[2] == 0xFF && at[3] == wanted) {
      cinfo->src->next_input_byte += 2;
      cinfo->src->bytes_in_buffer -= 2;
      mzc_note_ones(guard, wanted);
    } else if (marker->discarded_bytes == 1) {
      const JOCTET *end = cinfo->unread_marker == wanted ? at - 2 : at;
      if ((cinfo->unread_marker == wanted || (cinfo->unread_marker == 0 && size >= 2 && at[1] == wanted)) &&
          end[0] == 0xFF && end[-2] == 0xFF && end[-1] == 0) {
        marker->discarded_bytes = 0;
        mzc_note_ones(guard, wanted);
      }
    }
  }
  return (*guard->read_restart_marker)(cinfo);
}

void mzc_watch_scan_ends(j_decompress_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  guard->read_restart_marker = cinfo->marker->read_restart_marker;
  cinfo->marker->read_restart_marker = read_restart_marker;
  guard->finish_input_pass = cinfo->inputctl->finish_input_pass;
  cinfo->inputctl->finish_input_pass = finish_input_pass;
}

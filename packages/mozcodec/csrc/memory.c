/* Where the coded bytes go. */
#include "shim.h"

#define SMALLEST_BUFFER 4096

void mzc_free(void *pointer)
{
  free(pointer);
}

static void drop_the_rest(mzc_destination *destination)
{
  if (destination->dropping)
    destination->dropped += sizeof destination->drop;
  destination->dropping = 1;
  destination->base.next_output_byte = destination->drop;
  destination->base.free_in_buffer = sizeof destination->drop;
}

static void init_destination(j_compress_ptr cinfo)
{
  mzc_destination *destination = (mzc_destination *)cinfo->dest;

  destination->dropping = 0;      /* a second attempt starts from an empty buffer */
  destination->dropped = 0;
  destination->base.next_output_byte = destination->out->data;
  destination->base.free_in_buffer = destination->out->capacity;
  if (destination->out->capacity == 0)   /* libjpeg writes a byte before it checks for space */
    drop_the_rest(destination);
}

static boolean empty_output_buffer(j_compress_ptr cinfo)
{
  mzc_destination *destination = (mzc_destination *)cinfo->dest;
  mzc_buffer *out = destination->out;
  size_t full = out->capacity;
  unsigned char *grown;

  if (out->borrowed) {
    drop_the_rest(destination);
    return TRUE;
  }
  grown = realloc(out->data, 2 * full);
  if (grown == NULL)
    ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 10);
  out->data = grown;
  out->capacity = 2 * full;
  destination->base.next_output_byte = grown + full;
  destination->base.free_in_buffer = full;
  return TRUE;
}

static void term_destination(j_compress_ptr cinfo)
{
  mzc_destination *destination = (mzc_destination *)cinfo->dest;

  if (destination->dropping) {
    destination->dropped += sizeof destination->drop - destination->base.free_in_buffer;
    destination->out->size = destination->out->capacity + destination->dropped;
  } else {
    destination->out->size = destination->out->capacity - destination->base.free_in_buffer;
  }
}

int mzc_destination_init(mzc_destination *destination, mzc_buffer *out, size_t hint, mzc_status *status)
{
  destination->base.init_destination = init_destination;
  destination->base.empty_output_buffer = empty_output_buffer;
  destination->base.term_destination = term_destination;
  destination->out = out;
  destination->dropping = 0;
  destination->dropped = 0;
  if (out->borrowed)
    return 0;
  out->capacity = hint < SMALLEST_BUFFER ? SMALLEST_BUFFER : hint;
  out->data = malloc(out->capacity);
  return out->data != NULL ? 0 : mzc_fail(status, MZC_NO_MEMORY, "no memory for %zu bytes of output", out->capacity);
}

void mzc_destination_forget(mzc_buffer *out)
{
  if (out->borrowed)
    return;
  free(out->data);
  out->data = NULL;
}

int mzc_destination_check(const mzc_destination *destination, mzc_status *status)
{
  if (destination->dropping && destination->out->size > destination->out->capacity)
    return mzc_fail(status, MZC_LIMIT, "out holds %zu bytes, the stream needs %zu", destination->out->capacity,
                    destination->out->size);
  return 0;
}

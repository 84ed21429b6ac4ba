/* What every file is written with. */
#include "context.h"

/* jcmaster.c, per_scan_setup: rows of MCUs are counted out for each scan. */
int mzc_restart_interval(const mzc_engine *e, int mcus_per_row)
{
  int64_t interval = (int64_t)e->cinfo->restart_in_rows * mcus_per_row;

  if (interval == 0)
    return (int)e->cinfo->restart_interval;
  return interval < 65535 ? (int)interval : 65535;
}

void mzc_write_bytes(j_compress_ptr cinfo, const uint8_t *data, size_t size)
{
  struct jpeg_destination_mgr *dest = cinfo->dest;

  while (size >= dest->free_in_buffer) {
    memcpy(dest->next_output_byte, data, dest->free_in_buffer);
    data += dest->free_in_buffer;
    size -= dest->free_in_buffer;
    dest->next_output_byte += dest->free_in_buffer;
    dest->free_in_buffer = 0;
    if (!(*dest->empty_output_buffer)(cinfo))
      ERREXIT(cinfo, JERR_CANT_SUSPEND);
  }
  memcpy(dest->next_output_byte, data, size);
  dest->next_output_byte += size;
  dest->free_in_buffer -= size;
}

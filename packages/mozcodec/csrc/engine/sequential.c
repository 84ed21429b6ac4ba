/* Sequential files: one scan of everything, in tables made for it. */
#include "context.h"

typedef struct {
  uint32_t dc_count[NUM_HUFF_TBLS][256], ac_count[NUM_HUFF_TBLS][256];
  mzc_huffman dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
} tables;

/* Builds a table; returns the bits that its symbols take, their extra bits included (a symbol's low four bits). */
static uint64_t build(mzc_engine *e, const uint32_t *count, mzc_huffman *table)
{
  uint64_t bits = 0;

  if (e->kernels->build_huffman(count, table) != 0)
    e->declined = 1;
  else
    for (int i = 0; i < table->num_symbols; i++)
      bits += (uint64_t)count[table->value[i]] * (table->length[table->value[i]] + (table->value[i] & 15));
  return bits;
}

static void hand_over(j_compress_ptr cinfo, JHUFF_TBL **to, const mzc_huffman *table)
{
  if (*to == NULL)
    *to = jpeg_alloc_huff_table((j_common_ptr)cinfo);
  memcpy((*to)->bits, table->bits, sizeof table->bits);
  memcpy((*to)->huffval, table->value, table->num_symbols);
  (*to)->sent_table = FALSE;
}

/* What the library writes between the frame header and the data. */
static void write_scan_header(mzc_engine *e, const tables *t)
{
  j_compress_ptr cinfo = e->cinfo;

  cinfo->comps_in_scan = e->num_components;
  cinfo->Ss = cinfo->Ah = cinfo->Al = 0;
  cinfo->Se = DCTSIZE2 - 1;
  for (int c = 0; c < e->num_components; c++) {
    mzc_component *k = &e->component[c];

    cinfo->cur_comp_info[c] = &cinfo->comp_info[c];
    hand_over(cinfo, &cinfo->dc_huff_tbl_ptrs[k->dc_table], &t->dc[k->dc_table]);
    hand_over(cinfo, &cinfo->ac_huff_tbl_ptrs[k->ac_table], &t->ac[k->ac_table]);
  }
  (*cinfo->marker->write_scan_header)(cinfo);
}

/* MCUs of the scan: blocks, where there is one component. */
static void count_mcus(const mzc_engine *e, int *across, int *down)
{
  const mzc_component *k = &e->component[0];
  int alone = e->num_components == 1;

  *across = alone ? k->width : k->padded_width / k->h_samp_factor;
  *down = alone ? k->height : k->padded_height / k->v_samp_factor;
}

int mzc_write_sequential(mzc_engine *e)
{
  const mzc_component *component[MZC_MAX_COMPONENTS];
  mzc_bytes *bytes = &e->dc[0];
  uint64_t bits = 0;
  size_t raw, restarts = 0;
  int across, down, interval;
  tables t;

  memset(t.dc_count, 0, sizeof t.dc_count);
  memset(t.ac_count, 0, sizeof t.ac_count);
  for (int c = 0; c < e->num_components; c++)
    component[c] = &e->component[c];
  count_mcus(e, &across, &down);
  interval = mzc_restart_interval(e, across);
  if (interval)
    restarts = ((size_t)across * down - 1) / interval;
  e->kernels->count_sequential(component, e->num_components, interval, t.dc_count, t.ac_count);
  for (int i = 0; i < NUM_HUFF_TBLS; i++)
    bits += build(e, t.dc_count[i], &t.dc[i]) + build(e, t.ac_count[i], &t.ac[i]);
  if (e->declined)
    return -1;
  /* unstuffed data, a filled byte for each restart; as far ahead of them, with the markers, as stuffing can reach */
  raw = (size_t)((bits + 7) / 8) + 3 * restarts;
  MZC_RESERVE(e->cinfo, bytes->data, bytes->capacity, 2 * raw + 8);
  bytes->size = e->kernels->write_sequential(component, e->num_components, interval, t.dc, t.ac, bytes->data,
                                             bytes->data + raw);
#ifdef MZC_ENGINE_CHECK
  if (bytes->size < (size_t)((bits + 7) / 8) || bytes->size > 2 * raw) {
    fprintf(stderr, "sequential scan: %zu bytes, %zu unstuffed\n", bytes->size, (size_t)((bits + 7) / 8));
    abort();
  }
#endif
  (*e->cinfo->marker->write_frame_header)(e->cinfo);
  e->cinfo->restart_interval = (unsigned)interval;
  write_scan_header(e, &t);
  mzc_write_bytes(e->cinfo, bytes->data, bytes->size);
  (*e->cinfo->marker->write_file_trailer)(e->cinfo);
  (*e->cinfo->dest->term_destination)(e->cinfo);
  return 0;
}

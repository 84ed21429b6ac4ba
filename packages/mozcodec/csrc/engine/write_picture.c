/* Quantizes the tokens of the main pass (trellis), chooses the scans and writes the file. */
#include "context.h"

/* Dummy blocks of an interleaved scan repeat the DC of the last block before them in their MCU. */
static void pad_dc(mzc_component *k)
{
  for (int y = 0; y < k->height; y++) {
    int16_t *row = k->dc + (size_t)y * k->padded_width;
    for (int x = k->width; x < k->padded_width; x++)
      row[x] = row[k->width - 1];
  }
  for (int y = k->height; y < k->padded_height; y++) {
    int16_t *row = k->dc + (size_t)y * k->padded_width, *above = row - k->padded_width;
    for (int x = 0; x < k->padded_width; x++)
      row[x] = above[x / k->h_samp_factor * k->h_samp_factor + k->h_samp_factor - 1];
  }
}

static void code_lengths(const JHUFF_TBL *table, uint8_t *length)
{
  int p = 0;

  memset(length, 0, 256);
  for (int l = 1; l <= 16; l++)
    for (int i = 0; i < table->bits[l] && p < 256; i++)
      length[table->huffval[p++]] = (uint8_t)l;
}

/* DC codes that the trellis looks at: those of the tables in force, which progressive mode has not replaced yet; a
 * sequential file has a table made for the component before. */
static int set_dc_lengths(mzc_engine *e, const mzc_component *k, uint8_t *length)
{
  uint32_t histogram[256] = { 0 };
  mzc_huffman table;

  if (!e->sequential) {
    code_lengths(e->cinfo->dc_huff_tbl_ptrs[k->dc_table], length);
    return 0;
  }
  e->kernels->count_dc(k, k->restart_interval, histogram);
  if (e->kernels->build_huffman(histogram, &table) != 0)
    return -1;
  memcpy(length, table.length, sizeof table.length);
  return 0;
}

static void run_trellis(mzc_engine *e, int component)
{
  mzc_component *k = &e->component[component];
  mzc_quantizer *q = &e->quantizer[k->quant_table];
  uint8_t dc_length[256];

  if (!e->plain_from_library && (e->sequential || !e->trellis_dc))
    e->kernels->round_dc(k, q);
  if (k->out_of_range || set_dc_lengths(e, k, dc_length) != 0 ||
      e->kernels->set_rates(&e->rates, k, dc_length, e->sequential) != 0) {
    e->declined = 1;
    return;
  }
  if (e->trellis_dc) {
    int predictor = 0;
    for (int row = 0; row < k->height; row++) {
      if (row % k->v_samp_factor == 0)
        predictor = 0;
      e->kernels->choose_dc(k, q, &e->rates, row, &predictor, e->came_from, e->dc_candidate);
    }
  }
  mzc_reserve_values(e, k, k->num_tokens + 1);
  e->kernels->choose_ac(k, q, &e->rates, &e->statistics[component], k->restart_interval);
}

static void write_dri(j_compress_ptr cinfo, int interval)
{
  const uint8_t marker[6] = {
    0xFF, 0xDD, 0, 4, (uint8_t)(interval >> 8), (uint8_t)interval
  };
  mzc_write_bytes(cinfo, marker, sizeof marker);
}

/* The interval is announced in a scan's header when it changes, between its tables and SOS. */
static void write_scan_bytes(mzc_engine *e, const mzc_bytes *scan, int announce)
{
  size_t tables = announce ? 2 + ((size_t)scan->data[2] << 8 | scan->data[3]) : 0;

  if (announce) {
    mzc_write_bytes(e->cinfo, scan->data, tables);
    write_dri(e->cinfo, scan->restart_interval);
  }
  mzc_write_bytes(e->cinfo, scan->data + tables, scan->size - tables);
}

static void write_file(mzc_engine *e)
{
  j_compress_ptr cinfo = e->cinfo;
  int announced = 0;

  (*cinfo->marker->write_frame_header)(cinfo);
  for (int i = 0; i < e->num_output; i++) {
    const mzc_bytes *scan = e->output[i];

    write_scan_bytes(e, scan, scan->restart_interval != announced);
    announced = scan->restart_interval;
  }
  (*cinfo->marker->write_file_trailer)(cinfo);
  (*cinfo->dest->term_destination)(cinfo);
}

static int follow_script(mzc_engine *e)
{
  int num_dc = 0;

  for (int i = 0; i < e->cinfo->num_scans && !e->declined; i++) {
    const jpeg_scan_info *s = &e->cinfo->scan_info[i];

    if (s->Ss == 0) {
      mzc_output_dc(e, num_dc++, s->component_index, s->comps_in_scan);
    } else {
      mzc_describe_scan(&e->script[i], s->component_index[0], s->Ss, s->Se, s->Ah, s->Al);
      mzc_output_scan(e, &e->script[i]);
    }
  }
  return e->declined ? -1 : 0;
}

void mzc_choose_component(mzc_engine *e, int component)
{
  if (e->trellis) {
    run_trellis(e, component);
    mzc_release_tokens(&e->component[component]);
  }
  pad_dc(&e->component[component]);
}

int mzc_write_picture(mzc_engine *e)
{
  for (int c = 0; c < e->num_components && !e->declined; c++)
    mzc_choose_component(e, c);
  return mzc_write_chosen(e);
}

int mzc_write_chosen(mzc_engine *e)
{
  if (e->declined)
    return -1;
  if (e->sequential)
    return mzc_write_sequential(e);
  if ((e->cinfo->master->optimize_scans ? mzc_search_scans(e) : follow_script(e)) != 0)
    return -1;
  write_file(e);
  return 0;
}

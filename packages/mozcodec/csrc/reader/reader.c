/* Markers, scans and restart intervals; entropy.c decodes the coefficients. */
#define JPEG_INTERNALS
#include "reader.h"

#include "../decode.h"
#include "../stream.h"

#include <jpegapicomp.h>

#include "entropy.h"

#define LARGEST_SEQUENTIAL (64 << 20)   /* limit of coefficient bytes that libjpeg would not keep */
#define MAX_COMPONENTS_READ 4

typedef struct {
  int num_components, component[MAX_COMPONENTS_READ], dc_table[MAX_COMPONENTS_READ], ac_table[MAX_COMPONENTS_READ];
  int Ss, Se, Ah, Al;
} scan_header;

struct mzc_reader {
  const mzc_readers *kernels;
  j_decompress_ptr cinfo;
  int max_scans, num_warnings;          /* those of the header */
  size_t rest;
  void (*monitor)(j_common_ptr);
  const char *gave_up;

  const uint8_t *at, *end;              /* what is left of the stream */
  unsigned int restart_interval, next_restart;
  const JHUFF_TBL *dc[NUM_HUFF_TBLS], *ac[NUM_HUFF_TBLS];
  JHUFF_TBL own_dc[NUM_HUFF_TBLS], own_ac[NUM_HUFF_TBLS];   /* those defined between scans */

  int num_scans, seen[MAX_COMPONENTS_READ];
  JBLOCKROW *rows[MAX_COMPONENTS_READ];
  uint64_t *nonzero[MAX_COMPONENTS_READ];   /* progressive: a word a block, rows of width_in_blocks */
  uint8_t *data;                        /* the coded bytes of a restart interval, without stuffing */
  size_t size;
  mzc_code dc_code[MAX_COMPONENTS_READ], ac_code[MAX_COMPONENTS_READ];
  mzc_reading reading;
};

/* ---- markers ------------------------------------------------------------------------------------------------------ */

static int parse_tables(mzc_reader *reader, const uint8_t *p, size_t size)
{
  while (size > 16) {
    int index = *p & 15, is_ac = *p >> 4;
    int count = 0;
    JHUFF_TBL *table;

    if (index >= NUM_HUFF_TBLS || is_ac > 1)
      return -1;
    table = is_ac ? &reader->own_ac[index] : &reader->own_dc[index];
    for (int i = 1; i <= 16; i++)
      count += p[i];
    if (count > 256 || (size_t)count > size - 17)
      return -1;
    memset(table, 0, sizeof *table);
    memcpy(table->bits + 1, p + 1, 16);
    memcpy(table->huffval, p + 17, (size_t)count);
    *(is_ac ? &reader->ac[index] : &reader->dc[index]) = table;
    p += 17 + count;
    size -= 17 + (size_t)count;
  }
  return size == 0 ? 0 : -1;
}

static int index_of(j_decompress_ptr cinfo, int id)
{
  for (int i = 0; i < cinfo->num_components; i++)
    if (cinfo->comp_info[i].component_id == id)
      return i;
  return -1;
}

static int parse_scan(j_decompress_ptr cinfo, scan_header *scan, const uint8_t *p, size_t size)
{
  scan->num_components = size > 0 ? p[0] : 0;
  if (scan->num_components < 1 || scan->num_components > MAX_COMPONENTS_READ ||
      size != (size_t)(4 + 2 * scan->num_components))
    return -1;
  p++;
  for (int i = 0; i < scan->num_components; i++, p += 2) {
    scan->component[i] = index_of(cinfo, p[0]);
    scan->dc_table[i] = p[1] >> 4;
    scan->ac_table[i] = p[1] & 15;
    if (scan->component[i] < 0 || (i > 0 && scan->component[i] <= scan->component[i - 1]))
      return -1;
  }
  scan->Ss = p[0];
  scan->Se = p[1];
  scan->Ah = p[2] >> 4;
  scan->Al = p[2] & 15;
  return 0;
}

static void first_scan(j_decompress_ptr cinfo, scan_header *scan)
{
  scan->num_components = cinfo->comps_in_scan;
  for (int i = 0; i < scan->num_components; i++) {
    scan->component[i] = cinfo->cur_comp_info[i]->component_index;
    scan->dc_table[i] = cinfo->cur_comp_info[i]->dc_tbl_no;
    scan->ac_table[i] = cinfo->cur_comp_info[i]->ac_tbl_no;
  }
  scan->Ss = cinfo->Ss;
  scan->Se = cinfo->Se;
  scan->Ah = cinfo->Ah;
  scan->Al = cinfo->Al;
}

/* From the end of a scan to the data of the next: 1, or 0 at the end of the image, or -1. */
static int next_scan(mzc_reader *reader, j_decompress_ptr cinfo, scan_header *scan)
{
  for (;;) {
    const uint8_t *p = reader->at;
    size_t left = (size_t)(reader->end - p), size;

    if (left < 2 || p[0] != 0xFF)
      return -1;
    if (p[1] == M_EOI)
      return 0;
    if (left < 4)
      return -1;
    size = (size_t)p[2] << 8 | p[3];
    if (size < 2 || size > left - 2)
      return -1;
    reader->at = p + 2 + size;
    switch (p[1]) {
    case M_DHT:
      if (parse_tables(reader, p + 4, size - 2))
        return -1;
      break;
    case M_DRI:
      if (size != 4)
        return -1;
      reader->restart_interval = (unsigned int)p[4] << 8 | p[5];
      break;
    case M_SOS:
      return parse_scan(cinfo, scan, p + 4, size - 2) ? -1 : 1;
    default:
      return -1;
    }
  }
}

/* ---- coded data --------------------------------------------------------------------------------------------------- */

/* Reads the bytes up to the next marker; at then points to it. */
static int next_interval(mzc_reader *reader)
{
  const uint8_t *p = reader->at;
  uint8_t *out = reader->data;
  mzc_reading *r = &reader->reading;

  for (;;) {
    const uint8_t *mark = memchr(p, 0xFF, (size_t)(reader->end - p));
    if (mark == NULL || mark + 1 >= reader->end || mark[1] == 0xFF)
      return -1;
    memcpy(out, p, (size_t)(mark - p));
    out += mark - p;
    if (mark[1] != 0) {
      reader->at = mark;
      break;
    }
    *out++ = 0xFF;
    p = mark + 2;
  }
  reader->size = (size_t)(out - reader->data);
  memset(out, 0, MZC_READER_PAD);
  r->next = reader->data;
  r->limit = out + sizeof r->buffer;
  r->buffer = 0;
  r->count = 0;
  r->blocks_to_skip = 0;
  for (int i = 0; i < r->num_components; i++)
    r->component[i].last_dc = 0;
  return 0;
}

/* Whether the codes ended within the last byte. */
static int ends_here(const mzc_reader *reader)
{
  const mzc_reading *r = &reader->reading;
  ptrdiff_t left = 8 * ((ptrdiff_t)reader->size - (r->next - reader->data)) + r->count;

  return left >= 0 && left < 8;
}

/* Whether a whole byte of ones is left: some encoders of sequential files write it where the codes end with a byte. */
static int ends_before_ones(const mzc_reader *reader)
{
  const mzc_reading *r = &reader->reading;
  ptrdiff_t left = 8 * ((ptrdiff_t)reader->size - (r->next - reader->data)) + r->count;

  return !reader->cinfo->progressive_mode && left >= 8 && left < 16 && reader->data[reader->size - 1] == 0xFF;
}

static int restart(mzc_reader *reader)
{
  if (reader->at[1] != M_RST0 + reader->next_restart)
    return -1;
  if (!ends_here(reader)) {
    if (!ends_before_ones(reader))
      return -1;
    mzc_note_ones((mzc_guard *)reader->cinfo->err, reader->at[1]);
  }
  reader->next_restart = (reader->next_restart + 1) & 7;
  reader->at += 2;
  return next_interval(reader);
}

static int read_rows(mzc_reader *reader, const scan_header *scan, mzc_read_mcus read, int wide, int high)
{
  mzc_reading *r = &reader->reading;
  unsigned int to_go = reader->restart_interval;

  reader->next_restart = 0;
  if (next_interval(reader))
    return -1;
  for (int y = 0; y < high; y++) {
    for (int i = 0; i < r->num_components; i++) {
      mzc_reading_component *component = &r->component[i];
      for (int v = 0; v < component->height; v++)
        component->rows[v] = reader->rows[scan->component[i]][y * component->height + v];
      if (reader->nonzero[scan->component[i]])
        component->nonzero = reader->nonzero[scan->component[i]] + (size_t)y * wide;
    }
    for (int x = 0, n; x < wide; x += n) {
      n = wide - x;
      if (reader->restart_interval) {
        if (to_go == 0) {
          if (restart(reader))
            return -1;
          to_go = reader->restart_interval;
        }
        n = n < (int)to_go ? n : (int)to_go;
        to_go -= (unsigned int)n;
      }
      if (read(r, x, n))
        return -1;
    }
  }
  return ends_here(reader) && (reader->at[1] & ~7) != M_RST0 ? 0 : -1;
}

/* ---- scans -------------------------------------------------------------------------------------------------------- */

/* Takes the scan's coefficients into coef_bits, as libjpeg does. -1: libjpeg would warn, or a coefficient is
 * sent again, which it allows. */
static int note_progress(j_decompress_ptr cinfo, const scan_header *scan, int is_first)
{
  if (scan->Ss == 0 ? scan->Se != 0 : scan->Ss > scan->Se || scan->Se >= DCTSIZE2 || scan->num_components != 1)
    return -1;
  if ((scan->Ah != 0 && scan->Al != scan->Ah - 1) || scan->Al > 13)
    return -1;
  if (is_first)   /* libjpeg has taken it in */
    return scan->Ss == 0 && scan->Ah == 0 ? 0 : -1;
  for (int i = 0; i < scan->num_components; i++) {
    int *bits = cinfo->coef_bits[scan->component[i]];
    int *before = cinfo->coef_bits[scan->component[i] + cinfo->num_components];
    if (scan->Ss > 0 && bits[0] < 0)
      return -1;
    for (int k = scan->Ss < 1 ? scan->Ss : 1; k <= (scan->Se > 9 ? scan->Se : 9); k++)
      before[k] = bits[k];
    for (int k = scan->Ss; k <= scan->Se; k++) {
      if (scan->Ah == 0 ? bits[k] >= 0 : bits[k] != scan->Ah)
        return -1;
      bits[k] = scan->Al;
    }
  }
  return 0;
}

static int note_sequential(mzc_reader *reader, const scan_header *scan)
{
  if (scan->Ss != 0 || scan->Se != DCTSIZE2 - 1 || scan->Ah != 0 || scan->Al != 0)
    return -1;
  for (int i = 0; i < scan->num_components; i++)
    if (reader->seen[scan->component[i]])
      return -1;
  return 0;
}

static mzc_read_mcus reader_of(const mzc_readers *kernels, j_decompress_ptr cinfo, const scan_header *scan)
{
  if (!cinfo->progressive_mode)
    return kernels->sequential;
  if (scan->Ss == 0)
    return scan->Ah ? kernels->dc_refine : kernels->dc_first;
  return scan->Ah ? kernels->ac_refine : kernels->ac_first;
}

static int build(const mzc_readers *kernels, mzc_code *code, const JHUFF_TBL *const *tables, int number, mzc_code_use use)
{
  if (number >= NUM_HUFF_TBLS || tables[number] == NULL)
    return -1;
  return kernels->build(code, tables[number]->bits, tables[number]->huffval, use);
}

static int build_codes(mzc_reader *reader, j_decompress_ptr cinfo, const scan_header *scan)
{
  int progressive = cinfo->progressive_mode;
  int wants_dc = scan->Ss == 0 && scan->Ah == 0, wants_ac = !progressive || scan->Ss > 0;
  mzc_code_use ac_use = !progressive ? MZC_CODE_SEQUENTIAL : scan->Ah ? MZC_CODE_REFINE : MZC_CODE_FIRST;

  for (int i = 0; i < scan->num_components; i++) {
    mzc_reading_component *component = &reader->reading.component[i];
    int same = i > 0 && scan->dc_table[i] == scan->dc_table[i - 1] && scan->ac_table[i] == scan->ac_table[i - 1];
    if (same) {
      component->dc = component[-1].dc;
      component->ac = component[-1].ac;
      continue;
    }
    component->dc = &reader->dc_code[i];
    component->ac = &reader->ac_code[i];
    if (wants_dc && build(reader->kernels, &reader->dc_code[i], reader->dc, scan->dc_table[i], MZC_CODE_DC))
      return -1;
    if (wants_ac && build(reader->kernels, &reader->ac_code[i], reader->ac, scan->ac_table[i], ac_use))
      return -1;
  }
  return 0;
}

static int read_scan(mzc_reader *reader, j_decompress_ptr cinfo, const scan_header *scan)
{
  mzc_reading *r = &reader->reading;
  const jpeg_component_info *single = &cinfo->comp_info[scan->component[0]];
  int wide = (int)single->width_in_blocks, high = (int)single->height_in_blocks, blocks = 0;

  if (build_codes(reader, cinfo, scan))
    return -1;
  r->num_components = scan->num_components;
  r->Ss = scan->Ss;
  r->Se = scan->Se;
  r->Al = scan->Al;
  for (int i = 0; i < scan->num_components; i++) {
    const jpeg_component_info *component = &cinfo->comp_info[scan->component[i]];
    r->component[i].width = scan->num_components > 1 ? component->h_samp_factor : 1;
    r->component[i].height = scan->num_components > 1 ? component->v_samp_factor : 1;
    blocks += r->component[i].width * r->component[i].height;
    reader->seen[scan->component[i]] = 1;
  }
  if (scan->num_components > 1) {
    JDIMENSION mcu = (JDIMENSION)cinfo->max_h_samp_factor * DCTSIZE;
    if (blocks > D_MAX_BLOCKS_IN_MCU)
      return -1;
    wide = (int)((cinfo->image_width + mcu - 1) / mcu);
    high = (int)cinfo->total_iMCU_rows;
  }
  return read_rows(reader, scan, reader_of(reader->kernels, cinfo, scan), wide, high);
}

static int read_scans(mzc_reader *reader, j_decompress_ptr cinfo, int max_scans)
{
  scan_header scan;
  int more = 1;

  first_scan(cinfo, &scan);
  for (reader->num_scans = 1; more > 0; reader->num_scans++) {
    if (max_scans > 0 && reader->num_scans > max_scans)
      return -1;
    if (cinfo->progressive_mode ? note_progress(cinfo, &scan, reader->num_scans == 1) : note_sequential(reader, &scan))
      return -1;
    if (read_scan(reader, cinfo, &scan))
      return -1;
    more = next_scan(reader, cinfo, &scan);
  }
  reader->num_scans--;
  for (int i = 0; i < cinfo->num_components; i++)
    if (!reader->seen[i])
      return -1;
  return more;
}

/* ---- libjpeg's side ----------------------------------------------------------------------------------------------- */

static JDIMENSION round_up(JDIMENSION n, int factor)
{
  return (n + (JDIMENSION)factor - 1) / (JDIMENSION)factor * (JDIMENSION)factor;
}

static int allocate(mzc_reader *reader, j_decompress_ptr cinfo)
{
  reader->data = malloc((size_t)(reader->end - reader->at) + MZC_READER_PAD);
  if (reader->data == NULL)
    return -1;
  for (int i = 0; i < cinfo->num_components; i++) {
    const jpeg_component_info *component = &cinfo->comp_info[i];
    JDIMENSION step = (JDIMENSION)component->v_samp_factor, high = round_up(component->height_in_blocks, (int)step);
    reader->rows[i] = malloc(high * sizeof(JBLOCKROW));
    if (cinfo->progressive_mode)
      reader->nonzero[i] = calloc((size_t)component->width_in_blocks * component->height_in_blocks, sizeof(uint64_t));
    if (reader->rows[i] == NULL || (cinfo->progressive_mode && reader->nonzero[i] == NULL))
      return -1;
    for (JDIMENSION y = 0; y < high; y += step) {
      JBLOCKARRAY rows =
        cinfo->mem->access_virt_barray((j_common_ptr)cinfo, cinfo->coef->coef_arrays[i], y, step, TRUE);
      memcpy(reader->rows[i] + y, rows, step * sizeof *rows);
    }
  }
  return 0;
}

static int latch_quant_tables(j_decompress_ptr cinfo)
{
  for (int i = 0; i < cinfo->num_components; i++) {
    jpeg_component_info *component = &cinfo->comp_info[i];
    int number = component->quant_tbl_no;
    if (component->quant_table != NULL)
      continue;
    if (number < 0 || number >= NUM_QUANT_TBLS || cinfo->quant_tbl_ptrs[number] == NULL)
      return -1;
    component->quant_table = cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE, sizeof(JQUANT_TBL));
    *component->quant_table = *cinfo->quant_tbl_ptrs[number];
  }
  return 0;
}

static int read_stream(mzc_reader *reader)
{
  j_decompress_ptr cinfo = reader->cinfo;

  for (int i = 0; i < NUM_HUFF_TBLS; i++) {
    reader->dc[i] = cinfo->dc_huff_tbl_ptrs[i];
    reader->ac[i] = cinfo->ac_huff_tbl_ptrs[i];
  }
  reader->restart_interval = cinfo->restart_interval;
  reader->at = cinfo->src->next_input_byte;
  reader->end = reader->at + cinfo->src->bytes_in_buffer;
  if (allocate(reader, cinfo) || read_scans(reader, cinfo, reader->max_scans) || latch_quant_tables(cinfo))
    return -1;
  reader->rest = (size_t)(reader->end - reader->at) - 2;
  cinfo->input_scan_number = reader->num_scans;
  cinfo->master->last_good_iMCU_row = cinfo->total_iMCU_rows - 1;
  cinfo->input_iMCU_row = cinfo->total_iMCU_rows;
  return 0;
}

static int warnings(j_decompress_ptr cinfo)
{
  return ((const mzc_guard *)cinfo->err)->status->num_warnings;
}

/* libjpeg calls this when everything is set up and before it reads the first coded byte: all reading of coded data
 * happens here. */
static void monitor(j_common_ptr common)
{
  j_decompress_ptr cinfo = (j_decompress_ptr)common;
  mzc_reader *reader = cinfo->client_data;

  cinfo->progress->progress_monitor = reader->monitor;
  if (warnings(cinfo) != reader->num_warnings || read_stream(reader))
    reader->gave_up = "the stream is damaged or uncommon";
  cinfo->inputctl->finish_input_pass(cinfo);
  cinfo->inputctl->eoi_reached = TRUE;
}

/* Whether the coefficients of the whole image fit in memory; libjpeg keeps only one MCU. */
static int fits(const struct jpeg_decompress_struct *cinfo, int64_t limit)
{
  int64_t bytes = 0;

  for (int i = 0; i < cinfo->num_components; i++) {
    const jpeg_component_info *component = &cinfo->comp_info[i];
    bytes += (int64_t)round_up(component->width_in_blocks, component->h_samp_factor) *
             round_up(component->height_in_blocks, component->v_samp_factor) * (int64_t)sizeof(JBLOCK);
  }
  return bytes <= LARGEST_SEQUENTIAL &&
         (limit <= 0 || 4 * (bytes + 256 * (int64_t)cinfo->num_components * (cinfo->image_width + 64)) <= limit);
}

static const char *why_not(const struct jpeg_decompress_struct *cinfo, const mzc_reader_options *options)
{
  if (options->cpu == 0)
    return "an installed libmozjpeg";
  if (options->block_size != DCTSIZE)
    return "SmartScale";
  if (cinfo->arith_code)
    return "arithmetic coding";
  if (cinfo->data_precision != 8 || mzc_is_lossless((j_decompress_ptr)cinfo))
    return "more than 8 bits, or lossless";
  if (cinfo->num_components > MAX_COMPONENTS_READ)
    return "more than four components";
  for (int i = 0; i < cinfo->num_components; i++)
    for (int j = 0; j < i; j++)
      if (cinfo->comp_info[i].component_id == cinfo->comp_info[j].component_id)
        return "two components of one name";
  if (cinfo->inputctl->has_multiple_scans || options->for_coefficients)
    return NULL;
  if (options->for_part)
    return "part of a sequential image";
  if (!fits(cinfo, options->max_memory))
    return "a large sequential image";
  return NULL;
}

const char *mzc_reader_begin(mzc_reader **begun, j_decompress_ptr cinfo, const mzc_reader_options *options)
{
  const char *reason = why_not(cinfo, options);
  mzc_reader *reader;

  if (reason != NULL)
    return reason;
  reader = *begun = malloc(sizeof *reader);
  if (reader == NULL)
    return "no memory";
  memset(reader, 0, offsetof(mzc_reader, dc_code));
  memset(&reader->reading, 0, sizeof reader->reading);
  reader->kernels = &mzc_readers_baseline;
#if defined(MZC_HAVE_V3)
  if (options->cpu == 2)
    reader->kernels = &mzc_readers_v3;
#endif
  reader->cinfo = cinfo;
  reader->max_scans = options->max_scans;
  reader->num_warnings = warnings(cinfo);
  reader->monitor = cinfo->progress->progress_monitor;
  cinfo->progress->progress_monitor = monitor;
  cinfo->client_data = reader;
  cinfo->inputctl->has_multiple_scans = TRUE;   /* so that libjpeg makes arrays of all coefficients */
  return NULL;
}

const char *mzc_reader_end(mzc_reader **begun, size_t *rest)
{
  mzc_reader *reader = *begun;
  const char *reason = reader->gave_up;

  reader->cinfo->progress->progress_monitor = reader->monitor;
  *rest = reader->rest;
  mzc_reader_free(reader);
  *begun = NULL;
  return reason;
}

void mzc_reader_free(mzc_reader *reader)
{
  if (reader == NULL)
    return;
  for (int i = 0; i < MAX_COMPONENTS_READ; i++) {
    free(reader->rows[i]);
    free(reader->nonzero[i]);
  }
  free(reader->data);
  free(reader);
}

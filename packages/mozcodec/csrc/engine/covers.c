/* The parameters for which the engine writes the library's bytes. */
#include "context.h"

/* Up to here the square of a DC candidate's error fits the int that the library computes it in. */
enum { LARGEST_DC_STEP = 3800 };

int mzc_is_onepass(j_compress_ptr cinfo)
{
  return cinfo->scan_info == NULL && !cinfo->optimize_coding && !cinfo->arith_code && !cinfo->master->trellis_quant &&
         !cinfo->master->lossless && cinfo->data_precision == 8;
}

/* jpeg_search_progression's script, as it fills it. */
static int is_search_script(j_compress_ptr cinfo)
{
  static const int cuts[MZC_NUM_SPLITS] = { 2, 8, 5, 12, 18 };
  const jpeg_scan_info *scan = cinfo->scan_info;
  struct jpeg_comp_master *m = cinfo->master;
  int color = cinfo->num_components == 3, at = 0, same = 1;

#define SCAN(n, c, ss, se, ah, al)                                                                                   \
  (same &= at < cinfo->num_scans && scan[at].comps_in_scan == (n) && scan[at].component_index[0] == (c) &&          \
           scan[at].Ss == (ss) && scan[at].Se == (se) && scan[at].Ah == (ah) && scan[at].Al == (al), at++)
  if (!scan || cinfo->num_scans != (color ? 64 : 23) || m->num_scans_luma != 23 || m->num_scans_luma_dc != 1 ||
      m->Al_max_luma != 3 || m->Al_max_chroma != (color ? 2 : 0) || m->num_scans_chroma_dc != (color ? 3 : 0) ||
      m->num_frequency_splits != MZC_NUM_SPLITS)
    return 0;
  SCAN(m->dc_scan_opt_mode == 0 ? cinfo->num_components : 1, 0, 0, 0, 0, 0);
  for (int group = 0; group <= color; group++) {
    int first = group, last = 2 * group;

    if (group) {
      SCAN(2, 1, 0, 0, 0, 0);
      SCAN(1, 1, 0, 0, 0, 0);
      SCAN(1, 2, 0, 0, 0, 0);
    }
    for (int c = first; c <= last; c++) {
      SCAN(1, c, 1, 8, 0, 0);
      SCAN(1, c, 9, 63, 0, 0);
    }
    for (int Al = 0; Al < (group ? 2 : 3); Al++) {
      for (int c = first; c <= last; c++)
        SCAN(1, c, 1, 63, Al + 1, Al);
      for (int c = first; c <= last; c++) {
        SCAN(1, c, 1, 8, 0, Al + 1);
        SCAN(1, c, 9, 63, 0, Al + 1);
      }
    }
    for (int c = first; c <= last; c++)
      SCAN(1, c, 1, 63, 0, 0);
    for (int i = 0; i < MZC_NUM_SPLITS; i++)
      for (int c = first; c <= last; c++) {
        SCAN(1, c, 1, cuts[i], 0, 0);
        SCAN(1, c, cuts[i] + 1, 63, 0, 0);
      }
  }
#undef SCAN
  return same && at == cinfo->num_scans;
}

/* Scripts of whole DC scans and AC scans down to Al = 3. */
static int is_plain_script(j_compress_ptr cinfo)
{
  int num_dc = 0;

  if (!cinfo->scan_info || cinfo->num_scans < 1 || cinfo->num_scans > MZC_MAX_SCANS)
    return 0;
  for (int i = 0; i < cinfo->num_scans; i++) {
    const jpeg_scan_info *s = &cinfo->scan_info[i];

    if (s->Ss == 0) {
      if (s->Se != 0 || s->Ah != 0 || s->Al != 0 || ++num_dc > MZC_MAX_COMPONENTS)
        return 0;
    } else if (s->comps_in_scan != 1 || s->Al >= MZC_NUM_LEVELS || (s->Ah != 0 && s->Ah != s->Al + 1)) {
      return 0;
    }
  }
  return 1;
}

/* jcmaster.c, per_scan_setup: the library stops at an MCU of more than ten blocks, and no decoder reads one. */
static int has_large_mcus(j_compress_ptr cinfo)
{
  const jpeg_scan_info all = { cinfo->num_components, { 0, 1, 2, 3 }, 0, DCTSIZE2 - 1, 0, 0 };
  int num_scans = cinfo->scan_info ? cinfo->num_scans : 1;

  for (int i = 0; i < num_scans; i++) {
    const jpeg_scan_info *s = cinfo->scan_info ? &cinfo->scan_info[i] : &all;
    int blocks = 0;

    for (int c = 0; c < s->comps_in_scan && s->comps_in_scan > 1; c++) {
      int index = s->component_index[c];

      if (index >= 0 && index < cinfo->num_components)   /* the library refuses others when it starts */
        blocks += cinfo->comp_info[index].h_samp_factor * cinfo->comp_info[index].v_samp_factor;
    }
    if (blocks > C_MAX_BLOCKS_IN_MCU)
      return 1;
  }
  return 0;
}

/* Streams that neither the one-pass nor the two-pass coder supports. */
static const char *refuses_form(j_compress_ptr cinfo)
{
  if (cinfo->data_precision != 8)
    return "samples of more than 8 bits";
  if (cinfo->master->lossless)
    return "lossless JPEG";
  if (cinfo->arith_code)
    return "arithmetic coding";
  if (cinfo->num_components > MZC_MAX_COMPONENTS)
    return "more than four components";
  for (int c = 0; c < cinfo->num_components; c++)
    if (cinfo->comp_info[c].dc_tbl_no < 0 || cinfo->comp_info[c].dc_tbl_no >= NUM_HUFF_TBLS ||
        cinfo->comp_info[c].ac_tbl_no < 0 || cinfo->comp_info[c].ac_tbl_no >= NUM_HUFF_TBLS)
      return "Huffman table numbers beyond 3";
  if (has_large_mcus(cinfo))
    return "MCUs of more than ten blocks";
  return NULL;
}

/* Limits of the coding of known coefficients. */
static const char *refuses_coding(j_compress_ptr cinfo)
{
  struct jpeg_comp_master *m = cinfo->master;
  const char *reason = refuses_form(cinfo);

  if (reason)
    return reason;
  if (!cinfo->scan_info) {
    if (!cinfo->optimize_coding)
      return "sequential JPEG without tables of its own";
  } else if (m->compress_profile != (int)JCP_MAX_COMPRESSION) {   /* other DHT markers */
    return "progressive JPEG of the fastest profile";
  } else if (m->optimize_scans && m->num_scans_luma != 0) {   /* 0: no search for these components, jpeg_start_compress */
    if (cinfo->restart_in_rows)
      return "restart intervals in rows with the scan search";
    if (!is_search_script(cinfo))
      return "a scan search with another script";
  } else if (!is_plain_script(cinfo)) {
    return "this scan script";
  }
  return NULL;
}

const char *mzc_engine_refuses(j_compress_ptr cinfo)
{
  struct jpeg_comp_master *m = cinfo->master;
  const char *reason;

  if (mzc_is_onepass(cinfo))
    return refuses_form(cinfo);
  reason = refuses_coding(cinfo);
  if (reason)
    return reason;
  for (int c = 0; c < cinfo->num_components; c++) {
    int number = cinfo->comp_info[c].quant_tbl_no;
    JQUANT_TBL *table = number < 0 || number >= NUM_QUANT_TBLS ? NULL : cinfo->quant_tbl_ptrs[number];

    if (!table)
      return "a missing quantization table";
    for (int i = 0; i < DCTSIZE2; i++)
      if (table->quantval[i] < 1 || table->quantval[i] > 32767)
        return "quantizer steps beyond 32767";
    if (table->quantval[0] > LARGEST_DC_STEP)
      return "DC quantizer steps beyond 3800";
  }
  if (m->trellis_quant) {
    if (m->trellis_eob_opt)
      return "trellis_eob_opt";
    if (m->use_scans_in_trellis)
      return "use_scans_in_trellis";
    if (m->trellis_q_opt)
      return "trellis_q_opt";
    if (m->trellis_num_loops != 1)
      return "several trellis loops";
    if (m->trellis_delta_dc_weight > 0)
      return "trellis_delta_dc_weight";
  }
  return NULL;
}

const char *mzc_engine_refuses_coefficients(j_compress_ptr cinfo)
{
  return refuses_coding(cinfo);
}

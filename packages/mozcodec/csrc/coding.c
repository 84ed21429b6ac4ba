/* Shared by everything that writes a file: metadata markers, and which engine codes the coefficients. */
#include "shim.h"
#include "engine/engine.h"

/* ---- starting ----------------------------------------------------------------------------------------------------- */

enum {
  /* 8-bit samples transform to coefficients (times 8) within +-16383, so that steps from here on quantize all of them to
   * 0. The library's 16-bit divisors of larger steps wrap around, at multiples of 8192 to a division by zero. */
  LARGEST_DIVISOR_STEP = 4096,
  /* The library squares the errors of DC candidates in an int. Up to these steps the squares fit; beyond them every DC
   * coefficient quantizes to 0, which the trellis could not improve. The second limit is for vertical DC differences. */
  LARGEST_DC_TRELLIS_STEP = 4767,
  LARGEST_VERTICAL_STEP = 1930
};

typedef struct {
  struct jpeg_progress_mgr base;
  boolean trellis_quant_dc;
} pass_monitor;

static int largest_trellis_step(j_compress_ptr cinfo)
{
  float weight = jpeg_c_get_float_param(cinfo, JFLOAT_TRELLIS_DELTA_DC_WEIGHT);

  return weight > 0 ? LARGEST_VERTICAL_STEP : LARGEST_DC_TRELLIS_STEP;
}

static int dc_step(j_compress_ptr cinfo, const jpeg_component_info *component)
{
  int number = component->quant_tbl_no;
  JQUANT_TBL *table = number < 0 || number >= NUM_QUANT_TBLS ? NULL : cinfo->quant_tbl_ptrs[number];

  return table ? table->quantval[0] : 1;
}

/* The library calls this before each row of each pass; a trellis pass has one component. */
static void before_row(j_common_ptr common)
{
  j_compress_ptr cinfo = (j_compress_ptr)common;
  const pass_monitor *monitor = (const pass_monitor *)common->progress;
  boolean wanted = monitor->trellis_quant_dc;

  if (cinfo->comps_in_scan == 1 && dc_step(cinfo, cinfo->cur_comp_info[0]) > largest_trellis_step(cinfo))
    wanted = FALSE;
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_TRELLIS_QUANT_DC, wanted);
}

/* Turns the DC trellis off for the components whose step it cannot calculate with. */
static void guard_dc_trellis(j_compress_ptr cinfo)
{
  int largest = 0;

  for (int i = 0; i < cinfo->num_components; i++)
    if (dc_step(cinfo, &cinfo->comp_info[i]) > largest)
      largest = dc_step(cinfo, &cinfo->comp_info[i]);
  if (largest > largest_trellis_step(cinfo) && jpeg_c_get_bool_param(cinfo, JBOOLEAN_TRELLIS_QUANT) &&
      jpeg_c_get_bool_param(cinfo, JBOOLEAN_TRELLIS_QUANT_DC)) {
    pass_monitor *monitor = cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE, sizeof *monitor);

    memset(monitor, 0, sizeof *monitor);
    monitor->base.progress_monitor = before_row;
    monitor->trellis_quant_dc = TRUE;
    cinfo->progress = &monitor->base;
  }
}

void mzc_start_compress(j_compress_ptr cinfo)
{
  UINT16 steps[NUM_QUANT_TBLS][DCTSIZE2];
  int limited = cinfo->data_precision == 8 && cinfo->dct_method != JDCT_FLOAT;

  guard_dc_trellis(cinfo);
  for (int n = 0; n < NUM_QUANT_TBLS && limited; n++)
    for (int k = 0; k < DCTSIZE2 && cinfo->quant_tbl_ptrs[n]; k++) {
      UINT16 *step = &cinfo->quant_tbl_ptrs[n]->quantval[k];

      steps[n][k] = *step;
      if (*step > LARGEST_DIVISOR_STEP)
        *step = LARGEST_DIVISOR_STEP;
    }
  jpeg_start_compress(cinfo, TRUE);   /* calculates the divisors; the tables are written later */
  for (int n = 0; n < NUM_QUANT_TBLS && limited; n++)
    if (cinfo->quant_tbl_ptrs[n])
      memcpy(cinfo->quant_tbl_ptrs[n]->quantval, steps[n], sizeof steps[n]);
  mzc_guard_dct(cinfo);
}

/* ---- markers and engine ------------------------------------------------------------------------------------------- */

void mzc_write_markers(j_compress_ptr cinfo, const mzc_marker *markers, int num_markers)
{
  for (int i = 0; i < num_markers; i++)
    jpeg_write_marker(cinfo, markers[i].marker, markers[i].data, markers[i].size);
}

static int note_engine(int requested, const mzc_engine *engine, const char *reason, mzc_status *status)
{
  if (engine == NULL && reason == NULL)
    reason = "this build has no engine of its own";
  status->engine = requested == MZC_ENGINE_LIBRARY || reason ? MZC_ENGINE_LIBRARY : MZC_ENGINE_FAST;
  snprintf(status->engine_reason, sizeof status->engine_reason, "%s", requested != MZC_ENGINE_LIBRARY && reason ? reason : "");
  if (requested == MZC_ENGINE_FAST && reason)
    return mzc_fail(status, MZC_UNSUPPORTED, "engine \"fast\" does not cover %s", reason);
  return status->engine;
}

int mzc_choose_engine(const mzc_encode_options *options, mzc_engine *engine, const char *reason, mzc_status *status)
{
  if (engine != NULL)
    mzc_engine_search_widely(engine, options->optimize_scans == MZC_SCANS_WIDE);
  return note_engine(options->engine, engine, reason, status);
}

int mzc_decline_engine(int requested, const mzc_engine *engine, mzc_status *status)
{
  return note_engine(requested, engine, "so large or detailed an image, or coefficients out of range", status);
}

int mzc_finish_coefficients(j_compress_ptr cinfo, jvirt_barray_ptr *coefficients, int requested, mzc_engine *engine,
                            mzc_status *status)
{
  if (status->engine == MZC_ENGINE_FAST) {
    if (mzc_engine_write_coefficients(engine, cinfo, coefficients) == 0)
      return 0;
    if (mzc_decline_engine(requested, engine, status) < 0)
      return -1;
  }
  jpeg_finish_compress(cinfo);
  return 0;
}

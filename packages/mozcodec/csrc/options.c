/* cjpeg's switches as libjpeg parameters, in the order in which cjpeg sets them: some of them overwrite others. */
#include <math.h>

#include "shim.h"

#define NO_SWITCH (-1)

void mzc_default_encode_options(mzc_encode_options *options)
{
  memset(options, 0, sizeof *options);
  options->profile = MZC_PROFILE_MAX_COMPRESSION;
  options->progressive = NO_SWITCH;
  options->quant_baseline = NO_SWITCH;
  options->optimize_scans = NO_SWITCH;
  options->trellis_quant = NO_SWITCH;
  options->trellis_quant_dc = NO_SWITCH;
  options->trellis_eob_opt = NO_SWITCH;
  options->trellis_q_opt = NO_SWITCH;
  options->use_scans_in_trellis = NO_SWITCH;
  options->trellis_freq_split = NO_SWITCH;
  options->trellis_num_loops = NO_SWITCH;
  options->trellis_delta_dc_weight = NAN;
  options->use_lambda_weight_tbl = NO_SWITCH;
  options->lambda_log_scale1 = NAN;
  options->lambda_log_scale2 = NAN;
  options->tune = NO_SWITCH;
  options->quant_table = NO_SWITCH;
  options->dc_scan_opt_mode = NO_SWITCH;
  options->overshoot_deringing = NO_SWITCH;
  options->dct_method = NO_SWITCH;
  options->arithmetic = NO_SWITCH;
  options->optimize_coding = NO_SWITCH;
  options->smoothing_factor = NO_SWITCH;
  options->restart_interval = NO_SWITCH;
  options->restart_rows = NO_SWITCH;
  options->color_space = NO_SWITCH;
  options->jfif = NO_SWITCH;
  options->density_unit = NO_SWITCH;
}

static const struct { J_COLOR_SPACE color_space; int channels; } layouts[] = {
  [MZC_GRAY] = { JCS_GRAYSCALE, 1 },
  [MZC_RGB] = { JCS_RGB, 3 },
  [MZC_BGR] = { JCS_EXT_BGR, 3 },
  [MZC_RGBA] = { JCS_EXT_RGBA, 4 },
  [MZC_BGRA] = { JCS_EXT_BGRA, 4 },
  [MZC_ARGB] = { JCS_EXT_ARGB, 4 },
  [MZC_ABGR] = { JCS_EXT_ABGR, 4 },
  [MZC_YCBCR] = { JCS_YCbCr, 3 },
  [MZC_CMYK] = { JCS_CMYK, 4 },
  [MZC_YCCK] = { JCS_YCCK, 4 },
  [MZC_TWO] = { JCS_UNKNOWN, 2 },
};

mzc_layout mzc_layout_of(int pixel_format)
{
  mzc_layout layout = { layouts[pixel_format].color_space, layouts[pixel_format].channels };
  return layout;
}

int mzc_pixel_format_of(J_COLOR_SPACE color_space)
{
  for (int format = 0; color_space != JCS_UNKNOWN && format < (int)(sizeof layouts / sizeof *layouts); format++)
    if (layouts[format].color_space == color_space)
      return format;
  return -1;
}

static void set_bool(j_compress_ptr cinfo, J_BOOLEAN_PARAM parameter, int value)
{
  if (value != NO_SWITCH)
    jpeg_c_set_bool_param(cinfo, parameter, value != 0);
}

static void set_int(j_compress_ptr cinfo, J_INT_PARAM parameter, int value)
{
  if (value != NO_SWITCH)
    jpeg_c_set_int_param(cinfo, parameter, value);
}

static void set_float(j_compress_ptr cinfo, J_FLOAT_PARAM parameter, float value)
{
  if (!isnan(value))
    jpeg_c_set_float_param(cinfo, parameter, value);
}

/* cjpeg.c, -tune-*: base table, lambda scales, weight table. */
static void set_tune(j_compress_ptr cinfo, int tune)
{
  static const struct { int table; float scale1, scale2; boolean weighted; } tunes[] = {
    [MZC_TUNE_PSNR] = { 1, 9.0f, 0.0f, FALSE },
    [MZC_TUNE_HVS_PSNR] = { 3, 14.75f, 16.5f, TRUE },
    [MZC_TUNE_SSIM] = { 1, 11.5f, 12.75f, FALSE },
    [MZC_TUNE_MS_SSIM] = { 3, 12.0f, 13.0f, TRUE },
  };

  if (tune == NO_SWITCH)
    return;
  jpeg_c_set_int_param(cinfo, JINT_BASE_QUANT_TBL_IDX, tunes[tune].table);
  jpeg_c_set_float_param(cinfo, JFLOAT_LAMBDA_LOG_SCALE1, tunes[tune].scale1);
  jpeg_c_set_float_param(cinfo, JFLOAT_LAMBDA_LOG_SCALE2, tunes[tune].scale2);
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_USE_LAMBDA_WEIGHT_TBL, tunes[tune].weighted);
  jpeg_set_quality(cinfo, 75, TRUE);
}

static void sample_all(j_compress_ptr cinfo, int h, int v)
{
  for (int i = 0; i < MAX_COMPONENTS; i++)
    cinfo->comp_info[i].h_samp_factor = cinfo->comp_info[i].v_samp_factor = 1;
  cinfo->comp_info[0].h_samp_factor = h;
  cinfo->comp_info[0].v_samp_factor = v;
}

/* The quality of table i; cjpeg repeats the last one given. */
static float quality_of(const mzc_encode_options *options, int i)
{
  return options->quality[i < options->num_qualities ? i : options->num_qualities - 1];
}

/* rdswitch.c, set_quality_ratings: tables 0 and 1 from their own qualities, and the sampling from the last one. */
static void set_quality(j_compress_ptr cinfo, const mzc_encode_options *options, boolean force_baseline)
{
  UINT16 chroma[DCTSIZE2];
  float last = options->quality[options->num_qualities - 1];

  jpeg_set_linear_quality(cinfo, (int)jpeg_float_quality_scaling(quality_of(options, 1)), force_baseline);
  memcpy(chroma, cinfo->quant_tbl_ptrs[1]->quantval, sizeof chroma);
  jpeg_set_linear_quality(cinfo, (int)jpeg_float_quality_scaling(quality_of(options, 0)), force_baseline);
  memcpy(cinfo->quant_tbl_ptrs[1]->quantval, chroma, sizeof chroma);
  if (last >= 90)
    sample_all(cinfo, 1, 1);
  else if (last >= 80)
    sample_all(cinfo, 2, 1);
}

static void set_quant_tables(j_compress_ptr cinfo, const mzc_encode_options *options, boolean force_baseline)
{
  for (int i = 0; i < options->num_quant_tables; i++) {
    int scale = options->num_qualities > 0 ? (int)jpeg_float_quality_scaling(quality_of(options, i)) : 100;
    jpeg_add_quant_table(cinfo, i, options->quant_tables[i], scale, force_baseline);
  }
  for (int i = 0; i < MAX_COMPONENTS && options->num_quant_slots > 0; i++)
    cinfo->comp_info[i].quant_tbl_no =
      options->quant_slots[i < options->num_quant_slots ? i : options->num_quant_slots - 1];
}

static void set_sampling(j_compress_ptr cinfo, const mzc_encode_options *options)
{
  if (options->num_sampling == 0 && cinfo->jpeg_color_space != JCS_UNKNOWN)
    return;
  sample_all(cinfo, 1, 1);   /* without a colour space no component is chroma */
  for (int i = 0; i < options->num_sampling; i++) {
    cinfo->comp_info[i].h_samp_factor = options->h_samp_factor[i];
    cinfo->comp_info[i].v_samp_factor = options->v_samp_factor[i];
  }
}

static void set_scans(j_compress_ptr cinfo, const mzc_encode_options *options)
{
  jpeg_scan_info *scans;

  if (options->num_scans == 0)
    return;
  scans = cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE, options->num_scans * sizeof *scans);
  for (int i = 0; i < options->num_scans; i++) {
    const mzc_scan *scan = &options->scans[i];
    scans[i].comps_in_scan = scan->num_components;
    memcpy(scans[i].component_index, scan->component, sizeof scans[i].component_index);
    scans[i].Ss = scan->Ss;
    scans[i].Se = scan->Se;
    scans[i].Ah = scan->Ah;
    scans[i].Al = scan->Al;
  }
  cinfo->scan_info = scans;
  cinfo->num_scans = options->num_scans;
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS, FALSE);
}

static void set_markers(j_compress_ptr cinfo, const mzc_encode_options *options)
{
  if (options->restart_interval != NO_SWITCH) {
    cinfo->restart_interval = (unsigned int)options->restart_interval;
    cinfo->restart_in_rows = 0;
  }
  if (options->restart_rows != NO_SWITCH)
    cinfo->restart_in_rows = options->restart_rows;
  if (options->jfif == 0)
    cinfo->write_JFIF_header = FALSE;
  if (options->density_unit != NO_SWITCH) {
    cinfo->density_unit = (UINT8)options->density_unit;
    cinfo->X_density = (UINT16)options->x_density;
    cinfo->Y_density = (UINT16)options->y_density;
  }
}

/* cjpeg.c, parse_switches up to its clean-up. */
static void set_switches(j_compress_ptr cinfo, const mzc_encode_options *options)
{
  static const J_DCT_METHOD methods[] = {
    [MZC_DCT_ISLOW] = JDCT_ISLOW, [MZC_DCT_IFAST] = JDCT_IFAST, [MZC_DCT_FLOAT] = JDCT_FLOAT
  };

  if (options->arithmetic == 1) {
    cinfo->arith_code = TRUE;
    cinfo->optimize_coding = FALSE;
  }
  if (options->progressive == 0) {
    cinfo->num_scans = 0;
    cinfo->scan_info = NULL;
  }
  if (options->dct_method != NO_SWITCH)
    cinfo->dct_method = methods[options->dct_method];
  set_bool(cinfo, JBOOLEAN_OPTIMIZE_SCANS, options->optimize_scans);
  if (options->color_space != NO_SWITCH)
    jpeg_set_colorspace(cinfo, mzc_layout_of(options->color_space).color_space);
  set_int(cinfo, JINT_DC_SCAN_OPT_MODE, options->dc_scan_opt_mode);
  if (options->optimize_coding != NO_SWITCH)
    cinfo->optimize_coding = options->optimize_coding != 0;
  set_tune(cinfo, options->tune);
  set_bool(cinfo, JBOOLEAN_USE_LAMBDA_WEIGHT_TBL, options->use_lambda_weight_tbl);
  set_float(cinfo, JFLOAT_LAMBDA_LOG_SCALE1, options->lambda_log_scale1);
  set_float(cinfo, JFLOAT_LAMBDA_LOG_SCALE2, options->lambda_log_scale2);
  if (options->quant_table != NO_SWITCH) {
    jpeg_c_set_int_param(cinfo, JINT_BASE_QUANT_TBL_IDX, options->quant_table);
    jpeg_set_quality(cinfo, 75, TRUE);
  }
  if (options->smoothing_factor != NO_SWITCH)
    cinfo->smoothing_factor = options->smoothing_factor;
  set_bool(cinfo, JBOOLEAN_TRELLIS_QUANT, options->trellis_quant);
  set_bool(cinfo, JBOOLEAN_TRELLIS_QUANT_DC, options->trellis_quant_dc);
  set_bool(cinfo, JBOOLEAN_TRELLIS_EOB_OPT, options->trellis_eob_opt);
  set_bool(cinfo, JBOOLEAN_TRELLIS_Q_OPT, options->trellis_q_opt);
  set_bool(cinfo, JBOOLEAN_USE_SCANS_IN_TRELLIS, options->use_scans_in_trellis);
  set_int(cinfo, JINT_TRELLIS_FREQ_SPLIT, options->trellis_freq_split);
  set_int(cinfo, JINT_TRELLIS_NUM_LOOPS, options->trellis_num_loops);
  set_float(cinfo, JFLOAT_TRELLIS_DELTA_DC_WEIGHT, options->trellis_delta_dc_weight);
  set_bool(cinfo, JBOOLEAN_OVERSHOOT_DERINGING, options->overshoot_deringing);
  set_markers(cinfo, options);
}

/* mozjpeg writes a DRI marker when the interval changes from one scan to the next, and its scan search then reorders the
 * scans. An interval in rows is a different number of MCUs in each scan where chroma is subsampled, so that decoders would
 * find wrong intervals: there it becomes the number of MCUs in that many rows of the whole image. */
static void fix_restart_rows(j_compress_ptr cinfo)
{
  long most_h = 1, interval;

  for (int i = 0; i < cinfo->num_components; i++)
    if (cinfo->comp_info[i].h_samp_factor > most_h)
      most_h = cinfo->comp_info[i].h_samp_factor;
  if (cinfo->restart_in_rows <= 0 || cinfo->num_components == 1 || most_h == 1 || cinfo->num_scans == 0 ||
      !jpeg_c_get_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS))
    return;
  interval = cinfo->restart_in_rows * ((cinfo->image_width + most_h * DCTSIZE - 1) / (most_h * DCTSIZE));
  cinfo->restart_interval = interval < 65535 ? (unsigned int)interval : 65535;
  cinfo->restart_in_rows = 0;
}

/* jpegtran.c, parse_switches: what changes no coefficient. progressive 0 is its -revert -optimize, but for the profile,
 * which must be set before jpeg_set_defaults. */
void mzc_configure_coding(j_compress_ptr cinfo, const mzc_encode_options *options)
{
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_TRELLIS_QUANT, FALSE);
  if (options->arithmetic == 1) {
    cinfo->arith_code = TRUE;
    cinfo->optimize_coding = FALSE;
  }
  set_bool(cinfo, JBOOLEAN_OPTIMIZE_SCANS, options->optimize_scans);
  set_int(cinfo, JINT_DC_SCAN_OPT_MODE, options->dc_scan_opt_mode);
  if (options->optimize_coding != NO_SWITCH)
    cinfo->optimize_coding = options->optimize_coding != 0;
  set_markers(cinfo, options);
  if (options->progressive == 0) {
    cinfo->num_scans = 0;
    cinfo->scan_info = NULL;
    cinfo->optimize_coding = options->optimize_coding != 0 && !cinfo->arith_code;
  } else if (options->progressive == 1 || cinfo->num_scans != 0) {
    jpeg_simple_progression(cinfo);
  }
  set_scans(cinfo, options);
  fix_restart_rows(cinfo);
}

void mzc_configure(j_compress_ptr cinfo, const mzc_encode_options *options)
{
  boolean force_baseline, progressive;
  int precision = cinfo->data_precision;

  mzc_limit_memory((j_common_ptr)cinfo, options->max_memory);
  if (options->profile == MZC_PROFILE_FASTEST)
    jpeg_c_set_int_param(cinfo, JINT_COMPRESS_PROFILE, JCP_FASTEST);
  jpeg_set_defaults(cinfo);
  cinfo->data_precision = precision;
  progressive = options->progressive == NO_SWITCH ? cinfo->num_scans != 0 : options->progressive;
  force_baseline = options->quant_baseline == NO_SWITCH ? options->progressive == 0 : options->quant_baseline;

  set_switches(cinfo, options);
  if (options->num_qualities > 0)
    set_quality(cinfo, options, force_baseline);
  set_quant_tables(cinfo, options, force_baseline);
  set_sampling(cinfo, options);
  if (progressive)
    jpeg_simple_progression(cinfo);
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  if (options->lossless_predictor > 0)
    jpeg_enable_lossless(cinfo, options->lossless_predictor, options->lossless_point_transform);
#endif
  set_scans(cinfo, options);
  fix_restart_rows(cinfo);
}

/* Pixels to JPEG. */
#include "shim.h"
#include "engine/engine.h"

#define ROWS_AT_ONCE 16

/* Everything alive during a call. It belongs to mzc_encode; the function with the setjmp frees what libjpeg made. */
typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
} encoder;

void mzc_describe_input(j_compress_ptr cinfo, const mzc_image *image)
{
  cinfo->image_width = image->width;
  cinfo->image_height = image->height;
  cinfo->data_precision = image->precision;
  if (image->pixel_format == MZC_PLANES) {
    cinfo->in_color_space = image->num_planes == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
    cinfo->input_components = image->num_planes;
  } else {
    mzc_layout layout = mzc_layout_of(image->pixel_format);
    cinfo->in_color_space = layout.color_space;
    cinfo->input_components = layout.channels;
  }
}

static JSAMPROW row_of(const mzc_image *image, JDIMENSION y)
{
  return (JSAMPROW)((const unsigned char *)image->pixels + (ptrdiff_t)y * image->row_stride);
}

static void write_rows(j_compress_ptr cinfo, const mzc_image *image)
{
  JSAMPROW rows[ROWS_AT_ONCE];

  while (cinfo->next_scanline < cinfo->image_height) {
    JDIMENSION n = cinfo->image_height - cinfo->next_scanline;
    if (n > ROWS_AT_ONCE)
      n = ROWS_AT_ONCE;
    for (JDIMENSION i = 0; i < n; i++)
      rows[i] = row_of(image, cinfo->next_scanline + i);
    jpeg_write_scanlines(cinfo, rows, n);
  }
}

static void write_deep_rows(j_compress_ptr cinfo, const mzc_image *image)
{
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  while (cinfo->next_scanline < cinfo->image_height) {
    JSAMPROW row = row_of(image, cinfo->next_scanline);
    if (image->precision <= 12) {
      J12SAMPROW row12 = (J12SAMPROW)row;
      jpeg12_write_scanlines(cinfo, &row12, 1);
    } else {
      J16SAMPROW row16 = (J16SAMPROW)row;
      jpeg16_write_scanlines(cinfo, &row16, 1);
    }
  }
#else
  (void)image;
  ERREXIT1(cinfo, JERR_BAD_PRECISION, cinfo->data_precision);
#endif
}

static JSAMPARRAY allocate_rows(j_compress_ptr cinfo, const jpeg_component_info *component)
{
  return cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, component->width_in_blocks * DCTSIZE,
                                  component->v_samp_factor * DCTSIZE);
}

/* Fills the rows of one row of iMCUs from a plane, repeating its last column and its last row. */
static void pad_rows(const mzc_image *image, int i, const jpeg_component_info *component, int first, JSAMPARRAY rows)
{
  int width = image->plane_width[i], padded = component->width_in_blocks * DCTSIZE;
  int known = width < padded ? width : padded;

  for (int k = 0; k < component->v_samp_factor * DCTSIZE; k++) {
    int y = first + k < image->plane_height[i] ? first + k : image->plane_height[i] - 1;
    memcpy(rows[k], image->planes[i] + (ptrdiff_t)y * image->plane_stride[i], known);
    memset(rows[k] + known, rows[k][known - 1], padded - known);
  }
}

static void write_planes(j_compress_ptr cinfo, const mzc_image *image)
{
  JSAMPARRAY rows[MAX_COMPONENTS];

  for (int i = 0; i < cinfo->num_components; i++)
    rows[i] = allocate_rows(cinfo, &cinfo->comp_info[i]);
  for (int imcu_row = 0; cinfo->next_scanline < cinfo->image_height; imcu_row++) {
    for (int i = 0; i < cinfo->num_components; i++) {
      const jpeg_component_info *component = &cinfo->comp_info[i];
      pad_rows(image, i, component, imcu_row * component->v_samp_factor * DCTSIZE, rows[i]);
    }
    jpeg_write_raw_data(cinfo, rows, cinfo->max_v_samp_factor * DCTSIZE);
  }
}

void mzc_write_pixels(j_compress_ptr cinfo, const mzc_image *image)
{
  if (image->pixel_format == MZC_PLANES)
    write_planes(cinfo, image);
  else if (image->precision > 8)
    write_deep_rows(cinfo, image);
  else
    write_rows(cinfo, image);
}

void mzc_write_markers(j_compress_ptr cinfo, const mzc_marker *markers, int num_markers)
{
  for (int i = 0; i < num_markers; i++)
    jpeg_write_marker(cinfo, markers[i].marker, markers[i].data, markers[i].size);
}

int mzc_choose_engine(int wish, const mzc_engine *engine, const char *reason, mzc_status *status)
{
  if (engine == NULL && reason == NULL)
    reason = "this build has no engine of its own";
  status->engine = wish == MZC_ENGINE_LIBRARY || reason ? MZC_ENGINE_LIBRARY : MZC_ENGINE_FAST;
  snprintf(status->engine_reason, sizeof status->engine_reason, "%s", wish != MZC_ENGINE_LIBRARY && reason ? reason : "");
  if (wish == MZC_ENGINE_FAST && reason)
    return mzc_fail(status, MZC_UNSUPPORTED, "engine \"fast\" does not cover %s", reason);
  return status->engine;
}

/* mozjpeg writes a DRI marker when the interval changes from a scan to the next, and its scan search then puts the scans
 * in another order: with an interval in rows and subsampled chroma, whose rows have fewer MCUs, djpeg calls the stream
 * corrupt. cjpeg writes it, so do we, but not silently. */
static void warn_of_lost_intervals(j_compress_ptr cinfo, mzc_status *status)
{
  if (cinfo->restart_in_rows > 0 && cinfo->num_components > 1 && cinfo->max_h_samp_factor > 1 && cinfo->num_scans > 0 &&
      !cinfo->arith_code && jpeg_c_get_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS)) {
    status->num_warnings++;
    snprintf(status->warning, sizeof status->warning,
             "mozjpeg's scan search loses restart_rows of subsampled pictures: decoders will call this stream corrupt; "
             "add optimize_scans=False");
  }
}

int mzc_decline_engine(int wish, const mzc_engine *engine, mzc_status *status)
{
  return mzc_choose_engine(wish, engine, "so large a picture, or coefficients out of range", status);
}

int mzc_finish_coefficients(j_compress_ptr cinfo, jvirt_barray_ptr *coefficients, int wish, mzc_engine *engine,
                            mzc_status *status)
{
  if (status->engine == MZC_ENGINE_FAST) {
    if (mzc_engine_write_coefficients(engine, cinfo, coefficients) == 0)
      return 0;
    if (mzc_decline_engine(wish, engine, status) < 0)
      return -1;
  }
  jpeg_finish_compress(cinfo);
  return 0;
}

enum { DECLINED = 1 };

/* DECLINED: our engine met coefficients beyond it, and the picture has to go through the library again. */
static int run(encoder *e, const mzc_image *image, const mzc_encode_options *options, const mzc_marker *markers,
               int num_markers, mzc_engine *engine, int again)
{
  j_compress_ptr cinfo = &e->cinfo;
  int choice, declined = 0;

  if (setjmp(e->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);   /* a fresh one for every picture: a used one remembers tables and scans */
  mzc_describe_input(cinfo, image);
  mzc_configure(cinfo, options);
  cinfo->raw_data_in = image->pixel_format == MZC_PLANES;
  cinfo->dest = &e->destination.base;
  choice = MZC_ENGINE_LIBRARY;
  if (!again)
    choice = mzc_choose_engine(options->engine, engine, engine ? mzc_engine_refuses(cinfo) : NULL, e->guard.status);
  if (choice < 0) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_start_compress(cinfo, TRUE);
  warn_of_lost_intervals(cinfo, e->guard.status);
  if (choice == MZC_ENGINE_FAST)
    mzc_engine_begin(engine, cinfo, 0);
  mzc_write_markers(cinfo, markers, num_markers);
  mzc_write_pixels(cinfo, image);
  if (choice == MZC_ENGINE_FAST)
    declined = mzc_engine_finish(engine, cinfo);
  else
    jpeg_finish_compress(cinfo);
  jpeg_destroy_compress(cinfo);
  return declined ? DECLINED : mzc_destination_check(&e->destination, e->guard.status);
}

int mzc_encode(const mzc_image *image, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
               mzc_engine *engine, mzc_buffer *out, mzc_status *status)
{
  encoder e;
  size_t samples = (size_t)image->width * image->height;
  int result;

  memset(&e.cinfo, 0, sizeof e.cinfo);
  e.cinfo.err = mzc_guard_init(&e.guard, status);
  if (mzc_destination_init(&e.destination, out, samples / 4, status))
    return -1;
  result = run(&e, image, options, markers, num_markers, engine, 0);
  if (result == DECLINED) {
    result = mzc_decline_engine(options->engine, engine, status);
    if (result >= 0)
      result = run(&e, image, options, markers, num_markers, engine, 1);
  }
  if (engine)
    mzc_engine_trim(engine);
  if (result == 0)
    return 0;
  mzc_destination_forget(out);
  return -1;
}

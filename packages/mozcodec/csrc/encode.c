/* Encodes pixels. */
#include "shim.h"
#include "engine/engine.h"

/* The state of a call, owned by mzc_encode; the function that calls setjmp frees libjpeg's memory. */
typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
} encoder;

enum { DECLINED = 1 };

/* DECLINED: the engine does not support some coefficients, and the library must code the image. */
static int run(encoder *e, const mzc_image *image, const mzc_encode_options *options, const mzc_marker *markers,
               int num_markers, mzc_engine *engine, int again)
{
  j_compress_ptr cinfo = &e->cinfo;
  int choice, declined = 0;

  if (setjmp(e->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);   /* a new one for each image: an old one keeps tables and scans */
  mzc_describe_input(cinfo, image);
  mzc_configure(cinfo, options);
  cinfo->raw_data_in = image->pixel_format == MZC_PLANES;
  cinfo->dest = &e->destination.base;
  choice = MZC_ENGINE_LIBRARY;
  if (!again)
    choice = mzc_choose_engine(options, engine, engine ? mzc_engine_refuses(cinfo) : NULL, e->guard.status);
  if (choice < 0) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  mzc_start_compress(cinfo);
  if (choice == MZC_ENGINE_FAST) {
    mzc_engine_may_hand_over(engine, options->engine == MZC_ENGINE_AUTO);
    mzc_engine_begin(engine, cinfo, 0);
  }
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

/* Encodes one image at many qualities; steps that do not depend on the quality are done once. */
#include "shim.h"
#include "engine/engine.h"

struct mzc_prepared {
  mzc_image image;              /* for files that the library codes */
  mzc_transformed *transformed; /* NULL: no step can be shared */
};

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
} coder;

static void open_coder(coder *c, const mzc_image *image, const mzc_encode_options *options)
{
  jpeg_create_compress(&c->cinfo);
  mzc_describe_input(&c->cinfo, image);
  mzc_configure(&c->cinfo, options);
  c->cinfo.raw_data_in = image->pixel_format == MZC_PLANES;
  c->cinfo.dest = &c->destination.base;
}

/* ---- preparing ---------------------------------------------------------------------------------------------------- */

static int transform(coder *c, mzc_prepared *p, const mzc_encode_options *options)
{
  j_compress_ptr cinfo = &c->cinfo;

  if (setjmp(c->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  open_coder(c, &p->image, options);
  if (mzc_transformed_refuses(cinfo) == NULL) {
    p->transformed = mzc_transformed_new();
    if (p->transformed == NULL)
      ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 21);
    mzc_start_compress(cinfo);
    mzc_transformed_begin(p->transformed, cinfo);
    mzc_write_pixels(cinfo, &p->image);
    mzc_transformed_finish(p->transformed, cinfo);
  }
  jpeg_destroy_compress(cinfo);
  return 0;
}

mzc_prepared *mzc_prepare(const mzc_image *image, const mzc_encode_options *options, mzc_status *status)
{
  mzc_prepared *p = calloc(1, sizeof *p);
  unsigned char header[64];      /* receives what libjpeg writes before the pixels; not used */
  mzc_buffer nowhere = { header, 0, sizeof header, 1 };
  coder c;

  memset(&c.cinfo, 0, sizeof c.cinfo);
  c.cinfo.err = mzc_guard_init(&c.guard, status);
  if (p == NULL) {
    mzc_fail(status, MZC_NO_MEMORY, "no memory for a prepared image");
    return NULL;
  }
  p->image = *image;
  if (mzc_destination_init(&c.destination, &nowhere, 0, status) || transform(&c, p, options)) {
    mzc_prepared_close(p);
    return NULL;
  }
  return p;
}

void mzc_prepared_close(mzc_prepared *p)
{
  if (p != NULL)
    mzc_transformed_free(p->transformed);
  free(p);
}

/* ---- encoding ----------------------------------------------------------------------------------------------------- */

enum { NOT_COVERED = 1 };

static int code(coder *c, const mzc_prepared *p, const mzc_encode_options *options, const mzc_marker *markers,
                int num_markers, mzc_engine *engine)
{
  j_compress_ptr cinfo = &c->cinfo;
  int declined;

  if (setjmp(c->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  open_coder(c, &p->image, options);
  if (mzc_engine_refuses(cinfo) != NULL || !mzc_transformed_fits(p->transformed, cinfo)) {
    jpeg_destroy_compress(cinfo);
    return NOT_COVERED;
  }
  mzc_choose_engine(options, engine, NULL, c->guard.status);
  mzc_start_compress(cinfo);
  mzc_write_markers(cinfo, markers, num_markers);
  declined = mzc_engine_write_transformed(engine, cinfo, p->transformed);
  jpeg_destroy_compress(cinfo);
  return declined ? NOT_COVERED : mzc_destination_check(&c->destination, c->guard.status);
}

int mzc_prepared_encode(const mzc_prepared *p, const mzc_encode_options *options, const mzc_marker *markers,
                        int num_markers, mzc_engine *engine, mzc_buffer *out, mzc_status *status)
{
  coder c;
  int result = NOT_COVERED;

  memset(&c.cinfo, 0, sizeof c.cinfo);
  c.cinfo.err = mzc_guard_init(&c.guard, status);
  if (p->transformed != NULL && engine != NULL && options->engine != MZC_ENGINE_LIBRARY) {
    if (mzc_destination_init(&c.destination, out, (size_t)p->image.width * p->image.height / 4, status))
      return -1;
    result = code(&c, p, options, markers, num_markers, engine);
    mzc_engine_trim(engine);
    if (result)
      mzc_destination_forget(out);
  }
  if (result == NOT_COVERED)
    return mzc_encode(&p->image, options, markers, num_markers, engine, out, status);
  return result;
}

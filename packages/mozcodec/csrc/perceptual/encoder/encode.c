/* The smallest JPEG at a perceived quality: encode.c's counterpart for distances.
 *
 * Effort 0 codes float planes with tables for a distance. Effort 1 chooses the chroma first, computes how a decoder
 * reconstructs it, and changes the luma so that luminance in linear light is right again. Effort 2 codes once for the
 * derivative of SSIMULACRA2, which gives every block its lambda, and then as effort 1. The trellis codes components
 * independently, so chroma that is chosen once stays, and the scan search runs once at the end. */
#include "encoder.h"
#include "../numbers.h"
#include "../ssimulacra2.h"

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
  mzc_perceptual_picture picture;
} encoder;

/* mozjpeg's, in powers of 2; where steps are small, its trellis would zero too much. */
static double lambda_numerator(double distance)
{
  double weight = (0.8 - distance) / (0.8 - 0.4);

  weight = weight < 0 ? 0 : weight > 1 ? 1 : weight;
  return mzc_exp((14.75 + (16.5 - 14.75) * weight) * 0.6931471805599453);
}

static void configure(j_compress_ptr cinfo, const mzc_image *image, const mzc_perceptual_options *perceptual,
                      const mzc_encode_options *options)
{
  int is_gray = image->pixel_format == MZC_GRAY;
  unsigned int tables[3][DCTSIZE2];

  cinfo->image_width = image->width;
  cinfo->image_height = image->height;
  cinfo->in_color_space = is_gray ? JCS_GRAYSCALE : JCS_RGB;
  cinfo->input_components = is_gray ? 1 : 3;
  cinfo->data_precision = 8;
  mzc_configure(cinfo, options);
  mzc_distance_tables(perceptual->distance, perceptual->h == 2 && perceptual->v == 2 && !is_gray, perceptual->effort > 0,
                      tables);
  for (int c = 0; c < cinfo->num_components; c++) {
    jpeg_add_quant_table(cinfo, c, tables[c], 100, TRUE);
    cinfo->comp_info[c].quant_tbl_no = c;
    cinfo->comp_info[c].h_samp_factor = c == 0 && !is_gray ? perceptual->h : 1;
    cinfo->comp_info[c].v_samp_factor = c == 0 && !is_gray ? perceptual->v : 1;
  }
}

static void choose(mzc_perceptual_picture *p, int c)
{
  const mzc_plane *plane = &p->plane[c];

  mzc_component_begin(p->engine, c, plane->lambda_scale);
  for (int row = 0; row < plane->blocks_high; row++) {
    p->f->forward_dct(plane->samples + (size_t)row * DCTSIZE * plane->row_length, plane->row_length, c ? 0 : 128.0f,
                      p->coefficients, plane->blocks_wide);
    mzc_component_row(p->engine, c, row, p->coefficients);
  }
  if (mzc_component_choose(p->engine, c) != 0)
    ERREXIT(p->cinfo, JERR_WIDTH_OVERFLOW);
}

static void decode(mzc_perceptual_picture *p, int c)
{
  mzc_plane *plane = &p->plane[c];

  if (plane->decoded == NULL)
    plane->decoded = mzc_picture_memory(p, plane->row_length * plane->blocks_high * DCTSIZE, 1);
  for (int row = 0; row < plane->blocks_high; row++) {
    mzc_component_chosen(p->engine, c, row, p->coefficients);
    p->f->inverse_dct(p->coefficients, plane->step, p->blocks, plane->row_length, plane->blocks_wide);
    p->f->to_bytes(p->blocks, plane->decoded + (size_t)row * DCTSIZE * plane->row_length,
                   (int)(DCTSIZE * plane->row_length));
  }
}

static void choose_all(mzc_perceptual_picture *p, int effort)
{
  if (effort == 2 && p->source.width >= MZC_SSIMULACRA2_SMALLEST && p->source.height >= MZC_SSIMULACRA2_SMALLEST) {
    for (int c = 0; c < p->num_components; c++) {
      choose(p, c);
      decode(p, c);
      mzc_component_release(p->engine, c);     /* each is chosen again */
    }
    mzc_picture_weigh_blocks(p);
  }
  for (int c = 1; c < p->num_components; c++)
    choose(p, c);
  if (effort > 0 && p->num_components == 3) {
    decode(p, 1);
    decode(p, 2);
    mzc_picture_correct_luma(p);
  }
  for (int c = 1; c < p->num_components; c++)
    mzc_plane_free(&p->plane[c]);
  choose(p, 0);
  mzc_plane_free(&p->plane[0]);
}

static int run(encoder *e, const mzc_image *image, const mzc_perceptual_options *perceptual,
               const mzc_encode_options *options, const mzc_marker *markers, int num_markers)
{
  j_compress_ptr cinfo = &e->cinfo;
  mzc_perceptual_picture *p = &e->picture;

  if (setjmp(e->guard.jump)) {
    mzc_picture_free(p);
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);
  configure(cinfo, image, perceptual, options);
  cinfo->dest = &e->destination.base;
  p->cinfo = cinfo;
  p->num_components = cinfo->num_components;
  p->h = perceptual->h;
  p->v = perceptual->v;
  mzc_source_open(&p->source, image, p->cpu);
  p->f = p->source.functions;
  jpeg_start_compress(cinfo, TRUE);
  mzc_write_markers(cinfo, markers, num_markers);
  mzc_engine_search_widely(p->engine, perceptual->effort > 0);
  mzc_components_begin(p->engine, cinfo, lambda_numerator(perceptual->distance), mzc_exp(16.5 * 0.6931471805599453));
  mzc_picture_fill(p);
  choose_all(p, perceptual->effort);
  if (mzc_components_finish(p->engine, cinfo) != 0)
    ERREXIT(cinfo, JERR_WIDTH_OVERFLOW);
  mzc_picture_free(p);
  jpeg_destroy_compress(cinfo);
  return mzc_destination_check(&e->destination, e->guard.status);
}

int mzc_perceptual_encode(const mzc_image *image, const mzc_perceptual_options *perceptual,
                          const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                          mzc_engine *engine, int cpu, mzc_buffer *out, mzc_status *status)
{
  encoder e;
  int result;

  memset(&e.cinfo, 0, sizeof e.cinfo);
  memset(&e.picture, 0, sizeof e.picture);
  e.cinfo.err = mzc_guard_init(&e.guard, status);
  e.picture.engine = engine;
  e.picture.cpu = cpu;
  if (engine == NULL)
    return mzc_fail(status, MZC_NO_MEMORY, "no memory for the engine");
  if (mzc_destination_init(&e.destination, out, (size_t)image->width * image->height / 4, status))
    return -1;
  status->engine = MZC_ENGINE_FAST;
  result = run(&e, image, perceptual, options, markers, num_markers);
  mzc_engine_trim(engine);
  if (result != 0)
    mzc_destination_forget(out);
  return result;
}

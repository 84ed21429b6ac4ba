/* From pixels to colour planes, and from planes to raw coefficients of any DCT size. */
#include "scaled.h"

int mzc_divide_up(int a, int b)
{
  return (a + b - 1) / b;
}

/* ---- planes: libjpeg's colour conversion, and no more ------------------------------------------------------------- */

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  mzc_destination destination;
  mzc_planes *planes;
  int rows_done;
} capture;

/* Stands in for the coefficient controller: keeps the converted rows. */
static boolean keep_rows(j_compress_ptr cinfo, JSAMPIMAGE input)
{
  capture *c = cinfo->client_data;
  mzc_planes *planes = c->planes;

  for (int i = 0; i < planes->num_planes; i++)
    for (int k = 0; k < DCTSIZE && c->rows_done + k < planes->height; k++)
      memcpy(planes->samples[i] + (size_t)(c->rows_done + k) * planes->width, input[i][k], planes->width);
  c->rows_done += DCTSIZE;
  return TRUE;
}

static int allocate_planes(mzc_planes *planes, mzc_status *status)
{
  size_t size = (size_t)planes->width * planes->height;

  for (int i = 0; i < planes->num_planes; i++) {
    planes->samples[i] = malloc(size);
    if (planes->samples[i] == NULL)
      return mzc_fail(status, MZC_NO_MEMORY, "no memory for a plane of %zu samples", size);
  }
  return 0;
}

/* mozjpeg's converters run only within a compression: one without subsampling that never reaches the coder. */
static int convert(capture *c, const mzc_image *image, const mzc_encode_options *options)
{
  j_compress_ptr cinfo = &c->cinfo;
  mzc_planes *planes = c->planes;
  mzc_layout layout = mzc_layout_of(image->pixel_format);

  if (setjmp(c->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);
  cinfo->image_width = image->width;
  cinfo->image_height = image->height;
  cinfo->in_color_space = layout.color_space;
  cinfo->input_components = layout.channels;
  jpeg_c_set_int_param(cinfo, JINT_COMPRESS_PROFILE, JCP_FASTEST);
  jpeg_set_defaults(cinfo);
  if (options->color_space >= 0)
    jpeg_set_colorspace(cinfo, mzc_layout_of(options->color_space).color_space);
  for (int i = 0; i < cinfo->num_components; i++)
    cinfo->comp_info[i].h_samp_factor = cinfo->comp_info[i].v_samp_factor = 1;
  planes->color_space = cinfo->jpeg_color_space;
  planes->num_planes = cinfo->num_components;
  if (allocate_planes(planes, c->guard.status))
    longjmp(c->guard.jump, 1);
  cinfo->dest = &c->destination.base;
  cinfo->client_data = c;
  jpeg_start_compress(cinfo, TRUE);
  cinfo->coef->compress_data = keep_rows;
  mzc_write_pixels(cinfo, image);
  jpeg_abort_compress(cinfo);
  jpeg_destroy_compress(cinfo);
  return 0;
}

mzc_planes *mzc_planes_new(const mzc_image *image, const mzc_encode_options *options, mzc_status *status)
{
  mzc_planes *planes = calloc(1, sizeof *planes);
  mzc_buffer nothing = { 0 };
  capture c;
  int failed;

  memset(&c, 0, sizeof c);
  c.cinfo.err = mzc_guard_init(&c.guard, status);
  c.planes = planes;
  if (planes == NULL) {
    mzc_fail(status, MZC_NO_MEMORY, "no memory for planes");
    return NULL;
  }
  planes->width = image->width;
  planes->height = image->height;
  failed = mzc_destination_init(&c.destination, &nothing, 0, status) || convert(&c, image, options);
  free(nothing.data);
  if (failed) {
    mzc_planes_free(planes);
    return NULL;
  }
  return planes;
}

void mzc_planes_free(mzc_planes *planes)
{
  if (planes == NULL)
    return;
  for (int i = 0; i < 4; i++)
    free(planes->samples[i]);
  free(planes);
}

int mzc_planes_color_space(const mzc_planes *planes)
{
  return mzc_pixel_format_of(planes->color_space);
}

static int configured_sampling(j_compress_ptr cinfo, mzc_guard *guard, const mzc_planes *planes,
                               const mzc_encode_options *options, int *h, int *v)
{
  mzc_encode_options own = *options;

  if (setjmp(guard->jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);
  cinfo->in_color_space = planes->color_space;
  cinfo->input_components = planes->num_planes;
  own.color_space = mzc_pixel_format_of(planes->color_space);
  mzc_configure(cinfo, &own);
  for (int i = 0; i < cinfo->num_components; i++) {
    h[i] = cinfo->comp_info[i].h_samp_factor;
    v[i] = cinfo->comp_info[i].v_samp_factor;
  }
  jpeg_destroy_compress(cinfo);
  return 0;
}

int mzc_planes_sampling(const mzc_planes *planes, const mzc_encode_options *options, int *h, int *v, mzc_status *status)
{
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;

  memset(&cinfo, 0, sizeof cinfo);
  cinfo.err = mzc_guard_init(&guard, status);
  return configured_sampling(&cinfo, &guard, planes, options, h, v);
}

/* ---- raw coefficients --------------------------------------------------------------------------------------------- */

/* IJG's rule (libjpeg 7 and later, jcmaster.c): subsampled components take a larger DCT, up to twice 8 points, and what
 * is then left of the subsampling is done by averaging. */
static int dct_size(int scale, int most, int factor)
{
  int grow = 1;

  while (scale * grow <= 8 && most % (factor * grow * 2) == 0)
    grow *= 2;
  return scale * grow;
}

static int average(const mzc_planes *planes, int i, int x, int y, int across, int down)
{
  const unsigned char *samples = planes->samples[i];
  int sum = 0;

  for (int b = y * down; b < (y + 1) * down; b++) {
    int row = b < planes->height ? b : planes->height - 1;
    for (int a = x * across; a < (x + 1) * across; a++)
      sum += samples[(size_t)row * planes->width + (a < planes->width ? a : planes->width - 1)];
  }
  if (across == 2 && down == 1)
    return (sum + x % 2) >> 1;   /* jcsample.c: roundings in turn, that no drift adds up */
  if (across == 2 && down == 2)
    return (sum + 1 + x % 2) >> 2;
  return (sum + across * down / 2) / (across * down);
}

/* A component downsampled by averages and filled up to whole blocks: columns repeat before downsampling, rows after. */
static unsigned char *downsampled(const mzc_planes *planes, int i, int across, int down, int width, int height)
{
  int known = mzc_divide_up(planes->height, down);
  unsigned char *samples = malloc((size_t)width * height);

  if (samples == NULL)
    return NULL;
  for (int y = 0; y < height; y++) {
    unsigned char *row = samples + (size_t)y * width;
    if (y >= known) {
      memcpy(row, row - width, width);
    } else if (across == 1 && down == 1) {
      int n = planes->width < width ? planes->width : width;
      memcpy(row, planes->samples[i] + (size_t)y * planes->width, n);
      memset(row + n, row[n - 1], width - n);
    } else {
      for (int x = 0; x < width; x++)
        row[x] = (unsigned char)average(planes, i, x, y, across, down);
    }
  }
  return samples;
}

static int transform_component(const mzc_planes *planes, mzc_scaled *s, int i, int most_h, int most_v)
{
  int h_size = dct_size(s->scale, most_h, s->h[i]), v_size = dct_size(s->scale, most_v, s->v[i]);
  int wide = mzc_divide_up(s->width * s->h[i], most_h * s->block_size);
  int high = mzc_divide_up(s->height * s->v[i], most_v * s->block_size);
  unsigned char *samples;

  if (h_size > 2 * v_size)
    h_size = 2 * v_size;
  else if (v_size > 2 * h_size)
    v_size = 2 * h_size;
  s->blocks_wide[i] = wide;
  s->blocks_high[i] = high;
  s->raw[i] = malloc((size_t)wide * high * DCTSIZE2 * sizeof(int16_t));
  samples = downsampled(planes, i, most_h * s->scale / (s->h[i] * h_size), most_v * s->scale / (s->v[i] * v_size),
                        wide * h_size, high * v_size);
  if (s->raw[i] != NULL && samples != NULL)
    mzc_forward_dct(samples, wide, high, h_size, v_size, s->raw[i]);
  free(samples);
  return s->raw[i] != NULL && samples != NULL ? 0 : -1;
}

static int set_sizes(mzc_scaled *s, const mzc_planes *planes, mzc_status *status)
{
  int64_t limit = JPEG_MAX_DIMENSION;
  int64_t width = ((int64_t)planes->width * s->block_size + s->scale - 1) / s->scale;
  int64_t height = ((int64_t)planes->height * s->block_size + s->scale - 1) / s->scale;
  int64_t wide = (width * 8 + s->block_size - 1) / s->block_size, high = (height * 8 + s->block_size - 1) / s->block_size;

  if (width > limit || height > limit || wide > limit || high > limit)
    return mzc_fail(status, MZC_LIMIT, "block_size %d and scale %d make a stream of %lld x %lld, more than %lld",
                    s->block_size, s->scale, (long long)(wide > width ? wide : width),
                    (long long)(high > height ? high : height), (long long)limit);
  s->width = (int)width;
  s->height = (int)height;
  s->container_width = (int)wide;
  s->container_height = (int)high;
  return 0;
}

mzc_scaled *mzc_scaled_new(const mzc_planes *planes, int block_size, int scale, const int *h, const int *v,
                           mzc_status *status)
{
  mzc_scaled *s = calloc(1, sizeof *s);
  int most_h = 1, most_v = 1;

  memset(status, 0, sizeof *status);
  if (s == NULL) {
    mzc_fail(status, MZC_NO_MEMORY, "no memory for coefficients");
    return NULL;
  }
  s->block_size = block_size;
  s->scale = scale;
  s->num_components = planes->num_planes;
  s->color_space = planes->color_space;
  for (int i = 0; i < s->num_components; i++) {
    s->h[i] = h[i];
    s->v[i] = v[i];
    most_h = h[i] > most_h ? h[i] : most_h;
    most_v = v[i] > most_v ? v[i] : most_v;
  }
  if (set_sizes(s, planes, status)) {
    mzc_scaled_free(s);
    return NULL;
  }
  for (int i = 0; i < s->num_components; i++)
    if (transform_component(planes, s, i, most_h, most_v)) {
      mzc_fail(status, MZC_NO_MEMORY, "no memory for coefficients");
      mzc_scaled_free(s);
      return NULL;
    }
  return s;
}

void mzc_scaled_free(mzc_scaled *scaled)
{
  if (scaled == NULL)
    return;
  for (int i = 0; i < 4; i++)
    free(scaled->raw[i]);
  free(scaled);
}

void mzc_scaled_size(const mzc_scaled *scaled, int *width, int *height)
{
  *width = scaled->width;
  *height = scaled->height;
}

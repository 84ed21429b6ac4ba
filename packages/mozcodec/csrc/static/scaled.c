/* Pixels to DCT coefficients of any block: colour conversion by libjpeg, downsampling and the M x N forward DCT by us.
 *
 * Sizes and the rules for chroma are the Independent JPEG Group's (libjpeg 9f: jcmaster.c, jcsample.c), so that the blocks
 * are theirs; the DCT is calculated from its definition. (Theirs, in integers, lacks a shift at 12 and 14 points.) */
#include "scaled.h"

#include <math.h>

/* ---- planes: the image in the stream's colours, every component at full size ---- */

typedef struct {
  struct jpeg_compress_struct cinfo;
  mzc_guard guard;
  struct jpeg_destination_mgr nowhere;
  JOCTET dropped[4096];
  unsigned char *plane[MAX_PLANES];
  JDIMENSION row;
} capture;

static void start_dropping(j_compress_ptr cinfo)
{
  capture *c = (capture *)cinfo->client_data;

  c->nowhere.next_output_byte = c->dropped;
  c->nowhere.free_in_buffer = sizeof c->dropped;
}

static boolean drop(j_compress_ptr cinfo)
{
  start_dropping(cinfo);
  return TRUE;
}

static void stop_dropping(j_compress_ptr cinfo)
{
  (void)cinfo;
}

/* Replaces libjpeg's transform of eight rows of every component. */
static boolean keep_rows(j_compress_ptr cinfo, JSAMPIMAGE rows)
{
  capture *c = (capture *)cinfo->client_data;

  for (int ci = 0; ci < cinfo->num_components; ci++)
    for (JDIMENSION y = 0; y < DCTSIZE && c->row + y < cinfo->image_height; y++)
      memcpy(c->plane[ci] + (size_t)(c->row + y) * cinfo->image_width, rows[ci][y], cinfo->image_width);
  c->row += DCTSIZE;
  return TRUE;
}

static void note_components(j_compress_ptr cinfo, mzc_dct *dct)
{
  dct->color_space = cinfo->jpeg_color_space;
  dct->num_components = cinfo->num_components;
  for (int ci = 0; ci < cinfo->num_components; ci++) {
    dct->component[ci].h_samp_factor = cinfo->comp_info[ci].h_samp_factor;
    dct->component[ci].v_samp_factor = cinfo->comp_info[ci].v_samp_factor;
  }
}

/* Removes scans, optimisation and subsampling, so that libjpeg only converts colours and smooths. */
static void strip(j_compress_ptr cinfo)
{
  cinfo->num_scans = 0;
  cinfo->scan_info = NULL;
  cinfo->arith_code = FALSE;
  cinfo->optimize_coding = FALSE;
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS, FALSE);
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_TRELLIS_QUANT, FALSE);
  for (int ci = 0; ci < cinfo->num_components; ci++)
    cinfo->comp_info[ci].h_samp_factor = cinfo->comp_info[ci].v_samp_factor = 1;
}

static void allocate_planes(capture *c)
{
  j_compress_ptr cinfo = &c->cinfo;

  for (int ci = 0; ci < cinfo->num_components; ci++) {
    c->plane[ci] = malloc((size_t)cinfo->image_width * cinfo->image_height);
    if (c->plane[ci] == NULL)
      ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 11);
  }
}

/* On failure the caller frees the planes. */
static int capture_planes(capture *c, mzc_dct *dct, const mzc_image *image, const mzc_encode_options *options)
{
  j_compress_ptr cinfo = &c->cinfo;

  if (setjmp(c->guard.jump)) {
    jpeg_destroy_compress(cinfo);
    return -1;
  }
  jpeg_create_compress(cinfo);
  mzc_describe_input(cinfo, image);
  mzc_configure(cinfo, options);
  note_components(cinfo, dct);
  strip(cinfo);
  allocate_planes(c);
  c->nowhere.init_destination = start_dropping;
  c->nowhere.empty_output_buffer = drop;
  c->nowhere.term_destination = stop_dropping;
  cinfo->dest = &c->nowhere;
  cinfo->client_data = c;
  mzc_start_compress(cinfo);
  cinfo->coef->compress_data = keep_rows;
  mzc_write_pixels(cinfo, image);
  jpeg_abort_compress(cinfo);
  jpeg_destroy_compress(cinfo);
  return 0;
}

/* ---- one component: samples for its DCT ---- */

typedef struct {
  int dct_width, dct_height;    /* samples of a block */
  int h_factor, v_factor;       /* samples of the plane for one of those, each way */
} shape;

static int ceil_div(int64_t a, int64_t b)
{
  return (int)((a + b - 1) / b);
}

/* Chroma is subsampled by a larger DCT as far as 16 points go (jcmaster.c), the rest of the way by averages. */
static shape shape_of(int dct_size, const mzc_dct_component *component, int h_max, int v_max)
{
  shape s = { dct_size, dct_size, 1, 1 };
  int h = component->h_samp_factor, v = component->v_samp_factor;

  while (s.dct_width <= 8 && h_max % (2 * h * s.dct_width / dct_size) == 0)
    s.dct_width *= 2;
  while (s.dct_height <= 8 && v_max % (2 * v * s.dct_height / dct_size) == 0)
    s.dct_height *= 2;
  if (s.dct_width > 2 * s.dct_height)
    s.dct_width = 2 * s.dct_height;
  else if (s.dct_height > 2 * s.dct_width)
    s.dct_height = 2 * s.dct_width;
  s.h_factor = h_max * dct_size / (h * s.dct_width);
  s.v_factor = v_max * dct_size / (v * s.dct_height);
  return s;
}

/* The rounding term of an average; libjpeg alternates it (jcsample.c). */
static int bias(const shape *s, int x)
{
  if (s->h_factor == 2 && s->v_factor == 1)
    return x & 1;
  if (s->h_factor == 2 && s->v_factor == 2)
    return 1 + (x & 1);
  return s->h_factor * s->v_factor / 2;
}

/* A row of averages; columns beyond the plane repeat its last one. */
static void average_row(const unsigned char *plane, int width, int height, const shape *s, int y, unsigned char *row,
                        int row_width)
{
  for (int x = 0; x < row_width; x++) {
    int sum = bias(s, x);
    for (int j = y * s->v_factor; j < (y + 1) * s->v_factor; j++) {
      const unsigned char *line = plane + (size_t)(j < height ? j : height - 1) * width;
      for (int i = x * s->h_factor; i < (x + 1) * s->h_factor; i++)
        sum += line[i < width ? i : width - 1];
    }
    row[x] = (unsigned char)(sum / (s->h_factor * s->v_factor));
  }
}

static void copy_row(const unsigned char *plane, int width, int y, unsigned char *row, int row_width)
{
  int n = width < row_width ? width : row_width;

  memcpy(row, plane + (size_t)y * width, (size_t)n);
  memset(row + n, row[n - 1], (size_t)(row_width - n));
}

/* Rows of samples y .. y + s->dct_height; rows beyond the downsampled plane repeat its last one. */
static void sample_rows(const unsigned char *plane, const mzc_dct *dct, const shape *s, int y, unsigned char *rows,
                        int row_width)
{
  int last = ceil_div(dct->image_height, s->v_factor) - 1;

  for (int i = 0; i < s->dct_height; i++) {
    int row = y + i < last ? y + i : last;
    if (s->h_factor == 1 && s->v_factor == 1)
      copy_row(plane, dct->image_width, row, rows + (size_t)i * row_width, row_width);
    else
      average_row(plane, dct->image_width, dct->image_height, s, row, rows + (size_t)i * row_width, row_width);
  }
}

/* ---- the forward DCT ---- */

typedef float matrix[MZC_MAX_BLOCK][8];   /* [sample][frequency] */

/* JPEG's coefficient of M x N samples is 8 / sqrt(M * N) times the orthonormal DCT's, so that a flat block has the same DC
 * whatever its size; times 8 more, as libjpeg's islow leaves it: 8 / sqrt(N) for each direction. */
static void fill_matrix(int n, matrix m)
{
  const double pi = 3.14159265358979323846;

  memset(m, 0, sizeof(matrix));
  for (int x = 0; x < n; x++)
    for (int k = 0; k < n && k < 8; k++)
      m[x][k] = (float)(sqrt((k == 0 ? 1.0 : 2.0) / n) * cos((2 * x + 1) * k * pi / (2 * n)) * 8.0 / sqrt(n));
}

static void transform_block(const unsigned char *samples, int row_width, const shape *s, matrix across, matrix down,
                            short *coefficients)
{
  float rows[MZC_MAX_BLOCK][8];

  for (int y = 0; y < s->dct_height; y++) {
    float sum[8] = { 0 };
    for (int x = 0; x < s->dct_width; x++) {
      float sample = (float)(samples[(size_t)y * row_width + x] - 128);
      for (int k = 0; k < 8; k++)
        sum[k] += sample * across[x][k];
    }
    memcpy(rows[y], sum, sizeof sum);
  }
  for (int v = 0; v < 8; v++) {
    float sum[8] = { 0 };
    for (int y = 0; y < s->dct_height; y++)
      for (int k = 0; k < 8; k++)
        sum[k] += down[y][v] * rows[y][k];
    for (int k = 0; k < 8; k++)
      coefficients[8 * v + k] = (short)lrintf(sum[k]);
  }
}

static int transform_component(const unsigned char *plane, const mzc_dct *dct, mzc_dct_component *component, int h_max,
                               int v_max)
{
  shape s = shape_of(dct->dct_size, component, h_max, v_max);
  int row_width = component->blocks_across * s.dct_width;
  unsigned char *rows = malloc((size_t)row_width * s.dct_height);
  short *block = malloc((size_t)component->blocks_across * component->block_rows * DCTSIZE2 * sizeof(short));
  matrix across, down;

  component->coefficients = block;
  if (rows == NULL || block == NULL) {
    free(rows);
    return -1;
  }
  fill_matrix(s.dct_width, across);
  fill_matrix(s.dct_height, down);
  for (int by = 0; by < component->block_rows; by++) {
    sample_rows(plane, dct, &s, by * s.dct_height, rows, row_width);
    for (int bx = 0; bx < component->blocks_across; bx++, block += DCTSIZE2)
      transform_block(rows + (size_t)bx * s.dct_width, row_width, &s, across, down, block);
  }
  free(rows);
  return 0;
}

/* ---- the whole image ---- */

static int largest(const mzc_dct *dct, int vertical)
{
  int max = 1;

  for (int ci = 0; ci < dct->num_components; ci++) {
    int factor = vertical ? dct->component[ci].v_samp_factor : dct->component[ci].h_samp_factor;
    if (factor > max)
      max = factor;
  }
  return max;
}

static int check_sampling(const mzc_dct *dct, mzc_status *status)
{
  int h_max = largest(dct, 0), v_max = largest(dct, 1);

  for (int ci = 0; ci < dct->num_components; ci++) {
    const mzc_dct_component *c = &dct->component[ci];
    if (h_max % c->h_samp_factor != 0 || v_max % c->v_samp_factor != 0)
      return mzc_fail(status, MZC_UNSUPPORTED, "sampling factors %dx%d beside %dx%d: fractional sampling is not supported",
                      c->h_samp_factor, c->v_samp_factor, h_max, v_max);
  }
  return 0;
}

static int set_sizes(mzc_dct *dct, mzc_status *status)
{
  int64_t block = dct->block_size, size = dct->dct_size;
  int64_t width = (dct->image_width * block + size - 1) / size, height = (dct->image_height * block + size - 1) / size;
  int limit = (int)(block < 8 ? JPEG_MAX_DIMENSION * block / 8 : JPEG_MAX_DIMENSION);

  if (width > limit || height > limit)
    return mzc_fail(status, MZC_LIMIT, "the coded image would be %lld x %lld; with block size %d it may be %d x %d",
                    (long long)width, (long long)height, dct->block_size, limit, limit);
  dct->coded_width = (int)width;
  dct->coded_height = (int)height;
  dct->container_width = ceil_div(8 * width, block);
  dct->container_height = ceil_div(8 * height, block);
  return 0;
}

static int transform(mzc_dct *dct, unsigned char *const *planes, mzc_status *status)
{
  int h_max = largest(dct, 0), v_max = largest(dct, 1);

  for (int ci = 0; ci < dct->num_components; ci++) {
    mzc_dct_component *c = &dct->component[ci];
    c->blocks_across = ceil_div((int64_t)dct->coded_width * c->h_samp_factor, h_max * dct->block_size);
    c->block_rows = ceil_div((int64_t)dct->coded_height * c->v_samp_factor, v_max * dct->block_size);
    if (transform_component(planes[ci], dct, c, h_max, v_max))
      return mzc_fail(status, MZC_NO_MEMORY, "no memory for the coefficients of %d x %d", dct->coded_width,
                      dct->coded_height);
  }
  return 0;
}

static int check_request(const mzc_image *image, const mzc_encode_options *options, int block_size, int dct_size,
                         mzc_status *status)
{
  if (block_size < 1 || block_size > MZC_MAX_BLOCK || dct_size < 1 || dct_size > MZC_MAX_BLOCK)
    return mzc_fail(status, MZC_UNSUPPORTED, "block size %d and DCT size %d: both must be 1..16", block_size, dct_size);
  if (image->precision != 8 || options->lossless_predictor > 0)
    return mzc_fail(status, MZC_UNSUPPORTED, "DCT scaling takes 8-bit samples and has no lossless predictor");
  if (image->pixel_format == MZC_PLANES)
    return mzc_fail(status, MZC_UNSUPPORTED, "DCT scaling takes pixels, not downsampled planes");
  return 0;
}

static int fill(mzc_dct *dct, const mzc_image *image, const mzc_encode_options *options, mzc_status *status)
{
  capture c;
  int failed;

  memset(&c, 0, sizeof c);
  c.cinfo.err = mzc_guard_init(&c.guard, status);
  failed = check_request(image, options, dct->block_size, dct->dct_size, status) || set_sizes(dct, status) ||
           capture_planes(&c, dct, image, options) || check_sampling(dct, status) || transform(dct, c.plane, status);
  for (int ci = 0; ci < MAX_PLANES; ci++)
    free(c.plane[ci]);
  return failed ? -1 : 0;
}

mzc_dct *mzc_dct_open(const mzc_image *image, const mzc_encode_options *options, int block_size, int dct_size,
                      mzc_status *status)
{
  mzc_dct *dct = calloc(1, sizeof *dct);

  memset(status, 0, sizeof *status);
  if (dct == NULL) {
    mzc_fail(status, MZC_NO_MEMORY, "no memory for an image's coefficients");
    return NULL;
  }
  dct->block_size = block_size;
  dct->dct_size = dct_size;
  dct->image_width = image->width;
  dct->image_height = image->height;
  if (fill(dct, image, options, status)) {
    mzc_dct_close(dct);
    return NULL;
  }
  return dct;
}

void mzc_dct_close(mzc_dct *dct)
{
  if (dct == NULL)
    return;
  for (int ci = 0; ci < MAX_PLANES; ci++)
    free(dct->component[ci].coefficients);
  free(dct);
}

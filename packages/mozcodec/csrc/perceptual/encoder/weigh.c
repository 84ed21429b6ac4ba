/* Where bits help most: the derivative of SSIMULACRA2 at a first encoding becomes a lambda for every block.
 *
 * A block's benefit is how much the score's error would fall, to first order, if the block had no error; its cost is the
 * distortion that the trellis sees. Where benefit over cost is above the average, distortion counts for more. */
#include "encoder.h"
#include "../numbers.h"
#include "../ssimulacra2.h"

#define EXPONENT 0.6
#define EVEN_OUT 0.3             /* of the mean, added to both sides of the ratio */
#define MOST 5.0f                /* times more or less lambda */

typedef struct {
  mzc_perceptual_picture *picture;
  double *benefit[3];            /* by block */
} weighing;

/* Samples of row y of a decoded plane minus those that were to be coded. */
static float difference(const mzc_plane *plane, int y, int x)
{
  size_t at = (size_t)y * plane->row_length + x;

  return (float)plane->decoded[at] - plane->samples[at];
}

static void add_benefit(const mzc_plane *plane, double *benefit, int h, int y, const float *slope, float level)
{
  double *row = benefit + (size_t)(y / DCTSIZE) * plane->blocks_wide;

  for (int x = 0; x < plane->width; x++) {
    float both = h == 1 ? slope[x] : slope[2 * x] + slope[2 * x + 1];
    row[x / DCTSIZE] += both * (difference(plane, y, x) - level);
  }
}

static void take_slopes(void *context, int y, const float *const slope[3])
{
  weighing *w = context;
  mzc_perceptual_picture *p = w->picture;
  float *luma = p->rgb[0], *cb = p->rgb[1], *cr = p->rgb[2];
  int width = p->source.width;

  for (int x = 0; x < width; x++) {
    luma[x] = slope[0][x] + slope[1][x] + slope[2][x];
    cb[x] = -0.344136f * slope[1][x] + 1.772f * slope[2][x];
    cr[x] = 1.402f * slope[0][x] - 0.714136f * slope[1][x];
  }
  cb[width] = cr[width] = 0;       /* the right half of the last chroma sample of an odd row */
  add_benefit(&p->plane[0], w->benefit[0], 1, y, luma, 0);
  if (p->num_components == 3) {
    add_benefit(&p->plane[1], w->benefit[1], p->h, y / p->v, cb, 128);
    add_benefit(&p->plane[2], w->benefit[2], p->h, y / p->v, cr, 128);
  }
}

static void distort(mzc_perceptual_picture *p, const mzc_plane *plane, float level, double *cost)
{
  float *out = p->down;

  for (int row = 0; row < plane->blocks_high; row++) {
    for (int y = 0; y < DCTSIZE; y++)
      for (size_t x = 0; x < plane->row_length; x++)
        p->blocks[y * plane->row_length + x] = difference(plane, row * DCTSIZE + y, (int)x) - level;
    p->f->distortion(p->blocks, plane->row_length, plane->reciprocal, out, plane->blocks_wide);
    for (int b = 0; b < plane->blocks_wide; b++)
      cost[(size_t)row * plane->blocks_wide + b] = out[b];
  }
}

/* Means of 3 x 3 blocks, those at the border repeated; negative ones become 0. */
static double smooth(const mzc_plane *plane, const double *in, double *out)
{
  int width = plane->blocks_wide, height = plane->blocks_high;
  double total = 0;

  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      double sum = 0;
      for (int j = y - 1; j <= y + 1; j++)
        for (int i = x - 1; i <= x + 1; i++) {
          int inside_y = j < 0 ? 0 : j < height ? j : height - 1, inside_x = i < 0 ? 0 : i < width ? i : width - 1;
          sum += in[(size_t)inside_y * width + inside_x];
        }
      sum = sum > 0 ? sum / 9 : 0;
      out[(size_t)y * width + x] = sum;
      total += sum;
    }
  return total / ((double)width * height);
}

static void set_lambda_scale(mzc_plane *plane, const double *benefit, const double *cost, double *smoothed)
{
  size_t blocks = (size_t)plane->blocks_wide * plane->blocks_high;
  double *gain = smoothed, *loss = smoothed + blocks, mean = 0;
  double mean_gain = smooth(plane, benefit, gain), mean_loss = smooth(plane, cost, loss);

  if (!(mean_gain > 0 && mean_loss > 0))
    return;                        /* no difference between blocks */
  for (size_t b = 0; b < blocks; b++) {
    gain[b] = mzc_log((gain[b] + EVEN_OUT * mean_gain) / (loss[b] + EVEN_OUT * mean_loss));
    mean += gain[b];
  }
  mean /= (double)blocks;
  for (size_t b = 0; b < blocks; b++) {
    float scale = (float)mzc_exp(EXPONENT * (gain[b] - mean));
    plane->lambda_scale[b] = scale < 1 / MOST ? 1 / MOST : scale > MOST ? MOST : scale;
  }
}

/* The decoded planes as 8-bit RGB, gray or not. */
static void decode_rgb(mzc_perceptual_picture *p, uint8_t *out)
{
  const mzc_plane *luma = &p->plane[0];
  int width = p->source.width;

  for (int y = 0; y < p->source.height; y++) {
    const uint8_t *decoded = luma->decoded + y * luma->row_length;
    float *row = p->blocks;

    for (int x = 0; x < width; x++)
      row[x] = decoded[x];
    for (int c = 1; c < p->num_components; c++)
      mzc_upsample_row(p, c, y, p->chroma[c - 1]);
    if (p->num_components == 1)
      for (int c = 0; c < 3; c++)
        memcpy(p->rgb[c], row, width * sizeof *row);
    else
      p->f->to_rgb(row, p->chroma[0], p->chroma[1], p->rgb, width);
    for (int x = 0; x < width; x++, out += 3)
      for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)p->rgb[c][x];
  }
}

void mzc_picture_weigh_blocks(mzc_perceptual_picture *p)
{
  size_t blocks = (size_t)p->plane[0].blocks_wide * p->plane[0].blocks_high;
  uint8_t *rgb = NULL;
  double *memory, error;
  mzc_image image = { .width = p->source.width, .height = p->source.height, .pixel_format = MZC_RGB, .precision = 8 };
  mzc_source decoded;
  weighing w = { p, { NULL } };
  int failed;

  for (int c = 0; c < p->num_components; c++) {
    mzc_plane *plane = &p->plane[c];
    size_t count = (size_t)plane->blocks_wide * plane->blocks_high;

    plane->lambda_scale = mzc_picture_memory(p, count, sizeof *plane->lambda_scale);
    for (size_t b = 0; b < count; b++)
      plane->lambda_scale[b] = 1;
  }
  memory = calloc(6 * blocks, sizeof *memory);   /* benefit of three planes, cost, two smoothed */
  rgb = malloc((size_t)image.width * image.height * 3);
  failed = memory == NULL || rgb == NULL;
  if (!failed) {
    for (int c = 0; c < 3; c++)
      w.benefit[c] = memory + c * blocks;
    decode_rgb(p, rgb);
    image.pixels = rgb;
    image.row_stride = (ptrdiff_t)image.width * 3;
    mzc_source_open(&decoded, &image, p->cpu);
    failed = mzc_compare_pictures(&p->source, &decoded, &error, take_slopes, &w) != 0;
  }
  for (int c = 0; !failed && c < p->num_components; c++) {
    distort(p, &p->plane[c], c ? 128 : 0, memory + 3 * blocks);
    set_lambda_scale(&p->plane[c], w.benefit[c], memory + 3 * blocks, memory + 4 * blocks);
  }
  free(memory);
  free(rgb);
  if (failed)
    ERREXIT1(p->cinfo, JERR_OUT_OF_MEMORY, 31);
}

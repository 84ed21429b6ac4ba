/* The detail of the chroma that 4:2:0 removes, which decides between 4:2:0 and 4:4:4. */
#include "source.h"

#define ALL_ROWS_BELOW 256       /* rows; a taller image is sampled */
#define EVERY 8

/* Sum of the squared differences between four values and their mean. */
static float spread_of(float a, float b, float c, float d)
{
  float mean = 0.25f * ((a + b) + (c + d));

  a -= mean, b -= mean, c -= mean, d -= mean;
  return (a * a + b * b) + (c * c + d * d);
}

/* Cb and Cr (BT.601) of a row without their offset, in place of R and B. */
static void to_chroma(float *const rgb[3], int width)
{
  for (int x = 0; x < width; x++) {
    float r = rgb[0][x], g = rgb[1][x], b = rgb[2][x];

    rgb[0][x] = -0.168736f * r - 0.331264f * g + 0.5f * b;
    rgb[2][x] = 0.5f * r - 0.418688f * g - 0.081312f * b;
  }
}

int mzc_chroma_detail(const mzc_image *image, int cpu, double *mean_square)
{
  size_t row = ((size_t)image->width + 15) / 16 * 16;       /* row functions work on whole vectors */
  int every = image->height < ALL_ROWS_BELOW ? 2 : EVERY, pairs = 0, blocks = image->width / 2;
  double sum = 0;
  mzc_source source;
  float *memory, *upper[3], *lower[3];

  *mean_square = 0;
  if (image->pixel_format == MZC_GRAY || blocks == 0 || image->height < 2)
    return 0;
  memory = malloc(6 * row * sizeof *memory);
  if (memory == NULL)
    return -1;
  for (int c = 0; c < 3; c++) {
    upper[c] = memory + c * row;
    lower[c] = memory + (3 + c) * row;
  }
  mzc_source_open(&source, image, cpu);
  for (int y = 0; y + 1 < image->height; y += every, pairs++) {
    double of_row = 0;

    mzc_source_samples(&source, y, upper);
    mzc_source_samples(&source, y + 1, lower);
    to_chroma(upper, image->width);
    to_chroma(lower, image->width);
    for (int x = 0; x < 2 * blocks; x += 2)
      for (int c = 0; c < 3; c += 2)
        of_row += spread_of(upper[c][x], upper[c][x + 1], lower[c][x], lower[c][x + 1]);
    sum += of_row;
  }
  free(memory);
  *mean_square = sum / (4.0 * blocks * pairs);
  return 0;
}

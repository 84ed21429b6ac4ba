/* How close two images are, for searches among files. */
#include <math.h>

#include "shim.h"

#define WINDOW 7   /* SSIM: a uniform one, without the border where it would leave the image */

static const unsigned char *row_of(const mzc_samples *samples, int y)
{
  return samples->first + (ptrdiff_t)y * samples->row_stride;
}

double mzc_psnr(const mzc_samples *a, const mzc_samples *b)
{
  int n = a->width * a->channels;
  int64_t sum = 0;

  for (int y = 0; y < a->height; y++) {
    const unsigned char *p = row_of(a, y), *q = row_of(b, y);
    int64_t row = 0;
    for (int x = 0; x < n; x++)
      row += (p[x] - q[x]) * (p[x] - q[x]);
    sum += row;
  }
  return 10.0 * log10(255.0 * 255.0 * n * a->height / (double)sum);   /* infinite for equal images */
}

/* ---- SSIM --------------------------------------------------------------------------------------------------------- */

enum { A, B, AA, BB, AB, SUMS };

/* Adds (sign 1) or takes away (sign -1) a row from the sums of every column. */
static void add_row(const unsigned char *a, const unsigned char *b, int n, int sign, int32_t *columns)
{
  for (int x = 0; x < n; x++) {
    columns[A * n + x] += sign * a[x];
    columns[B * n + x] += sign * b[x];
    columns[AA * n + x] += sign * a[x] * a[x];
    columns[BB * n + x] += sign * b[x] * b[x];
    columns[AB * n + x] += sign * a[x] * b[x];
  }
}

/* Wang, Bovik, Sheikh and Simoncelli, Image quality assessment, 2004, with K1 = 0.01, K2 = 0.03 and sample covariances. */
static double ssim_of_window(const int32_t *sums)
{
  const double pixels = WINDOW * WINDOW, c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
  double mean_a = sums[A] / pixels, mean_b = sums[B] / pixels;
  double variance_a = (sums[AA] - sums[A] * mean_a) / (pixels - 1);
  double variance_b = (sums[BB] - sums[B] * mean_b) / (pixels - 1);
  double covariance = (sums[AB] - sums[A] * mean_b) / (pixels - 1);

  return (2 * mean_a * mean_b + c1) * (2 * covariance + c2) /
         ((mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2));
}

static double ssim_of_row(const int32_t *columns, int width, int channels)
{
  int n = width * channels;
  double sum = 0;

  for (int c = 0; c < channels; c++) {
    int32_t window[SUMS] = { 0 };
    for (int x = 0; x < width; x++) {
      for (int k = 0; k < SUMS; k++) {
        window[k] += columns[k * n + x * channels + c];
        if (x >= WINDOW)
          window[k] -= columns[k * n + (x - WINDOW) * channels + c];
      }
      if (x >= WINDOW - 1)
        sum += ssim_of_window(window);
    }
  }
  return sum;
}

int mzc_ssim(const mzc_samples *a, const mzc_samples *b, double *ssim)
{
  int n = a->width * a->channels;
  int32_t *columns = calloc((size_t)n * SUMS, sizeof *columns);
  double sum = 0;

  if (columns == NULL)
    return -1;
  for (int y = 0; y < a->height; y++) {
    add_row(row_of(a, y), row_of(b, y), n, 1, columns);
    if (y >= WINDOW)
      add_row(row_of(a, y - WINDOW), row_of(b, y - WINDOW), n, -1, columns);
    if (y >= WINDOW - 1)
      sum += ssim_of_row(columns, a->width, a->channels);
  }
  free(columns);
  *ssim = sum / ((double)(a->width - WINDOW + 1) * (a->height - WINDOW + 1) * a->channels);
  return 0;
}

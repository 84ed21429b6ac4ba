/* Multi-scale structural similarity of luma. Wang, Simoncelli and Bovik, Multiscale structural similarity for image
 * quality assessment, 2003: five scales, a Gaussian window of 11 x 11 (sigma 1.5) that stays inside the image,
 * K1 = 0.01, K2 = 0.03. */
#include <math.h>

#include "shim.h"
#include "perceptual/numbers.h"

enum { SCALES = 5, TAPS = 11, PLANES = 5 };

typedef struct {
  int width, height;
  double *a, *b;                 /* luma, halved from scale to scale */
  double *row[PLANES];           /* a, b, a a, b b, a b blurred down, one row */
  double tap[TAPS];
} pyramid;

static void take_luma(const mzc_samples *s, double *out)
{
  for (int y = 0; y < s->height; y++) {
    const unsigned char *p = s->first + (ptrdiff_t)y * s->row_stride;
    for (int x = 0; x < s->width; x++, p += s->channels)
      *out++ = s->channels == 1 ? p[0] : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
  }
}

static void blur_down(const pyramid *p, int y)
{
  for (int k = 0; k < PLANES; k++)
    memset(p->row[k], 0, p->width * sizeof(double));
  for (int t = 0; t < TAPS; t++) {
    const double *a = p->a + (size_t)(y + t) * p->width, *b = p->b + (size_t)(y + t) * p->width, w = p->tap[t];
    for (int x = 0; x < p->width; x++) {
      p->row[0][x] += w * a[x];
      p->row[1][x] += w * b[x];
      p->row[2][x] += w * (a[x] * a[x]);
      p->row[3][x] += w * (b[x] * b[x]);
      p->row[4][x] += w * (a[x] * b[x]);
    }
  }
}

/* Means over the image of contrast times structure, and of the whole of SSIM. */
static void measure(const pyramid *p, double *contrast, double *whole)
{
  const double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
  int width = p->width - TAPS + 1, height = p->height - TAPS + 1;

  *contrast = *whole = 0;
  for (int y = 0; y < height; y++) {
    blur_down(p, y);
    for (int x = 0; x < width; x++) {
      double m[PLANES] = { 0 }, cs;

      for (int k = 0; k < PLANES; k++)
        for (int t = 0; t < TAPS; t++)
          m[k] += p->tap[t] * p->row[k][x + t];
      cs = (2 * (m[4] - m[0] * m[1]) + c2) / (m[2] - m[0] * m[0] + m[3] - m[1] * m[1] + c2);
      *contrast += cs;
      *whole += cs * (2 * m[0] * m[1] + c1) / (m[0] * m[0] + m[1] * m[1] + c1);
    }
  }
  *contrast /= (double)width * height;
  *whole /= (double)width * height;
}

static void halve(double *plane, int width, int height)
{
  double *out = plane;

  for (int y = 0; y < height / 2; y++) {
    const double *upper = plane + (size_t)2 * y * width, *lower = upper + width;
    for (int x = 0; x < width / 2; x++)
      *out++ = 0.25 * (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]);
  }
}

static void set_taps(double *tap)
{
  double sum = 0;

  for (int i = 0; i < TAPS; i++)
    sum += tap[i] = mzc_exp(-(i - TAPS / 2) * (i - TAPS / 2) / (2 * 1.5 * 1.5));
  for (int i = 0; i < TAPS; i++)
    tap[i] /= sum;
}

int mzc_ms_ssim(const mzc_samples *a, const mzc_samples *b, double *ms_ssim)
{
  static const double weight[SCALES] = { 0.0448, 0.2856, 0.3001, 0.2363, 0.1333 };
  size_t pixels = (size_t)a->width * a->height;
  double *memory = malloc((2 * pixels + PLANES * (size_t)a->width) * sizeof *memory);
  pyramid p = { a->width, a->height, memory, memory + pixels, { NULL }, { 0 } };

  if (memory == NULL)
    return -1;
  for (int k = 0; k < PLANES; k++)
    p.row[k] = memory + 2 * pixels + k * (size_t)a->width;
  set_taps(p.tap);
  take_luma(a, p.a);
  take_luma(b, p.b);
  *ms_ssim = 1;
  for (int scale = 0; scale < SCALES; scale++) {
    double contrast, whole, value;

    measure(&p, &contrast, &whole);
    value = scale == SCALES - 1 ? whole : contrast;
    *ms_ssim *= value > 0 ? mzc_power(value, weight[scale]) : 0;
    halve(p.a, p.width, p.height);
    halve(p.b, p.width, p.height);
    p.width /= 2;
    p.height /= 2;
  }
  free(memory);
  return 0;
}

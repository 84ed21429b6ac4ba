/* Rows of float samples from arrays of pixels. */
#include "source.h"
#include "numbers.h"
#include "tables_srgb.h"

const mzc_row_functions *mzc_row_functions_of(int cpu)
{
#if defined(MZC_HAVE_V3)
  if (cpu == 2)
    return &mzc_rows_v3;
#endif
  (void)cpu;
  return &mzc_rows_baseline;
}

void mzc_source_open(mzc_source *s, const mzc_image *image, int cpu)
{
  static const int places[][3] = {
    [MZC_GRAY] = { 0, 0, 0 }, [MZC_RGB] = { 0, 1, 2 }, [MZC_BGR] = { 2, 1, 0 }, [MZC_RGBA] = { 0, 1, 2 },
    [MZC_BGRA] = { 2, 1, 0 }, [MZC_ARGB] = { 1, 2, 3 }, [MZC_ABGR] = { 3, 2, 1 },
  };

  s->first = image->pixels;
  s->row_stride = image->row_stride;
  s->width = image->width;
  s->height = image->height;
  s->step = mzc_layout_of(image->pixel_format).channels;
  memcpy(s->place, places[image->pixel_format], sizeof s->place);
  s->precision = image->precision;
  s->linear = image->linear;
  s->functions = mzc_row_functions_of(cpu);
}

static float clamped(float x)
{
  x = x > 0 ? x : 0;               /* not a number becomes 0 */
  return x < 1 ? x : 1;
}

/* Samples as they are stored, on a scale that ends at most. */
static void gather(const mzc_source *s, int y, float most, float *const rgb[3])
{
  const unsigned char *row = s->first + y * s->row_stride;
  int num = s->place[0] == s->place[1] ? 1 : 3;

  if (s->precision == 8) {
    s->functions->spread(row, s->step, s->place, rgb, s->width);
    num = 3;
  }
  for (int c = 0; c < num; c++) {
    float *out = rgb[c];

    if (s->precision == 8) {
      float scale = most * (1.0f / 255.0f);
      for (int x = 0; most != 255.0f && x < s->width; x++)
        out[x] *= scale;
    } else if (s->precision == 16) {
      const uint16_t *p = (const uint16_t *)row + s->place[c];
      for (int x = 0; x < s->width; x++)
        out[x] = p[(size_t)x * s->step] * (most / 65535.0f);
    } else {
      const float *p = (const float *)row + s->place[c];
      for (int x = 0; x < s->width; x++)
        out[x] = most * clamped(p[(size_t)x * s->step]);
    }
  }
  for (int c = num; c < 3; c++)
    memcpy(rgb[c], rgb[0], s->width * sizeof **rgb);
}

void mzc_source_samples(const mzc_source *s, int y, float *const rgb[3])
{
  gather(s, y, s->linear ? 1.0f : 255.0f, rgb);
  for (int c = 0; s->linear && c < 3; c++)
    s->functions->from_linear(rgb[c], rgb[c], s->width);
}

void mzc_source_linear(const mzc_source *s, int y, float *const rgb[3])
{
  if (s->precision == 8 && !s->linear) {
    const unsigned char *row = s->first + y * s->row_stride;

    for (int c = 0; c < 3; c++)
      for (int x = 0; x < s->width; x++)
        rgb[c][x] = srgb_linear[row[(size_t)x * s->step + s->place[c]]];
    return;
  }
  gather(s, y, s->linear ? 1.0f : 255.0f, rgb);
  for (int c = 0; !s->linear && c < 3; c++)
    s->functions->to_linear(rgb[c], rgb[c], s->width);
}

void mzc_source_scale_slopes(const mzc_source *s, int y, float *const slope[3])
{
  for (int c = 0; c < 3; c++)
    for (int x = 0; x < s->width; x++) {
      const unsigned char *row = s->first + y * s->row_stride;
      size_t at = (size_t)x * s->step + s->place[c];

      if (s->linear)
        slope[c][x] *= 1.0f / 255.0f;
      else if (s->precision == 8)
        slope[c][x] *= srgb_slope[row[at]];
      else if (s->precision == 16)
        slope[c][x] *= (float)(mzc_srgb_slope(((const uint16_t *)row)[at] / 65535.0) / 255.0);
      else
        slope[c][x] *= (float)(mzc_srgb_slope(clamped(((const float *)row)[at])) / 255.0);
    }
}

/* Colour conversions on decoding that libjpeg leaves out. */
#include "decode.h"

typedef struct {
  int red, green, blue, alpha, channels;
} rgb_layout;

static rgb_layout layout_of(J_COLOR_SPACE color_space)
{
  switch (color_space) {
  case JCS_EXT_BGR:
    return (rgb_layout){ 2, 1, 0, -1, 3 };
  case JCS_EXT_RGBA:
    return (rgb_layout){ 0, 1, 2, 3, 4 };
  case JCS_EXT_BGRA:
    return (rgb_layout){ 2, 1, 0, 3, 4 };
  case JCS_EXT_ARGB:
    return (rgb_layout){ 1, 2, 3, 0, 4 };
  case JCS_EXT_ABGR:
    return (rgb_layout){ 3, 2, 1, 0, 4 };
  default:
    return (rgb_layout){ 0, 1, 2, -1, 3 };
  }
}

/* djpeg's cmyk_to_rgb (cmyk.h) for Adobe's inverted samples: R = C K / 255, rounded to nearest. */
static unsigned int mix(unsigned int ink, unsigned int black, unsigned int full)
{
  return (unsigned int)(((uint64_t)2 * ink * black + full) / (2 * full));   /* of 16 bits: more than 32 */
}

static void to_rgb(J_COLOR_SPACE from, const unsigned int *in, unsigned int full, unsigned int *rgb)
{
  for (int i = 0; i < 3; i++)
    rgb[i] = from == JCS_GRAYSCALE ? in[0] : from == JCS_CMYK ? mix(in[i], in[3], full) : in[i];
}

static int channels_of(J_COLOR_SPACE color_space)
{
  return color_space == JCS_GRAYSCALE ? 1 : color_space == JCS_CMYK ? 4 : 3;
}

/* libjpeg's weights (jccolor.c), 16 bits behind the point. */
#define FIX(x) ((int64_t)((x) * 65536 + 0.5))
#define HALF (1 << 15)

static unsigned int luma_of(const unsigned int *rgb)
{
  return (unsigned int)((FIX(0.29900) * rgb[0] + FIX(0.58700) * rgb[1] + FIX(0.11400) * rgb[2] + HALF) >> 16);
}

static void to_ycbcr(const unsigned int *rgb, unsigned int full, unsigned int *out)
{
  int64_t offset = ((int64_t)(full / 2 + 1) << 16) + HALF - 1;

  out[0] = luma_of(rgb);
  out[1] = (unsigned int)((-FIX(0.16874) * rgb[0] - FIX(0.33126) * rgb[1] + FIX(0.50000) * rgb[2] + offset) >> 16);
  out[2] = (unsigned int)((FIX(0.50000) * rgb[0] - FIX(0.41869) * rgb[1] - FIX(0.08131) * rgb[2] + offset) >> 16);
}

/* Writes one pixel's samples as gray, YCbCr or RGB of an order. */
#define PUT(SAMPLE)                                                                                                     \
  do {                                                                                                                  \
    if (to == JCS_GRAYSCALE) {                                                                                          \
      target[0] = (SAMPLE)luma_of(rgb);                                                                                 \
    } else if (to == JCS_YCbCr) {                                                                                       \
      unsigned int out[3];                                                                                              \
      to_ycbcr(rgb, full, out);                                                                                         \
      for (int i = 0; i < 3; i++)                                                                                       \
        target[i] = (SAMPLE)out[i];                                                                                     \
    } else {                                                                                                            \
      target[layout.red] = (SAMPLE)rgb[0];                                                                              \
      target[layout.green] = (SAMPLE)rgb[1];                                                                            \
      target[layout.blue] = (SAMPLE)rgb[2];                                                                             \
      if (layout.alpha >= 0)                                                                                            \
        target[layout.alpha] = (SAMPLE)full;                                                                            \
    }                                                                                                                   \
  } while (0)

#define DEFINE_CONVERT(NAME, SAMPLE)                                                                                    \
  static void NAME(J_COLOR_SPACE from, const SAMPLE *source, J_COLOR_SPACE to, SAMPLE *target, int width,               \
                   unsigned int full)                                                                                   \
  {                                                                                                                     \
    int channels = channels_of(from);                                                                                   \
    rgb_layout layout = layout_of(to);                                                                                  \
    int written = to == JCS_GRAYSCALE ? 1 : layout.channels;                                                            \
    for (int x = 0; x < width; x++, source += channels, target += written) {                                            \
      unsigned int in[4] = { 0 }, rgb[3];                                                                               \
      for (int i = 0; i < channels; i++)                                                                                \
        in[i] = source[i];                                                                                              \
      to_rgb(from, in, full, rgb);                                                                                      \
      PUT(SAMPLE);                                                                                                      \
    }                                                                                                                   \
  }

DEFINE_CONVERT(convert8, uint8_t)
DEFINE_CONVERT(convert16, uint16_t)

void mzc_convert_row(J_COLOR_SPACE from, const void *source, J_COLOR_SPACE to, void *target, int width, int precision)
{
  unsigned int full = (1u << precision) - 1;

  if (precision > 8)
    convert16(from, source, to, target, width, full);
  else
    convert8(from, source, to, target, width, full);
}

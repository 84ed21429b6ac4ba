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

#define DEFINE_CONVERT(NAME, SAMPLE)                                                                                    \
  static void NAME(J_COLOR_SPACE from, const SAMPLE *source, rgb_layout to, SAMPLE *target, int width, unsigned int full) \
  {                                                                                                                     \
    int channels = channels_of(from);                                                                                   \
    for (int x = 0; x < width; x++, source += channels, target += to.channels) {                                        \
      unsigned int in[4] = { 0 }, rgb[3];                                                                               \
      for (int i = 0; i < channels; i++)                                                                                \
        in[i] = source[i];                                                                                              \
      to_rgb(from, in, full, rgb);                                                                                      \
      target[to.red] = (SAMPLE)rgb[0];                                                                                  \
      target[to.green] = (SAMPLE)rgb[1];                                                                                \
      target[to.blue] = (SAMPLE)rgb[2];                                                                                 \
      if (to.alpha >= 0)                                                                                                \
        target[to.alpha] = (SAMPLE)full;                                                                                \
    }                                                                                                                   \
  }

DEFINE_CONVERT(convert8, uint8_t)
DEFINE_CONVERT(convert16, uint16_t)

void mzc_convert_row(J_COLOR_SPACE from, const void *source, J_COLOR_SPACE to, void *target, int width, int precision)
{
  unsigned int full = (1u << precision) - 1;

  if (precision > 8)
    convert16(from, source, layout_of(to), target, width, full);
  else
    convert8(from, source, layout_of(to), target, width, full);
}

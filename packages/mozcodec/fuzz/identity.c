/* Encodes images in the perceptual mode and prints a hash of all files and scores, which has to be the same for every
 * compiler and processor. Images come from integer arithmetic alone. compilers.py builds and runs it. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "mozcodec.h"

static int sample(int kind, int x, int y, int c)
{
  int value;

  switch (kind) {
  case 0:
    return (int)draw(256);
  case 1:
    value = 3 * x + (c + 1) * y;
    break;
  case 2:
    return (x / 5 + y / 3) % 2 ? 30 + 90 * c : 220 - 70 * c;
  default:
    value = x * x / 9 + y * y / 7 + 40 * c + (int)draw(24);
  }
  value %= 512;
  return value < 256 ? value : 511 - value;
}

/* Samples at a precision: 8, 16 or 32. */
static void *draw_samples(const mzc_image *image, int channels)
{
  size_t count = (size_t)image->width * image->height * channels, size = image->precision / 8;
  unsigned char *pixels = malloc(count * size);
  int kind = (int)draw(4);

  for (size_t i = 0; pixels && i < count; i++) {
    int x = (int)(i / channels) % image->width, y = (int)(i / channels) / image->width;
    int value = sample(kind, x, y, (int)(i % channels));

    if (image->precision == 8)
      pixels[i] = (unsigned char)value;
    else if (image->precision == 16)
      ((uint16_t *)pixels)[i] = (uint16_t)(value * 257 ^ (int)draw(200));
    else
      ((float *)pixels)[i] = (float)value / 256.0f;
  }
  return pixels;
}

static void fail(const char *message)
{
  fprintf(stderr, "%s\n", message);
  exit(1);
}

static void encode(uint64_t *sum, const mzc_image *image, const mzc_perceptual_options *perceptual, int cpu)
{
  mzc_encode_options options;
  mzc_buffer out;
  mzc_status status;
  mzc_engine *engine = mzc_engine_new(cpu);

  memset(&out, 0, sizeof out);
  memset(&status, 0, sizeof status);
  mzc_default_encode_options(&options);
  if (engine == NULL || mzc_perceptual_encode(image, perceptual, &options, NULL, 0, engine, cpu, &out, &status) != 0)
    fail(engine ? status.message : "no memory");
  *sum = hash(*sum, out.data, out.size);
  mzc_free(out.data);
  mzc_engine_free(engine);
}

static void score(uint64_t *sum, const mzc_image *image, const mzc_image *other, int cpu)
{
  float *slopes = malloc((size_t)image->width * image->height * 3 * sizeof *slopes);
  double values[2];

  if (slopes == NULL || mzc_ssimulacra2(image, other, cpu, values, values + 1, NULL))
    fail("no memory");
  *sum = hash(*sum, values, sizeof values);
  if (mzc_ssimulacra2(image, other, cpu, values, values + 1, slopes))
    fail("no memory");
  *sum = hash(*sum, values, sizeof values);
  *sum = hash(*sum, slopes, (size_t)image->width * image->height * 3 * sizeof *slopes);
  free(slopes);
}

static uint64_t run(int cpu, int cases)
{
  uint64_t sum = HASH_START;

  chance = 1;
  for (int n = 0; n < cases; n++) {
    static const int precision[] = { 8, 8, 16, 32 }, format[] = { MZC_GRAY, MZC_RGB, MZC_BGR, MZC_ARGB };
    static const int channels[] = { 1, 3, 3, 4 };
    int layout = (int)draw(4);
    mzc_image image = { .pixel_format = format[layout] }, other;
    mzc_perceptual_options perceptual = { .effort = 0 };
    void *pixels, *others;

    /* one draw in each statement: compilers order the parts of an expression in different ways */
    image.width = 1 + (int)draw(n % 4 ? 70 : 9);
    image.height = 1 + (int)draw(60);
    image.precision = precision[draw(4)];
    image.linear = draw(4) == 0;
    perceptual.distance = 1 + draw(100);
    perceptual.distance /= draw(2) ? 40.0 : 7.0;
    perceptual.h = 1 + (int)draw(2);
    perceptual.v = 1 + (int)draw(2);
    other = image;
    pixels = draw_samples(&image, channels[layout]);
    others = draw_samples(&image, channels[layout]);
    if (pixels == NULL || others == NULL)
      fail("no memory");
    if (perceptual.distance < 0.1)
      perceptual.distance = 0.1;
    image.pixels = pixels;
    other.pixels = others;
    image.row_stride = other.row_stride = (ptrdiff_t)image.width * channels[layout] * image.precision / 8;
    for (perceptual.effort = 0; perceptual.effort < 3; perceptual.effort++)
      encode(&sum, &image, &perceptual, cpu);
    if (image.width >= 8 && image.height >= 8)
      score(&sum, &image, &other, cpu);
    free(pixels);
    free(others);
  }
  return sum;
}

int main(int argc, char **argv)
{
  int cases = argc > 1 ? atoi(argv[1]) : 300, v3 = mzc_engine_cpu("v3");
  uint64_t baseline = run(mzc_engine_cpu("baseline"), cases);

  printf("%016llx baseline\n", (unsigned long long)baseline);
  if (v3)
    printf("%016llx x86-64-v3\n", (unsigned long long)run(v3, cases));
  return 0;
}

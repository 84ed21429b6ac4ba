/* Encode and decode random images with random options and print a hash for each: mozcodec_cross FIRST COUNT
 *
 * Case i is a pure function of i, so that builds for different processors and C libraries can be compared line by line;
 * run.py does. The exit status is 1 if engine and library, or reader and library, differ. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/chance.h"
#include "mozcodec.h"

#define LARGEST 97

static void draw_image(mzc_image *image, unsigned char *pixels)
{
  int channels = draw(4) ? 3 : 1, kind = (int)draw(4);
  unsigned step = 1 + draw(30), level = draw(256);

  memset(image, 0, sizeof *image);
  image->width = 1 + (int)draw(LARGEST);
  image->height = 1 + (int)draw(LARGEST);
  image->precision = 8;
  image->pixel_format = channels == 3 ? MZC_RGB : MZC_GRAY;
  image->pixels = pixels;
  image->row_stride = image->width * channels;
  for (int y = 0; y < image->height; y++)
    for (int x = 0; x < image->width; x++)
      for (int c = 0; c < channels; c++) {
        unsigned value = kind == 0 ? draw(256)
                       : kind == 1 ? (unsigned)(x * (c + 1) + y * 2) * step / 8
                       : kind == 2 ? ((unsigned)x / step + (unsigned)y / step) % 2 * 255
                       : level + draw(1 + step);
        pixels[y * image->row_stride + x * channels + c] = (unsigned char)value;
      }
}

static void draw_options(mzc_encode_options *options, int pixel_format)
{
  static const int factors[][2] = {{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}};
  int sampling = (int)draw(8);

  mzc_default_encode_options(options);
  options->num_qualities = 1;
  options->quality[0] = (float)(2 + draw(99));
  if (draw(4) == 0)
    options->quality[0] += .25f * (float)draw(4);
  if (options->quality[0] > 100)
    options->quality[0] = 100;
  if (pixel_format != MZC_GRAY && sampling < 5) {
    options->num_sampling = 1;
    options->h_samp_factor[0] = factors[sampling][0];
    options->v_samp_factor[0] = factors[sampling][1];
  }
  switch (draw(8)) {
  case 0: options->profile = MZC_PROFILE_FASTEST; break;
  case 1: options->progressive = 0; options->quant_baseline = 1; break;
  case 2: options->trellis_quant = 0; break;
  case 3: options->optimize_scans = 0; break;
  case 4: options->tune = (int)draw(4); break;
  case 5: options->dct_method = (int)draw(3); break;
  default: break;
  }
  if (draw(6) == 0)
    options->restart_interval = 1 + (int)draw(9);
}

static void fail(int number, const char *what, const mzc_status *status)
{
  fprintf(stderr, "case %d: %s: %s\n", number, what, status->message);
  exit(1);
}

static uint64_t decoded(int number, const mzc_buffer *file, int engine, int cpu)
{
  mzc_decode_options options;
  mzc_header header;
  mzc_status status;
  uint64_t result;

  mzc_default_decode_options(&options);
  options.engine = engine;
  options.cpu = cpu;
  mzc_decoder *decoder = mzc_decoder_open(file->data, file->size, &options, &header, &status);
  if (decoder == NULL)
    fail(number, "open", &status);
  size_t row = (size_t)header.output_width * (size_t)header.output_channels;
  unsigned char *pixels = malloc(row * (size_t)header.output_height);
  if (pixels == NULL || mzc_decoder_read(decoder, pixels, (ptrdiff_t)row, &status))
    fail(number, "decode", &status);
  result = hash(HASH_START, pixels, row * (size_t)header.output_height);
  free(pixels);
  mzc_decoder_close(decoder);
  return result;
}

int main(int argc, char **argv)
{
  static unsigned char pixels[LARGEST * LARGEST * 3];
  int cpu = mzc_engine_cpu("");
  mzc_engine *engine = mzc_engine_new(cpu);

  if (argc != 3 || engine == NULL)
    return 2;
  for (int number = atoi(argv[1]), end = number + atoi(argv[2]); number < end; number++) {
    mzc_image image;
    mzc_encode_options options;
    mzc_status status;
    mzc_buffer ours = {0}, library = {0};

    chance = (uint64_t)number * 0xD1342543DE82EF95u;
    draw_image(&image, pixels);
    draw_options(&options, image.pixel_format);
    if (mzc_encode(&image, &options, NULL, 0, engine, &ours, &status))
      fail(number, "encode", &status);
    if (mzc_encode(&image, &options, NULL, 0, NULL, &library, &status))
      fail(number, "encode by the library", &status);
    if (ours.size != library.size || memcmp(ours.data, library.data, ours.size))
      fail(number, "engine and library differ", &status);
    uint64_t seen = decoded(number, &ours, MZC_ENGINE_AUTO, cpu);
    if (seen != decoded(number, &ours, MZC_ENGINE_LIBRARY, 0))
      fail(number, "reader and library differ", &status);
    printf("%d %zu %016llx %016llx\n", number, ours.size, (unsigned long long)hash(HASH_START, ours.data, ours.size),
           (unsigned long long)seen);
    mzc_free(ours.data);
    mzc_free(library.data);
  }
  mzc_engine_free(engine);
  return 0;
}

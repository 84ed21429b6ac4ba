/* Mutated streams through everything that reads a JPEG: mozcodec_fuzz TARGET FIRST COUNT SEED-FILE...
 *
 * Stream i of a target is a pure function of i and the seed files, so a report is repeated by its number. Sanitizers
 * stop the process at the first report; run.py builds it with them. Where both the engine and the library code a
 * stream, their bytes are compared; every image is decoded by the reader and by the library. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "mozcodec.h"

#define LARGEST (1 << 16)
#define MAX_PIXELS 65536

/* ---- mutation ----------------------------------------------------------------------------------------------------- */

typedef struct {
  unsigned char *data;
  size_t size;
} stream;

/* Half of all places lie in the headers. */
static size_t place(const stream *s)
{
  size_t reach = draw(2) && s->size > 700 ? 700 : s->size;
  return draw((uint32_t)reach);
}

static void splice(stream *s, const stream *other)
{
  size_t from = place(other), to = place(s), n = 1 + draw(200);

  if (n > other->size - from)
    n = other->size - from;
  if (n > s->size - to)
    n = s->size - to;
  memcpy(s->data + to, other->data + from, n);
}

static void repeat(stream *s)
{
  size_t from = place(s), n = 1 + draw(150);

  if (n > s->size - from)
    n = s->size - from;
  if (s->size + n > LARGEST)
    return;
  memmove(s->data + from + n, s->data + from, s->size - from);
  s->size += n;
}

static void cut(stream *s)
{
  size_t from = place(s), n = 1 + draw(60);

  if (from + n >= s->size)
    return;
  memmove(s->data + from, s->data + from + n, s->size - from - n);
  s->size -= n;
}

static void mutate(stream *s, const stream *seeds, int num_seeds)
{
  static const unsigned char markers[] = { 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xCA, 0xD0, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xFE };

  for (int i = 1 + (int)draw(6); i > 0 && s->size > 1; i--)
    switch (draw(9)) {
    case 0:
      s->data[place(s)] = (unsigned char)draw(256);
      break;
    case 1:
    case 2:
      s->data[place(s)] ^= (unsigned char)(1u << draw(8));
      break;
    case 3:
      s->data[place(s)] += (unsigned char)(draw(3) - 1);
      break;
    case 4: {
      size_t at = place(s);
      s->data[at] = 0xFF;
      if (at + 1 < s->size)
        s->data[at + 1] = markers[draw(sizeof markers)];
      break;
    }
    case 5:
      splice(s, &seeds[draw((uint32_t)num_seeds)]);
      break;
    case 6:
      repeat(s);
      break;
    case 7:
      cut(s);
      break;
    default:
      if (draw(4) == 0)
        s->size = 1 + draw((uint32_t)s->size);
    }
}

/* ---- targets: 0 = the stream was taken ---------------------------------------------------------------------------- */

static mzc_engine *engine;

static mzc_decode_options some_decode_options(void)
{
  mzc_decode_options options;

  mzc_default_decode_options(&options);
  options.pixel_format = draw(3) ? (int)draw(MZC_PLANES + 1) : -1;
  options.scale = draw(2) ? 8 : 1 + (int)draw(16);
  options.dct_method = (int)draw(3);
  options.fancy_upsampling = (int)draw(2);
  options.block_smoothing = (int)draw(2);
  options.true_idct = (int)draw(2);
  options.tolerate_damage = (int)draw(4) > 0;
  options.max_pixels = MAX_PIXELS;
  options.max_memory = 64 << 20;
  options.max_scans = 60;
  if (draw(3) == 0 && options.pixel_format != MZC_PLANES) {
    options.left = (int)draw(30);
    options.top = (int)draw(30);
    options.right = options.left + 1 + (int)draw(40);
    options.bottom = options.top + 1 + (int)draw(40);
  }
  return options;
}

static int header(const stream *s)
{
  mzc_decode_options options = some_decode_options();
  mzc_status status;
  mzc_header found;
  mzc_decoder *decoder = mzc_decoder_open(s->data, s->size, &options, &found, &status);

  mzc_decoder_close(decoder);
  return decoder == NULL;
}

/* What a decoding gave, to compare two of them. */
typedef struct {
  int failed;
  uint64_t hash;                /* of the pixels */
  mzc_status status;
} decoded;

static void take(decoded *d, const unsigned char *samples, size_t size)   /* FNV-1a */
{
  for (size_t i = 0; i < size; i++)
    d->hash = (d->hash ^ samples[i]) * 0x100000001B3u;
}

static void read_planes(mzc_decoder *decoder, const mzc_header *h, decoded *d)
{
  void *planes[4] = { NULL };
  ptrdiff_t strides[4] = { 0 };
  int sample_size = h->precision > 8 ? 2 : 1;

  d->failed = 1;
  if (h->num_components > 4 || h->lossless)   /* as Python checks */
    return;
  for (int i = 0; i < h->num_components; i++) {
    strides[i] = (ptrdiff_t)h->plane_width[i] * sample_size;
    planes[i] = malloc((size_t)strides[i] * h->plane_height[i]);
  }
  d->failed = mzc_decoder_read_planes(decoder, planes, strides, &d->status);
  for (int i = 0; i < h->num_components && !d->failed; i++)
    take(d, planes[i], (size_t)strides[i] * h->plane_height[i]);
  for (int i = 0; i < 4; i++)
    free(planes[i]);
}

static void read_pixels(mzc_decoder *decoder, const mzc_header *h, decoded *d)
{
  size_t row = (size_t)h->output_width * h->output_channels * (h->precision > 8 ? 2 : 1);
  unsigned char *pixels = malloc(row * h->output_height);   /* exactly: a sample too many is a report */

  d->failed = mzc_decoder_read(decoder, pixels, (ptrdiff_t)row, &d->status);
  if (!d->failed)
    take(d, pixels, row * h->output_height);
  free(pixels);
}

static decoded decode_by(const stream *s, const mzc_decode_options *options)
{
  decoded d = { 1, 0xCBF29CE484222325u, { 0 } };
  mzc_header h;
  mzc_decoder *decoder = mzc_decoder_open(s->data, s->size, options, &h, &d.status);

  if (decoder == NULL)
    return d;
  if (options->pixel_format == MZC_PLANES)
    read_planes(decoder, &h, &d);
  else
    read_pixels(decoder, &h, &d);
  mzc_decoder_close(decoder);
  return d;
}

static int decode(const stream *s)
{
  mzc_decode_options options = some_decode_options();
  decoded ours, theirs;

  if (options.pixel_format == MZC_PLANES)
    options.scale = 8;
  if (draw(4) == 0)
    options.cpu = mzc_engine_cpu("baseline");
  ours = decode_by(s, &options);
  options.engine = MZC_ENGINE_LIBRARY;
  theirs = decode_by(s, &options);
  if (ours.failed != theirs.failed || strcmp(ours.status.message, theirs.status.message) ||
      (!ours.failed && (ours.hash != theirs.hash || ours.status.num_warnings != theirs.status.num_warnings ||
                        strcmp(ours.status.warning, theirs.status.warning)))) {
    fprintf(stderr, "decode: the reader and the library differ: %d %s, %d warnings %s; %d %s, %d warnings %s\n", ours.failed,
            ours.status.message, ours.status.num_warnings, ours.status.warning, theirs.failed, theirs.status.message,
            theirs.status.num_warnings, theirs.status.warning);
    abort();
  }
  return ours.failed;
}

static mzc_encode_options some_coding_options(void)
{
  mzc_encode_options options;

  mzc_default_encode_options(&options);
  options.progressive = (int)draw(3) - 1;
  options.optimize_scans = (int)draw(3) - 1;
  options.arithmetic = draw(4) == 0 ? 1 : -1;
  options.restart_interval = draw(4) == 0 ? (int)draw(9) : -1;
  options.dc_scan_opt_mode = (int)draw(4) - 1;
  options.max_memory = 64 << 20;
  return options;
}

static void compare(const char *what, int failed, const mzc_buffer *out, int failed_too, const mzc_buffer *again)
{
  if (failed == failed_too && (failed || (out->size == again->size && memcmp(out->data, again->data, out->size) == 0)))
    return;
  fprintf(stderr, "%s: the engine and the library differ\n", what);
  abort();
}

/* Coefficients that were read go back: all JPEG can hold (Python checks the range; here they are brought into it). */
static int write_back(mzc_coefficients *c, int16_t **blocks, const int *counts)
{
  mzc_encode_options options = some_coding_options();
  mzc_buffer out = { 0 }, again = { 0 };
  mzc_status status;
  int failed, limit = c->precision == 8 ? 1023 : 16383;

  for (int i = 0; i < c->num_components; i++)
    for (int k = 0; k < 64 * counts[i]; k++)
      blocks[i][k] = (int16_t)(blocks[i][k] > limit ? limit : blocks[i][k] < -limit ? -limit : blocks[i][k]);
  failed = mzc_write_coefficients(c, &options, NULL, 0, engine, &out, &status);
  if (draw(2))
    compare("coefficients", failed, &out, mzc_write_coefficients(c, &options, NULL, 0, NULL, &again, &status), &again);
  free(out.data);
  free(again.data);
  return failed;
}

static int coefficients(const stream *s)
{
  mzc_decode_options options = some_decode_options();
  int16_t *blocks[4] = { NULL };
  int counts[4] = { 0 }, failed;
  mzc_coefficients c = { 0 };
  mzc_status status;
  mzc_header h;
  mzc_decoder *decoder;

  options.pixel_format = -1;
  options.right = options.bottom = options.left = options.top = 0;
  options.scale = 8;
  decoder = mzc_decoder_open(s->data, s->size, &options, &h, &status);
  if (decoder == NULL)
    return 1;
  if (h.lossless || h.num_components > 4 || h.color_space < 0) {   /* as Python checks */
    mzc_decoder_close(decoder);
    return 1;
  }
  for (int i = 0; i < h.num_components; i++) {
    counts[i] = h.blocks_wide[i] * h.blocks_high[i];
    blocks[i] = malloc((size_t)counts[i] * 64 * sizeof(int16_t));
    c.blocks[i] = blocks[i];
    c.h_samp_factor[i] = h.h_samp_factor[i];
    c.v_samp_factor[i] = h.v_samp_factor[i];
    c.table_of[i] = i;
  }
  failed = mzc_decoder_read_coefficients(decoder, blocks, c.tables, &c.sent, &status);
  mzc_decoder_close(decoder);
  c.width = h.width;
  c.height = h.height;
  c.num_components = c.num_tables = h.num_components;
  c.color_space = h.color_space;
  c.precision = h.precision;
  if (!failed && h.block_size == 8 && (h.precision == 8 || h.precision == 12))
    failed = write_back(&c, blocks, counts);
  for (int i = 0; i < 4; i++)
    free(blocks[i]);
  return failed;
}

static int transform(const stream *s, const mzc_transform_options *transform_options)
{
  mzc_encode_options options = some_coding_options();
  mzc_buffer out = { 0 }, again = { 0 };
  mzc_status status;
  int failed = mzc_transform(s->data, s->size, transform_options, &options, NULL, 0, engine, &out, &status);

  if (draw(2))
    compare("optimize", failed, &out,
            mzc_transform(s->data, s->size, transform_options, &options, NULL, 0, NULL, &again, &status), &again);
  free(out.data);
  free(again.data);
  return failed;
}

static int optimize(const stream *s)
{
  mzc_transform_options options = { 0 };

  options.copy = (int)draw(4);
  options.max_pixels = MAX_PIXELS;
  options.max_memory = 64 << 20;
  options.max_scans = 60;
  if (draw(2)) {
    options.operation = (int)draw(8);
    options.trim = (int)draw(2);
    options.grayscale = draw(4) == 0;
    options.crop = draw(3) == 0;
    options.left = 8 * (int)draw(5);
    options.top = 8 * (int)draw(5);
    options.width = 1 + (int)draw(30);
    options.height = 1 + (int)draw(30);
  }
  return transform(s, &options);
}

/* ---- the run ------------------------------------------------------------------------------------------------------ */

static const struct { const char *name; int (*run)(const stream *s); } targets[] = {
  { "header", header }, { "decode", decode }, { "coefficients", coefficients }, { "smartscale", decode },
  { "optimize", optimize },
};

static stream read_seed(const char *path)
{
  stream s = { malloc(LARGEST), 0 };
  FILE *file = fopen(path, "rb");

  if (file == NULL) {
    perror(path);
    exit(2);
  }
  s.size = fread(s.data, 1, LARGEST, file);
  fclose(file);
  return s;
}

int main(int argc, char **argv)
{
  int num_seeds = argc - 4, target = -1;
  long first, count, taken = 0;
  stream *seeds, s = { malloc(LARGEST), 0 };

  for (int i = 0; argc > 4 && i < (int)(sizeof targets / sizeof *targets); i++)
    if (strcmp(argv[1], targets[i].name) == 0)
      target = i;
  if (target < 0) {
    fprintf(stderr, "usage: mozcodec_fuzz header|decode|coefficients|smartscale|optimize FIRST COUNT SEED-FILE...\n");
    return 2;
  }
  first = atol(argv[2]);
  count = atol(argv[3]);
  seeds = malloc((size_t)num_seeds * sizeof *seeds);
  for (int i = 0; i < num_seeds; i++)
    seeds[i] = read_seed(argv[4 + i]);
  engine = mzc_engine_new(mzc_engine_cpu(""));
  for (long i = first; i < first + count; i++) {
    const stream *seed;
    unsigned char *exact;
    chance = (uint64_t)i * 0xD1342543DE82EF95u + (uint64_t)target;
    seed = &seeds[draw((uint32_t)num_seeds)];
    memcpy(s.data, seed->data, s.size = seed->size);
    mutate(&s, seeds, num_seeds);
    exact = malloc(s.size);   /* exactly: a byte read too far is a report */
    memcpy(exact, s.data, s.size);
    taken += targets[target].run(&(stream){ exact, s.size }) == 0;
    free(exact);
  }
  mzc_engine_free(engine);
  for (int i = 0; i < num_seeds; i++)
    free(seeds[i].data);
  free(seeds);
  free(s.data);
  printf("%ld\n", taken);
  return 0;
}

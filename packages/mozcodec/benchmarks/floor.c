/* The reference of the benchmark: minimal C loops over a libjpeg, in memory. Compiled against mozcodec's own build of
 * mozjpeg they make mozcodec's bytes and pixels; compiled against another libjpeg they measure that one.
 *
 * Each does its work `repeat` times from scratch, so that the time includes no call from Python; the caller frees the
 * last result. Each result is allocated by malloc, as Python's are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>

typedef struct {
  const unsigned char *pixels;
  int width, height, channels;
} picture;

enum { BASELINE, OPTIMISED, PROGRESSIVE };

void floor_free(unsigned char *data)
{
  free(data);
}

/* Counts for the given seconds of wall time and returns the count in millions, a measure of the core's speed. */
double floor_spin(double seconds)
{
  struct timespec began, now;
  volatile unsigned count = 0;
  double millions = 0, gone;

  clock_gettime(CLOCK_MONOTONIC, &began);
  do {
    for (int i = 0; i < 100000; i++)
      count++;
    millions += .1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    gone = (double)(now.tv_sec - began.tv_sec) + 1e-9 * (double)(now.tv_nsec - began.tv_nsec);
  } while (gone < seconds);
  return millions / gone;
}

/* ---- encoding ----------------------------------------------------------------------------------------------------- */

static void begin(struct jpeg_compress_struct *c, struct jpeg_error_mgr *error, const picture *p)
{
  c->err = jpeg_std_error(error);
  jpeg_create_compress(c);
  c->image_width = p->width;
  c->image_height = p->height;
  c->input_components = p->channels;
  c->in_color_space = p->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
}

static unsigned long finish(struct jpeg_compress_struct *c, const picture *p, unsigned char **out)
{
  JSAMPROW rows[16];
  unsigned long size = 0;

  *out = NULL;
  jpeg_mem_dest(c, out, &size);
  jpeg_start_compress(c, TRUE);
  while (c->next_scanline < c->image_height) {
    JDIMENSION n = c->image_height - c->next_scanline;
    n = n > 16 ? 16 : n;
    for (JDIMENSION i = 0; i < n; i++)
      rows[i] = (JSAMPROW)p->pixels + (size_t)(c->next_scanline + i) * p->width * p->channels;
    jpeg_write_scanlines(c, rows, n);
  }
  jpeg_finish_compress(c);
  jpeg_destroy_compress(c);
  return size;
}

#ifdef JPEG_C_PARAM_SUPPORTED   /* mozjpeg */

/* cjpeg -quality N */
static unsigned long encode_as_cjpeg(const picture *p, float quality, unsigned char **out)
{
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr error;

  begin(&c, &error, p);
  jpeg_set_defaults(&c);
  jpeg_c_set_int_param(&c, JINT_BASE_QUANT_TBL_IDX, 3);
  jpeg_set_linear_quality(&c, (int)jpeg_float_quality_scaling(quality), FALSE);
  if (quality >= 80) {
    for (int i = 0; i < c.num_components; i++)
      c.comp_info[i].h_samp_factor = c.comp_info[i].v_samp_factor = 1;
    c.comp_info[0].h_samp_factor = quality >= 90 ? 1 : 2;
  }
  jpeg_simple_progression(&c);
  return finish(&c, p, out);
}

unsigned long floor_encode(const picture *p, float quality, int repeat, unsigned char **out)
{
  unsigned long size = encode_as_cjpeg(p, quality, out);

  while (--repeat > 0) {
    free(*out);
    size = encode_as_cjpeg(p, quality, out);
  }
  return size;
}

/* jpegtran -copy none, reading included */
static unsigned long optimize(const unsigned char *data, unsigned long length, unsigned char **out)
{
  struct jpeg_decompress_struct d;
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr error;
  jvirt_barray_ptr *coefficients;
  unsigned long size = 0;

  *out = NULL;
  d.err = c.err = jpeg_std_error(&error);
  jpeg_create_decompress(&d);
  jpeg_create_compress(&c);
  jpeg_mem_src(&d, data, length);
  jpeg_read_header(&d, TRUE);
  coefficients = jpeg_read_coefficients(&d);
  jpeg_copy_critical_parameters(&d, &c);
  jpeg_simple_progression(&c);
  jpeg_mem_dest(&c, out, &size);
  jpeg_write_coefficients(&c, coefficients);
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  jpeg_finish_decompress(&d);
  jpeg_destroy_decompress(&d);
  return size;
}

unsigned long floor_optimize(const unsigned char *data, unsigned long length, int repeat, unsigned char **out)
{
  unsigned long size = optimize(data, length, out);

  while (--repeat > 0) {
    free(*out);
    size = optimize(data, length, out);
  }
  return size;
}

#endif

/* libjpeg-turbo's own encoder, 4:2:0 */
static unsigned long encode_as_turbo(const picture *p, int quality, int kind, unsigned char **out)
{
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr error;

  begin(&c, &error, p);
#ifdef JPEG_C_PARAM_SUPPORTED
  jpeg_c_set_int_param(&c, JINT_COMPRESS_PROFILE, JCP_FASTEST);
#endif
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, quality, TRUE);
  c.optimize_coding = kind == OPTIMISED;
  if (kind == PROGRESSIVE)
    jpeg_simple_progression(&c);
  return finish(&c, p, out);
}

unsigned long floor_turbo(const picture *p, int quality, int kind, int repeat, unsigned char **out)
{
  unsigned long size = encode_as_turbo(p, quality, kind, out);

  while (--repeat > 0) {
    free(*out);
    size = encode_as_turbo(p, quality, kind, out);
  }
  return size;
}

/* ---- decoding ----------------------------------------------------------------------------------------------------- */

static unsigned long decode(const unsigned char *data, unsigned long length, int scale, unsigned char **out)
{
  struct jpeg_decompress_struct d;
  struct jpeg_error_mgr error;
  JSAMPROW rows[16];
  size_t stride;
  unsigned long size;

  d.err = jpeg_std_error(&error);
  jpeg_create_decompress(&d);
  jpeg_mem_src(&d, (unsigned char *)data, length);
  jpeg_read_header(&d, TRUE);
  d.scale_num = scale;
  d.scale_denom = 8;
  jpeg_start_decompress(&d);
  stride = (size_t)d.output_width * d.output_components;
  size = stride * d.output_height;
  *out = malloc(size);
  while (d.output_scanline < d.output_height) {
    JDIMENSION n = d.output_height - d.output_scanline;
    n = n > 16 ? 16 : n;
    for (JDIMENSION i = 0; i < n; i++)
      rows[i] = *out + stride * (d.output_scanline + i);
    jpeg_read_scanlines(&d, rows, n);
  }
  jpeg_finish_decompress(&d);
  jpeg_destroy_decompress(&d);
  return size;
}

/* The file's own colours (gray or RGB), scale / 8 of its size. */
unsigned long floor_decode(const unsigned char *data, unsigned long length, int scale, int repeat, unsigned char **out)
{
  unsigned long size = decode(data, length, scale, out);

  while (--repeat > 0) {
    free(*out);
    size = decode(data, length, scale, out);
  }
  return size;
}

unsigned long floor_header(const unsigned char *data, unsigned long length, int repeat, unsigned char **out)
{
  struct jpeg_decompress_struct d;
  struct jpeg_error_mgr error;

  *out = NULL;
  for (; repeat > 0; repeat--) {
    d.err = jpeg_std_error(&error);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, (unsigned char *)data, length);
    jpeg_read_header(&d, TRUE);
    jpeg_destroy_decompress(&d);
  }
  return 0;
}

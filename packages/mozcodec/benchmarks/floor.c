/* What mozcodec is measured against: the shortest C loops over libmozjpeg that make the same bytes, in memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

typedef struct {
  const unsigned char *pixels;
  int width, height, channels;
} picture;

static void finish(struct jpeg_compress_struct *c, const picture *p)
{
  JSAMPROW rows[16];

  jpeg_start_compress(c, TRUE);
  while (c->next_scanline < c->image_height) {
    JDIMENSION n = c->image_height - c->next_scanline;
    n = n > 16 ? 16 : n;
    for (JDIMENSION i = 0; i < n; i++)
      rows[i] = (JSAMPROW)p->pixels + (size_t)(c->next_scanline + i) * p->width * p->channels;
    jpeg_write_scanlines(c, rows, n);
  }
  jpeg_finish_compress(c);
}

static void describe(struct jpeg_compress_struct *c, const picture *p)
{
  c->image_width = p->width;
  c->image_height = p->height;
  c->input_components = p->channels;
  c->in_color_space = p->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
}

/* cjpeg -quality N */
unsigned long floor_encode(const picture *p, float quality, unsigned char **out)
{
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr error;
  unsigned long size = 0;

  c.err = jpeg_std_error(&error);
  jpeg_create_compress(&c);
  describe(&c, p);
  jpeg_set_defaults(&c);
  jpeg_c_set_int_param(&c, JINT_BASE_QUANT_TBL_IDX, 3);
  jpeg_set_linear_quality(&c, (int)jpeg_float_quality_scaling(quality), FALSE);
  if (quality >= 80) {
    for (int i = 0; i < c.num_components; i++)
      c.comp_info[i].h_samp_factor = c.comp_info[i].v_samp_factor = 1;
    c.comp_info[0].h_samp_factor = quality >= 90 ? 1 : 2;
  }
  jpeg_simple_progression(&c);
  jpeg_mem_dest(&c, out, &size);
  finish(&c, p);
  jpeg_destroy_compress(&c);
  return size;
}

/* libjpeg-turbo's own encoder: baseline with its tables (0), baseline with optimal ones (1), plain progressive (2) */
unsigned long floor_turbo(const picture *p, int quality, int kind, unsigned char **out)
{
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr error;
  unsigned long size = 0;

  c.err = jpeg_std_error(&error);
  jpeg_create_compress(&c);
  describe(&c, p);
  jpeg_c_set_int_param(&c, JINT_COMPRESS_PROFILE, JCP_FASTEST);
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, quality, TRUE);
  c.optimize_coding = kind == 1;
  if (kind == 2)
    jpeg_simple_progression(&c);
  jpeg_mem_dest(&c, out, &size);
  finish(&c, p);
  jpeg_destroy_compress(&c);
  return size;
}

/* jpegtran -copy none, reading included */
unsigned long floor_optimize(const unsigned char *data, unsigned long length, unsigned char **out)
{
  struct jpeg_decompress_struct d;
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr error;
  jvirt_barray_ptr *coefficients;
  unsigned long size = 0;

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

void floor_free(unsigned char *data)
{
  free(data);
}

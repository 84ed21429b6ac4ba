/* Passes the caller's pixels or planes to libjpeg. */
#include "shim.h"

#define ROWS_AT_ONCE 16

void mzc_describe_input(j_compress_ptr cinfo, const mzc_image *image)
{
  cinfo->image_width = image->width;
  cinfo->image_height = image->height;
  cinfo->data_precision = image->precision;
  if (image->pixel_format == MZC_PLANES) {
    static const J_COLOR_SPACE color_spaces[] = { [1] = JCS_GRAYSCALE, [2] = JCS_UNKNOWN, [3] = JCS_YCbCr };
    cinfo->in_color_space = color_spaces[image->num_planes];
    cinfo->input_components = image->num_planes;
  } else {
    mzc_layout layout = mzc_layout_of(image->pixel_format);
    cinfo->in_color_space = layout.color_space;
    cinfo->input_components = layout.channels;
  }
}

static JSAMPROW row_of(const mzc_image *image, JDIMENSION y)
{
  return (JSAMPROW)((const unsigned char *)image->pixels + (ptrdiff_t)y * image->row_stride);
}

static void write_rows(j_compress_ptr cinfo, const mzc_image *image)
{
  JSAMPROW rows[ROWS_AT_ONCE];

  while (cinfo->next_scanline < cinfo->image_height) {
    JDIMENSION n = cinfo->image_height - cinfo->next_scanline;
    if (n > ROWS_AT_ONCE)
      n = ROWS_AT_ONCE;
    for (JDIMENSION i = 0; i < n; i++)
      rows[i] = row_of(image, cinfo->next_scanline + i);
    jpeg_write_scanlines(cinfo, rows, n);
  }
}

static void write_deep_rows(j_compress_ptr cinfo, const mzc_image *image)
{
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  while (cinfo->next_scanline < cinfo->image_height) {
    JSAMPROW row = row_of(image, cinfo->next_scanline);
    if (image->precision <= 12) {
      J12SAMPROW row12 = (J12SAMPROW)row;
      jpeg12_write_scanlines(cinfo, &row12, 1);
    } else {
      J16SAMPROW row16 = (J16SAMPROW)row;
      jpeg16_write_scanlines(cinfo, &row16, 1);
    }
  }
#else
  (void)image;
  ERREXIT1(cinfo, JERR_BAD_PRECISION, cinfo->data_precision);
#endif
}

static JSAMPARRAY allocate_rows(j_compress_ptr cinfo, const jpeg_component_info *component, int sample_size)
{
  return cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, component->width_in_blocks * DCTSIZE * sample_size,
                                  component->v_samp_factor * DCTSIZE);
}

/* Fills the rows of one row of iMCUs from a plane, repeating its last column and its last row. */
static void pad_rows(const mzc_image *image, int i, const jpeg_component_info *component, int first, JSAMPARRAY rows)
{
  int width = image->plane_width[i], padded = component->width_in_blocks * DCTSIZE;
  int known = width < padded ? width : padded;
  int size = image->precision > 8 ? 2 : 1;

  for (int k = 0; k < component->v_samp_factor * DCTSIZE; k++) {
    int y = first + k < image->plane_height[i] ? first + k : image->plane_height[i] - 1;
    memcpy(rows[k], (const unsigned char *)image->planes[i] + (ptrdiff_t)y * image->plane_stride[i], (size_t)known * size);
    for (int x = known; x < padded; x++)
      memcpy(rows[k] + (size_t)x * size, rows[k] + (size_t)(known - 1) * size, size);
  }
}

static void write_imcu_row(j_compress_ptr cinfo, JSAMPARRAY *rows)
{
  int count = cinfo->max_v_samp_factor * DCTSIZE;

#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  if (cinfo->data_precision > 8) {
    J12SAMPARRAY deep[MAX_COMPONENTS];
    for (int i = 0; i < cinfo->num_components; i++)
      deep[i] = (J12SAMPARRAY)rows[i];
    jpeg12_write_raw_data(cinfo, deep, count);
    return;
  }
#endif
  jpeg_write_raw_data(cinfo, rows, count);
}

static void write_planes(j_compress_ptr cinfo, const mzc_image *image)
{
  JSAMPARRAY rows[MAX_COMPONENTS];

  for (int i = 0; i < cinfo->num_components; i++)
    rows[i] = allocate_rows(cinfo, &cinfo->comp_info[i], image->precision > 8 ? 2 : 1);
  for (int imcu_row = 0; cinfo->next_scanline < cinfo->image_height; imcu_row++) {
    for (int i = 0; i < cinfo->num_components; i++) {
      const jpeg_component_info *component = &cinfo->comp_info[i];
      pad_rows(image, i, component, imcu_row * component->v_samp_factor * DCTSIZE, rows[i]);
    }
    write_imcu_row(cinfo, rows);
  }
}

void mzc_write_pixels(j_compress_ptr cinfo, const mzc_image *image)
{
  if (image->pixel_format == MZC_PLANES)
    write_planes(cinfo, image);
  else if (image->precision > 8)
    write_deep_rows(cinfo, image);
  else
    write_rows(cinfo, image);
}

/* JPEG to pixels. */
#include <limits.h>

#include "smartscale.h"

struct mzc_decoder {
  struct jpeg_decompress_struct cinfo;
  mzc_guard guard;
  struct jpeg_progress_mgr progress;
  int max_scans;
  mzc_smartscale smartscale;
};

mzc_smartscale *mzc_smartscale_of(j_decompress_ptr cinfo)
{
  return &((mzc_decoder *)cinfo->client_data)->smartscale;
}

void mzc_default_decode_options(mzc_decode_options *options)
{
  memset(options, 0, sizeof *options);
  options->pixel_format = -1;
  options->scale = 8;
  options->dct_method = MZC_DCT_ISLOW;
  options->fancy_upsampling = 1;
  options->block_smoothing = 1;
}

/* libjpeg calls this for every row of a scan: a small file with thousands of scans over a big picture costs hours. */
static void count_scans(j_common_ptr cinfo)
{
  j_decompress_ptr dinfo = (j_decompress_ptr)cinfo;
  mzc_decoder *decoder = (mzc_decoder *)cinfo->client_data;

  if (decoder->max_scans > 0 && dinfo->input_scan_number > decoder->max_scans) {
    mzc_status *status = decoder->guard.status;
    mzc_fail(status, MZC_LIMIT, "more than max_scans = %d scans", decoder->max_scans);
    longjmp(decoder->guard.jump, 1);
  }
  mzc_smartscale_before_data(dinfo, &decoder->smartscale);
}

static void check_pixels(mzc_decoder *decoder, int64_t max_pixels)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  int64_t pixels = (int64_t)cinfo->image_width * cinfo->image_height;
  int64_t output = (int64_t)cinfo->output_width * cinfo->output_height;

  if (output > pixels)
    pixels = output;
  if (max_pixels > 0 && pixels > max_pixels) {
    mzc_fail(decoder->guard.status, MZC_LIMIT, "%u x %u has %lld pixels, more than max_pixels = %lld",
             cinfo->image_width, cinfo->image_height, (long long)pixels, (long long)max_pixels);
    longjmp(decoder->guard.jump, 1);
  }
}

static J_COLOR_SPACE own_color_space(J_COLOR_SPACE stream)
{
  switch (stream) {
  case JCS_GRAYSCALE:
    return JCS_GRAYSCALE;
  case JCS_CMYK:
  case JCS_YCCK:
    return JCS_CMYK;
  default:
    return JCS_RGB;
  }
}

static void set_options(mzc_decoder *decoder, const mzc_decode_options *options)
{
  static const J_DCT_METHOD methods[] = {
    [MZC_DCT_ISLOW] = JDCT_ISLOW, [MZC_DCT_IFAST] = JDCT_IFAST, [MZC_DCT_FLOAT] = JDCT_FLOAT
  };
  j_decompress_ptr cinfo = &decoder->cinfo;

  cinfo->out_color_space = options->pixel_format < 0 ? own_color_space(cinfo->jpeg_color_space)
                                                     : mzc_layout_of(options->pixel_format).color_space;
  cinfo->scale_num = options->scale;
  cinfo->scale_denom = 8;
  cinfo->dct_method = methods[options->dct_method];
  cinfo->do_fancy_upsampling = options->fancy_upsampling;
  cinfo->do_block_smoothing = options->block_smoothing;
}

static void fill_header(mzc_decoder *decoder, mzc_header *header)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  memset(header, 0, sizeof *header);
  header->width = decoder->smartscale.block_size == 8 ? (int)cinfo->image_width : decoder->smartscale.width;
  header->height = decoder->smartscale.block_size == 8 ? (int)cinfo->image_height : decoder->smartscale.height;
  header->block_size = decoder->smartscale.block_size;
  header->num_components = cinfo->num_components;
  header->color_space = mzc_pixel_format_of(cinfo->jpeg_color_space);
  header->precision = cinfo->data_precision;
  header->progressive = cinfo->progressive_mode;
  header->arithmetic = cinfo->arith_code;
  header->lossless = !cinfo->progressive_mode && cinfo->Ss > 0 && cinfo->Se == 0;   /* a predictor where Ss stands */
  header->num_scans_hint = !jpeg_has_multiple_scans(cinfo);
  for (int i = 0; i < cinfo->num_components && i < 4; i++) {
    header->component_id[i] = cinfo->comp_info[i].component_id;
    header->h_samp_factor[i] = cinfo->comp_info[i].h_samp_factor;
    header->v_samp_factor[i] = cinfo->comp_info[i].v_samp_factor;
    header->quant_table_index[i] = cinfo->comp_info[i].quant_tbl_no;
  }
  header->restart_interval = cinfo->restart_interval;
  header->jfif = cinfo->saw_JFIF_marker;
  header->jfif_major = cinfo->JFIF_major_version;
  header->jfif_minor = cinfo->JFIF_minor_version;
  header->density_unit = cinfo->density_unit;
  header->x_density = cinfo->X_density;
  header->y_density = cinfo->Y_density;
  header->adobe = cinfo->saw_Adobe_marker;
  header->adobe_transform = cinfo->Adobe_transform;
  header->output_width = cinfo->output_width;
  header->output_height = cinfo->output_height;
  if (decoder->smartscale.block_size != 8) {
    header->output_width = decoder->smartscale.output_width;
    header->output_height = decoder->smartscale.output_height;
  }
  header->output_channels = cinfo->output_components;
  header->output_pixel_format = mzc_pixel_format_of(cinfo->out_color_space);
}

/* The decoder is zeroed; frees nothing: mzc_decoder_close does. */
static int open_stream(mzc_decoder *decoder, const unsigned char *data, size_t size, const mzc_decode_options *options,
                       mzc_header *header)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  if (setjmp(decoder->guard.jump))
    return -1;
  jpeg_create_decompress(cinfo);
  if (mzc_smartscale_open(&decoder->smartscale, data, size, decoder->guard.status))
    return -1;
  if (decoder->smartscale.stream != NULL) {
    data = decoder->smartscale.stream;
    size = decoder->smartscale.stream_size;
  }
  cinfo->client_data = decoder;
  decoder->max_scans = options->max_scans;
  decoder->progress.progress_monitor = count_scans;
  cinfo->progress = &decoder->progress;
  cinfo->mem->max_memory_to_use =
    options->max_memory > 0 && options->max_memory < LONG_MAX ? (long)options->max_memory : LONG_MAX;
  jpeg_mem_src(cinfo, data, size);
  jpeg_read_header(cinfo, TRUE);
  set_options(decoder, options);
  if (mzc_smartscale_configure(cinfo, &decoder->smartscale, options, decoder->guard.status))
    return -1;
  jpeg_calc_output_dimensions(cinfo);
  fill_header(decoder, header);
  check_pixels(decoder, options->max_pixels);
  return 0;
}

mzc_decoder *mzc_decoder_open(const unsigned char *data, size_t size, const mzc_decode_options *options, mzc_header *header,
                              mzc_status *status)
{
  mzc_decoder *decoder = calloc(1, sizeof *decoder);

  if (decoder == NULL) {
    memset(status, 0, sizeof *status);
    mzc_fail(status, MZC_NO_MEMORY, "no memory for a decoder");
    return NULL;
  }
  decoder->cinfo.err = mzc_guard_init(&decoder->guard, status);
  decoder->guard.fatal_damage = !options->tolerate_damage;
  if (open_stream(decoder, data, size, options, header)) {
    mzc_decoder_close(decoder);
    return NULL;
  }
  return decoder;
}

static void read_rows(j_decompress_ptr cinfo, unsigned char *pixels, ptrdiff_t row_stride)
{
  while (cinfo->output_scanline < cinfo->output_height) {
    JSAMPROW row = pixels + (ptrdiff_t)cinfo->output_scanline * row_stride;
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
    if (cinfo->data_precision > 12) {
      J16SAMPROW row16 = (J16SAMPROW)row;
      jpeg16_read_scanlines(cinfo, &row16, 1);
    } else if (cinfo->data_precision > 8) {
      J12SAMPROW row12 = (J12SAMPROW)row;
      jpeg12_read_scanlines(cinfo, &row12, 1);
    } else
#endif
      jpeg_read_scanlines(cinfo, &row, 1);
  }
}

int mzc_decoder_read(mzc_decoder *decoder, void *pixels, ptrdiff_t row_stride, mzc_status *status)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  decoder->guard.status = status;
  if (setjmp(decoder->guard.jump))
    return -1;
  jpeg_start_decompress(cinfo);
  if (decoder->smartscale.block_size == 8)
    read_rows(cinfo, pixels, row_stride);
  else
    mzc_smartscale_read_rows(cinfo, &decoder->smartscale, pixels, row_stride);
  jpeg_finish_decompress(cinfo);
  return 0;
}

void mzc_decoder_close(mzc_decoder *decoder)
{
  if (decoder != NULL) {
    jpeg_destroy_decompress(&decoder->cinfo);
    mzc_smartscale_close(&decoder->smartscale);
    free(decoder);
  }
}

/* JPEG to pixels.
 *
 * Over 600 lines: one decoder object, whose steps call each other and share its state. */
#include "decode.h"
#include "stream.h"

static const J_DCT_METHOD dct_methods[] = {
  [MZC_DCT_ISLOW] = JDCT_ISLOW, [MZC_DCT_IFAST] = JDCT_IFAST, [MZC_DCT_FLOAT] = JDCT_FLOAT
};

void mzc_default_decode_options(mzc_decode_options *options)
{
  memset(options, 0, sizeof *options);
  options->pixel_format = -1;
  options->scale = 8;
  options->dct_method = MZC_DCT_ISLOW;
  options->fancy_upsampling = 1;
  options->block_smoothing = 1;
  options->cpu = mzc_engine_cpu("");
}

static void stop(mzc_decoder *decoder)
{
  longjmp(decoder->guard.jump, 1);
}

static int is_smartscale(const mzc_decoder *decoder)
{
  return decoder->smartscale.block_size != 8;
}

/* ---- formats ------------------------------------------------------------------------------------------------------ */

static int is_rgb(J_COLOR_SPACE color_space)
{
  return color_space == JCS_RGB || (color_space >= JCS_EXT_RGB && color_space <= JCS_EXT_ARGB);
}

static J_COLOR_SPACE own_color_space(J_COLOR_SPACE stream)
{
  switch (stream) {
  case JCS_GRAYSCALE:
    return JCS_GRAYSCALE;
  case JCS_CMYK:
  case JCS_YCCK:
    return JCS_CMYK;
  case JCS_UNKNOWN:
    return JCS_UNKNOWN;
  default:
    return JCS_RGB;
  }
}

/* Chooses libjpeg's output colour space and our own conversion: libjpeg does not convert CMYK to RGB, nothing but YCbCr to
 * YCbCr, and lossless files not at all. */
static void choose_color_space(mzc_decoder *decoder)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  J_COLOR_SPACE stream = cinfo->jpeg_color_space;
  int as_stored = decoder->options.pixel_format < 0 && mzc_is_lossless(cinfo);   /* whatever libjpeg takes them for */
  J_COLOR_SPACE wanted = as_stored                           ? stream
                         : decoder->options.pixel_format < 0 ? own_color_space(stream)
                                                             : mzc_layout_of(decoder->options.pixel_format).color_space;

  if (stream == JCS_UNKNOWN && wanted != JCS_UNKNOWN) {
    mzc_fail(decoder->guard.status, MZC_UNSUPPORTED,
             "a file of %d components has no colour space to convert from: pixel_format=None or \"planes\"",
             cinfo->num_components);
    stop(decoder);
  }
  if (stream == JCS_YCbCr && mzc_is_lossless(cinfo) && (is_rgb(wanted) || wanted == JCS_GRAYSCALE)) {
    mzc_fail(decoder->guard.status, MZC_UNSUPPORTED,
             "the markers of a lossless file say YCbCr, which may be wrong: pixel_format=None or \"ycbcr\" for its samples "
             "as they are stored");
    stop(decoder);
  }
  cinfo->out_color_space = wanted;
  if (!is_rgb(wanted) && wanted != JCS_GRAYSCALE && wanted != JCS_YCbCr)
    return;
  if (stream == JCS_CMYK || (stream == JCS_YCCK && !mzc_is_lossless(cinfo)))
    cinfo->out_color_space = JCS_CMYK;
  else if ((stream == JCS_GRAYSCALE || stream == JCS_RGB) && (mzc_is_lossless(cinfo) || wanted == JCS_YCbCr))
    cinfo->out_color_space = stream;
  if (cinfo->out_color_space != wanted)
    decoder->convert_to = wanted;
}

static int64_t divided_up(int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

/* A block of a lossless file is one sample, so that a component has as many of them as samples. The scan header alone does
 * not tell: readers forgive any numbers in that of a sequential file. */
int mzc_is_lossless(j_decompress_ptr cinfo)
{
  const jpeg_component_info *c = cinfo->comp_info;

  if (cinfo->progressive_mode || cinfo->Ss <= 0 || cinfo->Se != 0)   /* Ss is the predictor */
    return 0;
  if (cinfo->max_h_samp_factor == 0)   /* refused before libjpeg has counted blocks */
    return 1;
  return c->width_in_blocks == divided_up((int64_t)cinfo->image_width * c->h_samp_factor, cinfo->max_h_samp_factor) &&
         c->height_in_blocks == divided_up((int64_t)cinfo->image_height * c->v_samp_factor, cinfo->max_v_samp_factor);
}

/* Bits of a sample of the result. */
static int precision_of(const mzc_decoder *decoder)
{
  return decoder->bits ? decoder->bits : decoder->cinfo.data_precision;
}

static void set_options(mzc_decoder *decoder)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  const mzc_decode_options *options = &decoder->options;

  if (options->scale != 8 && mzc_is_lossless(cinfo)) {   /* libjpeg would ignore it */
    mzc_fail(decoder->guard.status, MZC_UNSUPPORTED, "a lossless file (SOF3) has no DCT to scale by: scale=8");
    stop(decoder);
  }
  cinfo->scale_num = options->scale;
  cinfo->scale_denom = 8;
  cinfo->dct_method = dct_methods[options->dct_method];
  cinfo->do_fancy_upsampling = options->fancy_upsampling;
  cinfo->do_block_smoothing = options->block_smoothing;
  if (options->true_idct)
    jpeg_set_idct_method_selector(cinfo, mzc_select_true_idct);
  if (options->pixel_format == MZC_PLANES) {
    cinfo->raw_data_out = TRUE;
    cinfo->out_color_space = cinfo->jpeg_color_space;
  } else {
    choose_color_space(decoder);
  }
  if (is_smartscale(decoder) && mzc_smartscale_configure(cinfo, &decoder->smartscale, options, decoder->guard.status))
    stop(decoder);
}

static void check_region(mzc_decoder *decoder)
{
  mzc_decode_options *o = &decoder->options;
  const mzc_smartscale *ss = &decoder->smartscale;
  int width = is_smartscale(decoder) ? ss->output_width : (int)decoder->cinfo.output_width;
  int height = is_smartscale(decoder) ? ss->output_height : (int)decoder->cinfo.output_height;

  if (o->right > width || o->bottom > height) {
    mzc_fail(decoder->guard.status, MZC_UNSUPPORTED, "region (%d, %d, %d, %d) leaves the %d x %d image", o->left, o->top,
             o->right, o->bottom, width, height);
    stop(decoder);
  }
  if (o->right == 0 && is_smartscale(decoder)) {   /* libjpeg's image has whole blocks */
    o->right = width;
    o->bottom = height;
  }
}

static int divide_up(int a, int b)
{
  return (a + b - 1) / b;
}

static void fill_header(mzc_decoder *decoder, mzc_header *header)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  const mzc_decode_options *o = &decoder->options;

  memset(header, 0, sizeof *header);
  header->width = is_smartscale(decoder) ? decoder->smartscale.width : (int)cinfo->image_width;
  header->height = is_smartscale(decoder) ? decoder->smartscale.height : (int)cinfo->image_height;
  header->block_size = decoder->smartscale.block_size;
  header->num_components = cinfo->num_components;
  header->color_space = mzc_pixel_format_of(cinfo->jpeg_color_space);
  header->precision = precision_of(decoder);
  header->progressive = cinfo->progressive_mode;
  header->arithmetic = cinfo->arith_code;
  header->lossless = mzc_is_lossless(cinfo);
  for (int i = 0; i < cinfo->num_components && i < 4; i++) {
    jpeg_component_info *component = &cinfo->comp_info[i];
    header->component_id[i] = component->component_id;
    header->h_samp_factor[i] = component->h_samp_factor;
    header->v_samp_factor[i] = component->v_samp_factor;
    header->quant_table_index[i] = component->quant_tbl_no;
    header->plane_width[i] = divide_up((int)cinfo->image_width * component->h_samp_factor, cinfo->max_h_samp_factor);
    header->blocks_wide[i] = component->width_in_blocks;
    header->blocks_high[i] = component->height_in_blocks;
    header->plane_height[i] = divide_up((int)cinfo->image_height * component->v_samp_factor, cinfo->max_v_samp_factor);
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
  header->output_width = o->right > 0 ? o->right - o->left : (int)cinfo->output_width;
  header->output_height = o->right > 0 ? o->bottom - o->top : (int)cinfo->output_height;
  header->output_channels = decoder->convert_to != JCS_UNKNOWN
                              ? mzc_layout_of(mzc_pixel_format_of(decoder->convert_to)).channels
                              : cinfo->output_components;
}

/* ---- open and close ----------------------------------------------------------------------------------------------- */

static void read_header(mzc_decoder *decoder, const unsigned char *data, size_t size)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  decoder->data = data;
  decoder->size = size;
  decoder->guard.start = data == decoder->source || decoder->bits ? data : NULL;
  decoder->guard.size = size;
  jpeg_mem_src(cinfo, data, size);
  jpeg_read_header(cinfo, TRUE);
  set_options(decoder);
  jpeg_calc_output_dimensions(cinfo);
}

/* libjpeg reads lossless files of 8, 12 and 16 bits. The predictions of T.81, annex H, begin at half the range, and each is
 * a sum of neighbours with weights that add up to 1: read as a file of 16 bits, one of b bits has every sample larger by
 * 2^15 - 2^(b - 1), modulo 2^16. This replaces *data by such a file. */
static int widen_lossless(mzc_decoder *decoder, const unsigned char **data, size_t size)
{
  mzc_segment segment;
  int bits = 0;

  mzc_segments(&segment, *data, size);
  while (mzc_next_header(&segment) && segment.marker != M_SOS)
    if (mzc_is_sof(segment.marker)) {
      bits = segment.marker == M_SOF3 && segment.content_size > 0 ? (*data)[segment.content] : 0;
      break;
    }
  if (bits < 2 || bits > 15 || bits == 8 || bits == 12)
    return 0;
  decoder->rewritten = malloc(size);
  if (decoder->rewritten == NULL)
    return mzc_fail(decoder->guard.status, MZC_NO_MEMORY, "no memory for a copy of the file");
  memcpy(decoder->rewritten, *data, size);
  decoder->rewritten[segment.content] = 16;
  decoder->bits = bits;
  *data = decoder->rewritten;
  return 0;
}

/* The samples of the file, of one byte up to 8 bits, from what libjpeg has read; in place. */
static void narrow_samples(void *samples, size_t count, int bits)
{
  const uint16_t *wide = samples;
  uint16_t *deep = samples;
  unsigned char *narrow = samples;
  unsigned int offset = (1u << 15) - (1u << (bits - 1)), mask = (1u << bits) - 1;

  if (bits > 8)
    for (size_t i = 0; i < count; i++)
      deep[i] = (uint16_t)((wide[i] - offset) & mask);
  else
    for (size_t i = 0; i < count; i++)
      narrow[i] = (unsigned char)((wide[i] - offset) & mask);
}

static void leave_out_scans(mzc_decoder *decoder, const unsigned char *data, size_t size)
{
  size_t kept = 0;

  decoder->rewritten = mzc_drop_scans(&decoder->cinfo, data, size, &kept);
  if (decoder->rewritten == NULL)
    return;
  jpeg_abort_decompress(&decoder->cinfo);
  read_header(decoder, decoder->rewritten, kept);
  decoder->cinfo.do_block_smoothing = FALSE;   /* or what was left out would be guessed */
}

static int open_stream(mzc_decoder *decoder, const unsigned char *data, size_t size, mzc_header *header)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  if (setjmp(decoder->guard.jump))
    return -1;
  jpeg_create_decompress(cinfo);
  mzc_watch_scan_ends(cinfo);
  decoder->source = data;
  if (mzc_smartscale_open(&decoder->smartscale, data, size, decoder->options.smartscale, decoder->guard.status))
    return -1;
  if (is_smartscale(decoder)) {
    data = decoder->smartscale.stream;
    size = decoder->smartscale.stream_size;
  }
  if (widen_lossless(decoder, &data, size))
    return -1;
  mzc_limit_scans(cinfo, &decoder->scan_limit, decoder->options.max_scans);
  mzc_limit_memory((j_common_ptr)cinfo, decoder->options.max_memory);
  read_header(decoder, data, size);
  mzc_limit_pixels(cinfo, decoder->options.max_pixels);
  check_region(decoder);
  if (decoder->options.scale == 1)
    leave_out_scans(decoder, data, size);
  fill_header(decoder, header);
  return 0;
}

/* glibc returns freed blocks above a threshold to the kernel, so that the next image's coefficients need new pages, which
 * takes half the time of an image of one megapixel. The threshold rises to the size of the largest block (up to 32 MiB)
 * that was freed; this block is never written. */
static void keep_pages(void)
{
  static int done;
  void *volatile block;

  if (__atomic_load_n(&done, __ATOMIC_RELAXED))
    return;
  __atomic_store_n(&done, 1, __ATOMIC_RELAXED);
  block = malloc(16 << 20);
  free(block);
}

mzc_decoder *mzc_decoder_open(const unsigned char *data, size_t size, const mzc_decode_options *options, mzc_header *header,
                              mzc_status *status)
{
  mzc_decoder *decoder = calloc(1, sizeof *decoder);

  keep_pages();
  if (decoder == NULL) {
    memset(status, 0, sizeof *status);
    mzc_fail(status, MZC_NO_MEMORY, "no memory for a decoder");
    return NULL;
  }
  decoder->cinfo.err = mzc_guard_init(&decoder->guard, status);
  decoder->guard.fatal_damage = !options->tolerate_damage;
  decoder->options = *options;
  decoder->convert_to = JCS_UNKNOWN;
  if (open_stream(decoder, data, size, header)) {
    mzc_decoder_close(decoder);
    return NULL;
  }
  return decoder;
}

void mzc_decoder_close(mzc_decoder *decoder)
{
  if (decoder != NULL) {
    jpeg_destroy_decompress(&decoder->cinfo);
    mzc_smartscale_close(&decoder->smartscale);
    mzc_reader_free(decoder->reader);
    free(decoder->rewritten);
    free(decoder);
  }
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static void note_engine(mzc_decoder *decoder, const char *reason)
{
  mzc_status *status = decoder->guard.status;
  int requested = decoder->options.engine;

  status->engine = reason ? MZC_ENGINE_LIBRARY : MZC_ENGINE_FAST;
  snprintf(status->engine_reason, sizeof status->engine_reason, "%s", reason ? reason : "");
  if (requested == MZC_ENGINE_FAST && reason) {
    mzc_fail(status, MZC_UNSUPPORTED, "engine \"fast\" does not cover %s", reason);
    stop(decoder);
  }
}

void mzc_decoder_start_again(mzc_decoder *decoder)
{
  boolean block_smoothing = decoder->cinfo.do_block_smoothing;

  jpeg_abort_decompress(&decoder->cinfo);
  mzc_guard_forget(&decoder->guard);
  read_header(decoder, decoder->data, decoder->size);
  decoder->cinfo.do_block_smoothing = block_smoothing;
}

mzc_reader_options mzc_decoder_reader_options(const mzc_decoder *decoder)
{
  mzc_reader_options options;

  memset(&options, 0, sizeof options);
  options.cpu = decoder->options.cpu;
  options.block_size = decoder->smartscale.block_size;
  options.max_scans = decoder->options.max_scans;
  options.for_part = decoder->options.right > 0;
  options.max_memory = decoder->options.max_memory;
  return options;
}

static const char *start_reader(mzc_decoder *decoder)
{
  mzc_reader_options options = mzc_decoder_reader_options(decoder);
  const char *reason = mzc_reader_begin(&decoder->reader, &decoder->cinfo, &options);

  if (reason != NULL)
    return reason;
  jpeg_start_decompress(&decoder->cinfo);
  reason = mzc_reader_end(&decoder->reader, &decoder->rest);
  decoder->read_by_reader = reason == NULL;
  if (reason != NULL)
    mzc_decoder_start_again(decoder);
  return reason;
}

static void start(mzc_decoder *decoder)
{
  if (decoder->options.engine == MZC_ENGINE_LIBRARY) {
    note_engine(decoder, "");
  } else {
    const char *reason = start_reader(decoder);
    note_engine(decoder, reason);
    if (reason == NULL)
      return;
  }
  jpeg_start_decompress(&decoder->cinfo);
  if (is_smartscale(decoder))
    mzc_smartscale_before_data(&decoder->cinfo);
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static void read_row(j_decompress_ptr cinfo, void *samples)
{
  JSAMPROW row = samples;
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  if (cinfo->data_precision > 12) {
    J16SAMPROW row16 = samples;
    jpeg16_read_scanlines(cinfo, &row16, 1);
    return;
  }
  if (cinfo->data_precision > 8) {
    J12SAMPROW row12 = samples;
    jpeg12_read_scanlines(cinfo, &row12, 1);
    return;
  }
#endif
  jpeg_read_scanlines(cinfo, &row, 1);
}

static void skip_rows(j_decompress_ptr cinfo, JDIMENSION count)
{
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  if (cinfo->data_precision > 8) {
    jpeg12_skip_scanlines(cinfo, count);
    return;
  }
#endif
  jpeg_skip_scanlines(cinfo, count);
}

static void crop_columns(j_decompress_ptr cinfo, JDIMENSION *left, JDIMENSION *width)
{
#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  if (cinfo->data_precision > 8) {
    jpeg12_crop_scanline(cinfo, left, width);
    return;
  }
#endif
  jpeg_crop_scanline(cinfo, left, width);
}

static void *row_at(void *pixels, ptrdiff_t row_stride, int y)
{
  return (unsigned char *)pixels + (ptrdiff_t)y * row_stride;
}

static void finish(mzc_decoder *decoder)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  jpeg_finish_decompress(cinfo);
  mzc_check_end(cinfo, decoder->data, decoder->size, decoder->read_by_reader ? decoder->rest : cinfo->src->bytes_in_buffer);
}

static void read_all(mzc_decoder *decoder, void *pixels, ptrdiff_t row_stride)
{
  j_decompress_ptr cinfo = &decoder->cinfo;

  while (cinfo->output_scanline < cinfo->output_height)
    read_row(cinfo, row_at(pixels, row_stride, cinfo->output_scanline));
  finish(decoder);
}

/* Block smoothing looks at the blocks around: a part is that of the whole image only if all of it is decoded. */
static int smooths_blocks(const mzc_decoder *decoder)
{
  const struct jpeg_decompress_struct *cinfo = &decoder->cinfo;

  for (int i = 0; i < cinfo->num_components && cinfo->coef_bits != NULL && cinfo->do_block_smoothing; i++)
    for (int k = 0; k < DCTSIZE2; k++)
      if (cinfo->coef_bits[i][k] != 0)
        return 1;
  return 0;
}

/* Upsampling looks one chroma sample to the side, and libjpeg crops at MCUs: decode one more MCU on both sides and the
 * region is the one of the whole image. Returns where the region begins in a decoded row. */
static int crop_to_region(mzc_decoder *decoder)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  const mzc_decode_options *o = &decoder->options;
  int margin = cinfo->max_h_samp_factor * cinfo->min_DCT_scaled_size + 1;
  JDIMENSION left = o->left > margin ? o->left - margin : 0;
  JDIMENSION right = (JDIMENSION)o->right + margin;
  JDIMENSION width;

  if (right > cinfo->output_width)
    right = cinfo->output_width;
  if (mzc_is_lossless(cinfo) || smooths_blocks(decoder) || (left == 0 && right == cinfo->output_width))
    return o->left;
  width = right - left;
  crop_columns(cinfo, &left, &width);
  return o->left - (int)left;
}

static void skip_to_region(mzc_decoder *decoder, void *scratch)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  JDIMENSION top = decoder->options.top;

  if (!mzc_is_lossless(cinfo) && !smooths_blocks(decoder))
    skip_rows(cinfo, top);
  while (cinfo->output_scanline < top)
    read_row(cinfo, scratch);
}

/* Decodes through a row buffer: for a region, or samples that libjpeg does not convert. */
static void read_through(mzc_decoder *decoder, void *pixels, ptrdiff_t row_stride)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  const mzc_decode_options *o = &decoder->options;
  int first = 0, bottom = cinfo->output_height, width = cinfo->output_width;
  size_t per_row = (size_t)cinfo->output_width * cinfo->output_components;
  size_t pixel = (precision_of(decoder) > 8 ? 2 : 1) * (size_t)cinfo->output_components;
  unsigned char *row;

  row = cinfo->mem->alloc_large((j_common_ptr)cinfo, JPOOL_IMAGE, per_row * (cinfo->data_precision > 8 ? 2 : 1));
  if (o->right > 0) {
    first = crop_to_region(decoder);
    skip_to_region(decoder, row);
    bottom = o->bottom;
    width = o->right - o->left;
  }
  for (int y = 0; (int)cinfo->output_scanline < bottom; y++) {
    void *target = row_at(pixels, row_stride, y);
    read_row(cinfo, row);
    if (decoder->bits)
      narrow_samples(row, per_row, decoder->bits);
    if (decoder->convert_to == JCS_UNKNOWN)
      memcpy(target, row + first * pixel, width * pixel);
    else
      mzc_convert_row(cinfo->out_color_space, row + first * pixel, decoder->convert_to, target, width,
                      precision_of(decoder));
  }
  if (cinfo->output_scanline == cinfo->output_height)
    finish(decoder);
}

int mzc_decoder_read(mzc_decoder *decoder, void *pixels, ptrdiff_t row_stride, mzc_status *status)
{
  decoder->guard.status = status;
  if (setjmp(decoder->guard.jump))
    return -1;
  start(decoder);
  if (decoder->options.right > 0 || decoder->convert_to != JCS_UNKNOWN || decoder->bits)
    read_through(decoder, pixels, row_stride);
  else
    read_all(decoder, pixels, row_stride);
  return 0;
}

/* ---- planes ------------------------------------------------------------------------------------------------------- */

static int sample_size(const struct jpeg_decompress_struct *cinfo)
{
  return cinfo->data_precision > 8 ? 2 : 1;
}

static JSAMPARRAY allocate_rows(j_decompress_ptr cinfo, const jpeg_component_info *component)
{
  return cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE,
                                  component->width_in_blocks * DCTSIZE * sample_size(cinfo),
                                  component->v_samp_factor * DCTSIZE);
}

/* Copies the rows of component i that lie within its plane. */
static void copy_rows(j_decompress_ptr cinfo, int i, int imcu_row, JSAMPARRAY rows, void *plane, ptrdiff_t stride)
{
  jpeg_component_info *component = &cinfo->comp_info[i];
  int height = divide_up((int)cinfo->image_height * component->v_samp_factor, cinfo->max_v_samp_factor);
  int width = divide_up((int)cinfo->image_width * component->h_samp_factor, cinfo->max_h_samp_factor);
  int count = component->v_samp_factor * DCTSIZE;

  for (int k = 0, y = imcu_row * count; k < count && y < height; k++, y++)
    memcpy(row_at(plane, stride, y), rows[k], (size_t)width * sample_size(cinfo));
}

static void read_imcu_row(j_decompress_ptr cinfo, JSAMPARRAY *rows)
{
  int count = cinfo->max_v_samp_factor * DCTSIZE;

#if LIBJPEG_TURBO_VERSION_NUMBER >= 3000000
  if (cinfo->data_precision > 8) {
    J12SAMPARRAY deep[MAX_COMPONENTS];
    for (int i = 0; i < cinfo->num_components; i++)
      deep[i] = (J12SAMPARRAY)rows[i];
    jpeg12_read_raw_data(cinfo, deep, count);
    return;
  }
#endif
  jpeg_read_raw_data(cinfo, rows, count);
}

int mzc_decoder_read_planes(mzc_decoder *decoder, void **planes, const ptrdiff_t *strides, mzc_status *status)
{
  j_decompress_ptr cinfo = &decoder->cinfo;
  JSAMPARRAY rows[MAX_COMPONENTS];

  decoder->guard.status = status;
  if (setjmp(decoder->guard.jump))
    return -1;
  start(decoder);
  for (int i = 0; i < cinfo->num_components; i++)
    rows[i] = allocate_rows(cinfo, &cinfo->comp_info[i]);
  for (int imcu_row = 0; cinfo->output_scanline < cinfo->output_height; imcu_row++) {
    read_imcu_row(cinfo, rows);
    for (int i = 0; i < cinfo->num_components; i++)
      copy_rows(cinfo, i, imcu_row, rows[i], planes[i], strides[i]);
  }
  finish(decoder);
  return 0;
}

/* ---- many --------------------------------------------------------------------------------------------------------- */

static int decode_job(const mzc_decode_batch *batch, mzc_decode_job *job)
{
  mzc_header header;
  mzc_decoder *decoder = mzc_decoder_open(job->data, job->size, &batch->options, &header, &job->status);
  int failed;

  if (decoder == NULL)
    return -1;
  if (header.output_width != batch->width || header.output_height != batch->height ||
      header.output_channels != batch->channels || (header.precision > 8 ? 2 : 1) != batch->sample_size)
    failed = mzc_fail(&job->status, MZC_UNSUPPORTED, "the image is %d x %d x %d of %d bits, out has room for %d x %d x %d of %d",
                      header.output_height, header.output_width, header.output_channels, header.precision, batch->height,
                      batch->width, batch->channels, 8 * batch->sample_size);
  else
    failed = mzc_decoder_read(decoder, job->pixels, batch->row_stride, &job->status);
  mzc_decoder_close(decoder);
  return failed;
}

void mzc_decode_batch_run(mzc_decode_batch *batch)
{
  int i;

  while ((i = __atomic_fetch_add(&batch->next, 1, __ATOMIC_RELAXED)) < batch->num_jobs)
    if (decode_job(batch, &batch->jobs[i]))
      __atomic_fetch_add(&batch->num_failed, 1, __ATOMIC_RELAXED);
}

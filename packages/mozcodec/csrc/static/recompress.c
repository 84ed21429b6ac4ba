/* Pixels to pixels: what a file of them decodes to, without coding the file.
 *
 * Entropy coding loses nothing, so that it is left out. The library's compressor converts, downsamples, transforms and
 * quantizes; a row of blocks goes through the inverse DCT as soon as it is there; the library's decompressor, which takes
 * its samples from there, upsamples and converts. With a trellis the engine chooses the coefficients in between. */
#include "../engine/context.h"
#include "../shim.h"

enum {
  ROWS_AT_ONCE = 16,
  MOST_COMPONENTS = 3,
  /* SOI, DQT, SOF1 and SOS */
  HEADER_BYTES = 2 + NUM_QUANT_TBLS * (5 + 2 * DCTSIZE2) + 10 + 3 * MOST_COMPONENTS + 8 + 2 * MOST_COMPONENTS
};

/* Memory that the images of a call share. */
typedef struct {
  void *data;
  size_t capacity;
} space;

typedef struct {
  struct jpeg_compress_struct c;
  struct jpeg_decompress_struct d;
  mzc_guard guard;
  mzc_destination destination;
  unsigned char nowhere[64];     /* receives what the compressor writes before the pixels; not used */
  mzc_buffer nowhere_buffer;
  unsigned char header[HEADER_BYTES];
  struct jpeg_c_coef_controller blocks_out;      /* these three replace the library's */
  struct jpeg_entropy_decoder no_decoder;
  struct jpeg_d_coef_controller samples_in;
  void (*library_start_input_pass)(j_decompress_ptr);
  mzc_engine *engine;
  int row;                       /* of iMCUs, in the compressor */
  JSAMPLE *plane[MOST_COMPONENTS];
  size_t plane_stride[MOST_COMPONENTS];
  JBLOCK *blocks;                /* one row */
  JSAMPLE *interleaved;          /* ROWS_AT_ONCE rows */
  space memory[3];               /* of the planes, the blocks and the interleaved rows */
} state;

/* ---- what is supported -------------------------------------------------------------------------------------------- */

static const char *refused_image(const mzc_recompression *call)
{
  if (call->pixel_format < MZC_GRAY || call->pixel_format > MZC_ABGR || call->out_pixel_format < MZC_GRAY ||
      call->out_pixel_format > MZC_ABGR)
    return "a pixel format other than gray and RGB";
  if (call->plane_stride != 0 && mzc_layout_of(call->pixel_format).channels != 3)
    return "planes other than three";
  return NULL;
}

static const char *refused_options(const mzc_encode_options *options)
{
  if (options->engine != MZC_ENGINE_AUTO)
    return "a requested engine";
  if (options->max_memory > 0)
    return "max_memory";
  if (options->num_scans > 0)
    return "a scan script";
  return NULL;
}

/* Parameters are set, compression not started. */
static const char *refused_parameters(j_compress_ptr c)
{
  int blocks = 0;

  if (c->data_precision != 8 || c->master->lossless)
    return "samples of more than 8 bits, or lossless JPEG";
  if (c->arith_code)
    return "arithmetic coding";
  if (c->dct_method != JDCT_ISLOW)
    return "a DCT other than islow";
  if (c->jpeg_color_space != JCS_GRAYSCALE && c->jpeg_color_space != JCS_YCbCr)
    return "a file that is neither gray nor YCbCr";
  for (int i = 0; i < c->num_components; i++)
    blocks += c->comp_info[i].h_samp_factor * c->comp_info[i].v_samp_factor;
  if (c->num_components > 1 && blocks > D_MAX_BLOCKS_IN_MCU)
    return "components that share no scan";
  return c->master->trellis_quant ? mzc_engine_refuses(c) : NULL;
}

static void refuse_for(state *s, const char *reason)
{
  if (reason == NULL)
    return;
  mzc_fail(s->guard.status, MZC_UNSUPPORTED, "recompression without a file does not cover %s", reason);
  longjmp(s->guard.jump, 1);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static void *reserve(state *s, space *space, size_t size)
{
  if (size > space->capacity) {
    free(space->data);
    space->capacity = 0;
    space->data = malloc(size);
    if (space->data == NULL)
      ERREXIT1(&s->c, JERR_OUT_OF_MEMORY, 22);
    space->capacity = size;
  }
  return space->data;
}

static void reserve_memory(state *s, int interleaves)
{
  size_t all = 0, widest = 0;
  JSAMPLE *next;

  for (int i = 0; i < s->c.num_components; i++) {
    size_t width = s->c.comp_info[i].width_in_blocks;

    s->plane_stride[i] = width * DCTSIZE;
    all += width * s->c.comp_info[i].height_in_blocks * DCTSIZE2;
    widest = width > widest ? width : widest;
  }
  next = reserve(s, &s->memory[0], all);
  for (int i = 0; i < s->c.num_components; i++) {
    s->plane[i] = next;
    next += s->plane_stride[i] * s->c.comp_info[i].height_in_blocks * DCTSIZE;
  }
  s->blocks = reserve(s, &s->memory[1], widest * sizeof(JBLOCK));
  if (interleaves)
    s->interleaved = reserve(s, &s->memory[2], (size_t)3 * s->c.image_width * ROWS_AT_ONCE);
}

/* ---- blocks to samples -------------------------------------------------------------------------------------------- */

/* The samples of a row of blocks of a component. All coefficients have codes: 8-bit samples transform to at most 1020 (the DC
 * coefficient to -1024 to 1016), and the library clamps those of deringed samples to +-1023. */
static void invert_row(state *s, int component, int row)
{
  jpeg_component_info *info = &s->d.comp_info[component];
  jpeg_idct_method method = s->d.idct->inverse_DCT[component];
  JSAMPROW rows[DCTSIZE];

  if (!info->component_needed)
    return;
  for (int y = 0; y < DCTSIZE; y++)
    rows[y] = s->plane[component] + ((size_t)row * DCTSIZE + y) * s->plane_stride[component];
  for (JDIMENSION b = 0; b < info->width_in_blocks; b++)
    (*method)(&s->d, info, s->blocks[b], rows, b * DCTSIZE);
}

/* Replaces the compressor's coefficient controller: one row of iMCUs. */
static boolean take_samples(j_compress_ptr c, JSAMPIMAGE input)
{
  state *s = (state *)((char *)c->coef - offsetof(state, blocks_out));

  for (int i = 0; i < c->num_components; i++) {
    jpeg_component_info *info = &c->comp_info[i];

    for (int y = 0; y < info->v_samp_factor; y++) {
      int row = s->row * info->v_samp_factor + y;

      if (row >= (int)info->height_in_blocks)
        break;
      (*c->fdct->forward_DCT)(c, info, input[i], s->blocks, (JDIMENSION)(y * DCTSIZE), 0, info->width_in_blocks, NULL);
      invert_row(s, i, row);
    }
  }
  s->row++;
  return TRUE;
}

/* Replaces the decompressor's coefficient controller: one row of iMCUs. */
static int give_samples(j_decompress_ptr d, JSAMPIMAGE output)
{
  state *s = (state *)((char *)d->coef - offsetof(state, samples_in));

  for (int i = 0; i < d->num_components; i++) {
    jpeg_component_info *info = &d->comp_info[i];
    size_t rows = (size_t)info->v_samp_factor * DCTSIZE, first = d->output_iMCU_row * rows;
    size_t left = (size_t)info->height_in_blocks * DCTSIZE - first;

    for (size_t y = 0; info->component_needed && y < rows && y < left; y++)
      memcpy(output[i][y], s->plane[i] + (first + y) * s->plane_stride[i], s->plane_stride[i]);
  }
  return ++d->output_iMCU_row < d->total_iMCU_rows ? JPEG_ROW_COMPLETED : JPEG_SCAN_COMPLETED;
}

/* ---- the decompressor --------------------------------------------------------------------------------------------- */

static void start_nothing(j_decompress_ptr d)
{
  (void)d;
}

/* The library's decoder would prepare Huffman tables. */
static void start_input_pass(j_decompress_ptr d)
{
  state *s = (state *)d->client_data;

  s->no_decoder = *d->entropy;
  s->no_decoder.start_pass = start_nothing;
  d->entropy = &s->no_decoder;
  (*s->library_start_input_pass)(d);
}

static unsigned char *put_2(unsigned char *to, unsigned value)
{
  to[0] = (unsigned char)(value >> 8);
  to[1] = (unsigned char)value;
  return to + 2;
}

static unsigned char *put_table(unsigned char *to, int number, const JQUANT_TBL *table)
{
  to = put_2(put_2(to, 0xFFDB), 3 + 2 * DCTSIZE2);
  *to++ = (unsigned char)(1 << 4 | number);
  for (int k = 0; k < DCTSIZE2; k++)
    to = put_2(to, table->quantval[jpeg_natural_order[k]]);
  return to;
}

/* The header of a file with these parameters. */
static size_t write_header(j_compress_ptr c, unsigned char *header)
{
  unsigned char *to = put_2(header, 0xFFD8);
  int num = c->num_components, written = 0;

  for (int i = 0; i < num; i++) {
    int number = c->comp_info[i].quant_tbl_no;

    if (!(written >> number & 1))
      to = put_table(to, number, c->quant_tbl_ptrs[number]);
    written |= 1 << number;
  }
  to = put_2(put_2(to, 0xFFC1), (unsigned)(8 + 3 * num));
  *to++ = 8;
  to = put_2(put_2(to, c->image_height), c->image_width);
  *to++ = (unsigned char)num;
  for (int i = 0; i < num; i++) {
    *to++ = (unsigned char)(i + 1);
    *to++ = (unsigned char)(c->comp_info[i].h_samp_factor << 4 | c->comp_info[i].v_samp_factor);
    *to++ = (unsigned char)c->comp_info[i].quant_tbl_no;
  }
  to = put_2(put_2(to, 0xFFDA), (unsigned)(6 + 2 * num));
  *to++ = (unsigned char)num;
  for (int i = 0; i < num; i++)
    to = put_2(to, (unsigned)(i + 1) << 8);
  *to++ = 0;
  *to++ = DCTSIZE2 - 1;
  *to++ = 0;
  return (size_t)(to - header);
}

static void start_decompressor(state *s, int pixel_format)
{
  j_decompress_ptr d = &s->d;

  jpeg_mem_src(d, s->header, write_header(&s->c, s->header));
  jpeg_read_header(d, TRUE);
  d->out_color_space = mzc_layout_of(pixel_format).color_space;
  jpeg_start_decompress(d);
  s->samples_in = *d->coef;
  s->samples_in.decompress_data = give_samples;
  d->coef = &s->samples_in;
}

/* ---- an image ----------------------------------------------------------------------------------------------------- */

static void prepare_compressor(state *s, const mzc_image *image, const mzc_encode_options *options)
{
  j_compress_ptr c = &s->c;

  jpeg_create_compress(c);   /* a new one for each image: an old one keeps tables and scans */
  mzc_describe_input(c, image);
  mzc_configure(c, options);
  c->dest = &s->destination.base;
  refuse_for(s, refused_parameters(c));
  if (!c->master->trellis_quant) {   /* how coefficients are coded no longer matters */
    c->scan_info = NULL;
    c->num_scans = 0;
    c->optimize_coding = c->master->optimize_scans = FALSE;
  }
  mzc_start_compress(c);
}

static void write_planes(state *s, const mzc_recompression *call, const unsigned char *pixels)
{
  j_compress_ptr c = &s->c;
  size_t row_bytes = (size_t)3 * c->image_width;
  JSAMPROW rows[ROWS_AT_ONCE];

  while (c->next_scanline < c->image_height) {
    int left = (int)(c->image_height - c->next_scanline), num = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;

    for (int y = 0; y < num; y++) {
      const unsigned char *first = pixels + (ptrdiff_t)(c->next_scanline + y) * call->row_stride;
      const uint8_t *const plane[3] = { first, first + call->plane_stride, first + 2 * call->plane_stride };

      rows[y] = s->interleaved + y * row_bytes;
      s->engine->kernels->interleave(plane, c->image_width, rows[y]);
    }
    jpeg_write_scanlines(c, rows, (JDIMENSION)num);
  }
}

/* The coefficients of the trellis, component by component. */
static void invert_chosen(state *s)
{
  for (int i = 0; i < s->c.num_components; i++) {
    if (mzc_component_choose(s->engine, i) != 0)
      refuse_for(s, "so large or detailed an image, or coefficients out of range");
    for (int row = 0; row < (int)s->c.comp_info[i].height_in_blocks; row++) {
      mzc_component_chosen(s->engine, i, row, s->blocks[0]);
      invert_row(s, i, row);
    }
  }
}

static void read_pixels(state *s, unsigned char *out, ptrdiff_t row_stride)
{
  JSAMPROW rows[ROWS_AT_ONCE];

  while (s->d.output_scanline < s->d.output_height) {
    JDIMENSION y = s->d.output_scanline, left = s->d.output_height - y;

    for (JDIMENSION i = 0; i < ROWS_AT_ONCE && i < left; i++)
      rows[i] = out + (ptrdiff_t)(y + i) * row_stride;
    jpeg_read_scanlines(&s->d, rows, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE);
  }
}

static int recompress(state *s, const mzc_recompression *call, int index, const mzc_encode_options *options)
{
  const unsigned char *pixels = call->pixels + index * call->image_stride;
  mzc_image image = { .pixels = pixels, .row_stride = call->row_stride, .width = call->width, .height = call->height,
                      .pixel_format = call->pixel_format, .precision = 8 };
  j_compress_ptr c = &s->c;

  if (setjmp(s->guard.jump)) {
    jpeg_destroy_compress(c);
    return -1;
  }
  refuse_for(s, refused_options(options));
  prepare_compressor(s, &image, options);
  reserve_memory(s, call->plane_stride != 0);
  start_decompressor(s, call->out_pixel_format);
  s->row = 0;
  if (c->master->trellis_quant) {
    mzc_engine_may_hand_over(s->engine, 1);
    mzc_engine_begin(s->engine, c, 0);
  } else {
    s->blocks_out = *c->coef;
    s->blocks_out.compress_data = take_samples;
    c->coef = &s->blocks_out;
  }
  if (call->plane_stride != 0)
    write_planes(s, call, pixels);
  else
    mzc_write_pixels(c, &image);
  if (c->master->trellis_quant)
    invert_chosen(s);
  jpeg_destroy_compress(c);
  read_pixels(s, call->out + index * call->out_image_stride, call->out_row_stride);
  jpeg_abort_decompress(&s->d);
  return 0;
}

static int open_decompressor(state *s)
{
  if (setjmp(s->guard.jump))
    return -1;
  jpeg_create_decompress(&s->d);
  s->d.client_data = s;
  s->library_start_input_pass = s->d.inputctl->start_input_pass;
  s->d.inputctl->start_input_pass = start_input_pass;
  return 0;
}

int mzc_recompress(const mzc_recompression *call, const mzc_encode_options *const *options, mzc_engine *engine,
                   int *num_done, mzc_status *status)
{
  const char *refused = refused_image(call);
  state *s;
  int failed = 0;

  *num_done = 0;
  memset(status, 0, sizeof *status);
  if (refused != NULL)
    return mzc_fail(status, MZC_UNSUPPORTED, "recompression without a file does not cover %s", refused);
  s = calloc(1, sizeof *s);
  if (s == NULL)
    return mzc_fail(status, MZC_NO_MEMORY, "no memory for a recompression");
  s->c.err = s->d.err = mzc_guard_init(&s->guard, status);
  s->engine = engine;
  s->nowhere_buffer = (mzc_buffer){ s->nowhere, 0, sizeof s->nowhere, 1 };
  mzc_destination_init(&s->destination, &s->nowhere_buffer, 0, status);
  failed = open_decompressor(s);
  while (!failed && *num_done < call->num_images) {
    failed = recompress(s, call, *num_done, options[*num_done]);
    *num_done += !failed;
  }
  mzc_engine_trim(engine);
  jpeg_destroy_decompress(&s->d);
  for (int i = 0; i < 3; i++)
    free(s->memory[i].data);
  free(s);
  return failed;
}

/* Lossless recoding, rotation and cropping, as jpegtran does them, with its code for moving blocks (transupp.c of the
 * pinned source). */
#include "check.h"
#include "decode.h"
#include "engine/engine.h"

#ifndef MOZCODEC_SYSTEM_MOZJPEG
#include <transupp.h>
#endif

#define ICC_MARKER (JPEG_APP0 + 2)

typedef struct {
  struct jpeg_decompress_struct source;
  struct jpeg_compress_struct target;
  mzc_guard guard;
  mzc_destination destination;
  mzc_scan_limit scan_limit;
  mzc_expected expected;
  mzc_reader *reader;
} transcoder;

/* ---- markers ------------------------------------------------------------------------------------------------------ */

static void save_markers(j_decompress_ptr source, int copy)
{
  if (copy == MZC_COPY_COMMENTS || copy == MZC_COPY_ALL)
    jpeg_save_markers(source, JPEG_COM, 0xFFFF);
  for (int i = 0; i < 16 && copy == MZC_COPY_ALL; i++)
    jpeg_save_markers(source, JPEG_APP0 + i, 0xFFFF);
  if (copy == MZC_COPY_ICC)
    jpeg_save_markers(source, ICC_MARKER, 0xFFFF);
}

static int begins_with(const struct jpeg_marker_struct *marker, const char *signature)
{
  return marker->data_length >= 5 && memcmp(marker->data, signature, 5) == 0;
}

/* Copies all markers except those that libjpeg writes. */
static void copy_markers(j_decompress_ptr source, j_compress_ptr target)
{
  for (jpeg_saved_marker_ptr marker = source->marker_list; marker != NULL; marker = marker->next) {
    if (target->write_JFIF_header && marker->marker == JPEG_APP0 && begins_with(marker, "JFIF\0"))
      continue;
    if (target->write_Adobe_marker && marker->marker == JPEG_APP0 + 14 && begins_with(marker, "Adobe"))
      continue;
    jpeg_write_marker(target, marker->marker, marker->data, marker->data_length);
  }
}

/* ---- coefficients ------------------------------------------------------------------------------------------------- */

/* A corrupt stream can decode to coefficients that cannot be coded. libjpeg would stop at them within a scan, where mozjpeg
 * leaks memory, so they are checked before. */
static int block_in_range(const JCOEF *block, int limit)
{
  JCOEF least = 0, most = 0;   /* of 16 bits, of which the compiler makes vectors */

  for (int k = 0; k < DCTSIZE2; k++) {
    least = block[k] < least ? block[k] : least;
    most = block[k] > most ? block[k] : most;
  }
  if (most > limit || least < -limit - 1)
    return 0;
  for (int k = 1; k < DCTSIZE2 && least < -limit; k++)   /* the DC coefficient may be smaller by 1 */
    if (block[k] < -limit)
      return 0;
  return 1;
}

static int first_beyond(const JCOEF *block, int limit)
{
  int k = 0;

  while (block[k] <= limit && block[k] >= -limit - (k == 0))
    k++;
  return block[k];
}

static void clamp_block(JCOEF *block, int limit)
{
  for (int k = 0; k < DCTSIZE2; k++)
    block[k] = (JCOEF)(block[k] > limit ? limit : block[k] < -limit ? -limit : block[k]);
}

static void check_coefficients(transcoder *t, jvirt_barray_ptr *arrays, int repair)
{
  j_decompress_ptr source = &t->source;
  int limit = source->data_precision == 12 ? 16383 : 1023;

  for (int i = 0; i < source->num_components; i++) {
    jpeg_component_info *component = &source->comp_info[i];
    for (JDIMENSION y = 0; y < component->height_in_blocks; y++) {
      JBLOCKARRAY row = source->mem->access_virt_barray((j_common_ptr)source, arrays[i], y, 1, repair);
      for (JDIMENSION x = 0; x < component->width_in_blocks; x++) {
        if (block_in_range(row[0][x], limit))
          continue;
        if (repair) {
          clamp_block(row[0][x], limit);
          t->guard.status->limited++;
          continue;
        }
        mzc_fail(t->guard.status, MZC_DAMAGED, "component %d has the coefficient %d in block (%u, %u), beyond %d", i,
                 first_beyond(row[0][x], limit), y, x, limit);
        longjmp(t->guard.jump, 1);
      }
    }
  }
}

#ifndef MOZCODEC_SYSTEM_MOZJPEG

static void describe(jpeg_transform_info *info, const mzc_transform_options *options)
{
  static const JXFORM_CODE codes[] = {
    JXFORM_NONE, [MZC_FLIP_HORIZONTAL] = JXFORM_FLIP_H, [MZC_FLIP_VERTICAL] = JXFORM_FLIP_V,
    [MZC_TRANSPOSE] = JXFORM_TRANSPOSE, [MZC_TRANSVERSE] = JXFORM_TRANSVERSE, [MZC_ROTATE_90] = JXFORM_ROT_90,
    [MZC_ROTATE_180] = JXFORM_ROT_180, [MZC_ROTATE_270] = JXFORM_ROT_270
  };

  memset(info, 0, sizeof *info);
  info->transform = codes[options->operation];
  info->perfect = !options->trim;
  info->trim = options->trim;
  info->force_grayscale = options->grayscale;
  info->crop = options->crop;
  info->crop_xoffset = options->left;
  info->crop_yoffset = options->top;
  info->crop_width = options->width;
  info->crop_height = options->height;
  info->crop_xoffset_set = info->crop_yoffset_set = info->crop_width_set = info->crop_height_set = JCROP_POS;
}

static void request_workspace(transcoder *t, jpeg_transform_info *info, const mzc_transform_options *options)
{
  mzc_status *status = t->guard.status;

  describe(info, options);
  if (!jtransform_request_workspace(&t->source, info))
    mzc_fail(status, MZC_UNSUPPORTED,
             "%u x %u is not a whole number of MCUs in the direction of the transform: trim=True drops the rest",
             t->source.image_width, t->source.image_height);
  else if (options->crop && !options->trim &&
           (options->left % info->iMCU_sample_width || options->top % info->iMCU_sample_height))
    mzc_fail(status, MZC_UNSUPPORTED,
             "a lossless crop begins at a multiple of %d x %d pixels, not at (%d, %d): trim=True begins it before",
             info->iMCU_sample_width, info->iMCU_sample_height, options->left, options->top);
  else
    return;
  longjmp(t->guard.jump, 1);
}

#endif

/* ---- the stages of jpegtran --------------------------------------------------------------------------------------- */

/* What is done again where the reader gives up. */
static void read_header(transcoder *t, const unsigned char *data, size_t size, const mzc_transform_options *options)
{
  jpeg_mem_src(&t->source, data, size);
  save_markers(&t->source, options->copy);
  jpeg_read_header(&t->source, TRUE);
}

static void open_source(transcoder *t, const unsigned char *data, size_t size, const mzc_transform_options *options)
{
  j_decompress_ptr source = &t->source;

  jpeg_create_decompress(source);
  mzc_watch_scan_ends(source);
  t->guard.start = data;
  t->guard.size = size;
  mzc_limit_scans(source, &t->scan_limit, options->max_scans);
  mzc_limit_memory((j_common_ptr)source, options->max_memory);
  read_header(t, data, size, options);
  mzc_limit_pixels(source, options->max_pixels);
  if (mzc_is_lossless(source)) {
    mzc_fail(t->guard.status, MZC_UNSUPPORTED, "a lossless file (SOF3) has no coefficients to transcode");
    longjmp(t->guard.jump, 1);
  }
}

static void open_target(transcoder *t, const mzc_encode_options *options)
{
  j_compress_ptr target = &t->target;

  jpeg_create_compress(target);
  mzc_limit_memory((j_common_ptr)target, options->max_memory);
  if (options->profile == MZC_PROFILE_FASTEST || options->progressive == 0)
    jpeg_c_set_int_param(target, JINT_COMPRESS_PROFILE, JCP_FASTEST);
}

static int transposes(const mzc_transform_options *transform)
{
  return transform->operation == MZC_TRANSPOSE || transform->operation == MZC_TRANSVERSE ||
         transform->operation == MZC_ROTATE_90 || transform->operation == MZC_ROTATE_270;
}

static void keep_gaps(transcoder *t, const mzc_transform_options *transform, const mzc_encode_options *options)
{
  mzc_sent sent;

  if (!mzc_note_sent(&t->source, transposes(transform), &sent))
    return;
  t->guard.status->unusual = 1;
  if (options->num_scans == 0 && t->target.num_scans > 0 && mzc_keep_gaps(&t->target, &sent) == 0)
    return;
  mzc_note(t->guard.status, MZC_NO_SMOOTHING);
  t->guard.status->smooths_less = 1;
}

/* Scans name components by their ids. Repeated ones work in a scan of all components only. */
static void name_components(transcoder *t)
{
  j_compress_ptr target = &t->target;
  int repeated = 0;

  for (int i = 0; i < target->num_components; i++)
    for (int j = 0; j < i; j++)
      repeated |= target->comp_info[i].component_id == target->comp_info[j].component_id;
  for (int i = 0; i < target->num_components && repeated; i++)
    target->comp_info[i].component_id = i + 1;
  t->guard.status->unusual |= repeated;
}

static void write_target(transcoder *t, jvirt_barray_ptr *arrays, const mzc_transform_options *transform,
                         const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                         mzc_engine *engine)
{
  mzc_configure_coding(&t->target, options);
  keep_gaps(t, transform, options);
  name_components(t);
  if (mzc_choose_engine(options, engine, engine ? mzc_engine_refuses_coefficients(&t->target) : NULL,
                        t->guard.status) < 0)
    longjmp(t->guard.jump, 1);
  t->target.dest = &t->destination.base;
  jpeg_write_coefficients(&t->target, arrays);
  copy_markers(&t->source, &t->target);
  mzc_write_markers(&t->target, markers, num_markers);
}

/* Compares what was written with the source's tables, and with its coefficients in their new places. */
static int check_written(transcoder *t, jvirt_barray_ptr *arrays, const mzc_transform_options *transform,
                         const mzc_encode_options *options, const mzc_engine *engine)
{
  j_decompress_ptr source = &t->source;
  mzc_expected *e = &t->expected;

  e->width = (int)t->target.image_width;
  e->height = (int)t->target.image_height;
  e->num_components = t->target.num_components;
  e->precision = source->data_precision;
  e->partial = options->num_scans > 0;
  for (int i = 0; i < e->num_components && i < 4; i++) {
    const jpeg_component_info *from = &source->comp_info[i], *to = &t->target.comp_info[i];
    const JQUANT_TBL *table = from->quant_table ? from->quant_table : t->target.quant_tbl_ptrs[to->quant_tbl_no];

    for (int k = 0; k < DCTSIZE2; k++)
      e->table[i][k] = table->quantval[transposes(transform) ? k % 8 * 8 + k / 8 : k];
    e->h[i] = to->h_samp_factor;
    e->v[i] = to->v_samp_factor;
    e->wide[i] = (int)to->width_in_blocks;
    e->high[i] = (int)to->height_in_blocks;
    e->rows[i] = malloc((size_t)e->high[i] * sizeof *e->rows[i]);
    if (e->rows[i] == NULL)
      return mzc_fail(t->guard.status, MZC_NO_MEMORY, "out of memory");
    for (int y = 0; y < e->high[i]; y++)
      e->rows[i][y] = source->mem->access_virt_barray((j_common_ptr)source, arrays[i], (JDIMENSION)y, 1, FALSE)[0];
  }
  return mzc_check_written(t->destination.out, e, engine, t->guard.status);
}

/* By the reader, or by the library where it gives up. *rest: bytes after EOI. Returns 0 when the library has to start again. */
static int read_source(transcoder *t, const mzc_transform_options *transform, const mzc_encode_options *options,
                       const mzc_engine *engine, jvirt_barray_ptr **arrays, size_t *rest)
{
  mzc_reader_options reading;
  int own;

  memset(&reading, 0, sizeof reading);
  reading.cpu = engine ? 1 + mzc_engine_uses_v3(engine) : 0;
  reading.block_size = DCTSIZE;
  reading.max_scans = transform->max_scans;
  reading.for_coefficients = 1;
  own = options->engine != MZC_ENGINE_LIBRARY && mzc_reader_begin(&t->reader, &t->source, &reading) == NULL;
  *arrays = jpeg_read_coefficients(&t->source);
  *rest = t->source.src->bytes_in_buffer;
  return !own || mzc_reader_end(&t->reader, rest) == NULL;
}

static int run(transcoder *t, const unsigned char *data, size_t size, const mzc_transform_options *transform,
               const mzc_encode_options *options, const mzc_marker *markers, int num_markers, mzc_engine *engine)
{
  jvirt_barray_ptr *read, *written;
  size_t rest;
#ifndef MOZCODEC_SYSTEM_MOZJPEG
  jpeg_transform_info info;
#endif

  if (setjmp(t->guard.jump))
    return -1;
  open_target(t, options);
  open_source(t, data, size, transform);
#ifndef MOZCODEC_SYSTEM_MOZJPEG
  request_workspace(t, &info, transform);
#endif
  if (!read_source(t, transform, options, engine, &read, &rest)) {
    jpeg_abort_decompress(&t->source);
    mzc_guard_forget(&t->guard);
    read_header(t, data, size, transform);
#ifndef MOZCODEC_SYSTEM_MOZJPEG
    request_workspace(t, &info, transform);
#endif
    read = jpeg_read_coefficients(&t->source);
    rest = t->source.src->bytes_in_buffer;
  }
  written = read;
  check_coefficients(t, read, transform->repair);
  jpeg_copy_critical_parameters(&t->source, &t->target);
#ifndef MOZCODEC_SYSTEM_MOZJPEG
  written = jtransform_adjust_parameters(&t->source, &t->target, read, &info);
#endif
  write_target(t, written, transform, options, markers, num_markers, engine);
#ifndef MOZCODEC_SYSTEM_MOZJPEG
  jtransform_execute_transform(&t->source, &t->target, read, &info);
#endif
  if (mzc_finish_coefficients(&t->target, written, options->engine, engine, t->guard.status))
    return -1;
  if (mzc_destination_check(&t->destination, t->guard.status) || check_written(t, written, transform, options, engine))
    return -1;
  jpeg_finish_decompress(&t->source);
  mzc_check_end(&t->source, data, size, rest);
  return 0;
}

int mzc_transform(const unsigned char *data, size_t size, const mzc_transform_options *transform,
                  const mzc_encode_options *options, const mzc_marker *markers, int num_markers, mzc_engine *engine,
                  mzc_buffer *out, mzc_status *status)
{
  transcoder t;
  int result;

  memset(&t, 0, sizeof t);
  t.source.err = t.target.err = mzc_guard_init(&t.guard, status);
  t.guard.fatal_damage = !transform->repair;
#ifdef MOZCODEC_SYSTEM_MOZJPEG
  if (transform->operation || transform->crop || transform->grayscale)
    return mzc_fail(status, MZC_UNAVAILABLE,
                    "transform needs mozcodec built with its own mozjpeg (MOZCODEC_SYSTEM_MOZJPEG=OFF)");
#endif
  if (mzc_block_size(data, size) != 8)
    return mzc_fail(status, MZC_UNSUPPORTED, "SmartScale streams (this one's block size is %d) cannot be transcoded",
                    mzc_block_size(data, size));
  if (mzc_destination_init(&t.destination, out, size, status))
    return -1;
  result = run(&t, data, size, transform, options, markers, num_markers, engine);
  jpeg_destroy_compress(&t.target);
  jpeg_destroy_decompress(&t.source);
  mzc_reader_free(t.reader);
  mzc_forget_expected(&t.expected);
  if (engine)
    mzc_engine_trim(engine);
  if (result == 0)
    return 0;
  mzc_destination_forget(out);
  return -1;
}

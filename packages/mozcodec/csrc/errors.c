/* libjpeg's errors and warnings as a status. */
#include <stdarg.h>

#include "decode.h"

static int code_of(j_common_ptr cinfo)
{
  switch (cinfo->err->msg_code) {
  case JERR_OUT_OF_MEMORY:
    return MZC_NO_MEMORY;
  case JERR_NO_BACKING_STORE:   /* "Memory limit exceeded" */
  case JERR_IMAGE_TOO_BIG:
  case JERR_WIDTH_OVERFLOW:
    return MZC_LIMIT;
  case JERR_NO_SOI:
  case JERR_INPUT_EMPTY:
    return MZC_NOT_JPEG;
  case JERR_SOF_UNSUPPORTED:
    if (cinfo->is_decompressor && ((j_decompress_ptr)cinfo)->input_scan_number > 0)   /* a second frame, of damage */
      return MZC_DAMAGED;
    return MZC_UNSUPPORTED;
  case JERR_NOT_COMPILED:
  case JERR_NOTIMPL:
  case JERR_ARITH_NOTIMPL:
  case JERR_BAD_PRECISION:
  case JERR_CONVERSION_NOTIMPL:
  case JERR_FRACT_SAMPLE_NOTIMPL:
  case JERR_CCIR601_NOTIMPL:
  case JERR_MISMATCHED_QUANT_TABLE:   /* a table redefined between the scans of components that use it */
    return MZC_UNSUPPORTED;
  default:
    return cinfo->is_decompressor ? MZC_DAMAGED : MZC_LIBRARY;
  }
}

/* How many bytes a decompressor has read; past the end libjpeg reads an EOI of its own. -1: not known. */
static int64_t offset_of(j_decompress_ptr cinfo)
{
  const mzc_guard *guard = (const mzc_guard *)cinfo->err;
  const JOCTET *at = cinfo->src ? cinfo->src->next_input_byte : NULL;

  if (!guard->start || !at)
    return -1;
  return at >= guard->start && at <= guard->start + guard->size ? at - guard->start : (int64_t)guard->size;
}

/* The whole rows that were read of a scan. That of one component has a row of MCUs for each of its rows of blocks. */
static void note_rows(j_decompress_ptr cinfo, mzc_status *status)
{
  int64_t height = (int64_t)cinfo->max_v_samp_factor * (mzc_is_lossless(cinfo) ? 1 : DCTSIZE);
  int64_t rows = cinfo->input_iMCU_row * height;
  int64_t mcu_rows = cinfo->input_iMCU_row;

  /* After a scan the header of the next may have been read in part: its components are not those that were counted. */
  if (cinfo->input_iMCU_row < cinfo->total_iMCU_rows && cinfo->comps_in_scan == 1 && cinfo->cur_comp_info[0] != NULL)
    mcu_rows *= cinfo->cur_comp_info[0]->v_samp_factor;
  if (cinfo->input_iMCU_row >= cinfo->total_iMCU_rows || mcu_rows > cinfo->MCU_rows_in_scan)
    mcu_rows = cinfo->MCU_rows_in_scan;
  status->damage_rows = (int)(rows < cinfo->image_height ? rows : cinfo->image_height);
  status->damage_mcus = mcu_rows * cinfo->MCUs_per_row;
}

/* Where a decompressor is, if nothing was noted before. */
static void note_place(j_common_ptr common)
{
  const mzc_guard *guard = (const mzc_guard *)common->err;
  const j_decompress_ptr cinfo = (j_decompress_ptr)common;
  mzc_status *status = guard->status;

  if (!common->is_decompressor || status->damage_known)
    return;
  status->damage_known = 1;
  status->damage_scan = cinfo->input_scan_number;
  if (status->damage_scan > 0)
    note_rows(cinfo, status);
  status->damage_offset = offset_of(cinfo);
}

static void on_error(j_common_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  cinfo->err->format_message(cinfo, guard->status->message);
  guard->status->message_code = cinfo->err->msg_code;
  guard->status->code = code_of(cinfo);
  note_place(cinfo);
  if (cinfo->is_decompressor)
    guard->status->error_offset = offset_of((j_decompress_ptr)cinfo);
  longjmp(guard->jump, 1);
}

void mzc_note(mzc_status *status, const char *format, ...)
{
  char text[sizeof status->note];
  size_t used = status->num_notes++ ? strlen(status->note) : 0;
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (used + strlen(text) + 2 < sizeof status->note)
    snprintf(status->note + used, sizeof status->note - used, "%s%s", used ? "; " : "", text);
}

void mzc_note_ones(mzc_guard *guard, int marker)
{
  if (!guard->saw_ones)
    mzc_note(guard->status, "a byte of ones before marker 0x%02x", marker);
  guard->saw_ones = 1;
}

/* Whether the last byte that was skipped may be the last of a scan, which is filled up with ones. */
static int ends_like_a_scan(j_decompress_ptr cinfo)
{
  const mzc_guard *guard = (const mzc_guard *)cinfo->err;
  const JOCTET *at = cinfo->src->next_input_byte;   /* libjpeg has not taken the marker yet */

  return !guard->start || at <= guard->start || at > guard->start + guard->size || (at[-1] & 1);
}

/* Skipped bytes lie between marker segments before the first scan. Later they do if the scan before them ended properly
 * and they do not end as one: a decoder that is out of sync leaves coded data behind. */
static int skipped_between_segments(j_decompress_ptr cinfo)
{
  const mzc_guard *guard = (const mzc_guard *)cinfo->err;
  int marker = cinfo->err->msg_parm.i[1];

  if (cinfo->input_scan_number == 0)
    return 1;
  return guard->clean_scan_end == cinfo->input_scan_number && (marker < 0xD0 || marker > 0xD7) && !ends_like_a_scan(cinfo);
}

/* Warnings that leave the image whole. */
static int is_harmless(j_common_ptr common)
{
  mzc_guard *guard = (mzc_guard *)common->err;
  j_decompress_ptr cinfo = (j_decompress_ptr)common;

  switch (common->err->msg_code) {
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
  case JWRN_BOGUS_ICC:
  case JWRN_NOT_SEQUENTIAL:
    return 1;
  case JWRN_EXTRANEOUS_DATA:
    if (!common->is_decompressor || !skipped_between_segments(cinfo))
      return 0;
    mzc_note(guard->status, "extraneous data before marker 0x%02x (size %d)", common->err->msg_parm.i[1],
             common->err->msg_parm.i[0]);
    return 1;
  case JWRN_JPEG_EOF:   /* where bits are missing another warning follows; arithmetic decoding goes on without them */
    if (!common->is_decompressor || cinfo->input_scan_number == 0 || cinfo->arith_code)
      return 0;
    guard->saw_end = 1;
    return 1;
  default:
    return 0;
  }
}

static void report_damage(j_common_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;
  mzc_status *status = guard->status;

  cinfo->err->num_warnings++;
  note_place(cinfo);
  if (status->num_warnings++ == 0)
    cinfo->err->format_message(cinfo, status->warning);
  if (guard->fatal_damage) {
    memcpy(status->message, status->warning, sizeof status->message);
    status->message_code = cinfo->err->msg_code;
    status->code = MZC_DAMAGED;
    longjmp(guard->jump, 1);
  }
}

static void on_message(j_common_ptr cinfo, int level)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  if (level >= 0 || is_harmless(cinfo))
    return;
  if (cinfo->err->msg_code == JWRN_HIT_MARKER && guard->saw_end)
    cinfo->err->msg_code = JWRN_JPEG_EOF;   /* the cause */
  report_damage(cinfo);
}

static int holds(const unsigned char *data, size_t size, const char *text, size_t length)
{
  const unsigned char *at = data, *end = data + size;

  for (; at && (size_t)(end - at) >= length; at++) {
    at = memchr(at, text[0], (size_t)(end - at) - length + 1);
    if (at == NULL || memcmp(at, text, length) == 0)
      return at != NULL;
  }
  return 0;
}

/* Bytes after EOI, unless they are another image or a video, which make the file a container: an image, perhaps behind
 * zeros, or what an index (CIPA DC-007) lists; a video as Google's or as Samsung's phones append it. */
static void note_rest(mzc_status *status, const unsigned char *data, size_t size, size_t rest)
{
  static const char index[] = "MPF\0", video[] = "MotionPhoto_Data";
  const unsigned char *tail = data + size - rest;
  size_t zeros = 0;

  while (zeros < rest && tail[zeros] == 0)
    zeros++;
  if (rest == 0 || (rest - zeros >= 2 && tail[zeros] == 0xFF && tail[zeros + 1] == 0xD8) ||
      (rest >= 8 && memcmp(tail + 4, "ftyp", 4) == 0) || holds(tail, rest, video, sizeof video - 1) ||
      holds(data, size - rest, index, sizeof index - 1))
    return;
  mzc_note(status, "data after the end of the image (size %zu)", rest);
}

void mzc_check_end(j_decompress_ptr cinfo, const unsigned char *data, size_t size, size_t rest)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  if (!guard->saw_end)
    note_rest(guard->status, data, size, rest);
  if (!guard->saw_end || guard->status->num_warnings)
    return;
  if (mzc_sends_everything(data, size)) {
    mzc_note(guard->status, "no EOI marker at the end");
    return;
  }
  cinfo->err->msg_code = JWRN_JPEG_EOF;
  report_damage((j_common_ptr)cinfo);
}

static void on_output(j_common_ptr cinfo)
{
  (void)cinfo;   /* libjpeg's function would print */
}

struct jpeg_error_mgr *mzc_guard_init(mzc_guard *guard, mzc_status *status)
{
  memset(status, 0, sizeof *status);
  status->damage_offset = status->error_offset = -1;
  jpeg_std_error(&guard->base);
  guard->base.error_exit = on_error;
  guard->base.emit_message = on_message;
  guard->base.output_message = on_output;
  guard->status = status;
  guard->fatal_damage = 0;
  guard->start = NULL;
  guard->saw_end = 0;
  guard->clean_scan_end = guard->saw_ones = 0;
  return &guard->base;
}

void mzc_guard_forget(mzc_guard *guard)
{
  mzc_status *status = guard->status;

  guard->saw_end = guard->clean_scan_end = guard->saw_ones = 0;
  status->num_warnings = status->num_notes = 0;
  status->damage_known = status->damage_scan = status->damage_rows = 0;
  status->damage_mcus = 0;
  status->damage_offset = status->error_offset = -1;
}

int mzc_fail(mzc_status *status, int code, const char *format, ...)
{
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(status->message, sizeof status->message, format, arguments);
  va_end(arguments);
  status->code = code;
  return -1;
}

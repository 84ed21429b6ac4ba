/* libjpeg's errors and warnings as a status. */
#include <stdarg.h>

#include "shim.h"

static int code_of(int message_code)
{
  switch (message_code) {
  case JERR_OUT_OF_MEMORY:
    return MZC_NO_MEMORY;
  case JERR_NO_BACKING_STORE:   /* "Memory limit exceeded" */
  case JERR_IMAGE_TOO_BIG:
  case JERR_WIDTH_OVERFLOW:
    return MZC_LIMIT;
  case JERR_INPUT_EMPTY:
  case JERR_INPUT_EOF:
  case JERR_NO_IMAGE:
  case JERR_SOF_NO_SOS:
    return MZC_DAMAGED;
  case JERR_SOF_UNSUPPORTED:
  case JERR_UNKNOWN_MARKER:
  case JERR_NOT_COMPILED:
  case JERR_NOTIMPL:
  case JERR_ARITH_NOTIMPL:
  case JERR_BAD_PRECISION:
  case JERR_CONVERSION_NOTIMPL:
  case JERR_FRACT_SAMPLE_NOTIMPL:
  case JERR_CCIR601_NOTIMPL:
    return MZC_UNSUPPORTED;
  default:
    return MZC_LIBRARY;
  }
}

static void on_error(j_common_ptr cinfo)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  cinfo->err->format_message(cinfo, guard->status->message);
  guard->status->message_code = cinfo->err->msg_code;
  guard->status->code = code_of(cinfo->err->msg_code);
  longjmp(guard->jump, 1);
}

/* Warnings that say nothing about the coded data. Skipped bytes count only once a scan has begun: before it they lie
 * between markers. */
static int harmless(j_common_ptr cinfo)
{
  switch (cinfo->err->msg_code) {
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
  case JWRN_BOGUS_ICC:
  case JWRN_NOT_SEQUENTIAL:
    return 1;
  case JWRN_EXTRANEOUS_DATA:
    return cinfo->is_decompressor && ((j_decompress_ptr)cinfo)->input_scan_number == 0;
  default:
    return 0;
  }
}

static void on_message(j_common_ptr cinfo, int level)
{
  mzc_guard *guard = (mzc_guard *)cinfo->err;

  if (level >= 0 || harmless(cinfo))
    return;
  cinfo->err->num_warnings++;
  if (guard->status->num_warnings++ == 0)
    cinfo->err->format_message(cinfo, guard->status->warning);
  if (guard->fatal_damage) {
    memcpy(guard->status->message, guard->status->warning, sizeof guard->status->message);
    guard->status->message_code = cinfo->err->msg_code;
    guard->status->code = MZC_DAMAGED;
    longjmp(guard->jump, 1);
  }
}

static void on_output(j_common_ptr cinfo)
{
  (void)cinfo;   /* libjpeg's own would print */
}

struct jpeg_error_mgr *mzc_guard_init(mzc_guard *guard, mzc_status *status)
{
  memset(status, 0, sizeof *status);
  jpeg_std_error(&guard->base);
  guard->base.error_exit = on_error;
  guard->base.emit_message = on_message;
  guard->base.output_message = on_output;
  guard->status = status;
  guard->fatal_damage = 0;
  return &guard->base;
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

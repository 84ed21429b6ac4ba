/* Shared by the .c files: errors as a status, the destination in memory, libjpeg's options. */
#ifndef MOZCODEC_SHIM_H
#define MOZCODEC_SHIM_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#ifndef JPEG_C_PARAM_SUPPORTED
#error "the jpeglib.h found first is not mozjpeg's"
#endif
#if !defined(MOZCODEC_SYSTEM_MOZJPEG) && LIBJPEG_TURBO_VERSION_NUMBER != 5000000
#error "mozcodec uses internals of mozjpeg 5.0.0; this is another version"
#endif

#include "mozcodec.h"

/* libjpeg's error manager, the jump buffer and the status of a call. The function that calls setjmp on the jump buffer owns
 * the memory that is freed after the jump. */
typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf jump;
  mzc_status *status;
  int fatal_damage;             /* a warning about the coded data jumps too */
  /* of a decompressor (mzc_watch) */
  const unsigned char *start;   /* of the data, NULL where offsets in it mean nothing to the caller */
  size_t size;
  int saw_end;                  /* the data ended before EOI */
  int clean_scan_end;           /* number of the last scan if it was filled up with ones, otherwise 0 */
  int saw_ones;                 /* a restart interval ended with a byte of ones (mzc_note_ones) */
  void (*finish_input_pass)(j_decompress_ptr);
  boolean (*read_restart_marker)(j_decompress_ptr);
} mzc_guard;

struct jpeg_error_mgr *mzc_guard_init(mzc_guard *guard, mzc_status *status);
/* Forgets warnings, notes and ends: the data will be read again from its beginning. */
void mzc_guard_forget(mzc_guard *guard);
/* After jpeg_create_decompress: notes how scans end. */
void mzc_watch_scan_ends(j_decompress_ptr cinfo);
/* An oddity that leaves the image whole. */
void mzc_note(mzc_status *status, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
/* Notes the first restart interval that has a byte of ones more than fill up its last byte. */
void mzc_note_ones(mzc_guard *guard, int marker);
/* After the last scan: notes the rest, the bytes after EOI. Data that ended without EOI is damaged unless every coefficient
 * was sent. */
void mzc_check_end(j_decompress_ptr cinfo, const unsigned char *data, size_t size, size_t rest);
int mzc_fail(mzc_status *status, int code, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 3, 4)))
#endif
  ;

/* A destination that writes to an mzc_buffer. A borrowed buffer that is too small does not stop libjpeg (mozjpeg loses
 * memory when it is stopped within a scan): the rest is counted and dropped. */
typedef struct {
  struct jpeg_destination_mgr base;
  mzc_buffer *out;
  int dropping;
  size_t dropped;
  JOCTET drop[4096];
} mzc_destination;

int mzc_destination_init(mzc_destination *destination, mzc_buffer *out, size_t hint, mzc_status *status);
/* Frees what was written by a call that failed. */
void mzc_destination_forget(mzc_buffer *out);
/* After jpeg_finish_compress: 0, or -1 when a borrowed buffer was too small. */
int mzc_destination_check(const mzc_destination *destination, mzc_status *status);

typedef struct {
  J_COLOR_SPACE color_space;
  int channels;
} mzc_layout;

/* libjpeg's colour space and number of samples per pixel of a pixel format. */
mzc_layout mzc_layout_of(int pixel_format);
int mzc_pixel_format_of(J_COLOR_SPACE color_space);

/* Which engine codes: MZC_ENGINE_FAST or MZC_ENGINE_LIBRARY, said in status too; -1: requested is "fast" and reason
 * (NULL = none) prevents it. */
int mzc_choose_engine(const mzc_encode_options *options, mzc_engine *engine, const char *reason, mzc_status *status);
/* The engine that was chosen has met coefficients beyond it: the library's turn, or -1 as above. */
int mzc_decline_engine(int requested, const mzc_engine *engine, mzc_status *status);
/* After jpeg_write_coefficients and the markers, in place of jpeg_finish_compress, by the engine that was chosen. -1: as
 * above. */
int mzc_finish_coefficients(j_compress_ptr cinfo, jvirt_barray_ptr *coefficients, int requested, mzc_engine *engine,
                            mzc_status *status);

/* Limits; 0 = none. The error manager of cinfo is a guard, whose jump they take. */
typedef struct {
  struct jpeg_progress_mgr base;
  int max_scans;
} mzc_scan_limit;

void mzc_limit_memory(j_common_ptr cinfo, int64_t max_memory);
void mzc_limit_pixels(j_decompress_ptr cinfo, int64_t max_pixels);   /* of the image and of the output */
void mzc_limit_scans(j_decompress_ptr cinfo, mzc_scan_limit *limit, int max_scans);

/* Which coefficients of a progressive file were sent, and whether any of them lacks something. transpose: as they lie after
 * a transposing operation. */
int mzc_note_sent(j_decompress_ptr cinfo, int transpose, mzc_sent *sent);
int mzc_lacks_scans(const mzc_sent *sent, int num_components);
#define MZC_NO_SMOOTHING "coefficients that the file did not send are sent as 0: decoders no longer smooth over them"
/* After mzc_configure_coding for a progressive file: a script that sends just these. -1: there is none. */
int mzc_keep_gaps(j_compress_ptr cinfo, const mzc_sent *sent);

/* Sets image size, components, in_color_space and precision. */
void mzc_describe_input(j_compress_ptr cinfo, const mzc_image *image);
/* Sets everything that cjpeg would set; image size, components and in_color_space are set already. */
void mzc_configure(j_compress_ptr cinfo, const mzc_encode_options *options);
/* The part of it that says how coefficients are coded. */
void mzc_configure_coding(j_compress_ptr cinfo, const mzc_encode_options *options);
void mzc_write_markers(j_compress_ptr cinfo, const mzc_marker *markers, int num_markers);
/* jpeg_start_compress(cinfo, TRUE), correct for quantization steps of every size, and for deringed samples. */
void mzc_start_compress(j_compress_ptr cinfo);
/* After jpeg_start_compress: replaces a DCT that overflows for deringed samples. */
void mzc_guard_dct(j_compress_ptr cinfo);
/* Between mzc_start_compress and jpeg_finish_compress. */
void mzc_write_pixels(j_compress_ptr cinfo, const mzc_image *image);

#endif

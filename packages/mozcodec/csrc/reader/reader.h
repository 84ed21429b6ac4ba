/* An entropy decoder for common streams, used instead of libjpeg's: Huffman, 8 bits, sequential or progressive, up to four
 * components.
 *
 * It reads the whole stream into libjpeg's coefficient arrays, before the first pixel if there are any, and libjpeg goes on
 * from there as if it had read them itself. If the stream has anything that an undamaged one does not, the reader stops and the library decodes the
 * stream from its beginning, so that damage, errors and warnings are the library's. */
#ifndef MZC_READER_READER_H
#define MZC_READER_READER_H

#include "../shim.h"

typedef struct mzc_reader mzc_reader;

typedef struct {
  int cpu;                      /* as of mzc_engine_cpu */
  int block_size;               /* of the stream, 8 but for SmartScale */
  int max_scans;                /* 0: any number */
  int for_coefficients;         /* libjpeg needs the arrays of a sequential image, too */
  int for_part;                 /* of the image */
  int64_t max_memory;           /* of these arrays, where it does not */
} mzc_reader_options;

/* Before jpeg_start_decompress or jpeg_read_coefficients, which then reads the stream; its error manager is an mzc_guard. NULL
 * and a reader, or why the library has to read it. */
const char *mzc_reader_begin(mzc_reader **reader, j_decompress_ptr cinfo, const mzc_reader_options *options);
/* After it. *rest: bytes after EOI. NULL, or why the library has to start again. */
const char *mzc_reader_end(mzc_reader **reader, size_t *rest);
void mzc_reader_free(mzc_reader *reader);

#endif

/* Whether a file that was written decodes to the coefficients that it was written from. */
#ifndef MOZCODEC_CHECK_H
#define MOZCODEC_CHECK_H

#include "shim.h"

typedef struct {
  int width, height, num_components, precision;   /* the first four components are compared */
  int h[4], v[4];               /* sampling factors */
  UINT16 table[4][DCTSIZE2];    /* quantization steps of each component, natural order */
  JBLOCKROW *rows[4];           /* of blocks: wide x high of them */
  int wide[4], high[4];
  int partial;                  /* the caller's scan script may leave something out */
} mzc_expected;

enum { MZC_SAME, MZC_DIFFERS, MZC_UNCOVERED };
/* Code for every processor of the platform; for x86-64-v3; for that and what else this processor has (AVX-512). */
enum { MZC_FOR_ALL, MZC_FOR_V3, MZC_FOR_THIS };

/* MZC_UNCOVERED: the stream is of a kind that this does not read. *what: what differs. Memory: 8 KB for
 * each scan and for each of its pairs of tables, sets of a row of MCUs. processor: one of MZC_FOR_*. */
int mzc_compare_stream(const unsigned char *data, size_t size, const mzc_expected *expected, int processor,
                       const char **what);
/* The same by libjpeg's decoder, for streams of every kind; the error of the status where it cannot read the stream. */
int mzc_compare_by_library(const unsigned char *data, size_t size, const mzc_expected *expected, mzc_status *status,
                           const char **what);
/* One after the other. 0, or -1 with the status filled in. */
int mzc_check_written(const mzc_buffer *written, const mzc_expected *expected, const mzc_engine *engine,
                      mzc_status *status);
/* Frees the lists of rows. */
void mzc_forget_expected(mzc_expected *expected);

#endif

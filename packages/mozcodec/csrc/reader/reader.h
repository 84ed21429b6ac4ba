/* An entropy decoder for common streams, used instead of libjpeg's: Huffman, 8 bits, sequential or progressive, up to four
 * components.
 *
 * It reads the whole stream into libjpeg's coefficient arrays before the first pixel, and libjpeg goes on from there as if
 * it had read them itself. If the stream has anything that an undamaged one does not, the reader stops and the library decodes the
 * stream from its beginning, so that damage, errors and warnings are the library's. */
#ifndef MZC_READER_READER_H
#define MZC_READER_READER_H

struct mzc_decoder;
typedef struct mzc_reader mzc_reader;

/* Before jpeg_start_decompress, which then reads the stream. NULL, or why the library has to read it. */
const char *mzc_reader_begin(struct mzc_decoder *decoder);
/* After jpeg_start_decompress. NULL, or why the library has to start again. */
const char *mzc_reader_end(struct mzc_decoder *decoder);
void mzc_reader_free(mzc_reader *reader);

#endif

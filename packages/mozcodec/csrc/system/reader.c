/* The internals of an installed libmozjpeg are private: the library reads every stream. */
#include "../decode.h"

const char *mzc_reader_begin(mzc_decoder *decoder)
{
  (void)decoder;
  return "an installed libmozjpeg";
}

const char *mzc_reader_end(mzc_decoder *decoder)
{
  (void)decoder;
  return NULL;
}

void mzc_reader_free(mzc_reader *reader)
{
  (void)reader;
}

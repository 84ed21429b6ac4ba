/* The internals of an installed libmozjpeg are private: the library reads every stream. */
#include "../decode.h"
#include "../check.h"

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

int mzc_compare_stream(const unsigned char *data, size_t size, const mzc_expected *expected, int is_v3,
                       const char **what)
{
  (void)data, (void)size, (void)expected, (void)is_v3, (void)what;
  return MZC_UNCOVERED;
}

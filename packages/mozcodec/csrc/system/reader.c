/* The internals of an installed libmozjpeg are private: the library reads every stream. */
#include "../decode.h"
#include "../check.h"

const char *mzc_reader_begin(mzc_reader **reader, j_decompress_ptr cinfo, const mzc_reader_options *options)
{
  (void)reader, (void)cinfo, (void)options;
  return "an installed libmozjpeg";
}

const char *mzc_reader_end(mzc_reader **reader, size_t *rest)
{
  (void)reader, (void)rest;
  return NULL;
}

void mzc_reader_free(mzc_reader *reader)
{
  (void)reader;
}

int mzc_compare_stream(const unsigned char *data, size_t size, const mzc_expected *expected, int processor,
                       const char **what)
{
  (void)data, (void)size, (void)expected, (void)processor, (void)what;
  return MZC_UNCOVERED;
}

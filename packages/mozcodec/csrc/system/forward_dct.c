/* The DCT of an installed libmozjpeg is private, and wrong for some blocks that deringing has changed (static/forward_dct.c). */
#include "../shim.h"

void mzc_guard_dct(j_compress_ptr cinfo)
{
  (void)cinfo;
}

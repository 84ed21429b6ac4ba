/* The bit buffer of an installed libmozjpeg is private: bytes after the coded data of a scan count as damage. */
#include "../shim.h"

void mzc_watch_scan_ends(j_decompress_ptr cinfo)
{
  (void)cinfo;
}

/* One picture at several qualities: colour conversion, downsampling and the DCT once. */
#include "context.h"
#include <jdct.h>
#ifdef WITH_SIMD
#include <jsimd.h>
#include <jsimddct.h>
#endif

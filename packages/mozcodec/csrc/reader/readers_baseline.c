/* The entropy decoder for every processor of the platform. */
#define MZC_READERS mzc_readers_baseline
#include "entropy.c"

/* The reader's hot room for every processor of the platform. */
#define MZC_READERS mzc_readers_baseline
#include "hot.c"

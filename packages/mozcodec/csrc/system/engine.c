/* The internals of an installed libmozjpeg are private: there is no engine. */
#include "../shim.h"
#include "../engine/engine.h"

#define REASON "an installed libmozjpeg"

int mzc_engine_cpu(const char *requested)
{
  (void)requested;
  return 0;
}

mzc_engine *mzc_engine_new(int cpu)
{
  (void)cpu;
  return NULL;
}

void mzc_engine_free(mzc_engine *engine)
{
  (void)engine;
}

int mzc_engine_uses_v3(const mzc_engine *engine)
{
  (void)engine;
  return 0;
}

void mzc_engine_leave_unproven(mzc_engine *engine, int unproven)
{
  (void)engine;
  (void)unproven;
}

int mzc_engine_leaves_unproven(const mzc_engine *engine)
{
  (void)engine;
  return 0;
}

void mzc_engine_trim(mzc_engine *engine)
{
  (void)engine;
}

const char *mzc_engine_refuses(j_compress_ptr cinfo)
{
  (void)cinfo;
  return REASON;
}

const char *mzc_engine_refuses_coefficients(j_compress_ptr cinfo)
{
  (void)cinfo;
  return REASON;
}

void mzc_engine_begin(mzc_engine *engine, j_compress_ptr cinfo, int own_dct)
{
  (void)engine;
  (void)cinfo;
  (void)own_dct;
}

void mzc_engine_may_hand_over(mzc_engine *engine, int may)
{
  (void)engine;
  (void)may;
}

void mzc_engine_search_widely(mzc_engine *engine, int wide)
{
  (void)engine;
  (void)wide;
}

int mzc_engine_finish(mzc_engine *engine, j_compress_ptr cinfo)
{
  (void)engine;
  (void)cinfo;
  return -1;
}

int mzc_engine_write_coefficients(mzc_engine *engine, j_compress_ptr cinfo, jvirt_barray_ptr *coefficients)
{
  (void)engine;
  (void)cinfo;
  (void)coefficients;
  return -1;
}

mzc_transformed *mzc_transformed_new(void)
{
  return NULL;
}

void mzc_transformed_free(mzc_transformed *transformed)
{
  (void)transformed;
}

const char *mzc_transformed_refuses(j_compress_ptr cinfo)
{
  (void)cinfo;
  return REASON;
}

void mzc_transformed_begin(mzc_transformed *transformed, j_compress_ptr cinfo)
{
  (void)transformed;
  (void)cinfo;
}

void mzc_transformed_finish(mzc_transformed *transformed, j_compress_ptr cinfo)
{
  (void)transformed;
  (void)cinfo;
}

int mzc_transformed_fits(const mzc_transformed *transformed, j_compress_ptr cinfo)
{
  (void)transformed;
  (void)cinfo;
  return 0;
}

int mzc_engine_write_transformed(mzc_engine *engine, j_compress_ptr cinfo, const mzc_transformed *transformed)
{
  (void)engine;
  (void)cinfo;
  (void)transformed;
  return -1;
}

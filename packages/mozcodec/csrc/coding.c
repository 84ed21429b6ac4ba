/* Shared by everything that writes a file: metadata markers, and which engine codes the coefficients. */
#include "shim.h"
#include "engine/engine.h"

void mzc_write_markers(j_compress_ptr cinfo, const mzc_marker *markers, int num_markers)
{
  for (int i = 0; i < num_markers; i++)
    jpeg_write_marker(cinfo, markers[i].marker, markers[i].data, markers[i].size);
}

int mzc_choose_engine(int requested, const mzc_engine *engine, const char *reason, mzc_status *status)
{
  if (engine == NULL && reason == NULL)
    reason = "this build has no engine of its own";
  status->engine = requested == MZC_ENGINE_LIBRARY || reason ? MZC_ENGINE_LIBRARY : MZC_ENGINE_FAST;
  snprintf(status->engine_reason, sizeof status->engine_reason, "%s", requested != MZC_ENGINE_LIBRARY && reason ? reason : "");
  if (requested == MZC_ENGINE_FAST && reason)
    return mzc_fail(status, MZC_UNSUPPORTED, "engine \"fast\" does not cover %s", reason);
  return status->engine;
}

int mzc_decline_engine(int requested, const mzc_engine *engine, mzc_status *status)
{
  return mzc_choose_engine(requested, engine, "so large a picture, or coefficients out of range", status);
}

int mzc_finish_coefficients(j_compress_ptr cinfo, jvirt_barray_ptr *coefficients, int requested, mzc_engine *engine,
                            mzc_status *status)
{
  if (status->engine == MZC_ENGINE_FAST) {
    if (mzc_engine_write_coefficients(engine, cinfo, coefficients) == 0)
      return 0;
    if (mzc_decline_engine(requested, engine, status) < 0)
      return -1;
  }
  jpeg_finish_compress(cinfo);
  return 0;
}

/* Progressive files that lack some of their scans: libjpeg smooths over the coefficients and bits that were not sent, so a
 * file of the same coefficients has the same pixels only if it does not send them either. */
#include "smartscale.h"

int mzc_lacks_scans(const mzc_sent *sent, int num_components)
{
  for (int i = 0; i < num_components && i < 4; i++)
    for (int k = 0; k < DCTSIZE2; k++)
      if (sent->bits[i][k] != 0)
        return 1;
  return 0;
}

/* Zigzag position -> that of the transposed coefficient. */
static void transpose_zigzag(int *position)
{
  int natural[DCTSIZE2], place[DCTSIZE2];

  mzc_zigzag(8, natural);
  for (int k = 0; k < DCTSIZE2; k++)
    place[natural[k]] = k;
  for (int k = 0; k < DCTSIZE2; k++)
    position[k] = place[natural[k] % 8 * 8 + natural[k] / 8];
}

int mzc_note_sent(j_decompress_ptr cinfo, int transpose, mzc_sent *sent)
{
  int position[DCTSIZE2];

  transpose_zigzag(position);
  memset(sent, 0, sizeof *sent);
  for (int i = 0; i < cinfo->num_components && i < 4 && cinfo->coef_bits != NULL; i++)
    for (int k = 0; k < DCTSIZE2; k++)
      sent->bits[i][k] = (int8_t)cinfo->coef_bits[i][transpose ? position[k] : k];
  return mzc_lacks_scans(sent, cinfo->num_components);
}

static void add_scan(jpeg_scan_info *scan, int component, int Ss, int Se, int Al)
{
  memset(scan, 0, sizeof *scan);
  scan->comps_in_scan = 1;
  scan->component_index[0] = component;
  scan->Ss = Ss;
  scan->Se = Se;
  scan->Al = Al;
}

int mzc_keep_gaps(j_compress_ptr cinfo, const mzc_sent *sent)
{
  jpeg_scan_info *scans;
  int n = 0;

  if (cinfo->num_components > 4 || !mzc_lacks_scans(sent, cinfo->num_components))
    return 0;
  for (int i = 0; i < cinfo->num_components; i++)
    if (sent->bits[i][0] < 0)
      return -1;   /* a component without any scan: no script can express that */
  scans = cinfo->mem->alloc_small((j_common_ptr)cinfo, JPOOL_IMAGE,
                                  (size_t)cinfo->num_components * DCTSIZE2 * sizeof *scans);
  for (int i = 0; i < cinfo->num_components; i++)
    add_scan(&scans[n++], i, 0, 0, sent->bits[i][0]);
  for (int i = 0; i < cinfo->num_components; i++)
    for (int k = 1, end; k < DCTSIZE2; k = end) {
      for (end = k + 1; end < DCTSIZE2 && sent->bits[i][end] == sent->bits[i][k]; end++)
        ;
      if (sent->bits[i][k] >= 0)
        add_scan(&scans[n++], i, k, end - 1, sent->bits[i][k]);
    }
  cinfo->scan_info = scans;
  cinfo->num_scans = n;
  jpeg_c_set_bool_param(cinfo, JBOOLEAN_OPTIMIZE_SCANS, FALSE);
  return 0;
}

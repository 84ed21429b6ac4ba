/* Decoding at 1/8 needs only the DC coefficients of the components that have one pixel for each block. A progressive file
 * has the others in separate scans, which are removed here before libjpeg reads the stream. The pixels are the same. */
#include "decode.h"
#include "stream.h"

typedef struct {
  int components;               /* in the scan */
  int ids[4];
  int Ss, Se, Ah, Al;
} scan_header;

static int parse_scan(const mzc_segment *segment, scan_header *scan)
{
  const unsigned char *p = segment->data + segment->content;

  scan->components = segment->content_size > 0 ? p[0] : 0;
  if (scan->components < 1 || scan->components > 4 || segment->content_size != (size_t)(4 + 2 * scan->components))
    return -1;
  for (int i = 0; i < scan->components; i++)
    scan->ids[i] = p[1 + 2 * i];
  p += 1 + 2 * scan->components;
  scan->Ss = p[0];
  scan->Se = p[1];
  scan->Ah = p[2] >> 4;
  scan->Al = p[2] & 15;
  return scan->Se > 63 || scan->Ss > scan->Se ? -1 : 0;
}

static int index_of(j_decompress_ptr cinfo, int id)
{
  for (int i = 0; i < cinfo->num_components; i++)
    if (cinfo->comp_info[i].component_id == id)
      return i;
  return -1;
}

/* A scan of AC coefficients belongs to one component; is it one that comes out at one pixel a block? */
static int superfluous(j_decompress_ptr cinfo, const scan_header *scan)
{
  int i = scan->components == 1 && scan->Ss > 0 ? index_of(cinfo, scan->ids[0]) : -1;
  return i >= 0 && cinfo->comp_info[i].DCT_scaled_size == 1;
}

/* The component ids of a frame header; returns their number. */
static int frame_ids(const mzc_segment *s, int *ids)
{
  const unsigned char *p = s->data + s->content;
  int n = s->content_size >= 6 ? p[5] : 0;

  if (n > MAX_COMPONENTS || s->content_size < 6 + 3 * (size_t)n)
    return 0;
  for (int i = 0; i < n; i++)
    ids[i] = p[6 + 3 * i];
  return n;
}

int mzc_sends_everything(const unsigned char *data, size_t size)
{
  signed char bits[MAX_COMPONENTS][DCTSIZE2];
  int ids[MAX_COMPONENTS], num_components = 0, progressive = 0;
  mzc_segment segment;
  scan_header scan;

  memset(bits, -1, sizeof bits);
  mzc_segments(&segment, data, size);
  while (mzc_next_segment(&segment)) {
    if (mzc_is_sof(segment.marker)) {
      num_components = frame_ids(&segment, ids);
      progressive = segment.marker == M_SOF2 || segment.marker == M_SOF10;
    }
    if (segment.marker != M_SOS)
      continue;
    if (parse_scan(&segment, &scan) &&
        (progressive || scan.components < 1 || scan.components > 4 ||
         segment.content_size != (size_t)(4 + 2 * scan.components)))
      return 0;
    if (!progressive) {   /* a scan sends all of its components, whatever it says of coefficients */
      scan.Ss = scan.Al = 0;
      scan.Se = DCTSIZE2 - 1;
    }
    for (int i = 0; i < scan.components; i++) {
      int component = 0;

      if (scan.components == num_components)   /* in order: ids may repeat */
        component = i;
      while (component < num_components && ids[component] != scan.ids[i])
        component++;
      if (component == num_components)
        return 0;
      for (int k = scan.Ss; k <= scan.Se; k++)
        bits[component][k] = (signed char)scan.Al;
    }
  }
  for (int i = 0; i < num_components; i++)
    for (int k = 0; k < DCTSIZE2; k++)
      if (bits[i][k] != 0)
        return 0;
  return num_components > 0;
}

/* Whether the file has an end and sends everything. Else libjpeg smooths between blocks, and only the whole stream gives
 * its pixels. */
static int is_whole(const unsigned char *data, size_t size)
{
  mzc_segment segment;

  mzc_segments(&segment, data, size);
  while (mzc_next_segment(&segment))
    ;
  return segment.marker == M_EOI && mzc_sends_everything(data, size);
}

unsigned char *mzc_drop_scans(j_decompress_ptr cinfo, const unsigned char *data, size_t size, size_t *new_size)
{
  unsigned char *kept;
  size_t at = 0, n = 0;
  mzc_segment segment;
  scan_header scan;

  if (!cinfo->progressive_mode || cinfo->min_DCT_scaled_size != 1 || !is_whole(data, size))
    return NULL;
  kept = malloc(size);
  if (kept == NULL)
    return NULL;
  mzc_segments(&segment, data, size);
  while (mzc_next_segment(&segment)) {
    if (segment.marker != M_SOS || parse_scan(&segment, &scan) || !superfluous(cinfo, &scan))
      continue;
    memcpy(kept + n, data + at, segment.start - at);
    n += segment.start - at;
    at = segment.end;
  }
  memcpy(kept + n, data + at, size - at);
  *new_size = n + size - at;
  return kept;
}

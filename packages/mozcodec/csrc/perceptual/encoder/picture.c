/* Planes of float samples: from pixels, and back as decoders see them. */
#include "encoder.h"

/* Share of the luma correction that is applied: with all of it, metrics of luma alone lose more than
 * SSIMULACRA2 gains. */
#define CORRECTION 0.8f

void *mzc_picture_memory(mzc_perceptual_picture *p, size_t count, size_t size)
{
  void *memory = count > SIZE_MAX / size ? NULL : malloc(count * size);

  if (memory == NULL)
    ERREXIT1(p->cinfo, JERR_OUT_OF_MEMORY, 30);
  return memory;
}

static void *zeroed_memory(mzc_perceptual_picture *p, size_t count, size_t size)
{
  return memset(mzc_picture_memory(p, count, size), 0, count * size);
}

void mzc_plane_free(mzc_plane *plane)
{
  free(plane->samples);
  free(plane->decoded);
  free(plane->lambda_scale);
  plane->samples = NULL;
  plane->decoded = NULL;
  plane->lambda_scale = NULL;
}

void mzc_picture_free(mzc_perceptual_picture *p)
{
  for (int c = 0; c < 3; c++)
    mzc_plane_free(&p->plane[c]);
  free(p->rows);
  free(p->coefficients);
}

static void make_rows(mzc_perceptual_picture *p)
{
  /* rows that functions write in steps, and a vector more */
  size_t length = ((size_t)p->source.width + 2 * DCTSIZE + 15) / 16 * 16 + 2 * MZC_ROW_MARGIN;
  float **row[] = { &p->rgb[0], &p->rgb[1], &p->rgb[2], &p->chroma[0], &p->chroma[1], &p->down };
  enum { NUM_ROWS = sizeof row / sizeof *row };

  p->rows = zeroed_memory(p, length * (NUM_ROWS + 2 * DCTSIZE), sizeof *p->rows);
  for (int i = 0; i < NUM_ROWS; i++)
    *row[i] = p->rows + i * length + MZC_ROW_MARGIN;
  p->blocks = p->rows + NUM_ROWS * length;
  p->coefficients = zeroed_memory(p, ((size_t)p->plane[0].blocks_wide + 7) / 8 * 8 * DCTSIZE2,
                                  sizeof *p->coefficients);
}

static void make_plane(mzc_perceptual_picture *p, int c)
{
  const jpeg_component_info *info = &p->cinfo->comp_info[c];
  const UINT16 *table = p->cinfo->quant_tbl_ptrs[info->quant_tbl_no]->quantval;
  mzc_plane *plane = &p->plane[c];
  int h = c ? p->h : 1, v = c ? p->v : 1;

  plane->width = (p->source.width + h - 1) / h;
  plane->height = (p->source.height + v - 1) / v;
  plane->blocks_wide = (int)info->width_in_blocks;
  plane->blocks_high = (int)info->height_in_blocks;
  plane->row_length = (size_t)plane->blocks_wide * DCTSIZE;
  plane->samples = mzc_picture_memory(p, plane->row_length * plane->blocks_high * DCTSIZE, sizeof *plane->samples);
  for (int k = 0; k < DCTSIZE2; k++) {
    plane->step[k] = table[k];
    plane->reciprocal[k] = 1.0f / table[k];
  }
}

static void pad(const mzc_plane *plane, int y)
{
  float *row = plane->samples + y * plane->row_length;

  for (size_t x = plane->width; x < plane->row_length; x++)
    row[x] = row[plane->width - 1];
}

static void pad_below(const mzc_plane *plane)
{
  const float *last = plane->samples + (plane->height - 1) * plane->row_length;

  for (int y = plane->height; y < plane->blocks_high * DCTSIZE; y++)
    memcpy(plane->samples + y * plane->row_length, last, plane->row_length * sizeof *last);
}

/* Adds a row at full width to the chroma row above it in the image: means of h x v, the last column and row repeated. */
static void add_chroma(const mzc_perceptual_picture *p, const mzc_plane *plane, int y, float *row)
{
  int is_first = y % p->v == 0;
  float share = 1.0f / (p->h * p->v);

  if (p->v == 2 && is_first && y == p->source.height - 1)
    share *= 2;                    /* it counts for the missing row too */
  row[p->source.width] = row[p->source.width - 1];
  p->f->add_means(row, p->h, share, !is_first, plane->samples + y / p->v * plane->row_length, plane->width);
}

void mzc_picture_fill(mzc_perceptual_picture *p)
{
  for (int c = 0; c < p->num_components; c++)
    make_plane(p, c);
  make_rows(p);
  for (int y = 0; y < p->source.height; y++) {
    float *luma = p->plane[0].samples + y * p->plane[0].row_length;

    mzc_source_samples(&p->source, y, p->rgb);
    if (p->num_components == 1) {
      memcpy(luma, p->rgb[0], p->source.width * sizeof *luma);
    } else {
      p->f->to_ycc((const float *const *)p->rgb, luma, p->chroma[0], p->chroma[1], p->source.width);
      for (int c = 1; c < 3; c++)
        add_chroma(p, &p->plane[c], y, p->chroma[c - 1]);
    }
  }
  for (int c = 0; c < p->num_components; c++) {
    for (int y = 0; y < p->plane[c].height; y++)
      pad(&p->plane[c], y);
    pad_below(&p->plane[c]);
  }
}

void mzc_upsample_row(const mzc_perceptual_picture *p, int component, int y, float *out)
{
  const mzc_plane *plane = &p->plane[component];
  int near = y / p->v, other = p->v == 1 ? near : y % 2 ? near + 1 : near - 1;

  other = other < 0 ? 0 : other < plane->height ? other : plane->height - 1;
  p->f->upsample(plane->decoded + near * plane->row_length, plane->decoded + other * plane->row_length, p->h, p->down, out,
                 plane->width);
}

void mzc_picture_correct_luma(mzc_perceptual_picture *p)
{
  mzc_plane *luma = &p->plane[0];

  for (int y = 0; y < p->source.height; y++) {
    mzc_source_samples(&p->source, y, p->rgb);
    mzc_upsample_row(p, 1, y, p->chroma[0]);
    mzc_upsample_row(p, 2, y, p->chroma[1]);
    p->f->correct_luma((const float *const *)p->rgb, p->chroma[0], p->chroma[1], luma->samples + y * luma->row_length,
                       CORRECTION, p->source.width);
    pad(luma, y);
  }
  pad_below(luma);
}

/* One image at several qualities: colour conversion, downsampling and the DCT once.
 *
 * Deringing depends on the DC quantizer step and changes only blocks with a sample 255: those keep their samples, and the
 * library transforms them again for each quality. */
#include "context.h"

typedef struct {
  uint32_t column, row;          /* of blocks */
  JSAMPLE sample[DCTSIZE2];
} white_block;

typedef struct {
  int width, height, h_samp_factor, v_samp_factor;   /* in blocks */
  size_t row_length;             /* values of a row of blocks, padded to groups of 8 blocks */
  JCOEF *raw;
  white_block *white;
  size_t raw_capacity, num_white, white_capacity;
} plane;

struct mzc_transformed {
  struct jpeg_c_coef_controller controller, *library_controller;
  int num_components, row;
  plane plane[MZC_MAX_COMPONENTS];
};

mzc_transformed *mzc_transformed_new(void)
{
  return calloc(1, sizeof(mzc_transformed));
}

void mzc_transformed_free(mzc_transformed *t)
{
  if (t == NULL)
    return;
  for (int c = 0; c < MZC_MAX_COMPONENTS; c++) {
    free(t->plane[c].raw);
    free(t->plane[c].white);
  }
  free(t);
}

/* Kept coefficients are 2 bytes a sample: larger images are transformed again instead. */
enum { MOST_PIXELS = 1 << 24 };

const char *mzc_transformed_refuses(j_compress_ptr cinfo)
{
  if (cinfo->data_precision != 8 || cinfo->master->lossless)
    return "samples of more than 8 bits, or lossless JPEG";
  if (cinfo->dct_method != JDCT_ISLOW || !mzc_simd_dct_available())
    return "another DCT than the SIMD one";
  if (mzc_is_onepass(cinfo))
    return "a file of one pass, which needs the samples";
  if (cinfo->num_components > MZC_MAX_COMPONENTS)
    return "more than four components";
  if ((size_t)cinfo->image_width * cinfo->image_height > MOST_PIXELS)
    return "more than 16 million pixels";
  return NULL;
}

/* One row of blocks of one component. */
static void keep_row(j_compress_ptr cinfo, plane *p, int row, JSAMPARRAY rows)
{
  for (int b = 0; b < p->width; b++) {
    JCOEF *out = p->raw + row * p->row_length + (size_t)b * DCTSIZE2;

    if (!mzc_has_white(rows, (JDIMENSION)b * DCTSIZE)) {
      mzc_transform_block(rows, (JDIMENSION)b * DCTSIZE, out);
      continue;
    }
    MZC_RESERVE(cinfo, p->white, p->white_capacity, p->num_white + 1);
    p->white[p->num_white].column = (uint32_t)b;
    p->white[p->num_white].row = (uint32_t)row;
    for (int y = 0; y < DCTSIZE; y++)
      memcpy(p->white[p->num_white].sample + y * DCTSIZE, rows[y] + (size_t)b * DCTSIZE, DCTSIZE);
    p->num_white++;
  }
}

static boolean keep_samples(j_compress_ptr cinfo, JSAMPIMAGE input)
{
  mzc_transformed *t = (mzc_transformed *)((char *)cinfo->coef - offsetof(mzc_transformed, controller));

  for (int c = 0; c < t->num_components; c++) {
    plane *p = &t->plane[c];

    for (int y = 0; y < p->v_samp_factor; y++) {
      int row = t->row * p->v_samp_factor + y;
      if (row < p->height)
        keep_row(cinfo, p, row, input[c] + y * DCTSIZE);
    }
  }
  t->row++;
  return TRUE;
}

void mzc_transformed_begin(mzc_transformed *t, j_compress_ptr cinfo)
{
  t->num_components = cinfo->num_components;
  t->row = 0;
  for (int c = 0; c < t->num_components; c++) {
    const jpeg_component_info *info = &cinfo->comp_info[c];
    plane *p = &t->plane[c];

    p->width = info->width_in_blocks;
    p->height = info->height_in_blocks;
    p->h_samp_factor = info->h_samp_factor;
    p->v_samp_factor = info->v_samp_factor;
    p->row_length = (size_t)(p->width + 7) / 8 * 8 * DCTSIZE2;
    p->num_white = 0;
    MZC_RESERVE(cinfo, p->raw, p->raw_capacity, p->row_length * p->height);
    memset(p->raw, 0, p->row_length * p->height * sizeof *p->raw);   /* the padding is read, not used */
  }
  t->library_controller = cinfo->coef;
  t->controller = *cinfo->coef;
  t->controller.compress_data = keep_samples;
  cinfo->coef = &t->controller;
}

void mzc_transformed_finish(mzc_transformed *t, j_compress_ptr cinfo)
{
  cinfo->coef = t->library_controller;
  jpeg_abort((j_common_ptr)cinfo);
}

/* libjpeg derives the size of a component from the image's size and the factors. */
int mzc_transformed_fits(const mzc_transformed *t, j_compress_ptr cinfo)
{
  int fits = cinfo->num_components == t->num_components && cinfo->dct_method == JDCT_ISLOW && !mzc_is_onepass(cinfo);

  for (int c = 0; fits && c < t->num_components; c++)
    fits = cinfo->comp_info[c].h_samp_factor == t->plane[c].h_samp_factor &&
           cinfo->comp_info[c].v_samp_factor == t->plane[c].v_samp_factor;
  return fits;
}

/* Coefficients of a row: as they are kept, or a copy with its white blocks transformed for this quality. */
static const JCOEF *row_of(mzc_engine *e, const plane *p, int component, int row, size_t *white)
{
  j_compress_ptr cinfo = e->cinfo;
  const JCOEF *kept = p->raw + row * p->row_length;

  if (*white == p->num_white || p->white[*white].row != (uint32_t)row)
    return kept;
  memcpy(e->raw, kept, p->row_length * sizeof *kept);
  for (; *white < p->num_white && p->white[*white].row == (uint32_t)row; ++*white) {
    const white_block *w = &p->white[*white];
    JSAMPROW rows[DCTSIZE];

    for (int y = 0; y < DCTSIZE; y++)
      rows[y] = (JSAMPROW)w->sample + y * DCTSIZE;
    (*cinfo->fdct->forward_DCT)(cinfo, &cinfo->comp_info[component], rows, (JBLOCKROW)e->quantized, 0, 0, 1,
                                (JBLOCKROW)(e->raw + (size_t)w->column * DCTSIZE2));
  }
  return e->raw;
}

int mzc_engine_write_transformed(mzc_engine *e, j_compress_ptr cinfo, const mzc_transformed *t)
{
  int result = -1;

  mzc_choose_mode(e, cinfo, 0);
  mzc_setup(e, cinfo);
  e->declined |= e->plain_from_library;   /* that needs the samples */
  for (int c = 0; c < e->num_components && !e->declined; c++) {
    size_t white = 0;

    for (int row = 0; row < e->component[c].height && !e->declined; row++)
      mzc_read_blocks(e, c, row, row_of(e, &t->plane[c], c, row, &white));
  }
  if (!e->declined)
    result = mzc_write_picture(e);
  jpeg_abort((j_common_ptr)cinfo);
  return result;
}

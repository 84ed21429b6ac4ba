/* SSIMULACRA2 (https://github.com/cloudinary/ssimulacra2, version 2.1): weights and constants are those of its source,
 * see licenses/ssimulacra2. The image is processed in rows: each row of a scale is converted and blurred across as it
 * comes, the rows around one are blurred into a row of means, and a row of means gives its share of the sums. What
 * remains in memory are the smaller scales.
 *
 * The derivative runs the same way once more, when the sums are known: a row of means gives derivatives with respect to
 * the means, which the same blur (it is symmetric) takes back to the pixels, four rows later. */
#include <math.h>

#include "ssimulacra2.h"
#include "numbers.h"

enum { NUM_SCALES = 6, CHANNELS = 3, MEANS = 4, RADIUS = MZC_BLUR_RADIUS };
enum { WINDOW = MZC_RECURSION_ABOVE + RADIUS + 1 };   /* rows that are kept */
enum { REFERENCE, DISTORTED, PICTURES };
enum { MEAN_REFERENCE, MEAN_DISTORTED, MEAN_SQUARES, MEAN_PRODUCT };

/* Of each sub-score, in the order channel, scale, norm (1, 4), error map (structure, ringing, blurring). Where an image
 * is too small for six scales, the published program reads the weights without gaps, and so does this one. */
static const double weight[108] = {
  0, 0.0007376606707406586, 0, 0, 0.0007793481682867309, 0,
  0, 0.0004371155730107379, 0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
  0, 0.0016406437456599754, 0, 1.8422455520539298, 11.441172603757666, 0,
  0.0007989109436015163, 0.000176816438078653, 0, 1.8787594979546387, 10.94906990605142, 0,
  0.0007289346991508072, 0.9677937080626833, 0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
  0.0004550992113792063, 0, 0, 0.0013648766163243398, 0, 0,
  0, 0, 0, 7.466890328078848, 0, 17.445833984131262,
  0.0006235601634041466, 0, 0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264,
  225.20515300849274, 0, 0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
  176.39317598450694, 0, 0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
  0, 0, 0, 34.77906344483772, 44.835625328877896, 0,
  0, 0, 0, 0, 0, 0,
  0, 0.0008680556573291698, 0, 0, 0, 0,
  0, 0.0005313191874358747, 0, 0.00016533814161379112, 0, 0,
  0, 0, 0, 0.0004179171803251336, 0.0017290828234722833, 0,
  0.0020827005846636437, 0, 0, 8.826982764996862, 23.19243343998926, 0,
  95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307, 0.9807858872435379,
  0, 0, 0, 0.0005130064588990679, 0, 0.00010854057858411537
};

typedef float *ring[WINDOW];

typedef struct {
  int width, height;
  size_t row_length;                           /* of planes, margins included */
  float *linear[PICTURES][CHANNELS];           /* but of the first scale, whose rows come from the sources */
  float *slope[CHANNELS];                      /* of the error with respect to linear[DISTORTED] */
  mzc_error_sums sums[CHANNELS];
  mzc_error_slopes slopes[CHANNELS];
} scale;

typedef struct {
  const mzc_row_functions *f;
  const mzc_source *source[PICTURES];
  int recursive;                               /* blur as the published program does */
  int num_scales;
  scale scales[NUM_SCALES];
  float *memory, *next;                        /* of all rows below */
  size_t row_length;

  float *zero;
  float *linear[PICTURES][2][CHANNELS];        /* even and odd rows */
  ring channel[PICTURES][CHANNELS];
  ring blurred[CHANNELS][MEANS];               /* across */
  float *state[CHANNELS][MEANS][2][MZC_NUM_STATES];   /* of the recursive blur, of even and odd rows */
  float *squares, *product, *mean[MEANS], *scratch[3];
  ring direct[CHANNELS], back[CHANNELS][3];    /* derivatives with respect to the means, blurred across */
  float *to_mean[3], *gathered[CHANNELS], *to_linear[CHANNELS];
} comparison;

static float *new_row(comparison *c)
{
  float *row = c->next + MZC_ROW_MARGIN;

  c->next += c->row_length;
  return row;
}

static size_t length_of_row(int width)
{
  return ((size_t)width + 7) / 8 * 8 + 2 * MZC_ROW_MARGIN;
}

static void new_ring(comparison *c, ring r)
{
  for (int i = 0; i < WINDOW; i++)
    r[i] = new_row(c);
}

enum {
  NUM_ROWS = 1 + (PICTURES * 2 + PICTURES * WINDOW + MEANS * WINDOW + MEANS * 2 * MZC_NUM_STATES + 1) * CHANNELS + 2 + MEANS,
  NUM_ADJOINT_ROWS = (WINDOW + 3 * WINDOW + 3) * CHANNELS
};

static int make_rows(comparison *c, int adjoint)
{
  c->row_length = length_of_row(c->scales[0].width);
  c->memory = c->next = calloc((NUM_ROWS + (adjoint ? NUM_ADJOINT_ROWS : 0)) * c->row_length, sizeof *c->memory);
  if (c->memory == NULL)
    return -1;
  c->zero = new_row(c);
  for (int i = 0; i < CHANNELS; i++) {
    for (int p = 0; p < PICTURES; p++) {
      c->linear[p][0][i] = new_row(c);
      c->linear[p][1][i] = new_row(c);
      new_ring(c, c->channel[p][i]);
    }
    for (int m = 0; m < MEANS; m++) {
      new_ring(c, c->blurred[i][m]);
      for (int k = 0; k < 2 * MZC_NUM_STATES; k++)
        c->state[i][m][k / MZC_NUM_STATES][k % MZC_NUM_STATES] = new_row(c);
    }
    c->scratch[i] = new_row(c);
  }
  c->squares = new_row(c);
  c->product = new_row(c);
  for (int m = 0; m < MEANS; m++)
    c->mean[m] = new_row(c);
  for (int i = 0; adjoint && i < CHANNELS; i++) {
    new_ring(c, c->direct[i]);
    for (int m = 0; m < 3; m++)
      new_ring(c, c->back[i][m]);
    c->to_mean[i] = new_row(c);
    c->gathered[i] = new_row(c);
    c->to_linear[i] = new_row(c);
  }
  return 0;
}

/* A narrower scale uses the front of the same buffers: what lies behind its rows has to be zero again. */
static void clear_rows(comparison *c)
{
  memset(c->memory, 0, (size_t)(c->next - c->memory) * sizeof *c->memory);
}

static float *plane_row(const scale *s, float *plane, int y)
{
  return plane + y * s->row_length + MZC_ROW_MARGIN;
}

static int make_scales(comparison *c, int adjoint)
{
  int width = c->source[0]->width, height = c->source[0]->height;

  for (int n = 0; n < NUM_SCALES && width >= MZC_SSIMULACRA2_SMALLEST && height >= MZC_SSIMULACRA2_SMALLEST; n++) {
    scale *s = &c->scales[n];

    s->width = width;
    s->height = height;
    s->row_length = length_of_row(width);
    c->num_scales = n + 1;
    for (int i = 0; n > 0 && i < CHANNELS; i++) {
      for (int p = 0; p < PICTURES; p++)
        if ((s->linear[p][i] = calloc(s->row_length * height, sizeof(float))) == NULL)
          return -1;
      if (adjoint && (s->slope[i] = malloc(s->row_length * height * sizeof(float))) == NULL)
        return -1;
    }
    width = (width + 1) / 2;
    height = (height + 1) / 2;
  }
  return 0;
}

static void free_comparison(comparison *c)
{
  free(c->memory);
  for (int n = 0; n < c->num_scales; n++)
    for (int i = 0; i < CHANNELS; i++) {
      free(c->scales[n].linear[REFERENCE][i]);
      free(c->scales[n].linear[DISTORTED][i]);
      free(c->scales[n].slope[i]);
    }
}

/* ---- forward ------------------------------------------------------------------------------------------------------ */

static void linear_row(comparison *c, int n, int p, int y, float **row)
{
  const scale *s = &c->scales[n];

  if (n == 0) {
    mzc_source_linear(c->source[p], y, c->linear[p][y % 2]);
    memcpy(row, c->linear[p][y % 2], CHANNELS * sizeof *row);
  } else {
    for (int i = 0; i < CHANNELS; i++)
      row[i] = plane_row(s, s->linear[p][i], y);
  }
}

/* Rows of the next scale, as soon as both rows under one are there. */
static void halve_rows(comparison *c, int n, int p, int y, float *const *row)
{
  const scale *s = &c->scales[n], *smaller = s + 1;
  int last = y == s->height - 1;

  if (n + 1 == c->num_scales || (y % 2 == 0 && !last))
    return;
  for (int i = 0; i < CHANNELS; i++) {
    const float *upper = y % 2 == 0 ? row[i] : n == 0 ? c->linear[p][0][i] : plane_row(s, s->linear[p][i], y - 1);
    c->f->halve(upper, row[i], plane_row(smaller, smaller->linear[p][i], y / 2), s->width);
  }
}

/* Stores row y of a scale in the ring buffers; beyond the image there are zeros. */
static void take_row(comparison *c, int n, int y, int with_smaller)
{
  const scale *s = &c->scales[n];
  int slot = y % WINDOW, width = s->width;
  float *row[CHANNELS], *channel[CHANNELS];

  if (y >= s->height) {
    for (int i = 0; i < CHANNELS; i++)
      for (int m = 0; m < MEANS; m++)
        memset(c->blurred[i][m][slot], 0, width * sizeof(float));
    return;
  }
  for (int p = 0; p < PICTURES; p++) {
    for (int i = 0; i < CHANNELS; i++)
      channel[i] = c->channel[p][i][slot];
    linear_row(c, n, p, y, row);
    c->f->opsin((const float *const *)row, channel, width);
    if (with_smaller)
      halve_rows(c, n, p, y, row);
  }
  for (int i = 0; i < CHANNELS; i++) {
    const float *a = c->channel[REFERENCE][i][slot], *b = c->channel[DISTORTED][i][slot];

    c->f->products(a, b, c->squares, c->product, width);
    c->f->blur_across(a, c->blurred[i][MEAN_REFERENCE][slot], width);
    c->f->blur_across(b, c->blurred[i][MEAN_DISTORTED][slot], width);
    c->f->blur_across(c->squares, c->blurred[i][MEAN_SQUARES][slot], width);
    c->f->blur_across(c->product, c->blurred[i][MEAN_PRODUCT][slot], width);
  }
}

/* The rows around y, those above the image as zeros. */
static void blur_ring(const comparison *c, float *const *r, int y, float *out, int width)
{
  const float *rows[MZC_BLUR_ROWS];

  for (int k = -RADIUS; k <= RADIUS; k++)
    rows[k + RADIUS] = y + k < 0 ? c->zero : r[(y + k) % WINDOW];
  c->f->blur_down(rows, out, width);
}

/* Means of row y; the recursive blur must be called for every row from -RADIUS on. */
static mzc_compared_row means_of_row(comparison *c, int n, int channel, int y)
{
  int width = c->scales[n].width, parity = (y + RADIUS) % 2;

  for (int m = 0; m < MEANS; m++) {
    ring *r = &c->blurred[channel][m];

    if (c->recursive)
      c->f->blur_down_recursively(y < MZC_RECURSION_ABOVE ? c->zero : (*r)[(y - MZC_RECURSION_ABOVE) % WINDOW],
                                  (*r)[(y + RADIUS) % WINDOW], c->state[channel][m][parity],
                                  c->state[channel][m][1 - parity], c->mean[m], width);
    else if (y >= 0)
      blur_ring(c, *r, y, c->mean[m], width);
  }
  if (y < 0)
    return (mzc_compared_row){ NULL };
  return (mzc_compared_row){
    c->channel[REFERENCE][channel][y % WINDOW], c->channel[DISTORTED][channel][y % WINDOW],
    c->mean[MEAN_REFERENCE], c->mean[MEAN_DISTORTED], c->mean[MEAN_SQUARES], c->mean[MEAN_PRODUCT]
  };
}

static void sum_errors(comparison *c, int n)
{
  scale *s = &c->scales[n];

  clear_rows(c);
  for (int y = 0; y < s->height + RADIUS; y++) {
    take_row(c, n, y, 1);
    for (int i = 0; i < CHANNELS; i++) {
      mzc_compared_row row = means_of_row(c, n, i, y - RADIUS);
      if (y >= RADIUS)
        c->f->compare(&row, c->scratch, &s->sums[i], s->width);
    }
  }
}

static double fourth_root(double x)
{
  return sqrt(sqrt(x));
}

/* The weighted error; and how much each sum's terms count in it. */
static double weigh(comparison *c)
{
  double error = 0;

  for (int i = 0; i < CHANNELS; i++)
    for (int n = 0; n < c->num_scales; n++) {
      /* Where an image has fewer scales, the published program takes the weights one after the other, those of the
       * missing scales too. Its score is kept, but no derivative of such a sum helps. */
      const double *w = weight + 6 * (i * (c->recursive ? c->num_scales : NUM_SCALES) + n);
      scale *s = &c->scales[n];
      double share = 1.0 / ((double)s->width * s->height);

      for (int m = 0; m < 3; m++) {
        double norm = fourth_root(s->sums[i].fourth[m] * share);

        error += w[m] * (s->sums[i].sum[m] * share) + w[3 + m] * norm;
        s->slopes[i].slope[m] = (float)(w[m] * share);
        s->slopes[i].cubic[m] = norm > 0 ? (float)(w[3 + m] * share / (norm * norm * norm)) : 0;
      }
    }
  return error;
}

double mzc_score_of_error(double error)
{
  double s = error * 0.9562382616834844;

  s = 2.326765642916932 * s - 0.020884521182843837 * s * s + 6.248496625763138e-05 * s * s * s;
  return s > 0 ? 100 - 10 * mzc_power(s, 0.6276336467831387) : 100;
}

/* ---- backward ----------------------------------------------------------------------------------------------------- */

/* Derivatives with respect to the means of row y, blurred across. */
static void differentiate_row(comparison *c, int n, int y)
{
  const scale *s = &c->scales[n];
  int slot = y % WINDOW;

  for (int i = 0; i < CHANNELS; i++) {
    mzc_compared_row row;

    if (y >= s->height) {
      for (int m = 0; m < 3; m++)
        memset(c->back[i][m][slot], 0, s->width * sizeof(float));
      continue;
    }
    row = means_of_row(c, n, i, y);
    c->f->compare_adjoint(&row, &s->slopes[i], c->direct[i][slot], c->to_mean[0], c->to_mean[1], c->to_mean[2], s->width);
    for (int m = 0; m < 3; m++)
      c->f->blur_across(c->to_mean[m], c->back[i][m][slot], s->width);
  }
}

/* Adds the derivatives by way of the next scale, whose pixels are means of 2 x 2; the last value of an odd row or
 * column counts twice. */
static void add_smaller(comparison *c, int n, int y)
{
  const scale *s = &c->scales[n], *smaller = s + 1;
  float share = y == s->height - 1 && y % 2 == 0 ? 0.5f : 0.25f;

  if (n + 1 == c->num_scales)
    return;
  for (int i = 0; i < CHANNELS; i++) {
    const float *from = plane_row(smaller, smaller->slope[i], y / 2);
    float *to = c->to_linear[i];

    for (int x = 0; x < s->width / 2; x++) {
      to[2 * x] += share * from[x];
      to[2 * x + 1] += share * from[x];
    }
    if (s->width % 2)
      to[s->width - 1] += 2 * share * from[s->width / 2];
  }
}

/* The derivative with respect to row y of the linear image; the rows around it have been differentiated. */
static void gather_row(comparison *c, int n, int y)
{
  const scale *s = &c->scales[n];
  const float *channel[CHANNELS];
  int slot = y % WINDOW;

  for (int i = 0; i < CHANNELS; i++) {
    for (int m = 0; m < 3; m++)
      blur_ring(c, c->back[i][m], y, c->to_mean[m], s->width);
    channel[i] = c->channel[DISTORTED][i][slot];
    c->f->gather_adjoint(c->direct[i][slot], c->to_mean[0], c->to_mean[1], c->to_mean[2], c->channel[REFERENCE][i][slot],
                         channel[i], c->gathered[i], s->width);
  }
  c->f->opsin_adjoint(channel, (const float *const *)c->gathered, c->to_linear, s->width);
  add_smaller(c, n, y);
}

static void differentiate(comparison *c, int n, mzc_take_slopes *take, void *context)
{
  const scale *s = &c->scales[n];

  clear_rows(c);
  for (int t = 0; t < s->height + 2 * RADIUS; t++) {
    int y = t - 2 * RADIUS;

    take_row(c, n, t, 0);
    if (t >= RADIUS)
      differentiate_row(c, n, t - RADIUS);
    if (y < 0)
      continue;
    gather_row(c, n, y);
    if (n > 0) {
      for (int i = 0; i < CHANNELS; i++)
        memcpy(plane_row(s, s->slope[i], y), c->to_linear[i], s->width * sizeof(float));
    } else {
      mzc_source_scale_slopes(c->source[DISTORTED], y, c->to_linear);
      take(context, y, (const float *const *)c->to_linear);
    }
  }
}

int mzc_compare_pictures(const mzc_source *reference, const mzc_source *distorted, double *error, mzc_take_slopes *take,
                         void *context)
{
  comparison c;

  memset(&c, 0, sizeof c);
  c.f = reference->functions;
  c.recursive = take == NULL;
  c.source[REFERENCE] = reference;
  c.source[DISTORTED] = distorted;
  if (make_scales(&c, take != NULL) || make_rows(&c, take != NULL)) {
    free_comparison(&c);
    return -1;
  }
  for (int n = 0; n < c.num_scales; n++)
    sum_errors(&c, n);
  *error = weigh(&c);
  for (int n = c.num_scales - 1; take && n >= 0; n--)
    differentiate(&c, n, take, context);
  free_comparison(&c);
  return 0;
}

/* ---- for Python --------------------------------------------------------------------------------------------------- */

typedef struct {
  float *out;
  int width;
} slope_picture;

static void store_slopes(void *context, int y, const float *const slope[3])
{
  const slope_picture *p = context;

  for (int x = 0; x < p->width; x++)
    for (int c = 0; c < 3; c++)
      p->out[((size_t)y * p->width + x) * 3 + c] = slope[c][x];
}

int mzc_ssimulacra2(const mzc_image *reference, const mzc_image *distorted, int cpu, double *score, double *error,
                    float *slopes)
{
  mzc_source a, b;
  slope_picture picture = { slopes, distorted->width };

  mzc_source_open(&a, reference, cpu);
  mzc_source_open(&b, distorted, cpu);
  if (mzc_compare_pictures(&a, &b, error, slopes ? store_slopes : NULL, &picture))
    return -1;
  *score = mzc_score_of_error(*error);
  return 0;
}

/* SSIMULACRA2 of two images, and the derivative of its weighted error. */
#ifndef MZC_PERCEPTUAL_SSIMULACRA2_H
#define MZC_PERCEPTUAL_SSIMULACRA2_H

#include "source.h"

enum { MZC_SSIMULACRA2_SMALLEST = 8 };   /* rows and columns */

/* Called with each row, from the top, of the derivative with respect to the distorted image's samples on a scale of
 * 0..255; R, G and B apart. */
typedef void mzc_take_slopes(void *context, int y, const float *const slope[3]);

/* Both of one size. take: NULL, or the receiver of the derivative. error: the weighted sum of the sub-scores; with take
 * by a blur without the published program's rounding errors, which have no derivative. -1: no memory. */
int mzc_compare_pictures(const mzc_source *reference, const mzc_source *distorted, double *error, mzc_take_slopes *take,
                         void *context);
double mzc_score_of_error(double error);

#endif

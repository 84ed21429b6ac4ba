/* The engine: trellis, scan search and entropy coding that write mozjpeg's bytes.
 *
 * The library keeps markers, colour conversion, downsampling, deringing and the DCT. Between jpeg_start_compress and the
 * first row of pixels mzc_engine_begin redirects the coefficients to the engine; mzc_engine_finish replaces
 * jpeg_finish_compress.
 * Nothing but the library's markers is written before the whole image has been seen.
 */
#ifndef MZC_ENGINE_H
#define MZC_ENGINE_H

#include <stddef.h>
#include <stdio.h>
#include <jpeglib.h>

#include "kernels.h"

typedef struct mzc_engine mzc_engine;

/* Declared for Python in mozcodec.h. */
int mzc_engine_cpu(const char *requested);
mzc_engine *mzc_engine_new(int cpu);
void mzc_engine_free(mzc_engine *engine);
/* Whether its kernels are those of x86-64-v3; not without an engine. */
int mzc_engine_uses_v3(const mzc_engine *engine);
void mzc_engine_leave_unproven(mzc_engine *engine, int unproven);
int mzc_engine_leaves_unproven(const mzc_engine *engine);

/* Frees the memory that only a large image needs; call it after each use. */
void mzc_engine_trim(mzc_engine *engine);

/* NULL if the engine writes the library's bytes for these parameters, otherwise what it does not support. Parameters are
 * set, compression not started. */
const char *mzc_engine_refuses(j_compress_ptr cinfo);
/* The same for coefficients handed to jpeg_write_coefficients. */
const char *mzc_engine_refuses_coefficients(j_compress_ptr cinfo);

/* After jpeg_start_compress(cinfo, TRUE). own_dct: the caller has replaced cinfo->fdct->forward_DCT, and may not look at
 * samples. */
void mzc_engine_begin(mzc_engine *engine, j_compress_ptr cinfo, int own_dct);
/* Before mzc_engine_begin, for one image: 1: mzc_engine_finish may return -1 for an image that takes the library much less
 * memory. */
void mzc_engine_may_hand_over(mzc_engine *engine, int may);
/* Before the coefficients are written: 1: the scan search tries more bands than the library's (bands.c); 0: the same. */
void mzc_engine_search_widely(mzc_engine *engine, int wide);
/* After the last row: writes the file. 0, or -1 when the coefficients are beyond the engine: cinfo is aborted and the
 * whole image goes through the library instead. */
int mzc_engine_finish(mzc_engine *engine, j_compress_ptr cinfo);

/* After jpeg_write_coefficients, instead of jpeg_finish_compress. -1: nothing was written, call jpeg_finish_compress. */
int mzc_engine_write_coefficients(mzc_engine *engine, j_compress_ptr cinfo, jvirt_barray_ptr *coefficients);

/* What an image needs only once for many qualities: planes converted, downsampled and transformed. */
typedef struct mzc_transformed mzc_transformed;
mzc_transformed *mzc_transformed_new(void);
void mzc_transformed_free(mzc_transformed *transformed);
/* NULL when transforms can be shared. */
const char *mzc_transformed_refuses(j_compress_ptr cinfo);
/* Like mzc_engine_begin; after the last row mzc_transformed_finish aborts cinfo, nothing is written. */
void mzc_transformed_begin(mzc_transformed *transformed, j_compress_ptr cinfo);
void mzc_transformed_finish(mzc_transformed *transformed, j_compress_ptr cinfo);
/* Does it fit these parameters (size, components, sampling)? */
int mzc_transformed_fits(const mzc_transformed *transformed, j_compress_ptr cinfo);
/* After jpeg_start_compress, in place of begin, pixels and finish. */
int mzc_engine_write_transformed(mzc_engine *engine, j_compress_ptr cinfo, const mzc_transformed *transformed);

/* Coefficients from elsewhere, before quantization: component by component, each as often as wanted, so that one can be
 * examined before the next is computed. After jpeg_start_compress; lambda of a block = numerator / (offset + mean
 * squared AC coefficient). */
void mzc_components_begin(mzc_engine *engine, j_compress_ptr cinfo, double lambda_numerator, double lambda_offset);
/* lambda_scale: by block, or NULL; has to stay until the component is chosen. */
void mzc_component_begin(mzc_engine *engine, int component, const float *lambda_scale);
/* The next row of blocks, 64 coefficients each in natural order, times 8; the last group of eight blocks padded. */
void mzc_component_row(mzc_engine *engine, int component, int row, const JCOEF *raw);
/* The trellis. -1: beyond the engine. */
int mzc_component_choose(mzc_engine *engine, int component);
/* A row of the quantized blocks that it chose. */
void mzc_component_chosen(const mzc_engine *engine, int component, int row, JCOEF *blocks);
/* Frees the memory of a large component; it has to begin again. */
void mzc_component_release(mzc_engine *engine, int component);
/* Writes the file; cinfo is aborted. -1: beyond the engine, nothing was written. */
int mzc_components_finish(mzc_engine *engine, j_compress_ptr cinfo);

#endif

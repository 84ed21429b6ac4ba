/* The engine's working memory, and the functions that its files share. */
#ifndef MZC_ENGINE_CONTEXT_H
#define MZC_ENGINE_CONTEXT_H

#define JPEG_INTERNALS
#include <jinclude.h>
#include <jpeglib.h>
#include <jerror.h>
#include <jcmaster.h>

#include "engine.h"

/* The candidate scans of one component. */
typedef struct {
  mzc_scan_bytes coarse[MZC_NUM_LEVELS][2];    /* 1..8 and 9..63 at Al = 1, 2, 3 ([0] is not used) */
  mzc_scan_bytes refine[MZC_NUM_LEVELS - 1];   /* 1..63 from Al + 1 to Al */
  mzc_scan_bytes whole;                        /* 1..63 at the Al that was chosen */
  mzc_scan_bytes split[MZC_NUM_SPLITS][2];     /* cut at 2, 8, 5, 12, 18, at that Al */
} mzc_candidates;

enum { MZC_MAX_SCANS = 64, MZC_MAX_TERMS = 12, MZC_MAX_DC_SCANS = MZC_MAX_COMPONENTS + 1 };

/* Scans whose sizes are added: what one or two components cost. */
typedef struct {
  mzc_scan_bytes *scan[MZC_MAX_TERMS];
  int num;
} mzc_scan_sum;

/* The codes of a file of one pass, and the tables that they were made from. */
typedef struct {
  JHUFF_TBL dc_table, ac_table;
  uint32_t dc_word[32];
  mzc_ac_words ac;
} mzc_onepass_codes;

typedef struct {
  struct jpeg_entropy_encoder coder;           /* replaces the library's at the end of the pass */
  mzc_onepass_codes codes[MZC_MAX_COMPONENTS];
  mzc_mcu_part part[MZC_MAX_COMPONENTS];
  mzc_waiting_bits waiting;
  unsigned until_restart, num_restarts;        /* MCUs, markers written */
} mzc_onepass;

struct mzc_engine {
  const mzc_kernels *kernels;
  j_compress_ptr cinfo;
  struct jpeg_c_coef_controller controller;    /* replaces the library's during the main pass */
  struct jpeg_c_coef_controller *library_controller;

  int num_components;
  int sequential, trellis, trellis_dc, own_dct, simd_dct, deringing, plain_from_library, declined;
  int may_hand_over;                           /* to the library, where that takes much less memory */
  int wide;                                    /* bands.c searches too */
  int unproven;                                /* what it writes is not compared with its source */
  int row;                                     /* of MCUs, in the main pass */
  mzc_lambda lambda;
  mzc_quantizer quantizer[NUM_QUANT_TBLS];
  mzc_component component[MZC_MAX_COMPONENTS];
  mzc_statistics statistics[MZC_MAX_COMPONENTS];
  mzc_rates rates;
  mzc_band_statistics *band_statistics;        /* one; NULL until the wide search needs it */
  size_t band_statistics_capacity;

  JCOEF *raw, *quantized;                      /* one row of blocks */
  size_t raw_capacity, quantized_capacity;
  uint8_t *came_from;
  int16_t *dc_candidate;
  size_t came_from_capacity, dc_candidate_capacity;

  mzc_candidates candidates[MZC_MAX_COMPONENTS];
  mzc_scan_bytes script[MZC_MAX_SCANS];        /* AC scans of a fixed script, or of the wide search */
  int num_script;
  mzc_bytes dc[MZC_MAX_DC_SCANS];              /* DC scans that are written, not all for the file */
  const mzc_bytes *output[MZC_MAX_SCANS];      /* scans of the file, in order */
  int num_output;

  int is_onepass;
  mzc_onepass onepass;
};

/* Reserves space for count elements and keeps the contents. Raises the library's out-of-memory error and leaves the
 * array as it was. */
#define MZC_RESERVE(cinfo, array, capacity, count) \
  ((array) = mzc_grown(cinfo, array, &(capacity), count, sizeof *(array)))
void *mzc_grown(j_compress_ptr cinfo, void *array, size_t *capacity, size_t count, size_t size);
/* Arrays that are freed as soon as they are no longer needed: those of large images. */
int mzc_is_large(size_t bytes);
/* After the trellis: the tokens of a component. */
void mzc_release_tokens(mzc_component *component);
/* After its scans are chosen: its coefficients but for DC, and the candidates that are not among the num scans to keep. */
void mzc_release_searched(mzc_engine *engine, int component, const mzc_scan_bytes *const *keep, int num);
/* Reserves space for count values of level 0, and their symbols. */
void mzc_reserve_values(mzc_engine *engine, mzc_component *component, size_t count);

/* The SIMD DCT of one block, without deringing, which a block needs only if it has a sample 255. */
int mzc_simd_dct_available(void);
int mzc_has_white(JSAMPARRAY rows, JDIMENSION column);
void mzc_transform_block(JSAMPARRAY rows, JDIMENSION column, JCOEF *out);

/* Replaces the library's compress_data; mzc_engine_of finds the engine through it. */
static inline void mzc_take_controller(mzc_engine *e, j_compress_ptr cinfo,
                                       boolean (*compress_data)(j_compress_ptr, JSAMPIMAGE))
{
  e->library_controller = cinfo->coef;
  e->controller = *cinfo->coef;
  e->controller.compress_data = compress_data;
  cinfo->coef = &e->controller;
}

static inline mzc_engine *mzc_engine_of(j_compress_ptr cinfo)
{
  return (mzc_engine *)((char *)cinfo->coef - offsetof(mzc_engine, controller));
}

/* Sequential files with fixed Huffman tables, written as the samples arrive. Replaces mzc_engine_begin and finish. */
int mzc_is_onepass(j_compress_ptr cinfo);
void mzc_onepass_begin(mzc_engine *engine, j_compress_ptr cinfo);
int mzc_onepass_finish(mzc_engine *engine, j_compress_ptr cinfo);

/* Evaluates the parameters, and reserves memory for the image. */
void mzc_choose_mode(mzc_engine *engine, j_compress_ptr cinfo, int own_dct);
void mzc_setup(mzc_engine *engine, j_compress_ptr cinfo);
/* One row of raw blocks of a component, the last group of eight padded. */
void mzc_read_blocks(mzc_engine *engine, int component, int row, const JCOEF *raw);
/* One row of quantized blocks. */
void mzc_take_blocks(mzc_engine *engine, int component, int row, const JCOEF *quantized);
/* The restart interval in MCUs of a scan with mcus_per_row; 0: none. */
int mzc_restart_interval(const mzc_engine *engine, int mcus_per_row);
/* Quantizes what the main pass has read, chooses the scans and writes the file; -1 when declined, with nothing written. */
int mzc_write_picture(mzc_engine *engine);
/* Its two parts: the coefficients of one component; and the file, once every component has them. */
void mzc_choose_component(mzc_engine *engine, int component);
int mzc_write_chosen(mzc_engine *engine);
/* As if nothing had been read of this component. */
void mzc_forget_component(mzc_engine *engine, int component);

/* Decides which scans make the file. -1 when declined. */
int mzc_search_scans(mzc_engine *engine);
/* The whole of a sequential file. -1 when declined. */
int mzc_write_sequential(mzc_engine *engine);
void mzc_write_bytes(j_compress_ptr cinfo, const uint8_t *data, size_t size);
void mzc_describe_scan(mzc_scan_bytes *scan, int component, int Ss, int Se, int Ah, int Al);
void mzc_output_scan(mzc_engine *engine, mzc_scan_bytes *scan);
void mzc_output_dc(mzc_engine *engine, int slot, const int *components, int num);

/* Adds bands of this component that cost less than *chosen* to the script, and replaces *chosen* by them if there are any. */
void mzc_search_bands(mzc_engine *engine, int component, int Al, mzc_scan_sum *chosen);
/* The sizes that a scan can have, counted first if it is not. */
void mzc_price(mzc_engine *engine, mzc_scan_bytes *scan);
/* Makes the coefficients >> level. */
void mzc_need_level(mzc_engine *engine, mzc_component *component, int level);
size_t mzc_num_restarts(const mzc_component *component);
/* Whether a is smaller than b, in bytes; scans are written where their bounds do not decide. */
int mzc_costs_less(mzc_engine *engine, mzc_scan_sum *a, mzc_scan_sum *b);
/* The sizes that a counted scan can have. -1 when its Huffman tree is too deep. */
int mzc_price_scan(const mzc_kernels *kernels, mzc_scan_bytes *scan, size_t num_restarts);

#endif

/* The C interface of mozcodec, read by cffi and included by every .c file; it has no preprocessor lines and no libjpeg
 * types. Functions return 0, or fill the status and return -1. They do not call Python. */

/* ---- status ------------------------------------------------------------------------------------------------------- */

enum {
  MZC_OK = 0,
  MZC_LIBRARY = 1,      /* libjpeg stopped; its text is in message */
  MZC_DAMAGED = 2,      /* the stream is cut off or corrupt */
  MZC_LIMIT = 3,        /* a limit on pixels, memory or scans */
  MZC_NO_MEMORY = 4,
  MZC_UNSUPPORTED = 5,  /* a stream or a combination of options that is beyond mozcodec */
  MZC_UNAVAILABLE = 6,  /* not offered by this build */
  MZC_NOT_JPEG = 7,     /* the data is of another format */
  MZC_UNFAITHFUL = 8    /* what was written does not decode to what it was written from */
};

typedef struct {
  int code;
  int message_code;     /* libjpeg's number of the message (jerror.h) */
  int num_warnings;     /* warnings about the coded data */
  char message[200];
  char warning[200];    /* the first warning */
  int num_notes;        /* oddities that leave the image whole */
  char note[200];       /* the first of them, as many as fit */
  int smooths_less;     /* 1: one of them says that decoders will not smooth a rewritten file as they do its source */
  int64_t limited;      /* blocks whose coefficients a repair has limited to those that have codes */
  int unusual;          /* 1: a rewritten file is of a kind that other software misreads */
  int damage_known;     /* 1: the following say where the first damage was found */
  int damage_scan;      /* number of the scan, from 1; 0: before the first */
  int damage_rows;      /* rows of pixels decoded before it in that scan */
  int64_t damage_mcus;  /* MCUs decoded before it in that scan, in whole rows of them */
  int64_t damage_offset;   /* how many bytes had been read; -1: not known */
  int64_t error_offset;    /* the same of the error, which may come after a warning */
  int engine;           /* which engine coded the file */
  char engine_reason[80];   /* why it was the library if both were possible */
} mzc_status;

/* ---- pixels ------------------------------------------------------------------------------------------------------- */

enum {
  MZC_GRAY = 0,
  MZC_RGB = 1,
  MZC_BGR = 2,
  MZC_RGBA = 3,         /* decoding sets the alpha sample of these four to 255; encoding ignores it */
  MZC_BGRA = 4,
  MZC_ARGB = 5,
  MZC_ABGR = 6,
  MZC_YCBCR = 7,
  MZC_CMYK = 8,
  MZC_YCCK = 9,
  MZC_PLANES = 10,      /* gray or YCbCr planes, or two of no colour space; already downsampled */
  MZC_TWO = 11          /* two components of no colour space */
};

typedef struct {
  const void *pixels;          /* first sample of the top row: unsigned char, or uint16_t when precision > 8 */
  ptrdiff_t row_stride;        /* bytes from a row to the next; negative for images stored upside down */
  int width, height;
  int pixel_format;
  int precision;               /* bits of a sample: 8, 12 or 16; for perceptual work 8, 16 or 32 (float, 0..1) */
  int linear;                  /* perceptual work: the samples are linear light instead of sRGB */
  const void *planes[4];       /* MZC_PLANES: first sample of each plane */
  ptrdiff_t plane_stride[4];
  int plane_width[4], plane_height[4];
  int num_planes;
} mzc_image;

typedef struct {
  unsigned char *data;
  size_t size;
  size_t capacity;
  int borrowed;         /* 1: data belongs to the caller and cannot grow; size is then the size needed */
} mzc_buffer;

void mzc_free(void *pointer);

/* ---- encoding ----------------------------------------------------------------------------------------------------- */

enum { MZC_PROFILE_MAX_COMPRESSION = 0, MZC_PROFILE_FASTEST = 1 };
enum { MZC_TUNE_PSNR = 0, MZC_TUNE_HVS_PSNR = 1, MZC_TUNE_SSIM = 2, MZC_TUNE_MS_SSIM = 3 };
enum { MZC_ENGINE_AUTO = 0, MZC_ENGINE_LIBRARY = 1, MZC_ENGINE_FAST = 2 };
enum { MZC_SCANS_WIDE = 2 };     /* more bands than mozjpeg's search tries */
enum { MZC_DCT_ISLOW = 0, MZC_DCT_IFAST = 1, MZC_DCT_FLOAT = 2 };

typedef struct {
  int num_components;
  int component[4];
  int Ss, Se, Ah, Al;
} mzc_scan;

/* cjpeg's switches. Integers: -1 = the switch is not on the command line. Floats: not a number = the same. */
typedef struct {
  int profile;                  /* -revert is MZC_PROFILE_FASTEST */
  int num_qualities;            /* -quality: one for each quantization table; 0 = no such switch */
  float quality[4];
  int progressive;              /* 1 -progressive, 0 -baseline without its 8-bit tables */
  int quant_baseline;           /* 1 -quant-baseline */
  int optimize_scans;           /* 0 -fastcrush, MZC_SCANS_WIDE */
  int trellis_quant;            /* 0 -notrellis */
  int trellis_quant_dc;         /* 0 -notrellis-dc, 1 -trellis-dc */
  int trellis_eob_opt;
  int trellis_q_opt;
  int use_scans_in_trellis;
  int trellis_freq_split;
  int trellis_num_loops;
  float trellis_delta_dc_weight;   /* -trellis-dc-ver-weight */
  int use_lambda_weight_tbl;
  float lambda_log_scale1;      /* -lambda1 */
  float lambda_log_scale2;      /* -lambda2 */
  int tune;                     /* -tune-psnr, ... */
  int quant_table;              /* -quant-table 0..8 */
  int num_quant_tables;         /* -qtables: own base tables, scaled by the quality */
  unsigned int quant_tables[4][64];   /* natural order */
  int num_quant_slots;          /* -qslots */
  int quant_slots[4];
  int dc_scan_opt_mode;         /* -dc-scan-opt 0..2 */
  int overshoot_deringing;      /* 0 -noovershoot */
  int dct_method;               /* -dct */
  int arithmetic;               /* 1 -arithmetic */
  int optimize_coding;          /* 1 -optimize */
  int smoothing_factor;         /* -smooth 0..100 */
  int restart_interval;         /* -restart nB, in MCUs */
  int restart_rows;             /* -restart n, in rows of MCUs */
  int color_space;              /* a pixel format as JPEG colour space; -grayscale is MZC_GRAY, -rgb is MZC_RGB */
  int num_sampling;             /* -sample: factors of the first components, 1x1 for the rest */
  int h_samp_factor[4];
  int v_samp_factor[4];
  int num_scans;                /* -scans */
  mzc_scan scans[64];
  int lossless_predictor;       /* -lossless psv,Pt */
  int lossless_point_transform;
  int jfif;                     /* 0 -nojfif */
  int density_unit;             /* 0 none (aspect ratio), 1 dots/inch, 2 dots/cm */
  int x_density, y_density;
  int64_t max_memory;           /* bytes for libjpeg's working arrays, 0 = no limit */
  int engine;                   /* auto: mozcodec's where it is proven to write the library's bytes */
} mzc_encode_options;

typedef struct {
  int marker;                   /* 0xE0..0xEF or 0xFE */
  const unsigned char *data;
  unsigned int size;            /* at most 65533 */
} mzc_marker;

/* Working memory of mozcodec's engine, for one call at a time. */
typedef struct mzc_engine mzc_engine;

/* The compiled form for this processor: 1 baseline, 2 x86-64-v3; requested: "baseline", "v3" or "". 0: not available. */
int mzc_engine_cpu(const char *requested);
mzc_engine *mzc_engine_new(int cpu);   /* NULL: out of memory */
void mzc_engine_free(mzc_engine *engine);
/* For the benchmark that measures what the comparison costs: 1: what this engine writes is not compared with its source. */
void mzc_engine_leave_unproven(mzc_engine *engine, int unproven);

void mzc_default_encode_options(mzc_encode_options *options);
/* engine: NULL = the library codes everything. */
int mzc_encode(const mzc_image *image, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
               mzc_engine *engine, mzc_buffer *out, mzc_status *status);

/* The perceptual mode: tables from a distance, float samples, and what an effort adds. */
typedef struct {
  double distance;              /* 0.1..25 */
  int effort;                   /* 0, 1, 2 */
  int h, v;                     /* 1 or 2 luma samples for each of chroma, across and down */
} mzc_perceptual_options;

/* Its tables for Y, Cb and Cr, natural order. corrects_luma: effort 1 and 2. */
void mzc_distance_tables(double distance, int is_420, int corrects_luma, unsigned int (*tables)[64]);
/* Gray or RGB of any order, 8, 16 or 32 bits a sample. Of the options those of markers count. cpu: see mzc_engine_cpu. */
int mzc_perceptual_encode(const mzc_image *image, const mzc_perceptual_options *perceptual,
                          const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                          mzc_engine *engine, int cpu, mzc_buffer *out, mzc_status *status);

/* The mean square of what 2 x 2 means remove from Cb and Cr (levels of 0..255, both planes together), on every eighth
 * pair of rows of images of 256 rows and more. 0 for gray. -1: no memory. */
int mzc_chroma_detail(const mzc_image *image, int cpu, double *mean_square);

/* ---- DCT scaling and SmartScale ----------------------------------------------------------------------------------- */

/* An image as DCT coefficients before quantization: each square of dct_size x dct_size samples gives block_size x
 * block_size coefficients, so that the coded image has block_size / dct_size of the size. Block size 8 makes ordinary
 * JPEG, others make SmartScale streams. The options decide colour space and sampling here, and everything else in
 * mzc_dct_encode, which may be called several times. NULL on failure. */
typedef struct mzc_dct mzc_dct;

mzc_dct *mzc_dct_open(const mzc_image *image, const mzc_encode_options *options, int block_size, int dct_size,
                      mzc_status *status);
int mzc_dct_encode(const mzc_dct *dct, const mzc_encode_options *options, const mzc_marker *markers, int num_markers,
                   mzc_engine *engine, mzc_buffer *out, mzc_status *status);
void mzc_dct_close(mzc_dct *dct);

/* An image whose colour conversion, downsampling and DCT are done: for many qualities with the same subsampling. Its
 * pixels must outlive it. NULL on failure. */
typedef struct mzc_prepared mzc_prepared;

mzc_prepared *mzc_prepare(const mzc_image *image, const mzc_encode_options *options, mzc_status *status);
int mzc_prepared_encode(const mzc_prepared *prepared, const mzc_encode_options *options, const mzc_marker *markers,
                        int num_markers, mzc_engine *engine, mzc_buffer *out, mzc_status *status);
void mzc_prepared_close(mzc_prepared *prepared);

/* ---- decoding ----------------------------------------------------------------------------------------------------- */

typedef struct {
  int pixel_format;             /* -1: the file's own (gray, RGB, CMYK); MZC_PLANES: its components as they are stored */
  int scale;                    /* output is scale / 8 of the image, 1..16 */
  int left, top, right, bottom; /* the part of the output that is wanted; right 0 = all */
  int dct_method;
  int fancy_upsampling;
  int block_smoothing;
  int true_idct;                /* 1: real 2- and 4-point transforms at scale 2 and 4 instead of box averages */
  int smartscale;               /* 1: sequential frames may be SmartScale; 0: only those that mozcodec has marked */
  int tolerate_damage;          /* 0: a warning about the coded data is an error */
  int64_t max_pixels;           /* limits: 0 = none */
  int64_t max_memory;
  int max_scans;
  int engine;                   /* what reads the coded data: MZC_ENGINE_... */
  int cpu;                      /* the form of mozcodec's reader (mzc_engine_cpu); 0: the library reads */
} mzc_decode_options;

typedef struct {
  int width, height;            /* of the image */
  int block_size;               /* 8; 1..16 in a SmartScale stream */
  int num_components;
  int color_space;              /* of the stream, as a pixel format; -1 unknown */
  int precision;                /* bits of a sample */
  int progressive, arithmetic, lossless;
  int component_id[4];
  int h_samp_factor[4], v_samp_factor[4];
  int quant_table_index[4];
  int restart_interval;         /* in MCUs */
  int jfif, jfif_major, jfif_minor, density_unit, x_density, y_density;
  int adobe, adobe_transform;
  int output_width, output_height, output_channels;   /* under the options given */
  int plane_width[4], plane_height[4];                /* of MZC_PLANES */
  int blocks_wide[4], blocks_high[4];                 /* 8x8 blocks of each component */
} mzc_header;

typedef struct mzc_decoder mzc_decoder;

void mzc_default_decode_options(mzc_decode_options *options);
/* Reads the header; data must outlive the decoder. NULL on failure. */
mzc_decoder *mzc_decoder_open(const unsigned char *data, size_t size, const mzc_decode_options *options, mzc_header *header,
                              mzc_status *status);
/* Writes output_height rows of output_width * output_channels samples (uint16_t when precision > 8). */
int mzc_decoder_read(mzc_decoder *decoder, void *pixels, ptrdiff_t row_stride, mzc_status *status);
/* Writes the planes, plane_height rows of plane_width samples each (uint16_t when precision > 8). */
int mzc_decoder_read_planes(mzc_decoder *decoder, void **planes, const ptrdiff_t *strides, mzc_status *status);
/* What the scans of a file have sent: for each component and coefficient in zigzag order the bits that are missing, -1 where
 * nothing was sent. All 0 in a complete file. */
typedef struct {
  int8_t bits[4][64];
} mzc_sent;

/* Instead of pixels: the quantized coefficients of each component, blocks_high x blocks_wide x 64 in natural order, and
 * its quantization table. */
int mzc_decoder_read_coefficients(mzc_decoder *decoder, int16_t **blocks, uint16_t (*tables)[64], mzc_sent *sent,
                                  mzc_status *status);
void mzc_decoder_close(mzc_decoder *decoder);

typedef struct {
  const unsigned char *data;
  size_t size;
  void *pixels;
  mzc_status status;
} mzc_decode_job;

typedef struct {
  mzc_decode_job *jobs;
  int num_jobs;
  int next;                     /* the job that the next free thread takes */
  int num_failed;
  mzc_decode_options options;
  int width, height, channels;  /* that every job must have */
  int sample_size;              /* the same: 1 byte, or 2 for more than 8 bits */
  ptrdiff_t row_stride;
} mzc_decode_batch;

/* Decodes jobs until none is left; several threads may run this on one batch. */
void mzc_decode_batch_run(mzc_decode_batch *batch);

/* ---- coefficients and lossless work ------------------------------------------------------------------------------- */

typedef struct {
  int width, height;
  int num_components;
  int color_space;              /* a pixel format */
  int precision;
  int h_samp_factor[4], v_samp_factor[4];
  const int16_t *blocks[4];     /* laid out as by mzc_decoder_read_coefficients */
  int num_tables;
  uint16_t tables[4][64];       /* natural order */
  int table_of[4];              /* of each component */
  mzc_sent sent;                /* what a progressive file of them leaves out */
} mzc_coefficients;

/* Only the options of entropy coding and markers are used. */
int mzc_write_coefficients(const mzc_coefficients *coefficients, const mzc_encode_options *options,
                           const mzc_marker *markers, int num_markers, mzc_engine *engine, mzc_buffer *out,
                           mzc_status *status);
/* For tests: whether the data has these coefficients: 0; 1: others; 2: only libjpeg can tell; -1: no memory. */
enum { MZC_BY_COMPARISON, MZC_BY_LIBRARY, MZC_BY_COMPARISON_OF_V3 };   /* the last: without AVX-512 */
int mzc_compare_coefficients(const mzc_coefficients *coefficients, const unsigned char *data, size_t size, int by,
                             mzc_engine *engine);

enum {
  MZC_FLIP_HORIZONTAL = 1,
  MZC_FLIP_VERTICAL = 2,
  MZC_TRANSPOSE = 3,
  MZC_TRANSVERSE = 4,
  MZC_ROTATE_90 = 5,            /* clockwise */
  MZC_ROTATE_180 = 6,
  MZC_ROTATE_270 = 7
};
enum { MZC_COPY_NONE = 0, MZC_COPY_COMMENTS = 1, MZC_COPY_ICC = 2, MZC_COPY_ALL = 3 };

typedef struct {
  int operation;                /* 0: none */
  int trim;                     /* drop edge blocks that the operation cannot move; otherwise they are an error */
  int grayscale;                /* drop the chroma */
  int crop;                     /* 1: to the four below, in pixels of the result; left and top move to the MCU */
  int left, top, width, height;
  int copy;                     /* which markers of the source stay */
  int repair;                   /* 1: what a damaged source still holds; coefficients out of range are clamped */
  int64_t max_pixels, max_memory;
  int max_scans;
} mzc_transform_options;

/* Recodes an image, as jpegtran does. Only the encode options of entropy coding are used. */
int mzc_transform(const unsigned char *data, size_t size, const mzc_transform_options *transform,
                  const mzc_encode_options *options, const mzc_marker *markers, int num_markers, mzc_engine *engine,
                  mzc_buffer *out, mzc_status *status);

/* ---- recompression ------------------------------------------------------------------------------------------------ */

/* Images of one size, of 8 bits. */
typedef struct {
  const unsigned char *pixels;  /* first sample of the first image */
  ptrdiff_t image_stride, row_stride;
  ptrdiff_t plane_stride;       /* bytes from a plane to the next of three; 0: the samples of a pixel lie side by side */
  int width, height, num_images;
  int pixel_format, out_pixel_format;   /* gray or RGB of any order */
  unsigned char *out;           /* pixels of out_pixel_format */
  ptrdiff_t out_image_stride, out_row_stride;
} mzc_recompression;

/* The pixels that a file of each image decodes to, without coding the file; options: of each image. -1 at the first image
 * that failed, of number num_done: MZC_UNSUPPORTED for options, formats and coefficients for which it has to go through a file. */
int mzc_recompress(const mzc_recompression *call, const mzc_encode_options *const *options, mzc_engine *engine,
                   int *num_done, mzc_status *status);

/* ---- fidelity ----------------------------------------------------------------------------------------------------- */

typedef struct {
  const unsigned char *first;
  ptrdiff_t row_stride;
  int width, height, channels;
} mzc_samples;

/* Both of one size. PSNR in dB over all samples, infinite for equal ones; SSIM as scikit-image's structural_similarity with
 * its 7 x 7 window, the mean over the channels, of at least 7 x 7 pixels. */
double mzc_psnr(const mzc_samples *a, const mzc_samples *b);
int mzc_ssim(const mzc_samples *a, const mzc_samples *b, double *ssim);
/* Of luma, at least 176 x 176 pixels; 1 or 3 channels (RGB). */
int mzc_ms_ssim(const mzc_samples *a, const mzc_samples *b, double *ms_ssim);

/* SSIMULACRA2 of two images of one size, at least 8 x 8, gray or RGB of any order. error: the weighted sum of its
 * sub-scores. slopes: NULL, or height x width x 3 derivatives of that error with respect to the distorted image's R, G
 * and B on a scale of 0..255. cpu: see mzc_engine_cpu. -1: no memory. */
int mzc_ssimulacra2(const mzc_image *reference, const mzc_image *distorted, int cpu, double *score, double *error,
                    float *slopes);

/* ---- the build ---------------------------------------------------------------------------------------------------- */

typedef struct {
  int is_static;
  int simd;                     /* 1: mozjpeg was built with its SIMD code; -1: unknown */
  int arithmetic_encoding, arithmetic_decoding;
  int jpeg_lib_version;         /* 62: the API of libjpeg 6b */
  int library_version;          /* 5000000 is 5.0.0 */
  size_t compress_struct_size, decompress_struct_size;
  int largest_dimension;        /* rows and columns of an image */
} mzc_build;

void mzc_build_info(mzc_build *build);

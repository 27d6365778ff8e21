/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Core: errors, memory, checked arithmetic, random numbers, floating-point mode, threads, the context.
 * Uses: the C library and POSIX only. Everything else in lib/ may use it.
 */
#ifndef RA_CORE_H
#define RA_CORE_H

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resattn/context.h"

#if defined(__GNUC__) || defined(__clang__)
#define RA_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define RA_PRINTF(string, first)
#endif

#define RA_COUNT(array) ((int32_t)(sizeof(array) / sizeof((array)[0])))

/* ---- errors (core/status.c) ---- */

/* Records status and message for this thread and returns the status. Allocates nothing; cuts long messages. */
resattn_status ra_fail(resattn_status status, const char *format, ...) RA_PRINTF(2, 3);

/* The same for functions that return a pointer: `return ra_fail_null(...)`. */
void *ra_fail_null(resattn_status status, const char *format, ...) RA_PRINTF(2, 3);

/* Puts "prefix: " before the message of this thread's last error; returns its status. */
resattn_status ra_fail_within(const char *prefix);

/* How many errors this thread has recorded: whether a callback recorded one is whether this has changed. */
uint32_t ra_failures(void);

/* vsnprintf() that cuts what does not fit at the end of a UTF-8 character and shows control characters as '?', in the C
 * locale. size >= 1. */
void ra_format(char *buffer, size_t size, const char *format, va_list arguments) RA_PRINTF(3, 0);

/* What an errno means, in English. */
void ra_system_reason(int error, char *text, size_t size);

/* ---- checked arithmetic (inline: a product of sizes is never computed unchecked) ---- */

static inline bool ra_mul_size(size_t a, size_t b, size_t *product)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *product = a * b;
    return true;
}

static inline bool ra_add_size(size_t a, size_t b, size_t *sum)
{
    if (a > SIZE_MAX - b)
        return false;
    *sum = a + b;
    return true;
}

/* a, b >= 0 */
static inline bool ra_mul_i64(int64_t a, int64_t b, int64_t *product)
{
    if (b != 0 && a > INT64_MAX / b)
        return false;
    *product = a * b;
    return true;
}

static inline int32_t ra_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}
static inline int32_t ra_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}
static inline int64_t ra_div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b; /* NOLINT(clang-analyzer-core.DivideZero): b > 0 */
}

/* Whether smallest <= value <= largest; not for NaN, and then without the exception that C's operators raise and the host
 * may have unmasked. */
static inline bool ra_within(double value, double smallest, double largest)
{
    return isgreaterequal(value, smallest) && islessequal(value, largest);
}

/* ---- memory (core/memory.c): through the context's allocator, aligned to RA_ALIGNMENT ---- */

#define RA_ALIGNMENT 64

/* Rounded up to the alignment, in floats. */
static inline size_t ra_line(size_t floats)
{
    const size_t unit = RA_ALIGNMENT / sizeof(float);
    return (floats + unit - 1) / unit * unit;
}

/* count * size bytes, zeroed; NULL with the error recorded (OUT_OF_MEMORY or TOO_LARGE). 0 bytes are as good as 1. */
void *ra_alloc(resattn_context *context, size_t count, size_t size);
/* The same, not zeroed: for large buffers that are written before they are read. */
void *ra_alloc_raw(resattn_context *context, size_t count, size_t size);
/* Accepts NULL. */
void ra_free(resattn_context *context, void *memory);
/* A copy of a string; NULL with the error recorded. */
char *ra_strdup(resattn_context *context, const char *text);
/* Makes room for one more element in an array of `size`-byte elements that holds *count and has room for *capacity:
 * doubles it when full. The array is unchanged after a failure. */
bool ra_grow(resattn_context *context, void **array, int32_t count, int32_t *capacity, size_t size);

/* ---- limits (core/limits.c) ---- */

/* What blobs are made with, so that it is also the most that can be allowed to a reader. */
#define RA_MAX_DEPTH    200       /* of a tree */
#define RA_MAX_NAME     1024      /* bytes of a name or a path */
#define RA_MAX_LAYERS   100000    /* of a tree */
#define RA_MAX_TEXTS    4096      /* beside a network */
#define RA_MAX_TEXT     (1 << 20) /* bytes of a text, and of a class name */
#define RA_MAX_CHUNK    (1 << 27) /* payload of every chunk of a blob but a tensor's */
#define RA_MAX_HEADER   100000000 /* bytes of a safetensors file's; the format's own library has this limit */
/* The most that zlib can make of a byte: a match of 258 bytes takes two bits (deflate's specification, RFC 1951). */
#define RA_INFLATE_MOST 1032

enum { RA_LIMITS = RESATTN_LIMIT_INFLATION + 1 };

void ra_limits_begin(resattn_context *context);
int64_t ra_limit(const resattn_context *context, resattn_limit limit);
/* False with TOO_LARGE recorded: "`what` asks for `asked`, the limit '...' is ...". */
bool ra_limit_fits(const resattn_context *context, resattn_limit limit, uint64_t asked, const char *what);

/* ---- random numbers (core/random.c): pure functions of key and counter, so order and threads do not matter ---- */

uint64_t ra_hash_text(const char *text); /* FNV-1a, 64 bits */
/* splitmix64's output function of key + (counter + 1) * golden */
uint64_t ra_random_bits(uint64_t key, uint64_t counter);
double ra_random_uniform(uint64_t key, uint64_t counter); /* [0, 1), 53 bits */
double ra_random_normal(uint64_t key, uint64_t counter);  /* Box-Muller of two uniforms; bit-identical for one libm */

/* ---- floating-point mode (core/fpmode.c) ---- */

typedef struct ra_fpmode {
    uint64_t saved;     /* on x86-64 and arm64 */
    fenv_t environment; /* elsewhere */
} ra_fpmode;

/* Round to nearest, denormals flushed to zero on input and output, exceptions masked; leave restores what the caller
 * had, exception flags too. Every computing call, and every task on a thread that is not ours, is between the two. */
void ra_fpmode_enter(ra_fpmode *mode);
void ra_fpmode_leave(const ra_fpmode *mode);

/* ---- fork() (core/origin.c) ---- */

/* What a process leaves to be recognised by. */
typedef struct ra_origin {
    int64_t process;
    volatile unsigned char *mark;
} ra_origin;

void ra_origin_begin(ra_origin *origin);
/* Whether this is the process that began it; false in children that fork() made of it. Cheap. */
bool ra_origin_is_here(const ra_origin *origin);
void ra_origin_end(ra_origin *origin);

/* ---- CPU (core/cpu.c) ---- */

typedef enum ra_cpu_level {
    RA_CPU_PLAIN = 0,
    RA_CPU_AVX2 = 1,   /* AVX2 and FMA, enabled by the operating system */
    RA_CPU_AVX512 = 2, /* and F, BW, DQ, VL */
    RA_CPU_NEON = 3
} ra_cpu_level;

/* What this CPU can do, at most what ra_cpu_cap() allows. Any thread. */
ra_cpu_level ra_cpu(void);
/* For tests: no higher level than this for what is chosen from now on. */
void ra_cpu_cap(ra_cpu_level level);
const char *ra_cpu_level_name(ra_cpu_level level);
const char *ra_cpu_name(void);     /* the brand string, "unknown" if there is none */
const char *ra_cpu_features(void); /* such as "avx2 fma avx512f ..." */
int32_t ra_cpu_count(void);        /* how many CPUs this process may use, 1 at least (core/context.c) */

/* ---- the context (core/context.c, core/threads.c) ---- */

/* What ends with the context, and never before it: the first member of what it is. */
typedef struct ra_lasting ra_lasting;
struct ra_lasting {
    ra_lasting *next;
    void (*end)(resattn_context *context, ra_lasting *self);
};

struct resattn_context {
    atomic_int references;
    resattn_alloc_fn alloc;
    resattn_free_fn free;
    void *alloc_user;
    resattn_log_fn log;
    void *log_user;
    resattn_log_level log_level;
    uint64_t seed;
    int64_t limits[RA_LIMITS];
    atomic_size_t used; /* bytes that the allocator gave and has not got back */
    int32_t wanted_threads;
    _Atomic(struct ra_pool *) pool; /* NULL until the first session, with one thread, and with a host's runner */
    pthread_mutex_t lock;           /* protects starting and stopping the pool, changing the runner, and `customs` */
    ra_lasting *customs;            /* kinds of layers of the host's own, the newest first (layers/custom.c) */
    resattn_runner_fn runner;
    void *runner_user;
    int32_t runner_workers;
    atomic_int sessions;     /* alive; runner and pool are fixed while there are any */
    atomic_int warm_workers; /* for how many BLIS has its buffers (gemm/warm_up.c) */
};

/* What the public constructors make, after they have prepared BLIS. Both functions NULL: malloc and free. */
resattn_context *ra_context_create(int32_t threads, resattn_alloc_fn alloc, resattn_free_fn free_memory, void *user);

void ra_log(resattn_context *context, resattn_log_level level, const char *format, ...) RA_PRINTF(3, 4);

/* Sessions bracket their life with these: open starts the pool on first use (fewer threads, with a warning, where some
 * cannot be started). Any thread. */
resattn_status ra_context_open(resattn_context *context);
void ra_context_close(resattn_context *context);

/* WRONG_STATE in a child process, after fork(), of the one whose threads the context has; RESATTN_OK otherwise. For calls
 * that compute: without the threads they would take many times as long, and nobody would know why. */
resattn_status ra_context_check(const resattn_context *context);

/* How many different `worker` numbers ra_parallel() may use: 1 at least, fixed while a session is open. */
int32_t ra_workers(const resattn_context *context);

/*
 * Calls task(job, index, worker) once for each index 0 .. count-1; returns when all have ended. Tasks are claimed one
 * by one, so what a task computes must depend on its index only. At most one thread at a time has a given `worker`
 * within one call. When the pool is in use by another session, the caller does all tasks itself as worker 0. The
 * floating-point mode is set for every task. Does not allocate. Must not be nested.
 */
void ra_parallel(resattn_context *context, resattn_task_fn task, void *job, int32_t count);

/*
 * Calls task(job, w, w) once on each worker of the context's own pool, all of them at the same time, so that tasks may
 * wait for each other to have started; waits for the pool if it is in use. With one worker, or where the pool belongs
 * to a parent process, that is task(job, 0, 0). Under a host's runner it is ra_parallel() with as many tasks as
 * workers: then nothing is promised about which thread runs which, and when.
 */
void ra_parallel_workers(resattn_context *context, resattn_task_fn task, void *job);

/* Of a clock that only goes forward. */
int64_t ra_nanoseconds(void);

/* The pool itself, for context.c. NULL with the error recorded; stopping accepts NULL. */
struct ra_pool *ra_pool_start(resattn_context *context);
void ra_pool_stop(resattn_context *context, struct ra_pool *pool);
int32_t ra_pool_workers(const struct ra_pool *pool);
/* Whether the pool was started by another process, before fork(): its threads do not exist here. */
bool ra_pool_is_foreign(const struct ra_pool *pool);

#endif

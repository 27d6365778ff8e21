/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which family of kernels BLIS uses. BLIS fixes that at its first use, by the CPU's vendor, family and model; CPUs that
 * it has not heard of get the family "generic", five times slower than what they could do. Only the environment
 * variable BLIS_ARCH_TYPE can change it, so it is set for the moment of BLIS's start, under the conditions that
 * resattn_process_init() states.
 */
#include "gemm/blis_header.h"

#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define HAVE_SINGLE_THREADED
#endif
#endif

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#define HAVE_CPUID
#endif

/* Given by the build where its probe saw the family work. */
#ifndef RA_BLIS_SKX
#define RA_BLIS_SKX NULL
#endif
#ifndef RA_BLIS_ZEN3
#define RA_BLIS_ZEN3 NULL
#endif
#ifndef RA_BLIS_HASWELL
#define RA_BLIS_HASWELL NULL
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool started, as_built;
static const char *reason = "";

bool ra_blis_is_as_built(void)
{
    return atomic_load_explicit(&as_built, memory_order_relaxed);
}

static bool is_single_threaded(void)
{
#ifdef HAVE_SINGLE_THREADED
    return __libc_single_threaded != 0;
#else
    return false;
#endif
}

#ifdef HAVE_CPUID
/* Whether this version of BLIS has ever heard of a family. */
static bool blis_names(const char *family)
{
    for (int id = 0; id < (int)BLIS_NUM_ARCHS; id++)
        if (strcmp(bli_arch_string((arch_t)id), family) == 0)
            return true;
    return false;
}

static bool is_made_by(const char *vendor)
{
    unsigned int a, words[4] = {0, 0, 0, 0};
    return __get_cpuid(0, &a, &words[0], &words[2], &words[1]) && memcmp(words, vendor, 12) == 0;
}

/* Family as AMD's manuals count it: the extended family is added to 15. */
static unsigned int query_family(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    unsigned int family = a >> 8 & 15;
    return family == 15 ? family + (a >> 20 & 255) : family;
}

static bool has_conflict_detection(void)
{
    unsigned int a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 28 & 1) != 0;
}

/* A Xeon whose name has no grade, as hypervisors show it and as new ones have none. */
static bool is_plain_xeon(void)
{
    static const char *const grades[] = {"Platinum", "Gold", "Silver", "Bronze", "W", "D"};
    const char *name = ra_cpu_name();
    bool plain = strstr(name, "Xeon(R)") != NULL;
    for (int32_t i = 0; i < RA_COUNT(grades); i++)
        plain = plain && strstr(name, grades[i]) == NULL;
    return plain;
}

/*
 * Whether BLIS by itself chooses kernels fit for this CPU. It tells Intel's CPUs apart by their features, so that new
 * ones are known too, but takes how many units for AVX-512 a Xeon has from its grade, and where there is none its
 * kernels for AVX2; AMD's by their family, of which 0x19 (Zen 3 and 4) is the last before versions that have a "zen5".
 */
static bool blis_knows_cpu(void)
{
    if (is_made_by("AuthenticAMD"))
        return query_family() <= 0x19 || blis_names("zen5");
    return is_made_by("GenuineIntel") && !(ra_cpu() == RA_CPU_AVX512 && is_plain_xeon());
}
#endif

/* The value of BLIS_ARCH_TYPE for this CPU; NULL to leave BLIS alone, with the reason noted. */
static const char *wanted_value(void)
{
#ifdef HAVE_CPUID
    static const char *const skx = RA_BLIS_SKX, *const zen3 = RA_BLIS_ZEN3, *const haswell = RA_BLIS_HASWELL;
    ra_cpu_level level = ra_cpu();
    const char *value = NULL;
    if (level != RA_CPU_AVX2 && level != RA_CPU_AVX512)
        reason = "BLIS's own choice: this CPU has no AVX2";
    else if (blis_knows_cpu())
        reason = "BLIS's own choice: it knows this CPU";
    else if (skx != NULL && level == RA_CPU_AVX512 && has_conflict_detection())
        value = skx;
    else if (zen3 != NULL && is_made_by("AuthenticAMD"))
        value = zen3;
    else if (haswell != NULL)
        value = haswell;
    else
        reason = "BLIS's own choice: the build saw no better family work";
    return value;
#else
    reason = "BLIS's own choice: the library corrects it on x86-64 only";
    return NULL;
#endif
}

/* Whether the library may interfere at all. */
static bool may_choose(int32_t flags, bool by_host)
{
    if ((flags & RESATTN_PROCESS_LEAVE_BLIS) != 0)
        reason = "BLIS's own choice: the host wants it left alone";
    else if (getenv("BLIS_ARCH_TYPE") != NULL)
        reason = "the environment variable BLIS_ARCH_TYPE says so";
    else if (!ra_blis_is_as_built())
        reason = "BLIS's own choice: its version is not the one that the library was built with";
    else if (!by_host && !is_single_threaded())
        reason = "BLIS's own choice: the process may have had threads; see resattn_process_init()";
    else
        return true;
    return false;
}

static void choose(int32_t flags, bool by_host)
{
    const char *value = may_choose(flags, by_host) ? wanted_value() : NULL;
    if (value != NULL && setenv("BLIS_ARCH_TYPE", value, 1) != 0) {
        reason = "BLIS's own choice: there was no memory for the environment variable";
        value = NULL;
    }
    bli_init();
    int id = (int)bli_arch_query_id();
    if (value == NULL)
        return;
    unsetenv("BLIS_ARCH_TYPE");
    reason = id == strtol(value, NULL, 10) ? "chosen by CPU features: BLIS does not know this CPU"
                                           : "BLIS's own choice: it was in use before the library";
}

void ra_gemm_init(int32_t flags, bool by_host)
{
    if (atomic_load_explicit(&started, memory_order_acquire))
        return;
    pthread_mutex_lock(&lock);
    if (!atomic_load_explicit(&started, memory_order_relaxed)) {
        atomic_store(&as_built, strcmp(bli_info_get_version_str(), RA_BLIS_VERSION) == 0);
        choose(flags, by_host);
        atomic_store_explicit(&started, true, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
}

const char *ra_gemm_version(void)
{
    return bli_info_get_version_str();
}

const char *ra_gemm_variant(void)
{
    return bli_info_get_enable_openmp() ? "openmp" : bli_info_get_enable_pthreads() ? "pthread" : "serial";
}

const char *ra_gemm_family(void)
{
    ra_gemm_init(RESATTN_PROCESS_DEFAULT, false);
    return bli_arch_string(bli_arch_query_id());
}

const char *ra_gemm_reason(void)
{
    ra_gemm_init(RESATTN_PROCESS_DEFAULT, false);
    return reason;
}

bool ra_gemm_family_is_slow(void)
{
    ra_cpu_level level = ra_cpu();
    return (level == RA_CPU_AVX2 || level == RA_CPU_AVX512) && strcmp(ra_gemm_family(), "generic") == 0;
}

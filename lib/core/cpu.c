/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this CPU can do. Asked once, from the CPU itself, never from the environment.
 */
#include "core/core.h"

#include <string.h>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define X86 1
#include <cpuid.h>
#else
#define X86 0
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static ra_cpu_level best = RA_CPU_PLAIN;
static char name[64] = "unknown";
static char features[160] = "";
static atomic_int cap = RA_CPU_NEON;

#if X86 || defined(__aarch64__)
static void add_feature(const char *feature)
{
    size_t used = strlen(features);
    if (used + strlen(feature) + 2 > sizeof features)
        return;
    if (used > 0)
        features[used++] = ' ';
    memcpy(features + used, feature, strlen(feature) + 1);
}
#endif

#if X86

/* The parts of the register state that the operating system saves (XCR0). */
static unsigned int saved_state(void)
{
    unsigned int low, high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

enum { STATE_AVX = 0x06, STATE_AVX512 = 0xE6 };

typedef struct feature_bit {
    const char *name;
    int word; /* leaf 1: ecx 0; leaf 7: ebx 1, ecx 2 */
    int bit;
    unsigned int state;
} feature_bit;

static const feature_bit feature_bits[] = {
    {"sse4.2", 0, 20, 0},
    {"avx", 0, 28, STATE_AVX},
    {"f16c", 0, 29, STATE_AVX},
    {"fma", 0, 12, STATE_AVX},
    {"avx2", 1, 5, STATE_AVX},
    {"avx512f", 1, 16, STATE_AVX512},
    {"avx512bw", 1, 30, STATE_AVX512},
    {"avx512dq", 1, 17, STATE_AVX512},
    {"avx512vl", 1, 31, STATE_AVX512},
    {"avx512vnni", 2, 11, STATE_AVX512},
};
enum { AVX2_BITS = 1 << 1 | 1 << 3 | 1 << 4, AVX512_BITS = AVX2_BITS | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 };

static void detect_name(void)
{
    unsigned int text[12];
    if ((unsigned int)__get_cpuid_max(0x80000000, NULL) < 0x80000004)
        return;
    for (unsigned int i = 0; i < 12; i += 4)
        __get_cpuid(0x80000002 + i / 4, &text[i], &text[i + 1], &text[i + 2], &text[i + 3]);
    char brand[sizeof text + 1];
    memcpy(brand, text, sizeof text);
    brand[sizeof text] = '\0';
    const char *start = brand + strspn(brand, " ");
    size_t length = strlen(start);
    while (length > 0 && start[length - 1] == ' ')
        length--;
    if (length == 0)
        return;
    memcpy(name, start, length);
    name[length] = '\0';
}

static void detect(void)
{
    unsigned int a, b, c, d, words[3] = {0, 0, 0}, state = 0, found = 0;
    detect_name();
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return;
    words[0] = c;
    if ((c >> 27 & 1) != 0)
        state = saved_state();
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        words[1] = b;
        words[2] = c;
    }
    for (int32_t i = 0; i < RA_COUNT(feature_bits); i++) {
        const feature_bit *f = &feature_bits[i];
        if ((words[f->word] >> f->bit & 1) == 0 || (state & f->state) != f->state)
            continue;
        found |= 1u << i;
        add_feature(f->name);
    }
    if ((found & AVX2_BITS) == AVX2_BITS)
        best = RA_CPU_AVX2;
    if ((found & AVX512_BITS) == AVX512_BITS)
        best = RA_CPU_AVX512;
}

#else

static void detect(void)
{
#if defined(__aarch64__)
    best = RA_CPU_NEON;
    add_feature("neon");
#endif
}

#endif

ra_cpu_level ra_cpu(void)
{
    pthread_once(&once, detect);
    int limit = atomic_load(&cap);
    if (best == RA_CPU_NEON)
        return limit == RA_CPU_PLAIN ? RA_CPU_PLAIN : RA_CPU_NEON;
    return (int)best < limit ? best : (ra_cpu_level)limit;
}

void ra_cpu_cap(ra_cpu_level level)
{
    atomic_store(&cap, (int)level);
}

const char *ra_cpu_level_name(ra_cpu_level level)
{
    static const char *const names[] = {"plain", "avx2", "avx512", "neon"};
    return (int)level >= 0 && (int)level < RA_COUNT(names) ? names[level] : "unknown";
}

const char *ra_cpu_name(void)
{
    pthread_once(&once, detect);
    return name;
}

const char *ra_cpu_features(void)
{
    pthread_once(&once, detect);
    return features;
}

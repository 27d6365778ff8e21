/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floating-point mode of computing calls: round to nearest, denormals are zero, no traps. Where the CPU is not
 * known, C's <fenv.h> does what it can: all but the denormals.
 */
#include "core/core.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <xmmintrin.h>

enum {
    CSR_FLAGS = 0x003F,
    CSR_MODE = 0x8000 | 0x1F80 | 0x0040 /* flush to zero; all exceptions masked; denormals are zero; round to nearest */
};

void ra_fpmode_enter(ra_fpmode *mode)
{
    unsigned int csr = _mm_getcsr();
    mode->saved = csr;
    if ((csr & ~(unsigned int)CSR_FLAGS) != CSR_MODE)
        _mm_setcsr((csr & CSR_FLAGS) | CSR_MODE);
}

void ra_fpmode_leave(const ra_fpmode *mode)
{
    if (_mm_getcsr() != (unsigned int)mode->saved)
        _mm_setcsr((unsigned int)mode->saved);
}

#elif defined(__aarch64__) && defined(__GNUC__)

/* FPCR: flush to zero (bit 24) set; rounding mode (22, 23), flush of half precision (19) and trap enables (8-12, 15)
 * clear. */
#define FPCR_SET   (UINT64_C(1) << 24)
#define FPCR_CLEAR ((UINT64_C(3) << 22) | (UINT64_C(1) << 19) | UINT64_C(0x9F00))

static uint64_t read_control(void)
{
    uint64_t control;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(control));
    return control;
}

static uint64_t read_flags(void)
{
    uint64_t flags;
    __asm__ __volatile__("mrs %0, fpsr" : "=r"(flags));
    return flags;
}

/* Both registers have their upper halves clear, so one word holds the two. */
void ra_fpmode_enter(ra_fpmode *mode)
{
    uint64_t control = read_control();
    uint64_t wanted = (control & ~FPCR_CLEAR) | FPCR_SET;
    mode->saved = control | read_flags() << 32;
    if (control != wanted)
        __asm__ __volatile__("msr fpcr, %0" : : "r"(wanted) : "memory");
}

void ra_fpmode_leave(const ra_fpmode *mode)
{
    uint64_t control = mode->saved & UINT64_C(0xFFFFFFFF), flags = mode->saved >> 32;
    if (read_control() != control)
        __asm__ __volatile__("msr fpcr, %0" : : "r"(control) : "memory");
    if (read_flags() != flags)
        __asm__ __volatile__("msr fpsr, %0" : : "r"(flags) : "memory");
}

#else

void ra_fpmode_enter(ra_fpmode *mode)
{
    feholdexcept(&mode->environment);
    fesetround(FE_TONEAREST);
}

void ra_fpmode_leave(const ra_fpmode *mode)
{
    fesetenv(&mode->environment);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Types of numbers: F16 and F64 of IEEE 754, BF16, and F32, which is what a network computes with.
 */
#include <string.h>

#include "format/format.h"

size_t ra_number_size(int32_t type)
{
    return type == RA_NUMBER_F64 ? 8 : type == RESATTN_F32 ? 4 : 2;
}

/* ---- little-endian ---- */

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_IS_LITTLE_ENDIAN 1
#else
#define HOST_IS_LITTLE_ENDIAN 0
#endif

static inline uint32_t load_u16(const unsigned char *bytes)
{
#if HOST_IS_LITTLE_ENDIAN
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
#else
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
#endif
}

static inline void store_u16(unsigned char *bytes, uint32_t value)
{
#if HOST_IS_LITTLE_ENDIAN
    uint16_t narrow = (uint16_t)value;
    memcpy(bytes, &narrow, sizeof narrow);
#else
    bytes[0] = (unsigned char)value;
    bytes[1] = (unsigned char)(value >> 8);
#endif
}

/* ---- one number ---- */

/*
 * Rounds a binary floating-point number to one of fewer bits. An encoding is sign, exponent, mantissa; taken as one
 * integer, magnitudes are in the order of their values, so a carry out of the mantissa is the right thing, up to
 * infinity. `from_mantissa`, `to_mantissa`: bits of the mantissas; `bias`: the difference of the exponents' biases;
 * `infinity`: of the target.
 */
static inline uint64_t narrow(uint64_t magnitude, int from_mantissa, int to_mantissa, uint64_t bias, uint64_t infinity,
                              uint64_t from_infinity)
{
    int drop = from_mantissa - to_mantissa;
    if (magnitude > from_infinity) {
        uint64_t payload = (magnitude >> drop) & (((uint64_t)1 << to_mantissa) - 1);
        return infinity | (payload ? payload : (uint64_t)1 << (to_mantissa - 1));
    }
    uint64_t exponent = magnitude >> from_mantissa, value = magnitude - (bias << from_mantissa);
    if (exponent <= bias) { /* without a leading one in the target */
        uint64_t leading = exponent > 0 ? (uint64_t)1 << from_mantissa : 0;
        uint64_t shift = bias + (exponent > 0 ? 1 - exponent : 0);
        if (shift > (uint64_t)to_mantissa + 1)
            return 0;
        value = (magnitude & (((uint64_t)1 << from_mantissa) - 1)) | leading;
        drop += (int)shift;
    }
    uint64_t rounded = (value + (((uint64_t)1 << (drop - 1)) - 1) + ((value >> drop) & 1)) >> drop;
    return rounded < infinity ? rounded : infinity;
}

static inline uint32_t f32_of_f64(uint64_t bits)
{
    uint64_t magnitude = bits & ~((uint64_t)1 << 63);
    uint64_t result = narrow(magnitude, 52, 23, 1023 - 127, 0x7F800000, UINT64_C(0x7FF0000000000000));
    return (uint32_t)(bits >> 63 << 31 | result);
}

static inline uint32_t f16_of_f32(uint32_t bits)
{
    return (bits >> 16 & 0x8000) | (uint32_t)narrow(bits & 0x7FFFFFFF, 23, 10, 127 - 15, 0x7C00, 0x7F800000);
}

static inline uint32_t bf16_of_f32(uint32_t bits)
{
    return (bits >> 16 & 0x8000) | (uint32_t)narrow(bits & 0x7FFFFFFF, 23, 7, 0, 0x7F80, 0x7F800000);
}

/* All finite numbers of F16 are F32 numbers with a leading one, also those that have none in F16. */
static inline uint32_t f32_of_f16(uint32_t half)
{
    uint32_t exponent = half >> 10 & 0x1F, mantissa = half & 0x3FF;
    float tiny = (float)(int32_t)mantissa * 0x1p-24f;
    uint32_t small, large = (exponent + (exponent == 0x1F ? 255 - 31 : 127 - 15)) << 23 | mantissa << 13;
    memcpy(&small, &tiny, sizeof small);
    return (half & 0x8000) << 16 | (exponent == 0 ? small : large);
}

/* ---- many ---- */

void ra_numbers_widen(int32_t type, const unsigned char *bytes, int64_t count, uint32_t *bits)
{
    switch (type) {
    case RESATTN_F16:
        for (int64_t i = 0; i < count; i++)
            bits[i] = f32_of_f16(load_u16(bytes + 2 * i));
        break;
    case RESATTN_BF16:
        for (int64_t i = 0; i < count; i++)
            bits[i] = load_u16(bytes + 2 * i) << 16;
        break;
    case RA_NUMBER_F64:
        for (int64_t i = 0; i < count; i++)
            bits[i] = f32_of_f64(ra_load_u64(bytes + 8 * i));
        break;
    default:
        if (HOST_IS_LITTLE_ENDIAN)
            memcpy(bits, bytes, (size_t)count * sizeof *bits);
        else
            for (int64_t i = 0; i < count; i++)
                bits[i] = ra_load_u32(bytes + 4 * i);
    }
}

void ra_numbers_narrow(int32_t type, const uint32_t *bits, int64_t count, unsigned char *bytes)
{
    switch (type) {
    case RESATTN_F16:
        for (int64_t i = 0; i < count; i++)
            store_u16(bytes + 2 * i, f16_of_f32(bits[i]));
        break;
    case RESATTN_BF16:
        for (int64_t i = 0; i < count; i++)
            store_u16(bytes + 2 * i, bf16_of_f32(bits[i]));
        break;
    default:
        if (HOST_IS_LITTLE_ENDIAN)
            memcpy(bytes, bits, (size_t)count * sizeof *bits);
        else
            for (int64_t i = 0; i < count; i++)
                ra_store_u32(bytes + 4 * i, bits[i]);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Types of numbers against their definitions: every number of half precision, and the floats at and beside every point
 * where rounding changes.
 */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "common.h"
#include "format/format.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The value of an encoding with `mantissa` bits of mantissa, by its definition. Finite ones only. */
static double value_of(uint32_t half, int mantissa, int bias)
{
    uint32_t sign = half >> 15, exponent = (half & 0x7FFF) >> mantissa, rest = half & ((1u << mantissa) - 1);
    double value = exponent == 0 ? ldexp((double)rest, 1 - bias - mantissa)
                                 : ldexp((double)(rest | 1u << mantissa), (int)exponent - bias - mantissa);
    return sign ? -value : value;
}

typedef struct format {
    int32_t type;
    int mantissa, bias;
    uint32_t infinity;
} format;

static const format formats[] = {{RESATTN_F16, 10, 15, 0x7C00}, {RESATTN_BF16, 7, 127, 0x7F80}};

static uint32_t widen(int32_t type, uint32_t half)
{
    const unsigned char bytes[] = {(unsigned char)half, (unsigned char)(half >> 8)};
    uint32_t bits;
    ra_numbers_widen(type, bytes, 1, &bits);
    return bits;
}

static uint32_t narrow(int32_t type, uint32_t bits)
{
    unsigned char bytes[2];
    ra_numbers_narrow(type, &bits, 1, bytes);
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

START_TEST(every_half)
{
    for (int f = 0; f < 2; f++) {
        const format *of = &formats[f];
        for (uint32_t half = 0; half < 65536; half++) {
            uint32_t bits = widen(of->type, half), magnitude = half & 0x7FFF;
            float value = float_of(bits);
            ck_assert_uint_eq(bits >> 31, half >> 15);
            if (magnitude > of->infinity)
                ck_assert(isnan(value));
            else if (magnitude == of->infinity)
                ck_assert(isinf(value));
            else
                ck_assert((double)value == value_of(half, of->mantissa, of->bias));
            ck_assert_uint_eq(narrow(of->type, bits), half);
        }
    }
}
END_TEST

static void check_narrow(const format *of, float value, uint32_t expected)
{
    ck_assert_msg(narrow(of->type, bits_of(value)) == expected, "%a gives %04x, expected %04x", (double)value,
                  narrow(of->type, bits_of(value)), expected);
    ck_assert_uint_eq(narrow(of->type, bits_of(-value)), expected | 0x8000);
}

/* Around the point in the middle between each number and the next; what would be next after the largest finite one is
 * where infinity begins. */
START_TEST(every_rounding)
{
    for (int f = 0; f < 2; f++) {
        const format *of = &formats[f];
        for (uint32_t half = 0; half < of->infinity; half++) {
            double low = value_of(half, of->mantissa, of->bias), high = value_of(half + 1, of->mantissa, of->bias);
            float middle = (float)(low + (high - low) / 2);
            if ((double)middle != low + (high - low) / 2) /* too small for a float: the next one is the half's */
                continue;
            check_narrow(of, (float)low, half);
            check_narrow(of, middle, half + (half & 1));
            check_narrow(of, nextafterf(middle, 0), half);
            check_narrow(of, nextafterf(middle, INFINITY), half + 1);
        }
        check_narrow(of, 3.4028234e38f, of->infinity);
        check_narrow(of, INFINITY, of->infinity);
        check_narrow(of, 0, 0);
    }
    check_narrow(&formats[0], 65504, 0x7BFF);
    check_narrow(&formats[0], 65519.996f, 0x7BFF);
    check_narrow(&formats[0], 65520, 0x7C00);
    check_narrow(&formats[0], 0x1p-25f, 0);
    check_narrow(&formats[0], 0x1.000002p-25f, 1);
    check_narrow(&formats[0], 0x1p-149f, 0);
    check_narrow(&formats[1], 0x1p-149f, 0);
    check_narrow(&formats[1], 0x1p-133f, 1);
}
END_TEST

START_TEST(not_numbers)
{
    ck_assert_uint_eq(narrow(RESATTN_F16, 0x7F800001), 0x7E00);
    ck_assert_uint_eq(narrow(RESATTN_F16, 0xFFC00000), 0xFE00);
    ck_assert_uint_eq(narrow(RESATTN_F16, 0x7F802000), 0x7C01);
    ck_assert_uint_eq(narrow(RESATTN_BF16, 0x7F800001), 0x7FC0);
    ck_assert_uint_eq(narrow(RESATTN_BF16, 0x7FFFFFFF), 0x7FFF);
    ck_assert_uint_eq(narrow(RESATTN_BF16, 0xFF810000), 0xFF81);
}
END_TEST

/* The nearest of the neighbours, and of two the even one. */
START_TEST(random_floats)
{
    for (int round = 0; round < 400000; round++) {
        const format *of = &formats[round % 2];
        uint32_t bits = (uint32_t)test_random();
        if (round % 4 < 2) /* more of what half precision has */
            bits = (bits & 0x80FFFFFF) | (uint32_t)(100 + test_random() % 48) << 23;
        double value = fabs((double)float_of(bits));
        uint32_t half = narrow(of->type, bits), magnitude = half & 0x7FFF;
        ck_assert_uint_eq(half >> 15, bits >> 31);
        if (isnan(value)) {
            ck_assert_uint_gt(magnitude, of->infinity);
            continue;
        }
        double distance = fabs(value - value_of(magnitude, of->mantissa, of->bias));
        if (isinf(value) || magnitude == of->infinity) {
            double last = value_of(of->infinity - 1, of->mantissa, of->bias);
            ck_assert(magnitude == of->infinity &&
                      value - last >= value_of(of->infinity, of->mantissa, of->bias) - value);
            continue;
        }
        for (int side = -1; side <= 1; side += 2) {
            if (magnitude == 0 && side < 0)
                continue;
            double other = fabs(value - value_of(magnitude + (uint32_t)side, of->mantissa, of->bias));
            ck_assert(distance < other || (distance == other && magnitude % 2 == 0));
        }
    }
}
END_TEST

static uint32_t from_double(double value)
{
    unsigned char bytes[8];
    uint64_t bits;
    uint32_t result;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(bits >> (8 * i));
    ra_numbers_widen(RA_NUMBER_F64, bytes, 1, &result);
    return result;
}

START_TEST(doubles)
{
    for (int round = 0; round < 400000; round++) {
        uint64_t bits = test_random();
        double value;
        if (round % 8)
            bits = (bits & UINT64_C(0x800FFFFFFFFFFFFF)) | (uint64_t)(1023 - 152 + test_random() % 282) << 52;
        if (round % 3 == 0) /* exactly in the middle */
            bits = (bits & ~UINT64_C(0x1FFFFFFF)) | 0x10000000;
        memcpy(&value, &bits, sizeof value);
        uint32_t result = from_double(value);
        if (isnan(value))
            ck_assert(isnan(float_of(result)) && result >> 31 == bits >> 63);
        else
            ck_assert_msg(result == bits_of((float)value), "%a gives %a", value, (double)float_of(result));
    }
    ck_assert(isinf(float_of(from_double(1e300))));
    ck_assert_uint_eq(from_double(-0.0), 0x80000000);
    ck_assert_uint_eq(from_double(0x1p-150), 0);
    ck_assert_uint_eq(from_double(0x1.8p-150), 1);
}
END_TEST

/* Neither the caller's rounding nor a mode that flushes denormals makes a difference. */
START_TEST(any_mode)
{
    uint32_t bits[4096];
    unsigned char before[8192], after[8192];
    for (int i = 0; i < 4096; i++)
        bits[i] = (uint32_t)test_random() % 0x48000000;
    for (int f = 0; f < 2; f++) {
        uint32_t wide_before[4096], wide_after[4096];
        ra_numbers_narrow(formats[f].type, bits, 4096, before);
        ra_numbers_widen(formats[f].type, before, 4096, wide_before);
        ra_fpmode mode;
        fesetround(FE_UPWARD);
        ra_numbers_narrow(formats[f].type, bits, 4096, after);
        ra_fpmode_enter(&mode);
        ra_numbers_widen(formats[f].type, before, 4096, wide_after);
        ra_fpmode_leave(&mode);
        fesetround(FE_TONEAREST);
        ck_assert_mem_eq(before, after, sizeof before);
        ck_assert_mem_eq(wide_before, wide_after, sizeof wide_before);
    }
}
END_TEST

/* ---- order ---- */

/* Any part of the elements, against copying strided tensors. */
START_TEST(orders)
{
    resattn_context *context = resattn_context_new(1);
    for (int round = 0; round < 300; round++) {
        int32_t rank = 1 + (int32_t)(test_random() % 4);
        int64_t shape[4], count = 1;
        for (int i = 0; i < rank; i++)
            count *= shape[i] = 1 + (int64_t)(test_random() % (i < 2 ? 9 : 4));
        resattn_tensor *tensor = resattn_tensor_new(context, RESATTN_F32, rank, shape, RESATTN_CHANNELS_LAST);
        float values[1296], got[1296];
        uint32_t bits[1296];
        for (int64_t i = 0; i < count; i++)
            values[i] = (float)i;
        for (int64_t at = 0, some; at < count; at += some) {
            some = 1 + (int64_t)(test_random() % (uint64_t)(count - at));
            memcpy(bits, values + at, (size_t)some * sizeof *bits);
            ra_order_put(tensor, at, some, bits);
        }
        ck_assert_int_eq(resattn_tensor_read(tensor, RESATTN_CHANNELS_FIRST, got, count), RESATTN_OK);
        ck_assert_mem_eq(got, values, (size_t)count * sizeof *got);
        int64_t at = (int64_t)(test_random() % (uint64_t)count);
        ra_order_get(tensor, at, count - at, bits);
        ck_assert_mem_eq(bits, values + at, (size_t)(count - at) * sizeof *bits);
        resattn_tensor_unref(tensor);
    }
    resattn_context_unref(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("numbers");
    TCase *tests = tcase_create("numbers");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_half);
    tcase_add_test(tests, every_rounding);
    tcase_add_test(tests, not_numbers);
    tcase_add_test(tests, random_floats);
    tcase_add_test(tests, doubles);
    tcase_add_test(tests, any_mode);
    tcase_add_test(tests, orders);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

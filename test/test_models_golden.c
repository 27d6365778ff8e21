/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What named networks compute from reproducible weights and noise (reproducible.h), beside what PyTorch 1.13 computed
 * in double precision with definitions written for the purpose. With an argument, the large networks.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "models.h"
#include "reproducible.h"

enum { LOGITS = 6, CLASSES = 1000 };

typedef struct golden {
    const char *name;
    int32_t size;
    double largest, norm;  /* of all logits, by magnitude */
    double logits[LOGITS]; /* of classes 0, 1, 2, 500, 998 and 999 */
} golden;

static const golden small[] = {
    {"attention-56-cifar",
     32,
     0.9026427,
     8.2706138,
     {-0.3203922, 0.3021146, 0.6599027, 0.4486043, -0.1874176, 0.07453476}},
    {"attention-92-cifar", 32, 3.09786, 27.559996, {-0.2947996, 0.6310226, 1.67463, 1.184325, -0.1523047, 0.1515976}},
    {"attention-452-cifar", 32, 3771.806, 36874.965, {-470.5017, 566.3418, -127.7301, 1692.957, 390.3562, 180.5816}},
    {"resnet-20-cifar", 32, 0.9250442, 7.642721, {0.2834536, 0.22616, -0.2284019, -0.03207316, 0.1652441, 0.1678902}},
    {"resnet-20-cifar-B",
     32,
     0.6685419,
     6.646159,
     {0.3777792, 0.1693994, -0.266605, 0.08780917, 0.2332931, 0.09635802}},
    {"resnet-56-cifar",
     32,
     2.182088,
     17.906083,
     {-0.1192647, 0.1870588, -0.1714098, -0.05455334, 0.7046252, 0.3774117}},
    {"resnet-110-cifar", 32, 7.566908, 70.485727, {2.875509, 0.6234542, -1.246537, 0.8849175, 1.404006, -0.1071918}},
    {"resnet-164-cifar",
     32,
     0.7877697,
     6.0897488,
     {-0.1735749, -0.2497286, -0.2155079, -0.1738055, -0.06040688, 0.06246068}},
};

static const golden large[] = {
    {"attention-56", 64, 0.6639683, 6.3654775, {-0.07698095, 0.4566693, 0.102711, 0.130636, -0.05855104, 0.2115357}},
    {"attention-92", 64, 2.233967, 21.294361, {0.01138926, 0.5004694, 0.4173568, 0.7258158, 0.04680075, -0.3420257}},
    {"attentionnext-56", 64, 1.205272, 10.778036, {0.0284557, 0.2629249, 0.4462643, 0.1852761, -0.1497868, 0.05987053}},
    {"attentioninception-56",
     64,
     0.797615,
     7.9056118,
     {0.1365626, 0.2764721, 0.5399702, 0.5360543, -0.3995923, 0.1786434}},
    {"resnet-50", 64, 0.773002, 6.2605807, {-0.02346055, -0.1120877, 0.2185749, 0.1562034, -0.0164056, -0.1459873}},
    {"resnet-101", 64, 1.326462, 10.461295, {0.03863889, -0.2775615, 0.07739522, 0.3596663, 0.05482364, -0.122731}},
    {"resnet-152", 64, 1.961445, 13.943083, {-0.407519, -0.2175887, -0.1082111, 0.1295832, 0.2058449, -0.3423765}},
    {"resnet-152-v1", 64, 1.934412, 13.772133, {-0.3037873, -0.205051, -0.1125076, 0.1296235, 0.1776764, -0.412126}},
    {"resnext-101", 64, 1.282503, 10.613663, {-0.3040189, -0.3949021, 0.1238726, 0.4605442, 0.1709483, 0.0599843}},
    {"resnet-200", 64, 0.9124922, 6.0608179, {0.0201879, -0.04610812, 0.1340692, 0.03948933, 0.06847094, -0.1275111}},
    {"inception-resnet-v1",
     139,
     0.3660216,
     3.0388517,
     {0.0264958, -0.08954485, 0.09965041, 0.08047729, -0.1800801, 0.07812332}},
    {"inception-resnet-v2",
     139,
     0.3477239,
     3.3897518,
     {0.0194858, 0.01290364, 0.1487053, -0.08511326, 0.1109331, -0.01557619}},
};

/* The name of a network, or that of a CIFAR ResNet followed by -B: with the other kind of shortcut. */
static resattn_network *golden_network(resattn_context *context, const char *name)
{
    static const models_change projection[] = {{"shortcut", RESATTN_SHORTCUT_PROJECTION}, {NULL, 0}};
    char base[64] = "";
    size_t length = strlen(name);
    if (strcmp(name + length - 2, "-B") != 0)
        return models_new(context, name, CLASSES);
    memcpy(base, name, length - 2);
    resattn_model_config *config = models_config(context, base, projection);
    resattn_network *network = models_built(context, config, CLASSES);
    resattn_model_config_free(config);
    return network;
}

static void check_logits(resattn_network *network, const golden *expected, resattn_convolution convolution)
{
    static const int classes[LOGITS] = {0, 1, 2, 500, 998, 999};
    float *logits = models_logits_by(network, 1, expected->size, convolution);
    double tolerance = 2e-4 * expected->largest, squares = 0;
    for (int i = 0; i < LOGITS; i++)
        ck_assert_double_eq_tol((double)logits[classes[i]], expected->logits[i], tolerance);
    for (int i = 0; i < CLASSES; i++)
        squares += (double)logits[i] * (double)logits[i];
    ck_assert_double_eq_tol(sqrt(squares) / expected->norm, 1, 2e-5);
    free(logits);
}

/* With every way to compute convolutions, and the kernels of every level that this CPU has. */
static void check_golden(const golden *expected)
{
    static const ra_cpu_level levels[] = {RA_CPU_AVX512, RA_CPU_AVX2, RA_CPU_PLAIN};
    resattn_context *context = resattn_context_new(0);
    resattn_network *network = golden_network(context, expected->name);
    ck_assert(reproducible_network(network, ""));
    for (int convolution = RESATTN_CONVOLUTION_FASTEST; convolution <= RESATTN_CONVOLUTION_REFERENCE; convolution++)
        check_logits(network, expected, (resattn_convolution)convolution);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        ra_cpu_cap(levels[i]);
        if (ra_cpu() == levels[i])
            check_logits(network, expected, RESATTN_CONVOLUTION_FASTEST);
    }
    resattn_network_unref(network);
    resattn_context_unref(context);
}

START_TEST(small_networks)
{
    check_golden(&small[_i]);
}
END_TEST

START_TEST(large_networks)
{
    check_golden(&large[_i]);
}
END_TEST

int main(int argc, char **argv)
{
    (void)argv;
    Suite *suite = suite_create("golden values of the models");
    TCase *tests = tcase_create("golden values");
    tcase_set_timeout(tests, 300);
    if (argc > 1)
        tcase_add_loop_test(tests, large_networks, 0, (int)(sizeof large / sizeof *large));
    else
        tcase_add_loop_test(tests, small_networks, 0, (int)(sizeof small / sizeof *small));
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

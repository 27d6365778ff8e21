/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each named network runs forward at its own size, trains on small images, and survives being saved and loaded. With an
 * argument, the large ones.
 */
#include <stdlib.h>
#include <string.h>

#include "models.h"

typedef struct run {
    const char *name;
    int32_t training_size; /* that the network's poolings allow */
} run;

static const run small[] = {
    {"attention-56-cifar", 32},  {"attention-92-cifar", 32},  {"attention-128-cifar", 32}, {"attention-164-cifar", 32},
    {"attention-236-cifar", 32}, {"attention-452-cifar", 32}, {"resnet-20-cifar", 32},     {"resnet-32-cifar", 32},
    {"resnet-44-cifar", 32},     {"resnet-56-cifar", 32},     {"resnet-110-cifar", 32},    {"resnet-164-cifar", 32},
};

static const run large[] = {
    {"attention-56", 64},          {"attention-92", 64}, {"attentionnext-56", 64}, {"attentionnext-92", 64},
    {"attentioninception-56", 64}, {"resnet-50", 64},    {"resnet-101", 64},       {"resnet-152", 64},
    {"resnet-152-v1", 64},         {"resnext-101", 64},  {"resnet-200", 64},       {"inception-resnet-v1", 139},
    {"inception-resnet-v2", 139},
};

static void check_run(const run *r, int32_t classes, int32_t level)
{
    resattn_context *context = resattn_context_new(0);
    resattn_network *network = models_new(context, r->name, classes);
    free(models_logits(network, 1, resattn_model_input_size(r->name)));
    models_train(network, 2, r->training_size);
    models_reload(network, level, 1, r->training_size);
    resattn_network_unref(network);
    resattn_context_unref(context);
}

START_TEST(small_networks)
{
    check_run(&small[_i], 10, 1);
}
END_TEST

START_TEST(large_networks)
{
    check_run(&large[_i], 1000, 0);
}
END_TEST

START_TEST(all_are_run)
{
    for (int32_t m = 0; m < resattn_model_count(); m++) {
        int found = 0;
        for (size_t i = 0; i < sizeof small / sizeof *small; i++)
            found += strcmp(small[i].name, resattn_model_name(m)) == 0;
        for (size_t i = 0; i < sizeof large / sizeof *large; i++)
            found += strcmp(large[i].name, resattn_model_name(m)) == 0;
        ck_assert_msg(found == 1, "%s: run %d times", resattn_model_name(m), found);
    }
}
END_TEST

int main(int argc, char **argv)
{
    (void)argv;
    Suite *suite = suite_create("runs of the models");
    TCase *runs = tcase_create("runs");
    tcase_set_timeout(runs, 300);
    tcase_add_test(runs, all_are_run);
    if (argc > 1)
        tcase_add_loop_test(runs, large_networks, 0, (int)(sizeof large / sizeof *large));
    else
        tcase_add_loop_test(runs, small_networks, 0, (int)(sizeof small / sizeof *small));
    suite_add_tcase(suite, runs);
    return test_run(suite);
}

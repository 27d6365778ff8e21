/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that loads and unloads the shared library again and again, as plug-ins are: no crash, and threads, file
 * descriptors and memory do not grow. Not linked with the library; its path is the argument.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "resattn/resattn.h"

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33) && !defined(__SANITIZE_ADDRESS__)
#include <malloc.h>
#define COUNTS_BYTES
#endif
#endif

enum { ROUNDS = 10, SIDE = 32, MOST_GROWTH = 4096 };

static const char *library_path;

/* The functions that a round needs, by name, with their types from the headers. */
#define FUNCTIONS(X)                                                                                                   \
    X(resattn_context_new)                                                                                             \
    X(resattn_context_unref)                                                                                           \
    X(resattn_context_threads)                                                                                         \
    X(resattn_builder_new)                                                                                             \
    X(resattn_builder_free)                                                                                            \
    X(resattn_model_new)                                                                                               \
    X(resattn_network_new)                                                                                             \
    X(resattn_network_unref)                                                                                           \
    X(resattn_plan_new)                                                                                                \
    X(resattn_plan_free)                                                                                               \
    X(resattn_session_new)                                                                                             \
    X(resattn_session_free)                                                                                            \
    X(resattn_session_forward)                                                                                         \
    X(resattn_tensor_new)                                                                                              \
    X(resattn_tensor_unref)                                                                                            \
    X(resattn_last_error)

#define POINTER(name) __typeof__(name) *name;
typedef struct functions {
    FUNCTIONS(POINTER)
} functions;

static void find(void *library, const char *name, void *pointer)
{
    *(void **)pointer = dlsym(library, name);
    ck_assert_msg(*(void **)pointer != NULL, "%s: %s", name, dlerror());
}

static functions find_functions(void *library)
{
    functions f;
#define FIND(name) find(library, #name, &f.name);
    FUNCTIONS(FIND)
    return f;
}

static void run(const functions *f)
{
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    resattn_context *context = f->resattn_context_new(3);
    ck_assert_ptr_nonnull(context);
    ck_assert_int_eq(f->resattn_context_threads(context), 3);
    resattn_builder *b = f->resattn_builder_new(context);
    resattn_network *network = f->resattn_network_new(b, f->resattn_model_new(b, "attention-56-cifar", 10), 3);
    resattn_plan *plan = f->resattn_plan_new(network, RESATTN_INFERENCE, 1, SIDE, SIDE);
    resattn_session *session = f->resattn_session_new(plan);
    resattn_tensor *image = f->resattn_tensor_new(context, RESATTN_F32, 4, shape, RESATTN_CHANNELS_LAST);
    ck_assert_msg(f->resattn_session_forward(session, image) == RESATTN_OK, "%s", f->resattn_last_error());
    f->resattn_tensor_unref(image);
    f->resattn_session_free(session);
    f->resattn_plan_free(plan);
    f->resattn_network_unref(network);
    f->resattn_builder_free(b);
    f->resattn_context_unref(context);
}

/* How many entries a folder has; 0 where the system has no such folder. */
static int count_entries(const char *folder)
{
    int count = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL)
        return 0;
    while (readdir(entries) != NULL)
        count++;
    closedir(entries);
    return count;
}

/*
 * What malloc() has given and not got back; 0 where it does not tell. The system's numbers will not do: how much physical memory a
 * process has depends on what else the machine is doing.
 */
static long bytes_in_use(void)
{
#if defined(COUNTS_BYTES)
    struct mallinfo2 info = mallinfo2();
    return (long)(info.uordblks + info.hblkhd);
#else
    return 0;
#endif
}

/* A thread that has been joined may be listed by the system for a moment. */
static int settled_threads(int expected)
{
    int threads = count_entries("/proc/self/task");
    for (int i = 0; i < 1000 && threads > expected; i++) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        threads = count_entries("/proc/self/task");
    }
    return threads;
}

/* A leak grows in every round; BLIS's pools grow now and then, when more threads than ever before multiply at the same time. */
START_TEST(test_again_and_again)
{
    int threads = count_entries("/proc/self/task"), descriptors = count_entries("/proc/self/fd");
    long before = 0, least = LONG_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
        ck_assert_msg(library != NULL, "%s", dlerror());
        functions f = find_functions(library);
        run(&f);
        ck_assert_int_eq(dlclose(library), 0);
        ck_assert_int_eq(settled_threads(threads), threads);
        ck_assert_int_eq(count_entries("/proc/self/fd"), descriptors);
        long now = bytes_in_use();
        if (i > 0 && now - before < least)
            least = now - before;
        before = now;
    }
    ck_assert_msg(least < MOST_GROWTH, "at least %ld bytes more after each round", least);
    printf("at least %ld bytes more after each round\n", least);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: test_host_load SHARED_LIBRARY\n");
        return EXIT_FAILURE;
    }
    library_path = argv[1];
#if defined(COUNTS_BYTES)
    mallopt(M_ARENA_MAX, 1); /* mallinfo2() tells of one arena only */
#endif
    Suite *suite = suite_create("host_load");
    TCase *tests = tcase_create("host_load");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_again_and_again);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

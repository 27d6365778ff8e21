/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs as files: at every moment the old file or the new one, and nothing beside it.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_common.h"

static char folder[64];

static void enter_folder(void)
{
    blob_set_up();
    strcpy(folder, "/tmp/resattn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static int files_here(void)
{
    int count = 0;
    DIR *d = opendir(".");
    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

static void leave_folder(void)
{
    const char *names[] = {"model.resattn", "link.resattn", "other.resattn", "folder"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        remove(names[i]);
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder);
    blob_tear_down();
}

START_TEST(file)
{
    resattn_network *network = full_network(context);
    char path[128];
    snprintf(path, sizeof path, "%s/model.resattn", folder);
    const char *paths[] = {"model.resattn", "./model.resattn", path};
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(resattn_network_save(network, paths[i], 6) == RESATTN_OK, "%s", resattn_last_error());
        resattn_network *loaded = resattn_network_load(context, paths[i]);
        check_same(network, loaded);
        resattn_network_unref(loaded);
        ck_assert_int_eq(files_here(), 1);
    }
    resattn_network_unref(network);
}
END_TEST

START_TEST(file_modes_and_links)
{
    resattn_network *network = full_network(context);
    struct stat facts;
    umask(027);
    ck_assert_int_eq(resattn_network_save(network, "model.resattn", 1), RESATTN_OK);
    ck_assert_int_eq(stat("model.resattn", &facts), 0);
    ck_assert_int_eq(facts.st_mode & 07777, 0640);
    ck_assert_int_eq(chmod("model.resattn", 0606), 0);
    ck_assert_int_eq(symlink("model.resattn", "link.resattn"), 0);
    ck_assert_int_eq(resattn_network_save(network, "link.resattn", 9), RESATTN_OK);
    ck_assert_int_eq(lstat("link.resattn", &facts), 0);
    ck_assert(S_ISLNK(facts.st_mode));
    ck_assert_int_eq(stat("model.resattn", &facts), 0);
    ck_assert_int_eq(facts.st_mode & 07777, 0606);
    ck_assert_int_eq(files_here(), 2);
    resattn_network_unref(network);
}
END_TEST

static void check_save_fails(resattn_network *network, const char *path, const char *reason)
{
    ck_assert_int_eq(resattn_network_save(network, path, 6), RESATTN_IO_ERROR);
    ck_assert_msg(strstr(resattn_last_error(), reason) && strncmp(resattn_last_error(), path, strlen(path)) == 0,
                  "'%s', expected '%s: ...%s'", resattn_last_error(), path, reason);
}

START_TEST(files_that_cannot_be)
{
    resattn_network *network = full_network(context);
    ck_assert_int_eq(mkdir("folder", 0777), 0);
    check_save_fails(network, "missing/model.resattn", "No such file");
    check_save_fails(network, "folder", "folder");
    check_save_fails(network, "/dev/null", "regular");
    ck_assert_int_eq(resattn_network_save(network, "folder/", 6), RESATTN_IO_ERROR);
    ck_assert_int_eq(resattn_network_save(network, "", 6), RESATTN_INVALID_ARGUMENT);
    ck_assert_int_eq(resattn_network_save(network, "model.resattn", 6), RESATTN_OK);
    check_save_fails(network, "model.resattn/model.resattn", "directory");
    if (geteuid() != 0) {
        chmod("model.resattn", 0444);
        check_save_fails(network, "model.resattn", "Permission");
        chmod(".", 0555);
        check_save_fails(network, "other.resattn", "Permission");
        chmod(".", 0755);
    }
    ck_assert_int_eq(files_here(), 2);
    ck_assert_ptr_null(resattn_network_load(context, "missing"));
    ck_assert_int_eq(resattn_last_status(), RESATTN_NOT_FOUND);
    ck_assert_ptr_null(resattn_network_load(context, "folder"));
    ck_assert_int_eq(resattn_last_status(), RESATTN_IO_ERROR);
    ck_assert_ptr_null(resattn_network_load(context, "/dev/null"));
    ck_assert_int_eq(resattn_last_status(), RESATTN_IO_ERROR);
    ck_assert_ptr_null(resattn_network_load(context, "model.resattn/x"));
    ck_assert_int_eq(resattn_last_status(), RESATTN_IO_ERROR);
    resattn_network_unref(network);
}
END_TEST

/* A full disk, as a limit on the size of files: the old file stays whole, and nothing else stays. */
START_TEST(failing_writes_to_a_file)
{
    resattn_network *network = full_network(context);
    ck_assert_int_eq(resattn_network_save(network, "model.resattn", 6), RESATTN_OK);
    resattn_network *altered = small_network(context);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t most = 0; most < 1500; most += 100) {
        struct rlimit limit = {most, RLIM_INFINITY};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        check_save_fails(altered, "model.resattn", "File too large");
        check_save_fails(altered, "other.resattn", "File too large");
        limit.rlim_cur = RLIM_INFINITY;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(files_here(), 1);
        resattn_network *loaded = resattn_network_load(context, "model.resattn");
        check_same(network, loaded);
        resattn_network_unref(loaded);
    }
    resattn_network_unref(altered);
    resattn_network_unref(network);
}
END_TEST

START_TEST(error_names_the_file)
{
    FILE *stream = fopen("model.resattn", "w");
    fputs("P6 640 480 255\n", stream);
    fclose(stream);
    ck_assert_ptr_null(resattn_network_load(context, "model.resattn"));
    ck_assert_str_eq(resattn_last_error(), "model.resattn: not a libresattn blob");
    truncate("model.resattn", 0);
    ck_assert_ptr_null(resattn_network_load(context, "model.resattn"));
    ck_assert_ptr_nonnull(strstr(resattn_last_error(), "truncated"));
}
END_TEST

static Suite *files_suite(void)
{
    Suite *suite = suite_create("blob files");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, enter_folder, leave_folder);
    tcase_add_test(files, file);
    tcase_add_test(files, file_modes_and_links);
    tcase_add_test(files, files_that_cannot_be);
    tcase_add_test(files, failing_writes_to_a_file);
    tcase_add_test(files, error_names_the_file);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return test_run(files_suite());
}

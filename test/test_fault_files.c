/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every system call of a save fails once, in every way that it may, and every write to a callback: the old file stays
 * whole, nothing is left beside it, and the error names the path and the reason. The program's own system calls stand
 * before the C library's. Also a file system that is full.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault_common.h"

/* ---- system calls that fail ---- */

typedef enum call_kind { OPEN, WRITE, SYNC, CLOSE, RENAME, ACCESS, MODE, RESOLVE, CALL_KINDS } call_kind;

static const char *const call_names[CALL_KINDS] = {"open",   "write",     "fsync",  "close",
                                                   "rename", "faccessat", "fchmod", "realpath"};

/* The calls of each kind since watch(); the one of `kind` numbered `nth` (from 1) fails with `error`, or, where that is
 * 0, writes less than it was asked to. */
static struct {
    int on, counts[CALL_KINDS], nth, error, reached;
    call_kind kind;
} watched;

static int strike(call_kind kind)
{
    if (!watched.on)
        return 0;
    int nth = ++watched.counts[kind];
    if (kind != watched.kind || nth != watched.nth)
        return 0;
    watched.reached = 1;
    errno = watched.error;
    return 1;
}

/* What comes after this program's function; as bytes, since ISO C has no such conversion. */
static void find(const char *name, void *function)
{
    void *next = dlsym(RTLD_NEXT, name);
    memcpy(function, &next, sizeof next);
}

/* Compiled for large files, as the library is, it has the name that the library calls, open64 where that differs. */
static int open_really(const char *path, int flags, va_list arguments)
{
    unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
    return strike(OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

TEST_INTERPOSED int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int descriptor = open_really(path, flags, arguments);
    va_end(arguments);
    return descriptor;
}

TEST_INTERPOSED ssize_t write(int descriptor, const void *bytes, size_t size)
{
    if (strike(WRITE)) {
        if (watched.error != 0)
            return -1;
        size = (size + 2) / 3;
    }
    return syscall(SYS_write, descriptor, bytes, size);
}

TEST_INTERPOSED int fsync(int descriptor)
{
    return strike(SYNC) ? -1 : (int)syscall(SYS_fsync, descriptor);
}

/* Whatever it answers, the descriptor is gone, as on Linux. */
TEST_INTERPOSED int close(int descriptor)
{
    int failed = strike(CLOSE), error = errno;
    int answer = (int)syscall(SYS_close, descriptor);
    if (failed)
        errno = error;
    return failed ? -1 : answer;
}

TEST_INTERPOSED int rename(const char *from, const char *to)
{
    return strike(RENAME) ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

TEST_INTERPOSED int faccessat(int folder, const char *path, int mode, int flags)
{
    int (*next)(int, const char *, int, int);
    find("faccessat", &next);
    return strike(ACCESS) ? -1 : next(folder, path, mode, flags);
}

TEST_INTERPOSED int fchmod(int descriptor, mode_t mode)
{
    return strike(MODE) ? -1 : (int)syscall(SYS_fchmod, descriptor, mode);
}

TEST_INTERPOSED char *realpath(const char *path, char *resolved)
{
    char *(*next)(const char *, char *);
    find("realpath", &next);
    return strike(RESOLVE) ? NULL : next(path, resolved);
}

/* ---- what is saved ---- */

static struct {
    resattn_context *context;
    resattn_network *network, *other; /* the file holds the first, the second is to be saved over it */
    resattn_optimizer *optimizer;     /* of the second */
    uint64_t before, after;
    char folder[64];
} bench;

static int64_t files_here(void)
{
    int64_t count = -2;
    DIR *folder = opendir(".");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void enter(void)
{
    strcpy(bench.folder, "/tmp/resattn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(bench.folder));
    ck_assert_int_eq(chdir(bench.folder), 0);
    bench.context = resattn_context_new(1);
    bench.network = fault_network(bench.context);
    bench.other = resattn_network_copy(bench.network);
    ck_assert_int_eq(resattn_network_initialize(bench.other, 7), RESATTN_OK);
    bench.optimizer = resattn_sgd_new(bench.other, 0.1);
    bench.before = fault_hash_network(bench.network);
    bench.after = fault_hash_network(bench.other);
}

static void leave(void)
{
    resattn_optimizer_free(bench.optimizer);
    resattn_network_unref(bench.other);
    resattn_network_unref(bench.network);
    resattn_context_unref(bench.context);
    remove("model");
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(bench.folder);
}

enum { BLOB, CHECKPOINT, WEIGHTS, FORMS };

static resattn_status save(int form, resattn_network *network, const char *path)
{
    if (form == CHECKPOINT && network == bench.other)
        return resattn_checkpoint_save(bench.optimizer, NULL, path, 6);
    return form == WEIGHTS ? resattn_network_save_weights(network, path, RESATTN_F32)
                           : resattn_network_save(network, path, 6);
}

/* The values in a file. */
static uint64_t hash_file(int form, const char *path)
{
    resattn_network *loaded;
    if (form == WEIGHTS) {
        loaded = resattn_network_copy(bench.network);
        ck_assert_int_eq(resattn_network_initialize(loaded, 99), RESATTN_OK);
        ck_assert_int_eq(resattn_network_load_weights(loaded, path, NULL, RESATTN_WEIGHTS_STRICT, NULL), RESATTN_OK);
    } else {
        loaded = resattn_network_load(bench.context, path);
    }
    ck_assert_msg(loaded != NULL, "%s", resattn_last_error());
    uint64_t hash = fault_hash_network(loaded);
    resattn_network_unref(loaded);
    return hash;
}

static resattn_status save_watched(int form, call_kind kind, int nth, int error)
{
    memset(&watched, 0, sizeof watched);
    watched.kind = kind;
    watched.nth = nth;
    watched.error = error;
    watched.on = 1;
    resattn_status status = save(form, bench.other, "model");
    watched.on = 0;
    return status;
}

/* What a save does about a call that fails so. A folder that cannot be opened or flushed, or modes that a file system
 * does not have, do no harm to the new file. */
static int does_no_harm(call_kind kind, int nth, int error)
{
    return error == EINTR || error == 0 || kind == MODE || (kind == OPEN && nth == 2) || (kind == CLOSE && nth == 2) ||
           (kind == SYNC && nth == 2 && error == EINVAL);
}

/* The name of the folder was not flushed: whole as the new file is, it may be the old one again after a crash. */
static int is_late(call_kind kind, int nth)
{
    return kind == SYNC && nth == 2;
}

static void check_failure(int form, call_kind kind, int nth, int error)
{
    char what[80];
    snprintf(what, sizeof what, "form %d, %s number %d, %s", form, call_names[kind], nth, strerror(error));
    ck_assert_int_eq(save(form, bench.network, "model"), RESATTN_OK);
    resattn_status status = save_watched(form, kind, nth, error);
    if (!watched.reached)
        return;
    ck_assert_int_eq(files_here(), 1);
    if (does_no_harm(kind, nth, error)) {
        ck_assert_msg(status == RESATTN_OK, "%s: %s", what, resattn_last_error());
        ck_assert_msg(hash_file(form, "model") == bench.after, "%s", what);
        return;
    }
    ck_assert_msg(status == (error == ENOMEM ? RESATTN_OUT_OF_MEMORY : RESATTN_IO_ERROR), "%s: status %d", what,
                  (int)status);
    ck_assert_msg(strncmp(resattn_last_error(), "model: ", 7) == 0 && strstr(resattn_last_error(), strerror(error)),
                  "%s: '%s'", what, resattn_last_error());
    ck_assert_msg(hash_file(form, "model") == (is_late(kind, nth) ? bench.after : bench.before), "%s", what);
}

static const int errors[CALL_KINDS][5] = {
    [OPEN] = {EMFILE, EACCES, ENOSPC, EROFS, EINTR}, [WRITE] = {ENOSPC, EIO, EDQUOT, EINTR, 0}, /* 0: a short one */
    [SYNC] = {EIO, ENOSPC, EIO, EIO, EIO},           [CLOSE] = {EIO, ENOSPC, EDQUOT, EINTR, EIO},
    [RENAME] = {EIO, ENOSPC, EACCES, EROFS, EXDEV},  [ACCESS] = {EACCES, EROFS, EIO, EACCES, EACCES},
    [MODE] = {EPERM, EPERM, EPERM, EPERM, EPERM},    [RESOLVE] = {ENOMEM, EIO, ELOOP, EACCES, ENOMEM},
};

START_TEST(test_every_call)
{
    if (save(_i, bench.network, "model") == RESATTN_UNSUPPORTED)
        return;
    for (call_kind kind = 0; kind < CALL_KINDS; kind++) {
        save_watched(_i, CALL_KINDS, 0, 0);
        int calls = watched.counts[kind];
        ck_assert_msg(calls >= 1, "no %s", call_names[kind]);
        for (int nth = 1; nth <= calls; nth++)
            for (int i = 0; i < 5; i++)
                check_failure(_i, kind, nth, errors[kind][i]);
    }
}
END_TEST

/* Where there was no file, there is none after a failure. */
START_TEST(test_new_file)
{
    for (call_kind kind = OPEN; kind <= RENAME; kind++) {
        for (int form = 0; form < FORMS; form++) {
            resattn_status status = save_watched(form, kind, 1, EIO);
            if (status == RESATTN_UNSUPPORTED)
                continue;
            ck_assert_int_eq(status, RESATTN_IO_ERROR);
            ck_assert_int_eq(files_here(), 0);
        }
    }
}
END_TEST

/* ---- callbacks that fail ---- */

typedef struct target {
    int calls, fails; /* the call that fails, from 1 */
} target;

static int32_t take(void *user, const void *bytes, size_t size)
{
    target *t = user;
    (void)bytes;
    (void)size;
    return ++t->calls == t->fails ? 5 : 0;
}

static resattn_status save_to(int form, target *t)
{
    if (form == CHECKPOINT)
        return resattn_checkpoint_save_stream(bench.optimizer, NULL, 6, take, t);
    return form == WEIGHTS ? resattn_network_save_weights_stream(bench.other, RESATTN_F32, take, t)
                           : resattn_network_save_stream(bench.other, 6, take, t);
}

START_TEST(test_every_callback)
{
    target whole = {0};
    if (save_to(_i, &whole) == RESATTN_UNSUPPORTED)
        return;
    ck_assert_int_ge(whole.calls, 2);
    for (int nth = 1; nth <= whole.calls; nth++) {
        target t = {0, nth};
        ck_assert_int_eq(save_to(_i, &t), RESATTN_IO_ERROR);
        ck_assert_int_eq(t.calls, nth);
        test_expect_error(RESATTN_IO_ERROR, "callback failed with 5");
    }
    target again = {0};
    ck_assert_int_eq(save_to(_i, &again), RESATTN_OK);
    ck_assert_int_eq(again.calls, whole.calls);
    ck_assert(fault_hash_network(bench.other) == bench.after);
}
END_TEST

/* ---- a full file system ---- */

/* Takes all but `left` bytes. */
static void fill(size_t left)
{
    static char block[512];
    int descriptor = open("disk/filler", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(descriptor, 0);
    off_t size = 0;
    for (ssize_t put; (put = write(descriptor, block, sizeof block)) > 0;)
        size += put;
    ck_assert_int_eq(ftruncate(descriptor, size > (off_t)left ? size - (off_t)left : 0), 0);
    close(descriptor);
}

static void full_disk(int form)
{
    ck_assert_int_eq(save(form, bench.network, "disk/model"), RESATTN_OK);
    for (size_t left = 0; left <= 16384; left += 4096) {
        fill(left);
        resattn_status status = save(form, bench.other, "disk/model");
        ck_assert_int_eq(unlink("disk/filler"), 0);
        if (status == RESATTN_OK)
            break;
        ck_assert_int_eq(status, RESATTN_IO_ERROR);
        ck_assert_ptr_nonnull(strstr(resattn_last_error(), "disk/model: "));
        ck_assert_ptr_nonnull(strstr(resattn_last_error(), strerror(ENOSPC)));
        ck_assert(hash_file(form, "disk/model") == bench.before);
        ck_assert_int_eq(chdir("disk"), 0);
        ck_assert_int_eq(files_here(), 1);
        ck_assert_int_eq(chdir(".."), 0);
    }
    ck_assert_int_eq(save(form, bench.other, "disk/model"), RESATTN_OK);
    ck_assert(hash_file(form, "disk/model") == bench.after);
}

/* Of 1 MiB; only where this program may mount one. test_blob_files and test_weights_files limit the size of files. */
START_TEST(test_full_disk)
{
    ck_assert_int_eq(mkdir("disk", 0700), 0);
    if (mount("none", "disk", "tmpfs", 0, "size=1m") == 0) {
        full_disk(BLOB);
        full_disk(CHECKPOINT);
        if (save(WEIGHTS, bench.network, "disk/model") == RESATTN_OK)
            full_disk(WEIGHTS);
        umount("disk");
    } else {
        printf("no file system can be mounted: %s\n", strerror(errno));
    }
    rmdir("disk");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault files");
    TCase *tests = tcase_create("files");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, enter, leave);
    tcase_add_loop_test(tests, test_every_call, 0, FORMS);
    tcase_add_test(tests, test_new_file);
    tcase_add_loop_test(tests, test_every_callback, 0, FORMS);
    tcase_add_test(tests, test_full_disk);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

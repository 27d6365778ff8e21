/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files: reading, and replacing one by another in one step.
 */
#define _XOPEN_SOURCE 700 /* realpath() */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/format.h"

#ifndef NAME_MAX
#define NAME_MAX 255
#endif

/* A larger request may be answered with a smaller number on any system, and with an error on some. */
enum { MOST_AT_ONCE = 1 << 30, TRIES = 100, SUFFIX = 6 };

static resattn_status status_of(int error)
{
    return error == ENOENT ? RESATTN_NOT_FOUND : error == ENOMEM ? RESATTN_OUT_OF_MEMORY : RESATTN_IO_ERROR;
}

/* "cannot `what`: reason" of an errno. */
static resattn_status system_fail(int error, const char *what)
{
    char reason[128];
    ra_system_reason(error, reason, sizeof reason);
    return ra_fail(status_of(error), "cannot %s: %s", what, reason);
}

int64_t ra_file_read(void *user, void *bytes, size_t size)
{
    const int *descriptor = user;
    ssize_t got;
    do
        got = read(*descriptor, bytes, size < MOST_AT_ONCE ? size : MOST_AT_ONCE);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        system_fail(errno, "read");
    return got;
}

uint64_t ra_file_skip(void *user, uint64_t size)
{
    const int *descriptor = user;
    struct stat facts;
    off_t at = lseek(*descriptor, 0, SEEK_CUR);
    if (at < 0 || fstat(*descriptor, &facts) < 0 || !S_ISREG(facts.st_mode) || facts.st_size <= at)
        return 0;
    uint64_t left = (uint64_t)facts.st_size - (uint64_t)at, most = size < left ? size : left;
    return lseek(*descriptor, (off_t)most, SEEK_CUR) < 0 ? 0 : most;
}

int32_t ra_file_write(void *user, const void *bytes, size_t size)
{
    const int *descriptor = user;
    const char *from = bytes;
    while (size > 0) {
        ssize_t put = write(*descriptor, from, size < MOST_AT_ONCE ? size : MOST_AT_ONCE);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return system_fail(errno, "write");
        from += put;
        size -= (size_t)put;
    }
    return RESATTN_OK;
}

int ra_file_open(const char *path)
{
    int descriptor;
    do
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) {
        system_fail(errno, "open");
        return -1;
    }
    struct stat facts;
    if (fstat(descriptor, &facts) < 0)
        system_fail(errno, "examine");
    else if (!S_ISREG(facts.st_mode) && !S_ISFIFO(facts.st_mode))
        ra_fail(RESATTN_IO_ERROR, "cannot read: %s",
                S_ISDIR(facts.st_mode) ? "it is a folder" : "it is neither a file nor a pipe");
    else
        return descriptor;
    close(descriptor);
    return -1;
}

bool ra_file_size(int descriptor, uint64_t *size)
{
    struct stat facts;
    if (fstat(descriptor, &facts) < 0)
        system_fail(errno, "examine");
    else if (!S_ISREG(facts.st_mode))
        ra_fail(RESATTN_IO_ERROR, "cannot read: it is a pipe, expected a file");
    else {
        *size = (uint64_t)facts.st_size;
        return true;
    }
    return false;
}

int ra_file_read_at(int descriptor, uint64_t offset, void *bytes, size_t size)
{
    char *to = bytes;
    while (size > 0) {
        ssize_t got = pread(descriptor, to, size < MOST_AT_ONCE ? size : MOST_AT_ONCE, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : -1;
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

resattn_status ra_file_fail(int answer)
{
    if (answer < 0)
        return ra_fail(RESATTN_BAD_FORMAT, "truncated: it became shorter while it was read");
    return system_fail(answer, "read");
}

void ra_file_close(int descriptor)
{
    close(descriptor);
}

/* ---- replacing ---- */

typedef struct replacement {
    resattn_context *context;
    char *target;    /* links followed */
    char *temporary; /* in the same folder: the folder, ".", the name (cut), ".", random letters */
    char *folder;
    int descriptor;
    bool exists;
    mode_t mode;
} replacement;

/* The file that `path` leads to, so that a symbolic link stays one; `path` itself where there is no such file yet. */
static bool find_target(replacement *r, const char *path)
{
    struct stat facts;
    if (stat(path, &facts) == 0) {
        if (!S_ISREG(facts.st_mode)) {
            ra_fail(RESATTN_IO_ERROR, "cannot replace: it is %s",
                    S_ISDIR(facts.st_mode) ? "a folder" : "no regular file");
            return false;
        }
        /* Renaming over a file asks its folder only: a file that is protected by its own mode stays. */
        if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0) {
            system_fail(errno, "replace");
            return false;
        }
        r->exists = true;
        r->mode = facts.st_mode & 0777;
        char *resolved = realpath(path, NULL);
        if (!resolved) {
            system_fail(errno, "follow the path");
            return false;
        }
        r->target = ra_strdup(r->context, resolved);
        free(resolved);
    } else if (errno == ENOENT) {
        r->target = ra_strdup(r->context, path);
    } else {
        system_fail(errno, "examine");
    }
    return r->target != NULL;
}

static bool name_temporary(replacement *r)
{
    const char *slash = strrchr(r->target, '/');
    const char *name = slash ? slash + 1 : r->target;
    size_t folder = (size_t)(name - r->target), kept = strlen(name);
    if (kept == 0) {
        ra_fail(RESATTN_INVALID_ARGUMENT, "the path names no file");
        return false;
    }
    if (kept > NAME_MAX - SUFFIX - 2)
        kept = NAME_MAX - SUFFIX - 2;
    r->folder = ra_alloc(r->context, folder + 2, 1);
    r->temporary = r->folder ? ra_alloc(r->context, folder + kept + SUFFIX + 3, 1) : NULL;
    if (!r->temporary)
        return false;
    memcpy(r->folder, folder ? r->target : ".", folder ? folder : 1);
    memcpy(r->temporary, r->target, folder);
    r->temporary[folder] = '.';
    memcpy(r->temporary + folder + 1, name, kept);
    r->temporary[folder + 1 + kept] = '.';
    return true;
}

/* Opens a file that did not exist. Until it has its mode it is at most as open as the one that it will replace. */
static bool open_temporary(replacement *r)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t key = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec << 20 ^ (uint64_t)getpid() << 40 ^
                   (uint64_t)(uintptr_t)r;
    char *suffix = r->temporary + strlen(r->temporary);
    for (uint64_t try = 0; try < TRIES; try++) {
        uint64_t bits = ra_random_bits(key, try);
        for (int i = 0; i < SUFFIX; i++, bits /= sizeof letters - 1)
            suffix[i] = letters[bits % (sizeof letters - 1)];
        r->descriptor = open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, r->exists ? r->mode : 0666);
        if (r->descriptor >= 0) {
            if (r->exists)
                (void)fchmod(r->descriptor, r->mode);
            return true;
        }
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    system_fail(errno, "make a file beside it");
    return false;
}

static resattn_status flush_and_close(replacement *r)
{
    int descriptor = r->descriptor;
    if (fsync(descriptor) != 0)
        return system_fail(errno, "flush to the disk");
    r->descriptor = -1;
    if (close(descriptor) != 0 && errno != EINTR)
        return system_fail(errno, "close");
    return RESATTN_OK;
}

/* Makes the new name last through a crash. Folders that cannot be opened or flushed at all are left to the system. */
static resattn_status flush_folder(const replacement *r)
{
    int descriptor = open(r->folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (descriptor < 0)
        return RESATTN_OK;
    int error = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    if (error == EIO || error == ENOSPC)
        return system_fail(error, "flush the folder to the disk");
    return RESATTN_OK;
}

static resattn_status replace(replacement *r, ra_produce_fn produce, void *user)
{
    if (!name_temporary(r) || !open_temporary(r))
        return resattn_last_status();
    resattn_status status = produce(user, &r->descriptor);
    if (status == RESATTN_OK)
        status = flush_and_close(r);
    if (status == RESATTN_OK && rename(r->temporary, r->target) != 0)
        status = system_fail(errno, "rename the new file");
    if (r->descriptor >= 0)
        close(r->descriptor);
    if (status != RESATTN_OK) {
        unlink(r->temporary);
        return status;
    }
    return flush_folder(r);
}

resattn_status ra_file_replace(resattn_context *context, const char *path, ra_produce_fn produce, void *user)
{
    replacement r = {.context = context, .descriptor = -1};
    resattn_status status = find_target(&r, path) ? replace(&r, produce, user) : resattn_last_status();
    ra_free(context, r.temporary);
    ra_free(context, r.folder);
    ra_free(context, r.target);
    /* Saving has no "not found": that is for loading. A missing folder is a failure to write. */
    if (status == RESATTN_NOT_FOUND)
        status = ra_fail(RESATTN_IO_ERROR, "%s", resattn_last_error());
    return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file for what the library reads from files only.
 */
#include "fuzz.h"

#include <unistd.h>

static char path[256];

static void remove_file(void)
{
    unlink(path);
}

static void make_file(void)
{
    /* In memory where the system has such a folder. */
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/resattn-fuzz-XXXXXX", folder);
    int descriptor = mkstemp(path);
    FUZZ_CHECK(descriptor >= 0, "no file %s", path);
    close(descriptor);
    atexit(remove_file);
}

const char *fuzz_file(const void *bytes, size_t size)
{
    if (!path[0])
        make_file();
    /* Opened anew: the library may have renamed another file over it. */
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, "writing %s", path);
    return path;
}

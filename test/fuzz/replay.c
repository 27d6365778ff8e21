/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main() of a target that is built without libFuzzer: gives it the files, and the files in the folders, that the
 * command line names.
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    /* Of exactly the size, so that a checker sees a read beyond the end. */
    uint8_t *bytes = size >= 0 ? malloc(size ? (size_t)size : 1) : NULL;
    if (bytes)
        rewind(file);
    int ok = bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size;
    if (file)
        fclose(file);
    if (ok)
        LLVMFuzzerTestOneInput(bytes, (size_t)size);
    else
        perror(path);
    free(bytes);
    return ok ? 1 : -1;
}

/* Returns how many inputs it has run, or -1 after printing why not. */
static int replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(status.st_mode))
        return replay_file(path);
    struct dirent **entries;
    int found = scandir(path, &entries, NULL, alphasort), count = found;
    for (int i = 0; i < found; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        int more = entries[i]->d_name[0] == '.' ? 0 : replay(inner);
        count = more < 0 || count < 0 ? -1 : count + more - 1;
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0, failed = argc < 2;
    if (failed)
        fprintf(stderr, "usage: %s FILE_OR_FOLDER...\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        int more = replay(argv[i]);
        failed |= more < 0;
        count += more > 0 ? more : 0;
    }
    printf("%d inputs\n", count);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

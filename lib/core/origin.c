/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether this is still the process that it was, or a child that fork() made of it. Asking the system takes up to a
 * microsecond, too much for each parallel job, so where Linux offers it a page is set up that children see as zeros.
 */
#if defined(__linux__)
#define _GNU_SOURCE /* MAP_ANONYMOUS, MADV_WIPEONFORK */
#endif
#include "core/core.h"

#include <unistd.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(MAP_ANONYMOUS) && defined(MADV_WIPEONFORK)

static size_t page_bytes(void)
{
    long bytes = sysconf(_SC_PAGESIZE);
    return bytes < 1 ? 4096 : (size_t)bytes;
}

static volatile unsigned char *make_mark(void)
{
    void *page = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, page_bytes(), MADV_WIPEONFORK) != 0) {
        munmap(page, page_bytes());
        return NULL;
    }
    volatile unsigned char *mark = page;
    *mark = 1;
    return mark;
}

static void drop_mark(volatile unsigned char *mark)
{
    if (mark != NULL)
        munmap((void *)mark, page_bytes());
}

#else

static volatile unsigned char *make_mark(void)
{
    return NULL;
}

static void drop_mark(volatile unsigned char *mark)
{
    (void)mark;
}

#endif

void ra_origin_begin(ra_origin *origin)
{
    origin->process = (int64_t)getpid();
    origin->mark = make_mark();
}

bool ra_origin_is_here(const ra_origin *origin)
{
    return origin->mark != NULL ? *origin->mark != 0 : origin->process == (int64_t)getpid();
}

void ra_origin_end(ra_origin *origin)
{
    drop_mark(origin->mark);
}

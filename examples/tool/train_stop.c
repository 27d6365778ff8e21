/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resattn train: the signals that ask it to stop.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "train.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

enum { SIGNALS = sizeof signals / sizeof signals[0] };

static volatile sig_atomic_t noted;

static void note(int number)
{
    static const char text[] = "\nStopping after this step; the signal once more ends it at once.\n";
    noted = number;
    for (int i = 0; i < SIGNALS; i++)
        signal(signals[i], SIG_DFL);
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        return; /* nobody is there to read it */
}

void train_catch_signals(void)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    /* What was ignored stays so: that is how nohup and shells keep signals away. */
    for (int i = 0; i < SIGNALS; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    /* A file that is too large is an error of writing it, and a closed pipe too. */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

int train_signal(void)
{
    return (int)noted;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Learning-rate schedules: pure functions of the number of steps done. */
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "resattn/train.h"

struct resattn_schedule {
    resattn_context *context; /* a share */
    double (*at)(const resattn_schedule *schedule, int64_t step);
    double rate, factor, floor;
    double rise; /* steps of the first, rising part; a fraction is possible */
    int64_t steps, warm_up;
    int64_t *milestones; /* behind the schedule, in the same piece of memory */
    int32_t count;
};

static const double pi = 3.14159265358979323846;

/* From `from` to `to` along half a cosine while `share` goes from 0 to 1; exact at both ends. */
static double half_cosine(double from, double to, double share)
{
    double weight = (1 + cos(pi * share)) / 2;
    return from * weight + to * (1 - weight);
}

static double rate_by_steps(const resattn_schedule *schedule, int64_t step)
{
    double rate = schedule->rate;
    for (int32_t i = 0; i < schedule->count && schedule->milestones[i] <= step; i++)
        rate *= schedule->factor;
    return rate;
}

static double rate_by_cosine(const resattn_schedule *schedule, int64_t step)
{
    double done = (double)step, steps = (double)schedule->steps;
    if (done < schedule->rise)
        return schedule->rate * (done / schedule->rise);
    return half_cosine(schedule->rate, schedule->floor, (done - schedule->rise) / (steps - schedule->rise));
}

/* The divisors 25 and 25 * 10^4 are those of the authors' implementation. */
static double rate_by_cycle(const resattn_schedule *schedule, int64_t step)
{
    double done = (double)step, steps = (double)schedule->steps;
    if (done < schedule->rise)
        return half_cosine(schedule->rate / 25, schedule->rate, done / schedule->rise);
    double fall = steps - schedule->rise;
    return half_cosine(schedule->rate, schedule->rate / 250000, fall > 0 ? (done - schedule->rise) / fall : 0);
}

static bool check_real(const char *schedule, const char *name, double value, double smallest, double largest)
{
    if (ra_within(value, smallest, largest))
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "%s schedule: %s is %g, expected %g to %g", schedule, name, value, smallest,
            largest);
    return false;
}

static bool check_int(const char *schedule, const char *name, int64_t value, int64_t smallest, int64_t largest)
{
    if (value >= smallest && value <= largest)
        return true;
    ra_fail(RESATTN_INVALID_ARGUMENT, "%s schedule: %s is %lld, expected %lld to %lld", schedule, name,
            (long long)value, (long long)smallest, (long long)largest);
    return false;
}

/* More steps would not be exact in a double. */
static const int64_t most_steps = INT64_C(1) << 53;
static const double highest_rate = 1e6;

static resattn_schedule *schedule_new(resattn_context *context, int32_t milestones)
{
    size_t bytes;
    if (!ra_mul_size((size_t)milestones, sizeof(int64_t), &bytes) ||
        !ra_add_size(bytes, sizeof(resattn_schedule), &bytes))
        return ra_fail_null(RESATTN_TOO_LARGE, "step schedule: %d milestones do not fit in memory", milestones);
    resattn_schedule *schedule = ra_alloc(context, 1, bytes);
    if (schedule) {
        schedule->context = resattn_context_ref(context);
        schedule->milestones = (int64_t *)(schedule + 1);
    }
    return schedule;
}

resattn_schedule *resattn_step_schedule_new(resattn_context *context, double rate, double factor,
                                            const int64_t *milestones, int32_t count)
{
    if (!context || (!milestones && count > 0))
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "step schedule: %s is NULL", context ? "milestones" : "context");
    if (!check_real("step", "rate", rate, 0, highest_rate) || !check_real("step", "factor", factor, 0, highest_rate) ||
        !check_int("step", "count", count, 0, INT32_MAX))
        return NULL;
    for (int32_t i = 0; i < count; i++)
        if (milestones[i] < 0 || (i > 0 && milestones[i] <= milestones[i - 1]))
            return ra_fail_null(RESATTN_INVALID_ARGUMENT,
                                "step schedule: milestone %d is %lld, expected more than the one before and at least 0",
                                i, (long long)milestones[i]);
    resattn_schedule *schedule = schedule_new(context, count);
    if (!schedule)
        return NULL;
    schedule->at = rate_by_steps;
    schedule->rate = rate;
    schedule->factor = factor;
    schedule->steps = INT64_MAX;
    schedule->count = count;
    if (count > 0)
        memcpy(schedule->milestones, milestones, (size_t)count * sizeof *milestones);
    return schedule;
}

resattn_schedule *resattn_cosine_schedule_new(resattn_context *context, double rate, double floor, int64_t warm_up,
                                              int64_t steps)
{
    if (!context)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "cosine schedule: context is NULL");
    if (!check_real("cosine", "rate", rate, 0, highest_rate) || !check_real("cosine", "floor", floor, 0, rate) ||
        !check_int("cosine", "steps", steps, 1, most_steps) || !check_int("cosine", "warm_up", warm_up, 0, steps - 1))
        return NULL;
    resattn_schedule *schedule = schedule_new(context, 0);
    if (!schedule)
        return NULL;
    schedule->at = rate_by_cosine;
    schedule->rate = rate;
    schedule->floor = floor;
    schedule->rise = (double)warm_up;
    schedule->steps = steps;
    return schedule;
}

resattn_schedule *resattn_one_cycle_schedule_new(resattn_context *context, double rate, double rise, int64_t steps)
{
    if (!context)
        return ra_fail_null(RESATTN_INVALID_ARGUMENT, "one cycle schedule: context is NULL");
    if (!check_real("one cycle", "rate", rate, 0, highest_rate) || !check_real("one cycle", "rise", rise, 0, 1) ||
        !check_int("one cycle", "steps", steps, 1, most_steps))
        return NULL;
    resattn_schedule *schedule = schedule_new(context, 0);
    if (!schedule)
        return NULL;
    schedule->at = rate_by_cycle;
    schedule->rate = rate;
    schedule->rise = rise * (double)steps;
    schedule->steps = steps;
    return schedule;
}

resattn_status resattn_schedule_set_warm_up(resattn_schedule *schedule, int64_t steps)
{
    if (!schedule)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "schedule: schedule is NULL");
    if (steps < 0 || steps > most_steps)
        return ra_fail(RESATTN_INVALID_ARGUMENT, "schedule: a warm-up of %lld steps, expected 0 to %lld",
                       (long long)steps, (long long)most_steps);
    schedule->warm_up = steps;
    return RESATTN_OK;
}

void resattn_schedule_free(resattn_schedule *schedule)
{
    if (!schedule)
        return;
    resattn_context *context = schedule->context;
    ra_free(context, schedule);
    resattn_context_unref(context);
}

double resattn_schedule_rate(const resattn_schedule *schedule, int64_t step)
{
    if (!schedule || step < 0)
        return NAN;
    double rate = schedule->at(schedule, step < schedule->steps ? step : schedule->steps);
    return step < schedule->warm_up ? rate * ((double)step / (double)schedule->warm_up) : rate;
}

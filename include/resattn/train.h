/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Losses, optimisers, averages of weights and learning-rate schedules.
 */
#ifndef RESATTN_TRAIN_H
#define RESATTN_TRAIN_H

#include "resattn/session.h"

#if defined(__cplusplus) && !defined(RESATTN_FFI)
extern "C" {
#endif

/*
 * Softmax cross entropy of the network's output (n, classes, one pixel) against n class numbers, as the mean over the images, in
 * nats. In a training session its gradient is added to what the output has been given since the forward pass (nothing counts as
 * zeros): losses add up, in any order. `loss` and `correct` (how many images have their class first) may be NULL. An error changes
 * nothing. Errors: INVALID_ARGUMENT (a label outside 0 .. classes-1, named), SHAPE_MISMATCH (count is not n, a map of more than a
 * pixel), WRONG_STATE (before forward, in training after backward). Since 0.9.
 */
RESATTN_API resattn_status resattn_softmax_cross_entropy(resattn_session *session, const int32_t *labels, int32_t count,
                                                         double *loss, int32_t *correct);

/* What a mask m is compared with its target t by. Each is a mean over the pixels of a map, but for Dice, which is of the map. */
typedef enum resattn_mask_loss_kind {
    RESATTN_MASK_LOSS_NONE = 0,
    RESATTN_MASK_LOSS_CROSS_ENTROPY = 1, /* binary: -t log(m) - (1 - t) log(1 - m), in nats */
    RESATTN_MASK_LOSS_SQUARED = 2,       /* (m - t)^2 */
    RESATTN_MASK_LOSS_DICE = 3           /* 1 - (2 sum(m t) + 1) / (sum(m^2) + sum(t^2) + 1) */
} resattn_mask_loss_kind;

/*
 * A loss that supervises attention masks: how far a mask is from a map of where the object is. Cross entropy takes m as at least
 * 1e-6 and at most 1 - 1e-6, for the value and for the gradient (which is then at most 1e6 a pixel and still leads back), so
 * that masks of 0 and 1 have finite ones. Dice is the soft one of Milletari et al. (3DV 2016); the two ones in it make it 0 for an
 * empty mask and an empty target. Attribute: weight (1), a factor of the value and the gradient, 0 to 1e6. The loss
 * holds a share of the context, and may be applied to any sessions and outputs. Returns an owned loss, or NULL:
 * INVALID_ARGUMENT, OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_mask_loss *resattn_mask_loss_new(resattn_context *context, resattn_mask_loss_kind kind);

/* Frees the loss. Since 0.9. */
RESATTN_API void resattn_mask_loss_free(resattn_mask_loss *loss);

/* Its kind; RESATTN_MASK_LOSS_NONE for NULL. Since 0.9. */
RESATTN_API resattn_mask_loss_kind resattn_mask_loss_get_kind(const resattn_mask_loss *loss);

/* Sets or reads an attribute by name. Errors: INVALID_ARGUMENT for a value outside its range, NOT_FOUND. Since 0.9. */
RESATTN_API resattn_status resattn_mask_loss_set_real(resattn_mask_loss *loss, const char *attribute, double value);
RESATTN_API resattn_status resattn_mask_loss_get_real(const resattn_mask_loss *loss, const char *attribute,
                                                      double *value);

/*
 * Compares the output `name` of the session's last forward pass, an attention module's mask (resattn_attention_mask_name()) that
 * the plan asked for, with `targets`: n, 1 or the mask's channels, any height and width; F32, or U8 where 255 is 1. A target
 * is brought to the mask's size by its mean over the area that each pixel of the mask covers, exact where that is a fraction of pixels
 * too. One target channel stands for the mean over the mask's channels: that mean is compared, and all channels get the same
 * gradient. As many as the mask's are compared one by one, and the loss of an image is their mean.
 *
 * `image_weights` (n, finite, at least 0; NULL: all 1): an image with weight 0 has no target, and what `targets` has in
 * its place is not looked at. *value (may be NULL) is the loss's weight times the weighted mean over the images; 0 where
 * all weights are 0. In a training session the gradient of that is added to what the output has been given since the forward
 * pass (nothing counts as zeros), by another mask loss, say: losses add up. resattn_session_set_output_gradient() afterwards replaces the sum.
 * One backward pass serves masks and class loss. The result does not depend on the number of threads. An error changes nothing.
 *
 * Errors: INVALID_ARGUMENT (a target that is not finite or, but for RESATTN_MASK_LOSS_SQUARED, outside 0 to 1; an image weight),
 * SHAPE_MISMATCH, NOT_FOUND, TOO_LARGE (targets of more than 2^31 - 1 rows or columns), WRONG_STATE (before forward, in
 * training after backward). Since 0.9.
 */
RESATTN_API resattn_status resattn_mask_loss_apply(const resattn_mask_loss *loss, resattn_session *session,
                                                   const char *name, const resattn_tensor *targets,
                                                   const float *image_weights, double *value);

/*
 * The same loss with options, as in PyTorch. With class weights w (1 each at first), label smoothing e and C classes, the target t of
 * an image with label y is (1 - e) * w[y] at y, plus e / C * w[c] at every class c (Szegedy et al., CVPR 2016); its loss is the sum
 * over the classes of -t[c] * log softmax(x)[c]; the value is the sum over the images, divided by the sum of their w[y]. Owned;
 * NULL: INVALID_ARGUMENT, OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_cross_entropy *resattn_cross_entropy_new(resattn_context *context);

/* Frees the loss. Since 0.9. */
RESATTN_API void resattn_cross_entropy_free(resattn_cross_entropy *loss);

/*
 * Attributes: label_smoothing (0, to 1), gradient_scale (1, to 1e6: a factor on the gradient but not on the value; 1 / k, and
 * resattn_session_set_accumulate(), make k equal micro-batches count as one batch; with class weights, whose sums differ between
 * them, only nearly so). Errors: INVALID_ARGUMENT for a value outside its range, NOT_FOUND. Since 0.9.
 */
RESATTN_API resattn_status resattn_cross_entropy_set_real(resattn_cross_entropy *loss, const char *attribute,
                                                          double value);
RESATTN_API resattn_status resattn_cross_entropy_get_real(const resattn_cross_entropy *loss, const char *attribute,
                                                          double *value);

/* Weights of the classes, finite and at least 0, copied; count 0 removes them. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. Since 0.9. */
RESATTN_API resattn_status resattn_cross_entropy_set_class_weights(resattn_cross_entropy *loss, const float *weights,
                                                                   int32_t count);

/*
 * The loss of an output of the session's last forward pass, as resattn_softmax_cross_entropy(), which is this one without options
 * and of the network's output: `output` is NULL for that, or a name that the plan asked for, say of an auxiliary head, whose loss
 * counts as much as its gradient_scale says. Where all images of a batch weigh 0, the sum is not divided: without smoothing, value
 * and gradient are 0 there and not NaN. Errors: as there, NOT_FOUND for an output that the plan did not ask for, and SHAPE_MISMATCH
 * where there are class weights, but not as many as classes. Since 0.9.
 */
RESATTN_API resattn_status resattn_cross_entropy_apply(const resattn_cross_entropy *loss, resattn_session *session,
                                                       const char *output, const int32_t *labels, int32_t count, double *value,
                                                       int32_t *correct);

/*
 * Stochastic gradient descent: g = gradient + weight_decay * w; v = momentum * v + g; w = w - rate * v, or with Nesterov's
 * momentum w = w - rate * (g + momentum * v), as in PyTorch. Statistics are left alone. Attributes: rate (as given),
 * momentum (0.9), nesterov (0), weight_decay (0), decay_vectors (1; 0: no weight decay for biases and batch norms), clip_norm (0,
 * see resattn_optimizer_step()).
 * The optimizer holds a share of the network. Returns an owned optimizer, or NULL: INVALID_ARGUMENT, OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_optimizer *resattn_sgd_new(resattn_network *network, double rate);

/*
 * AdamW, Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as in PyTorch: w = w - rate * weight_decay * w; m =
 * beta1 * m + (1 - beta1) * gradient; v = beta2 * v + (1 - beta2) * gradient^2; w = w - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 -
 * beta2^t)) + epsilon) at a parameter's step number t. Statistics are left alone. Attributes: rate (as given), beta1 (0.9) and beta2
 * (0.999), both less than 1, epsilon (1e-8), weight_decay (0.01), decay_vectors (1; 0: no weight decay for biases and batch
 * norms), clip_norm (0, see resattn_optimizer_step()). The optimizer holds a share of the network. Returns an owned optimizer, or
 * NULL: INVALID_ARGUMENT, OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_optimizer *resattn_adamw_new(resattn_network *network, double rate);

/* Frees the optimizer. Since 0.9. */
RESATTN_API void resattn_optimizer_free(resattn_optimizer *optimizer);

/* Its kind, "sgd" or "adamw" (static), and its network (borrowed); NULL for NULL. Since 0.9. */
RESATTN_API const char *resattn_optimizer_kind(const resattn_optimizer *optimizer);
RESATTN_API resattn_network *resattn_optimizer_network(const resattn_optimizer *optimizer);

/* Sets or reads an attribute by name. Errors: INVALID_ARGUMENT for a value outside its range, NOT_FOUND. Since 0.9. */
RESATTN_API resattn_status resattn_optimizer_set_real(resattn_optimizer *optimizer, const char *attribute, double value);
RESATTN_API resattn_status resattn_optimizer_get_real(const resattn_optimizer *optimizer, const char *attribute,
                                                      double *value);

/* The attributes: how many (0 for NULL), and of number `index` its name (static, NULL outside), smallest and largest value and
 * default (any pointer may be NULL; the default of a rate, which is always given, is 0). Errors: INVALID_ARGUMENT. Since 0.9. */
RESATTN_API int32_t resattn_optimizer_attribute_count(const resattn_optimizer *optimizer);
RESATTN_API const char *resattn_optimizer_attribute_name(const resattn_optimizer *optimizer, int32_t index);
RESATTN_API resattn_status resattn_optimizer_attribute_range(const resattn_optimizer *optimizer, int32_t index,
                                                             double *smallest, double *largest, double *initial);

/*
 * Multiplies `attribute`, "rate" or "weight_decay", by `factor` (0 to 1e6) for all trained parameters at or below a dotted path of
 * whole components: a parameter ("fc.weight"), a layer or container ("stage1", which is not above "stage10.conv"), "" all. At
 * first every factor is 1. Of several paths above a parameter the longest one counts, in whatever order they were given; the same
 * path again replaces its factor. A factor of 0 on weight_decay excludes from it. A factor of 0 on rate freezes: weights, momentum
 * and step numbers stay as they are, and the gradients count nothing in the norm; resattn_optimizer_freeze() keeps the statistics of
 * its batch norms too. Errors: INVALID_ARGUMENT; NOT_FOUND: another attribute, or a path with no trained parameter. Since
 * 0.9.
 */
RESATTN_API resattn_status resattn_optimizer_set_factor(resattn_optimizer *optimizer, const char *path,
                                                      const char *attribute, double factor);

/* The factor on `attribute` that counts for a trained parameter, which its number in the network tells. Errors: INVALID_ARGUMENT
 * (also a statistic), NOT_FOUND for another attribute. Since 0.9. */
RESATTN_API resattn_status resattn_optimizer_get_factor(const resattn_optimizer *optimizer, int32_t parameter,
                                                      const char *attribute, double *factor);

/*
 * For fine-tuning: freezes (1) or trains again (0) what is at or below a path, as a factor of 0 or 1 on "rate" does, and sets the
 * attribute `frozen` of the batch norms there, which then use and keep their statistics: 1 for those whose weight is frozen by now,
 * 0 for the others. After freezing "" and then training "fc", in this order or the other one, only "fc" learns.
 * Errors: INVALID_ARGUMENT; NOT_FOUND: a path with no trained parameter. Since 0.9.
 */
RESATTN_API resattn_status resattn_optimizer_freeze(resattn_optimizer *optimizer, const char *path, int32_t frozen);

/* 1 for a trained parameter (by its number in the network) that is frozen, its factor on "rate" being 0; 0 for others, for a
 * statistic, and where there is none. Since 0.9. */
RESATTN_API int32_t resattn_optimizer_is_frozen(const resattn_optimizer *optimizer, int32_t parameter);

/*
 * Changes all parameters by their gradients. Where clip_norm is not 0, the gradients are scaled together so that their L2 norm is
 * at most clip_norm (Pascanu et al., ICML 2013); what resattn_network_parameter_gradient() shows stays as backward left it. The norm is
 * accumulated in double and in a fixed order: the same for any number of threads. Errors: INVALID_ARGUMENT, WRONG_STATE before
 * the first backward pass, BUSY. Since 0.9.
 */
RESATTN_API resattn_status resattn_optimizer_step(resattn_optimizer *optimizer);

/*
 * The L2 norm of the gradients of all trained parameters that are not frozen (resattn_optimizer_set_factor()) at the last step,
 * before clipping; NaN for NULL and before the first step.
 * A step does not stop at gradients that are not finite, and this tells afterwards: one NaN makes the norm NaN and one infinite
 * number makes it infinite. Without clipping only their own weights become NaN; with it, a norm of NaN scales, and so makes NaN of,
 * all weights, and an infinite one scales the finite gradients to 0. Since 0.9.
 */
RESATTN_API double resattn_optimizer_gradient_norm(const resattn_optimizer *optimizer);

/*
 * Exponential moving average of the weights (Polyak and Juditsky, 1992; Tarvainen and Valpola, NIPS 2017): at each update, every
 * trained parameter's average becomes decay * average + (1 - decay) * w, and statistics are copied. It begins as the network's
 * present values. `decay` is at least 0 and less than 1, for example 0.999. The average holds a share of the network. Returns an
 * owned average, or NULL: INVALID_ARGUMENT, WRONG_STATE (the network is sealed), BUSY (a training call is under way),
 * OUT_OF_MEMORY. Since 0.9.
 */
RESATTN_API resattn_ema *resattn_ema_new(resattn_network *network, double decay);

/* Frees the average. The network keeps the values that it has, swapped or not. Since 0.9. */
RESATTN_API void resattn_ema_free(resattn_ema *average);

/* Its network (borrowed, NULL for NULL) and its decay (NaN for NULL). Since 0.9. */
RESATTN_API resattn_network *resattn_ema_network(const resattn_ema *average);
RESATTN_API double resattn_ema_decay(const resattn_ema *average);

/* To be called after a step. Errors: INVALID_ARGUMENT, WRONG_STATE (the average's values are in the network; the network is
 * sealed), BUSY (a training call is under way). Since 0.9. */
RESATTN_API resattn_status resattn_ema_update(resattn_ema *average);

/*
 * Exchanges the average's values and the network's, statistics too; once more, and both are as before. In between the network can
 * be validated or saved with the average; sessions made or refreshed after a swap see the new values.
 *
 * The running statistics that come with it are those of the network's own weights at the last update. To estimate them for the
 * averaged weights, swap, call resattn_session_set_statistics() with RESATTN_STATISTICS_MEAN, and go forward over some batches of
 * training images, without backward passes or steps; then set RESATTN_STATISTICS_RUNNING again.
 * The estimate goes with the average when it is swapped back, until the next update copies the network's again.
 * Errors: INVALID_ARGUMENT; WRONG_STATE (the network is sealed); BUSY while anything runs on the network. Since 0.9.
 */
RESATTN_API resattn_status resattn_ema_swap(resattn_ema *average);

/*
 * Schedules: the learning rate as a function of the number of steps done. Owned; NULL: INVALID_ARGUMENT, OUT_OF_MEMORY.
 */

/* `rate`, multiplied by `factor` at each of `count` milestones (ascending numbers of steps). Since 0.9. */
RESATTN_API resattn_schedule *resattn_step_schedule_new(resattn_context *context, double rate, double factor,
                                                        const int64_t *milestones, int32_t count);

/* From `rate` down to `floor` along half a cosine in `steps` steps, after a linear rise from 0 over the first `warm_up` of
 * them (Loshchilov and Hutter, ICLR 2017, without restarts). Since 0.9. */
RESATTN_API resattn_schedule *resattn_cosine_schedule_new(resattn_context *context, double rate, double floor,
                                                          int64_t warm_up, int64_t steps);

/* One cycle (Smith and Topin, 2019): from rate / 25 up to `rate` in the first `rise` (a share, 0 to 1) of the steps, then down
 * to rate / 250000, both along half a cosine. Since 0.9. */
RESATTN_API resattn_schedule *resattn_one_cycle_schedule_new(resattn_context *context, double rate, double rise,
                                                             int64_t steps);

/*
 * Multiplies the rates by (steps done) / `steps` until `steps` are done (0: not at all, as at first): a linear rise from 0 (Goyal et al.,
 * 2017). The schedule itself is not moved: milestones, say, are counted from the first step of all. Errors: INVALID_ARGUMENT (outside 0 to
 * 2^53). Since 0.9.
 */
RESATTN_API resattn_status resattn_schedule_set_warm_up(resattn_schedule *schedule, int64_t steps);

/* Frees the schedule. Since 0.9. */
RESATTN_API void resattn_schedule_free(resattn_schedule *schedule);

/* The rate for the step after `step` steps are done; the last one for any step beyond the end. NaN for NULL or a negative
 * step. Since 0.9. */
RESATTN_API double resattn_schedule_rate(const resattn_schedule *schedule, int64_t step);

#if defined(__cplusplus) && !defined(RESATTN_FFI)
}
#endif
#endif

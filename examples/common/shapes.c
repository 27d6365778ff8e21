/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Draws the images of shapes.h. Every image depends on its part and number only.
 */
#include "shapes.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "random.h"

/* Anti-aliasing: each pixel is the mean of SAMPLES x SAMPLES points. */
enum { SAMPLES = 4 };

/* ---- the shapes: is the point inside? Each lies in the unit circle; y grows downwards, as in images. ---- */

typedef bool (*inside_fn)(float x, float y);

static bool in_circle(float x, float y)
{
    return x * x + y * y <= 0.81f;
}

static bool in_square(float x, float y)
{
    return fabsf(x) <= 0.75f && fabsf(y) <= 0.75f;
}

static bool in_triangle(float x, float y)
{
    return y <= 0.55f && fabsf(x) * 1.65f <= y + 0.98f;
}

/* One tenth of a five-pointed star is the triangle between its centre, a tip and the notch next to it. */
static bool in_star(float x, float y)
{
    const float tenth = 0.62831853f, notch = 0.43f;
    float angle = fabsf(remainderf(atan2f(x, -y), 2 * tenth));
    float distance = hypotf(x, y);
    float along = distance * cosf(angle), across = distance * sinf(angle);
    float notch_along = notch * cosf(tenth), notch_across = notch * sinf(tenth);
    return (along - 1) * notch_across - across * (notch_along - 1) <= 0;
}

static bool in_cross(float x, float y)
{
    float small = fminf(fabsf(x), fabsf(y)), large = fmaxf(fabsf(x), fabsf(y));
    return small <= 0.27f && large <= 0.92f;
}

static bool in_ring(float x, float y)
{
    float square = x * x + y * y;
    return square <= 0.9f && square >= 0.27f;
}

static bool in_crescent(float x, float y)
{
    float right = x - 0.45f;
    return x * x + y * y <= 0.96f && right * right + y * y > 0.55f;
}

/* The sextic (x^2 + y^2 - 1)^3 = x^2 y^3, point down. */
static bool in_heart(float x, float y)
{
    float u = x * 1.22f, v = -(y - 0.08f) * 1.22f;
    float circle = u * u + v * v - 1;
    return circle * circle * circle - u * u * v * v * v <= 0;
}

static bool in_arrow(float x, float y)
{
    bool head = y >= -0.97f && y <= 0.02f && fabsf(x) <= (y + 0.97f) * 0.82f;
    bool shaft = y > 0 && y <= 0.95f && fabsf(x) <= 0.24f;
    return head || shaft;
}

static bool in_hourglass(float x, float y)
{
    return fabsf(y) <= 0.82f && fabsf(x) <= 0.1f + 0.68f * fabsf(y);
}

static const struct {
    const char *name;
    inside_fn inside;
} shapes[SHAPES_CLASSES] = {
    {"circle", in_circle},       {"square", in_square}, {"triangle", in_triangle}, {"star", in_star},
    {"cross", in_cross},         {"ring", in_ring},     {"crescent", in_crescent}, {"heart", in_heart},
    {"hourglass", in_hourglass}, {"arrow", in_arrow},
};

/* Clutter is made of these. */
static bool in_blob(float x, float y)
{
    return x * x + y * y <= 1;
}

static bool in_stroke(float x, float y)
{
    return fabsf(x) <= 1 && fabsf(y) <= 1;
}

/* ---- colours and textures ---- */

struct colour {
    float c[3];
};

static struct colour random_colour(struct random *random)
{
    struct colour colour;
    for (int i = 0; i < 3; i++)
        colour.c[i] = random_between(random, 0.05f, 0.95f);
    return colour;
}

static float colour_distance(struct colour a, struct colour b)
{
    float square = 0;
    for (int i = 0; i < 3; i++)
        square += (a.c[i] - b.c[i]) * (a.c[i] - b.c[i]);
    return sqrtf(square);
}

static struct colour mixed(struct colour a, struct colour b, float share)
{
    for (int i = 0; i < 3; i++)
        a.c[i] += (b.c[i] - a.c[i]) * share;
    return a;
}

enum { TEXTURE_GRADIENT, TEXTURE_STRIPES, TEXTURE_CHECKS, TEXTURE_CLOUDS, TEXTURE_KINDS };

/* A pattern between two colours. */
struct texture {
    struct colour first, second;
    int32_t kind;
    float u, v, phase_u, phase_v; /* waves per pixel along two directions */
};

static struct texture random_texture(struct random *random, struct colour first, struct colour second)
{
    struct texture texture = {.first = first, .second = second};
    texture.kind = random_below(random, TEXTURE_KINDS);
    float angle = random_between(random, 0, 6.2831853f);
    float waves = random_between(random, 0.35f, 1.3f);
    texture.u = waves * cosf(angle);
    texture.v = waves * sinf(angle);
    texture.phase_u = random_between(random, 0, 6.2831853f);
    texture.phase_v = random_between(random, 0, 6.2831853f);
    return texture;
}

static struct colour texture_at(const struct texture *texture, float x, float y)
{
    float along = x * texture->u + y * texture->v, across = x * texture->v - y * texture->u;
    float share = 0;
    switch (texture->kind) {
    case TEXTURE_STRIPES:
        share = 0.5f + 0.5f * sinf(along + texture->phase_u);
        break;
    case TEXTURE_CHECKS:
        share = sinf(along + texture->phase_u) * sinf(across + texture->phase_v) > 0 ? 1 : 0;
        break;
    case TEXTURE_CLOUDS:
        share = 0.5f + 0.25f * (sinf(along + texture->phase_u + 1.7f * sinf(across * 0.6f)) +
                                sinf(across * 0.8f + texture->phase_v + 1.3f * sinf(along * 0.5f)));
        break;
    default:
        share = 0.5f + 0.5f * sinf(0.12f * along + texture->phase_u);
        break;
    }
    return mixed(texture->first, texture->second, share);
}

/* ---- painting ---- */

struct canvas {
    struct colour pixels[IMAGE_PIXELS];
    float coverage[IMAGE_PIXELS]; /* of the figure painted last */
};

/* Where a figure stands: centre, half width and half height in pixels, rotation. */
struct pose {
    float x, y, half_w, half_h, cosine, sine;
};

static struct pose pose_at(float x, float y, float half_w, float half_h, float angle)
{
    return (struct pose){x, y, half_w, half_h, cosf(angle), sinf(angle)};
}

static float pixel_coverage(inside_fn inside, const struct pose *pose, int column, int row)
{
    int hits = 0;
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        float dx = (float)column + ((float)(i % SAMPLES) + 0.5f) / SAMPLES - pose->x;
        float dy = (float)row + ((float)(i / SAMPLES) + 0.5f) / SAMPLES - pose->y;
        float x = (dx * pose->cosine + dy * pose->sine) / pose->half_w;
        float y = (dy * pose->cosine - dx * pose->sine) / pose->half_h;
        hits += inside(x, y);
    }
    return (float)hits / (SAMPLES * SAMPLES);
}

/* Whether none of the pixel's points is inside: all figures lie in the unit square, and half a pixel's diagonal is
 * 0.71. */
static bool is_beside(const struct pose *pose, int column, int row)
{
    const float margin = 0.75f;
    float dx = (float)column + 0.5f - pose->x, dy = (float)row + 0.5f - pose->y;
    return fabsf(dx * pose->cosine + dy * pose->sine) > pose->half_w + margin ||
           fabsf(dy * pose->cosine - dx * pose->sine) > pose->half_h + margin;
}

static int clamped(float value)
{
    return value < 0 ? 0 : value > IMAGE_SIDE ? IMAGE_SIDE : (int)value;
}

static void paint(struct canvas *canvas, inside_fn inside, const struct pose *pose, const struct texture *texture)
{
    float reach = hypotf(pose->half_w, pose->half_h) + 1;
    int left = clamped(pose->x - reach), right = clamped(pose->x + reach + 1);
    int top = clamped(pose->y - reach), bottom = clamped(pose->y + reach + 1);
    memset(canvas->coverage, 0, sizeof canvas->coverage);
    for (int row = top; row < bottom; row++) {
        for (int column = left; column < right; column++) {
            if (is_beside(pose, column, row))
                continue;
            float share = pixel_coverage(inside, pose, column, row);
            int at = row * IMAGE_SIDE + column;
            canvas->coverage[at] = share;
            if (share > 0) {
                struct colour colour = texture_at(texture, (float)column, (float)row);
                canvas->pixels[at] = mixed(canvas->pixels[at], colour, share);
            }
        }
    }
}

static void paint_background(struct canvas *canvas, const struct texture *texture)
{
    for (int i = 0; i < IMAGE_PIXELS; i++)
        canvas->pixels[i] = texture_at(texture, (float)(i % IMAGE_SIDE), (float)(i / IMAGE_SIDE));
}

static void paint_clutter(struct canvas *canvas, struct random *random, int32_t strokes, int32_t blobs)
{
    for (int32_t i = 0; i < strokes + blobs; i++) {
        struct colour colour = random_colour(random);
        struct texture texture = {.first = colour, .second = colour};
        float x = random_between(random, 0, IMAGE_SIDE), y = random_between(random, 0, IMAGE_SIDE);
        float angle = random_between(random, 0, 3.1415927f);
        float length = random_between(random, 3, 11), thickness = random_between(random, 0.45f, 1);
        float width = random_between(random, 0.9f, 2.4f), height = random_between(random, 0.9f, 2.4f);
        struct pose pose = i < strokes ? pose_at(x, y, length, thickness, angle) : pose_at(x, y, width, height, angle);
        paint(canvas, i < strokes ? in_stroke : in_blob, &pose, &texture);
    }
}

/* The object must be seen against both colours of the background: the best of some attempts. */
static struct colour contrasting_colour(struct random *random, const struct texture *background)
{
    struct colour best = {{0, 0, 0}};
    float best_distance = -1;
    for (int attempt = 0; attempt < 12; attempt++) {
        struct colour colour = random_colour(random);
        float distance = fminf(colour_distance(colour, background->first), colour_distance(colour, background->second));
        if (distance > best_distance) {
            best = colour;
            best_distance = distance;
        }
    }
    return best;
}

static void paint_object(struct canvas *canvas, struct random *random, int32_t label, const struct texture *background)
{
    struct colour colour = contrasting_colour(random, background);
    struct texture texture = random_texture(random, colour, mixed(colour, random_colour(random), 0.15f));
    float radius = random_between(random, 8, 12);
    float stretch = random_between(random, 0.92f, 1.08f);
    float x = random_between(random, radius, IMAGE_SIDE - radius);
    float y = random_between(random, radius, IMAGE_SIDE - radius);
    struct pose pose = pose_at(x, y, radius * stretch, radius / stretch, random_between(random, -0.4f, 0.4f));
    paint(canvas, shapes[label].inside, &pose, &texture);
}

static void draw(struct random *random, int32_t label, uint8_t *pixels, uint8_t *coverage)
{
    struct canvas canvas;
    struct colour ground = random_colour(random);
    struct texture background = random_texture(random, ground, mixed(ground, random_colour(random), 0.35f));
    paint_background(&canvas, &background);
    paint_clutter(&canvas, random, 1 + random_below(random, 4), 1 + random_below(random, 4));
    paint_object(&canvas, random, label, &background);
    for (int i = 0; i < IMAGE_PIXELS; i++)
        coverage[i] = (uint8_t)lrintf(canvas.coverage[i] * 255);
    paint_clutter(&canvas, random, random_below(random, 2), random_below(random, 2));

    float noise = random_between(random, 0, 0.06f);
    for (int i = 0; i < IMAGE_BYTES; i++) {
        float value = canvas.pixels[i / 3].c[i % 3] + random_between(random, -noise, noise);
        pixels[i] = (uint8_t)lrintf(fminf(fmaxf(value, 0), 1) * 255);
    }
}

int shapes_draw(struct images *images, enum shapes_part part, int32_t count)
{
    if (images_init(images, count, 1))
        return -1;
    for (int i = 0; i < SHAPES_CLASSES; i++) {
        if (names_add_copy(&images->classes, shapes[i].name)) {
            images_free(images);
            return -1;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        struct random random = random_for((uint64_t)part, (uint64_t)i);
        images->labels[i] = i % SHAPES_CLASSES;
        draw(&random, images->labels[i], images->pixels + (size_t)i * IMAGE_BYTES,
             images->coverage + (size_t)i * IMAGE_PIXELS);
    }
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the inputs that the corpora in test/fuzz/corpus began with: make_corpus FOLDER. Each target has a folder
 * there.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/stat.h>

#include "samples.h"

static const char *top;

static void write_input(const char *target, const char *name, const uint8_t *head, size_t head_size, const void *bytes,
                        size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", top, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", top, target, name);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(head, 1, head_size, file) == head_size && fwrite(bytes, 1, size, file) == size, "%s",
               path);
    fclose(file);
}

/* ---- probes: every kind of file ---- */

static void write_probe(const char *name, uint32_t options, const void *bytes, size_t size)
{
    const uint8_t head[] = {(uint8_t)options, 2, 200};
    write_input("probe", name, head, sizeof head, bytes, size);
}

/* ---- blobs ---- */

static void write_blob(resattn_network *network, const char *name, uint32_t options, int32_t level)
{
    void *bytes;
    size_t size;
    FUZZ_CHECK(network && resattn_network_save_buffer(network, level, &bytes, &size) == RESATTN_OK, "%s", name);
    const uint8_t head[] = {(uint8_t)options, 9};
    write_input("blob", name, head, sizeof head, bytes, size);
    if (options & 6)
        write_probe(name, options & 7, bytes, size);
    resattn_buffer_free(bytes);
}

static void write_blobs(resattn_context *context)
{
    resattn_network *full = sample_full_network(context), *trained = sample_trained_network(context);
    write_blob(full, "full", 1, 6);
    write_blob(full, "full-unmended", 0, 6);
    write_blob(full, "full-stored", 1 + 8, 0);
    write_blob(full, "full-stream", 1 + 2 + 32, 1);
    write_blob(full, "full-file", 1 + 4, 1);
    write_blob(full, "full-no-memory", 1 + 16, 6);
    write_blob(trained, "trained", 1 + 8, 0);
    resattn_network_set_storage(trained, RESATTN_F16);
    write_blob(trained, "trained-f16", 1 + 8, 0);
    resattn_network_set_storage(trained, RESATTN_BF16);
    write_blob(trained, "trained-bf16", 1 + 2, 6);
    resattn_network_unref(trained);
    resattn_network_unref(full);
}

static void write_checkpoints(resattn_context *context)
{
    for (uint32_t kind = 0; kind < 4; kind++)
        for (uint32_t own = 0; own < 2; own++) {
            char name[32];
            size_t size = 0;
            uint8_t *bytes = sample_checkpoint(context, kind & 1, kind & 2, own ? 6 : 0, &size);
            FUZZ_CHECK(bytes != NULL, "a checkpoint");
            const uint8_t head[] = {(uint8_t)(1 + 2 * kind + 8 * own), 30};
            snprintf(name, sizeof name, "%s%s%s", kind & 1 ? "adamw" : "sgd", kind & 2 ? "-average" : "",
                     own ? "-own" : "");
            write_input("checkpoint", name, head, sizeof head, bytes, size);
            if (own)
                write_probe(name, 1 + kind, bytes, size);
            free(bytes);
        }
}

/* ---- safetensors ---- */

static uint8_t *read_file(const char *path, size_t *size)
{
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    *size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file)
        fclose(file);
    return bytes;
}

static void write_weights(resattn_network *network, resattn_dtype type, const char *name, uint8_t options)
{
    const char *path = fuzz_file("", 0);
    size_t size;
    FUZZ_CHECK(resattn_network_save_weights(network, path, type) == RESATTN_OK, "%s", path);
    uint8_t *bytes = read_file(path, &size);
    const uint8_t whole[] = {(uint8_t)(options | 32), 3}, parts[] = {options, 3};
    char other[64];
    write_input("safetensors", name, whole, sizeof whole, bytes, size);
    write_probe(name, type, bytes, size);
    /* Header, a zero, values. */
    size_t header = bytes[0] + 256U * bytes[1];
    memmove(bytes, bytes + 8, header);
    bytes[header] = 0;
    memmove(bytes + header + 1, bytes + header + 8, size - header - 8);
    snprintf(other, sizeof other, "%s-parts", name);
    write_input("safetensors", other, parts, sizeof parts, bytes, size - 7);
}

static void write_safetensors(resattn_context *context)
{
    resattn_network *trained = sample_trained_network(context), *full = sample_full_network(context);
    write_weights(trained, RESATTN_F32, "f32", 8);
    write_weights(trained, RESATTN_F16, "f16", 0);
    write_weights(trained, RESATTN_BF16, "bf16-no-memory", 16 + 8);
    write_weights(full, RESATTN_F32, "other", 1 + 2 + 8);
    static const char odd[] = "{\"__metadata__\":{\"a\":\"b\"},\"module.fc.bias\":{\"dtype\":\"F64\",\"shape\":[3],"
                              "\"data_offsets\":[0,24]},\"n.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],"
                              "\"data_offsets\":[24,32]}}\0................................";
    const uint8_t head[] = {1 + 4 + 8, 0};
    write_input("safetensors", "lenient-parts", head, sizeof head, odd, sizeof odd - 1);
    resattn_network_unref(full);
    resattn_network_unref(trained);
}

/* ---- bytes that drive a target ---- */

static void write_bytes(const char *target, int count, size_t size)
{
    uint64_t state = size;
    for (int i = 0; i < count; i++) {
        uint8_t bytes[1024];
        char name[32];
        for (size_t k = 0; k < size; k++)
            bytes[k] = (uint8_t)(int)(fuzz_value(&state) * 128);
        snprintf(name, sizeof name, "random-%d", i + 1);
        write_input(target, name, bytes, size, "", 0);
    }
}

#ifdef FUZZ_PICTURES
#include <jpeglib.h>
#include <png.h>

enum { SIDE = 12 };

static void write_jpeg(const uint8_t *pixels, const char *name, bool progressive, J_COLOR_SPACE space, int channels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = jpeg.image_height = SIDE;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < SIDE; y++) {
        JSAMPROW row = (JSAMPROW)pixels + y * SIDE * channels;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    const uint8_t head = 0;
    write_input("pictures", name, &head, 1, bytes, size);
    free(bytes);
}

static void write_png(const uint8_t *pixels, const char *name, uint32_t format)
{
    png_image png = {.version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = format};
    uint8_t bytes[8192];
    png_alloc_size_t size = sizeof bytes;
    FUZZ_CHECK(png_image_write_to_memory(&png, bytes, &size, 0, pixels, 0, NULL), "%s", name);
    const uint8_t head = 0;
    write_input("pictures", name, &head, 1, bytes, size);
}

/* A record whose pixels are class names too, as the target gives the same file for both. */
static void write_cifar(const char *name, int kind)
{
    uint8_t bytes[1 + 2 + 3072];
    memset(bytes, '\n', sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 'a';
    bytes[0] = (uint8_t)kind;
    bytes[1] = bytes[2] = 3;
    write_input("pictures", name, bytes, (size_t)(1 + kind + 3072), "", 0);
}

static void write_pictures(void)
{
    uint8_t pixels[SIDE * SIDE * 4];
    uint64_t state = 3;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 3 % 200 + (size_t)(16 * (fuzz_value(&state) + 1)));
    write_jpeg(pixels, "rgb.jpg", false, JCS_RGB, 3);
    write_jpeg(pixels, "progressive.jpg", true, JCS_RGB, 3);
    write_jpeg(pixels, "grey.jpg", false, JCS_GRAYSCALE, 1);
    write_jpeg(pixels, "cmyk.jpg", false, JCS_CMYK, 4);
    write_png(pixels, "rgb.png", PNG_FORMAT_RGB);
    write_png(pixels, "rgba.png", PNG_FORMAT_RGBA);
    write_png(pixels, "grey.png", PNG_FORMAT_GRAY);
    write_cifar("cifar-10", 1);
    write_cifar("cifar-100", 2);
}
#else
static void write_pictures(void) {}
#endif

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    top = argv[1];
    mkdir(top, 0777);
    resattn_context *context = resattn_context_new(1);
    fuzz_define_custom(context);
    write_blobs(context);
    write_checkpoints(context);
    write_safetensors(context);
    write_bytes("round_trip", 8, 300);
    write_bytes("calls", 12, 700);
    write_bytes("convolution", 12, 32);
    write_pictures();
    resattn_context_unref(context);
    return 0;
}

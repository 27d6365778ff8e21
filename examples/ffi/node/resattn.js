// SPDX-License-Identifier: BSD-3-Clause
/*
 * libresattn for Node.js through koffi.
 *
 * Every function of the C header is there under its own name without `resattn_`: ra.context_new(2), ra.network_load(context,
 * 'net.resattn'). What a call adds to C: an error is thrown with the library's text, and what the caller would have to
 * free is freed by the garbage collector, or at once by ra.free(handle).
 *
 * The header is parsed as it stands. It is found by pkg-config, or by RESATTN_HEADER; the library by the system's loader, or
 * by RESATTN_LIBRARY.
 */
'use strict';
const fs = require('fs');
const { execFileSync } = require('child_process');
const koffi = require('koffi');

const path = process.env.RESATTN_HEADER ||
    execFileSync('pkg-config', ['--variable=ffi_header', 'resattn'], { encoding: 'utf8' }).trim();
const lib = koffi.load(process.env.RESATTN_LIBRARY || 'libresattn.so.0');
const ra = { koffi, lib };

// How each kind of handle is given back. Layers and attention modules belong to their builder or network.
const free = {
    context: 'unref', tensor: 'unref', network: 'unref', builder: 'free', plan: 'free', session: 'free', cross_entropy: 'free',
    mask_loss: 'free', optimizer: 'free', schedule: 'free', ema: 'free', model_config: 'free',
};
// What these return belongs to the caller; other pointers are borrowed.
const maker = /_(new|new_zeroed|new_with_allocator|load|load_buffer|load_stream|wrap|wrap_pixels|view|ref|copy)$/;

/** A pointer to something of the library's, with what it has to keep alive. */
class Handle {
    constructor(kind, pointer) {
        Object.assign(this, { kind, pointer });
    }
}

const raw = {};
const registry = new FinalizationRegistry(({ give, pointer }) => give(pointer));

/* ---- the header's declarations, one at a time ---- */

function declareEnum(body, name) {
    let value = -1;
    for (const item of body.split(',').map((text) => text.trim()).filter(Boolean)) {
        const [constant, given] = item.split('=').map((text) => text.trim());
        value = given === undefined ? value + 1 : Number(given);
        ra[constant] = value;
    }
    if (name)
        koffi.alias(name, 'int32_t');
}

function declareFunction(text) {
    const [, spaced, name] = /^([\w\s]+?[\s*]+)resattn_(\w+)\s*\(/.exec(text);
    const result = spaced.trim();
    const call = lib.func(text);
    raw[name] = call;
    const kind = /^(?:const )?resattn_(\w+) \*$/.exec(result);
    const text_result = /char \*$/.test(result);
    const plain = (value) => (value instanceof Handle ? value.pointer : value);
    ra[name] = (...values) => {
        if (kind || text_result)
            raw.clear_error();
        const answer = call(...values.map(plain));
        const failed = result === 'resattn_status' ? answer !== 0 && name !== 'last_status' :
            (kind || text_result) && !answer && raw.last_status() !== 0;
        if (failed) {
            const error = new Error(raw.last_error());
            error.status = raw.last_status();
            throw error;
        }
        if (!kind || !answer)
            return answer;
        const handle = new Handle(kind[1], answer);
        if (maker.test(name) && free[kind[1]]) {
            handle.give = raw[`${kind[1]}_${free[kind[1]]}`];
            registry.register(handle, { give: handle.give, pointer: answer }, handle);
        }
        return handle;
    };
}

function declare(text) {
    const whole = text.replace(/\s+/g, ' ').trim();
    let found;
    if (!whole)
        return;
    if ((found = /^(?:typedef )?enum(?: \w+)? \{(.*)\} ?(\w+)?$/.exec(whole)))
        declareEnum(found[1], found[2]);
    else if ((found = /^typedef struct \w+ (\w+)$/.exec(whole)))
        koffi.opaque(found[1]);
    else if ((found = /^typedef (.*)\(\*(\w+)\) ?(\(.*\))$/.exec(whole)))
        koffi.pointer(found[2], koffi.proto(`${found[1]} ${found[2]}_of ${found[3]}`));
    else
        declareFunction(whole);
}

// A semicolon ends a declaration; those inside braces do not occur in this header.
fs.readFileSync(path, 'utf8').split(';').forEach(declare);

/* ---- handles and tensors ---- */

/** Gives a handle back now. */
ra.free = (handle) => {
    if (handle.give) {
        registry.unregister(handle);
        handle.give(handle.pointer);
        handle.give = undefined;
    }
};

/** A tensor over the memory of a Float32Array or Uint8Array in the order of `shape`, without a copy; it keeps the array. */
ra.wrap = (context, array, shape) => {
    if (array.length !== shape.reduce((a, b) => a * b, 1))
        throw new RangeError(`the array has ${array.length} elements, expected those of ${shape.join(' x ')}`);
    const dtype = array instanceof Float32Array ? ra.RESATTN_F32 : ra.RESATTN_U8;
    const tensor = ra.tensor_wrap(context, dtype, shape.length, shape, ra.RESATTN_CHANNELS_FIRST, null, array, null, null);
    tensor.kept = array;
    return tensor;
};

/** The elements of an F32 tensor as a Float32Array in the order of its dimensions: a copy. */
ra.read = (tensor) => {
    const array = new Float32Array(Number(raw.tensor_elements(tensor.pointer)));
    ra.tensor_read(tensor, ra.RESATTN_CHANNELS_FIRST, array, array.length);
    return array;
};

module.exports = ra;

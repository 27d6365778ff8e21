// SPDX-License-Identifier: BSD-3-Clause
// What the binding promises, tried: node --expose-gc test.js examples/models/quickstart.resattn
'use strict';
const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');
const ra = require('./resattn');
const model = process.argv[2];

/** A grey picture of a light cross. */
function cross() {
    const side = 32, picture = new Uint8Array(3 * side * side);
    for (let c = 0; c < 3; c++)
        for (let y = 0; y < side; y++)
            for (let x = 0; x < side; x++) {
                const light = (x >= 13 && x < 19 && y >= 6 && y < 26) || (y >= 13 && y < 19 && x >= 6 && x < 26);
                picture[(c * side + y) * side + x] = light ? 220 : 60;
            }
    return picture;
}

function classifies(context) {
    const network = ra.network_load(context, model);
    const plan = ra.plan_new(network, ra.RESATTN_INFERENCE, 1, 32, 32);
    const maskName = ra.attention_mask_name(ra.network_attention(network, 0));
    ra.plan_add_output(plan, maskName);
    const session = ra.session_new(plan);
    ra.session_forward(session, ra.wrap(context, cross(), [1, 3, 32, 32]));
    const logits = ra.read(ra.session_output(session, null));
    assert.strictEqual(ra.network_class_name(network, logits.indexOf(Math.max(...logits))), 'cross');
    const mask = ra.session_output(session, maskName);
    assert.deepStrictEqual([0, 1, 2, 3].map((d) => Number(ra.tensor_size(mask, d))), [1, 16, 32, 32]);
    const values = ra.read(mask);
    assert(values.every((value) => value > 0 && value < 1));
    assert(new Set(values).size > 1000);
}

function trains(context) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'resattn-'));
    const file = path.join(folder, 'stripes.resattn');
    const printed = execFileSync(process.execPath, [path.join(__dirname, 'train.js'), file], { encoding: 'utf8' });
    assert(Number(/.*loss ([\d.]+)/s.exec(printed)[1]) < 0.1, printed);
    assert.strictEqual(ra.network_parameter_count(ra.network_load(context, file)), 9);
    fs.rmSync(folder, { recursive: true });
}

function refuses(context) {
    assert.throws(() => ra.network_load(context, 'no-such-file.resattn'), /no-such-file/);
    assert.throws(() => ra.network_layer(ra.network_load(context, model), 'stage9'), /stage9/);
    assert.throws(() => ra.tensor_new(context, ra.RESATTN_F32, 5, [1, 1, 1, 1, 1], ra.RESATTN_CHANNELS_LAST), /expected/);
    assert.throws(() => ra.wrap(context, new Float32Array(3), [2, 2]), /2 x 2/);
}

function leaksNothing(context) {
    const network = ra.network_load(context, model);
    const rounds = (count) => {
        for (let i = 0; i < count; i++) {
            const plan = ra.plan_new(network, ra.RESATTN_INFERENCE, 1, 32, 32);
            const session = ra.session_new(plan);
            const input = ra.wrap(context, cross(), [1, 3, 32, 32]);
            ra.session_forward(session, input);
            const own = ra.context_new(1);
            [ra.network_load(own, model), own, input, session, plan].forEach(ra.free);
        }
        global.gc();
        return process.memoryUsage().rss;
    };
    rounds(100);
    const before = rounds(100);
    const more = rounds(1000) - before;
    assert(more < 16 << 20, `${more} bytes more after 1000 rounds`);
}

const context = ra.context_new(2);
assert.strictEqual(ra.version(), ra.RESATTN_VERSION);
classifies(context);
trains(context);
refuses(context);
leaksNothing(context);
console.log(`libresattn ${ra.info('version')} through koffi: all as expected`);

// SPDX-License-Identifier: BSD-3-Clause
// Assembles a network with an attention module, and trains it: are the stripes upright or level?
'use strict';
const ra = require('./resattn');

let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
const context = ra.context_new(0);
const b = ra.builder_new(context);

function chain(name, ...layers) {
    const whole = ra.sequential_new(b, name);
    for (const layer of layers)
        ra.layer_add(whole, layer);
    return whole;
}

const attention = ra.attention_new(b, 'attention');
ra.attention_set_trunk(attention, chain('trunk', ra.conv2d_new(b, 'conv', 16, 3, 1, 1), ra.relu_new(b, 'relu')));
ra.attention_set_mask(attention, ra.down_up_new(b, 'mask', ra.max_pool_new(b, 'pool', 3, 2, 1),
    ra.conv2d_new(b, 'conv', 16, 3, 1, 1), ra.bilinear_resize_new(b, 'up', 0, 0)));
const root = chain(null, ra.conv2d_new(b, 'stem', 16, 3, 1, 1), ra.batch_norm_new(b, 'norm'), ra.relu_new(b, 'relu'),
    ra.attention_layer(attention), ra.global_average_pool_new(b, 'pool'), ra.linear_new(b, 'classifier', 2));
const network = ra.network_new(b, root, 1);

const count = 32, side = 16;
const images = new Float32Array(count * side * side), labels = new Int32Array(count);
const batch = ra.wrap(context, images, [count, 1, side, side]); // the same memory
const session = ra.session_new(ra.plan_new(network, ra.RESATTN_TRAINING, count, side, side));
const optimizer = ra.sgd_new(network, 0.05);
const loss = new Float64Array(1), right = new Int32Array(1);
for (let step = 1; step <= 40; step++) {
    for (let i = 0; i < count; i++) {
        labels[i] = random() < 0.5;
        const phase = 6 * random();
        for (let p = 0; p < side * side; p++) {
            const along = labels[i] ? p % side : Math.floor(p / side);
            images[i * side * side + p] = Math.sin(1.5 * along + phase) + 3 * random() - 1.5;
        }
    }
    ra.session_forward(session, batch);
    ra.softmax_cross_entropy(session, labels, count, loss, right);
    ra.session_backward(session);
    ra.optimizer_step(optimizer);
    if (step % 8 === 0)
        console.log(`step ${step}: loss ${loss[0].toFixed(3)}, ${right[0]} of ${count} right`);
}
ra.network_save(network, process.argv[2] || 'stripes.resattn', ra.RESATTN_DEFAULT_LEVEL);

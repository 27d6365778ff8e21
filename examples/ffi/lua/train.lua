-- SPDX-License-Identifier: BSD-3-Clause
-- Assembles a network with an attention module, and trains it: are the stripes upright or level?
package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local ra = require("resattn")
local ffi = ra.ffi

math.randomseed(1)
local context = ra.context_new(0)
local b = ra.builder_new(context)

local function chain(name, ...)
    local whole = ra.sequential_new(b, name)
    for _, layer in ipairs({ ... }) do
        ra.layer_add(whole, layer)
    end
    return whole
end

local attention = ra.attention_new(b, "attention")
ra.attention_set_trunk(attention, chain("trunk", ra.conv2d_new(b, "conv", 16, 3, 1, 1), ra.relu_new(b, "relu")))
ra.attention_set_mask(attention, ra.down_up_new(b, "mask", ra.max_pool_new(b, "pool", 3, 2, 1),
    ra.conv2d_new(b, "conv", 16, 3, 1, 1), ra.bilinear_resize_new(b, "up", 0, 0)))
local root = chain(nil, ra.conv2d_new(b, "stem", 16, 3, 1, 1), ra.batch_norm_new(b, "norm"), ra.relu_new(b, "relu"),
    ra.attention_layer(attention), ra.global_average_pool_new(b, "pool"), ra.linear_new(b, "classifier", 2))
local network = ra.network_new(b, root, 1)

local count, side = 32, 16
local images, labels = ffi.new("float[?]", count * side * side), ffi.new("int32_t[?]", count)
local batch = ra.wrap(context, images, { count, 1, side, side }) -- the same memory
local session = ra.session_new(ra.plan_new(network, ra.RESATTN_TRAINING, count, side, side))
local optimizer = ra.sgd_new(network, 0.05)
local loss, right = ffi.new("double[1]"), ffi.new("int32_t[1]")
for step = 1, 40 do
    for i = 0, count - 1 do
        labels[i] = math.random(0, 1)
        local phase = 6 * math.random()
        for p = 0, side * side - 1 do
            local along = labels[i] == 1 and p % side or math.floor(p / side)
            images[i * side * side + p] = math.sin(1.5 * along + phase) + 3 * math.random() - 1.5
        end
    end
    ra.session_forward(session, batch)
    ra.softmax_cross_entropy(session, labels, count, loss, right)
    ra.session_backward(session)
    ra.optimizer_step(optimizer)
    if step % 8 == 0 then
        print(("step %d: loss %.3f, %d of %d right"):format(step, loss[0], right[0], count))
    end
end
ra.network_save(network, arg[1] or "stripes.resattn", ra.RESATTN_DEFAULT_LEVEL)

-- SPDX-License-Identifier: BSD-3-Clause
-- What the binding promises, tried: luajit test.lua examples/models/quickstart.resattn
local folder = arg[0]:gsub("[^/]*$", "")
package.path = folder .. "?.lua;" .. package.path
local ra = require("resattn")
local ffi = ra.ffi
local model = assert(arg[1], "usage: luajit test.lua MODEL")

-- A grey picture of a light cross.
local function cross()
    local side = 32
    local picture = ffi.new("uint8_t[?]", 3 * side * side)
    for y = 0, side - 1 do
        for x = 0, side - 1 do
            local upright = x >= 13 and x < 19 and y >= 6 and y < 26
            local level = y >= 13 and y < 19 and x >= 6 and x < 26
            for c = 0, 2 do
                picture[(c * side + y) * side + x] = (upright or level) and 220 or 60
            end
        end
    end
    return picture
end

local function resident_bytes()
    local file = assert(io.open("/proc/self/statm"))
    local pages = tonumber(file:read("*a"):match("^%d+ (%d+)"))
    file:close()
    return pages * 4096
end

local function classifies(context)
    local network = ra.network_load(context, model)
    local plan = ra.plan_new(network, ra.RESATTN_INFERENCE, 1, 32, 32)
    local mask_name = ra.attention_mask_name(ra.network_attention(network, 0))
    ra.plan_add_output(plan, mask_name)
    local session = ra.session_new(plan)
    ra.session_forward(session, ra.wrap(context, cross(), { 1, 3, 32, 32 }))
    local logits, best = ra.session_output(session, nil), 0
    for i = 1, 9 do
        best = ra.at(logits, 0, i) > ra.at(logits, 0, best) and i or best
    end
    assert(ra.network_class_name(network, best) == "cross", ra.network_class_name(network, best))
    local mask = ra.session_output(session, mask_name)
    assert(ra.tensor_size(mask, 1) == 16 and ra.tensor_size(mask, 3) == 32)
    for x = 0, 31 do
        local value = ra.at(mask, 0, 15, 31, x)
        assert(value > 0 and value < 1, value)
    end
end

local function trains(context)
    local path = os.tmpname()
    local pipe = io.popen(("luajit %strain.lua %s"):format(folder, path))
    local printed = pipe:read("*a")
    pipe:close()
    local loss
    for found in printed:gmatch("loss ([%d.]+)") do
        loss = tonumber(found)
    end
    assert(loss and loss < 0.1, printed)
    assert(ra.network_parameter_count(ra.network_load(context, path)) == 9)
    os.remove(path)
end

local function refused(text, call, ...)
    local ok, message = pcall(call, ...)
    assert(not ok and message:find(text, 1, true), message)
end

local function leaks_nothing(context)
    local network = ra.network_load(context, model)
    local function rounds(count)
        for _ = 1, count do
            local session = ra.session_new(ra.plan_new(network, ra.RESATTN_INFERENCE, 1, 32, 32))
            ra.session_forward(session, ra.wrap(context, cross(), { 1, 3, 32, 32 }))
            ra.network_load(ra.context_new(1), model)
            collectgarbage()
        end
        collectgarbage()
        return resident_bytes()
    end
    rounds(50)
    local before = rounds(50)
    local more = rounds(1000) - before
    assert(more < 8 * 2 ^ 20, more .. " bytes more after 1000 rounds")
end

local context = ra.context_new(2)
assert(ra.version() == ra.RESATTN_VERSION)
classifies(context)
trains(context)
refused("no-such-file", ra.network_load, context, "no-such-file.resattn")
refused("stage9", ra.network_layer, ra.network_load(context, model), "stage9")
refused("expected", ra.tensor_new, context, ra.RESATTN_F32, 5, ffi.new("int64_t[5]", 1), ra.RESATTN_CHANNELS_LAST)
leaks_nothing(context)
print(("libresattn %s through LuaJIT: all as expected"):format(ra.info("version")))

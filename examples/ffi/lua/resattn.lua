-- SPDX-License-Identifier: BSD-3-Clause
-- libresattn for LuaJIT.
--
-- Every function of the C header is there under its own name without `resattn_`: ra.context_new(2), ra.network_load(context,
-- "net.resattn"). What a call adds to C: an error is raised as the library's text, texts come back as Lua strings, and
-- what the caller would have to free is freed by the garbage collector.
--
-- The header is declared as it stands. It is found by pkg-config, or by RESATTN_HEADER; the library by the system's
-- loader, or by RESATTN_LIBRARY.
local ffi = require("ffi")

local function header_path()
    local path = os.getenv("RESATTN_HEADER")
    if not path then
        local pipe = assert(io.popen("pkg-config --variable=ffi_header resattn"))
        path = pipe:read("*l")
        pipe:close()
    end
    return assert(path, "resattn.ffi.h: neither pkg-config nor RESATTN_HEADER tells where it is")
end

local file = assert(io.open(header_path()))
local header = file:read("*a")
file:close()
ffi.cdef(header)
local lib = ffi.load(os.getenv("RESATTN_LIBRARY") or "libresattn.so.0")

-- How each kind of handle is given back. Layers and attention modules belong to their builder or network.
local free = { context = "unref", tensor = "unref", network = "unref", builder = "free", plan = "free", session = "free",
    cross_entropy = "free", mask_loss = "free", optimizer = "free", schedule = "free", ema = "free", model_config = "free" }
-- What these return belongs to the caller; other pointers are borrowed.
local makers = { "_new$", "_new_zeroed$", "_new_with_allocator$", "_load$", "_load_buffer$", "_load_stream$", "_wrap$",
    "_wrap_pixels$", "_view$", "_ref$", "_copy$" }

-- The declared results: "resattn_status", "const char *", "resattn_tensor *", ...
local results = {}
for line in header:gmatch("[^;{}]+") do
    local result, name = line:match("^%s*([%w_%s]-[%s%*]+)resattn_([%w_]+)%s*%(")
    if result and not result:match("typedef") then
        results[name] = result:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
    end
end

local function last_error(level)
    error(ffi.string(lib.resattn_last_error()), level + 1)
end

local function giver(name, result)
    local kind = result:match("^resattn_([%w_]+) %*$")
    for _, pattern in ipairs(makers) do
        if kind and free[kind] and name:match(pattern) then
            return lib["resattn_" .. kind .. "_" .. free[kind]]
        end
    end
end

local function wrapped(name)
    local result = assert(results[name], "libresattn has no function resattn_" .. name)
    local call = lib["resattn_" .. name]
    if result == "resattn_status" and name ~= "last_status" then
        return function(...)
            if call(...) ~= ffi.C.RESATTN_OK then
                last_error(2)
            end
        end
    elseif not result:match("%*") then
        return call
    end
    local give, text = giver(name, result), result:match("char %*$")
    return function(...)
        lib.resattn_clear_error()
        local answer = call(...)
        if answer == nil then
            return lib.resattn_last_status() ~= ffi.C.RESATTN_OK and last_error(2) or nil
        end
        return text and ffi.string(answer) or give and ffi.gc(answer, give) or answer
    end
end

local kept = setmetatable({}, { __mode = "k" })
local ra = { ffi = ffi, lib = lib }

-- A tensor over the memory of an array of floats ("float[?]") or bytes ("uint8_t[?]") in the order of `shape`, without a copy.
-- The array is kept as long as the tensor is.
function ra.wrap(context, array, shape)
    local dtype = ffi.istype("uint8_t *", array + 0) and ffi.C.RESATTN_U8 or ffi.C.RESATTN_F32
    local tensor = ra.tensor_wrap(context, dtype, #shape, ffi.new("int64_t[?]", #shape, shape),
        ffi.C.RESATTN_CHANNELS_FIRST, nil, array, nil, nil)
    kept[tensor] = array
    return tensor
end

-- Element `...` (counted from 0) of an F32 tensor, read in place.
function ra.at(tensor, ...)
    local data, offset = ffi.cast("const float *", lib.resattn_tensor_data(tensor)), 0
    for dimension, index in ipairs({ ... }) do
        offset = offset + index * tonumber(lib.resattn_tensor_stride(tensor, dimension - 1))
    end
    return data[offset]
end

return setmetatable(ra, {
    __index = function(table, name)
        local value
        if name:match("^RESATTN_") then
            value = ffi.C[name]
        else
            value = wrapped(name)
        end
        rawset(table, name, value)
        return value
    end,
})

-- The requests of a file in random order, for wrk: before each stands its length and a line end. Words behind "--": the file, the seed.
-- At the end a line of JSON with what was counted.

local requests = {}

function init(args)
    local file = assert(io.open(args[1], "rb"))
    for length in function() return file:read("*n") end do
        file:read(1)
        requests[#requests + 1] = file:read(length)
    end
    file:close()
    math.randomseed(tonumber(args[2]))
end

function request()
    return requests[math.random(#requests)]
end

function done(summary)
    local e = summary.errors
    io.write(string.format('\n{"requests":%d,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}\n', summary.requests,
        e.status, e.connect, e.read, e.write, e.timeout))
end

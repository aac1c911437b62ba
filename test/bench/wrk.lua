-- One POST body over and over, for wrk. Words behind "--": the file of the body, same|fresh, then header fields "name: value".
-- same: the very same bytes each time. fresh: "00000000" in the body is a number that goes up, so that no two are alike.
-- At the end a line of JSON with what was measured (times in microseconds).

local thread_count = 0
function setup(thread)
    thread:set("id", thread_count)
    thread_count = thread_count + 1
end

function init(args)
    local file = assert(io.open(args[1], "rb"))
    wrk.body = file:read("*a")
    file:close()
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    for i = 3, #args do
        local name, value = args[i]:match("^([^:]+):%s*(.*)$")
        wrk.headers[name] = value
    end
    if args[2] == "fresh" then
        local whole = wrk.format()
        local at = assert(whole:find("00000000", 1, true), "the body has no 00000000")
        local head, tail = whole:sub(1, at - 1), whole:sub(at + 8)
        local n = id * 10000000
        request = function()
            n = n + 1
            return head .. string.format("%08d", n) .. tail
        end
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\n{"us":%d,"requests":%d,"bytes":%d,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,' ..
        '"p50":%d,"p90":%d,"p99":%d,"max":%d}\n', summary.duration, summary.requests, summary.bytes, e.status, e.connect, e.read,
        e.write, e.timeout, latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end

-- rates.lua - the limits in a Valkey or Redis server. The same counting as rates.c, and each operation is one run of this.
--
--   KEYS  four a claim: requests (zset: ticket by time), tokens (zset: "ticket:tokens" by time), calls at once (zset: ticket
--         by the end of its lease), state (hash: clock, sums)
--   ARGV  operation, now in ms, ticket, lease in ms, tokens, tokens reserved before; then for each claim:
--         burst percent, concurrency, number of request windows, limit and span of each, the same of token windows
--
-- Returns refusal, whose it is (the claim, from 0), retry in ms, then limit, remaining, reset in ms of the tightest request window, and of the token window.
-- Only the leases go by this server's clock, and so does the expiry of keys that nobody asks for.
local REQUESTS, BURST, TOKENS, CONCURRENCY = 1, 2, 3, 4
local BACK_MS = 60000     -- as CLOCK_BACK_MS of rates.c
local KEEP_MS = 600000    -- a key outlives its windows so long, since the clock of tests can stand still

local op, now, ticket, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local tokens, reserved = tonumber(ARGV[5]), tonumber(ARGV[6])

if op == 'reset' then
    local cursor = '0'
    repeat
        local found = redis.call('SCAN', cursor, 'MATCH', KEYS[1] .. '*', 'COUNT', 1000)
        cursor = found[1]
        for _, key in ipairs(found[2]) do
            redis.call('DEL', key)
        end
    until cursor == '0'
    return {0}
end

local function text(number)
    return string.format('%.0f', number)
end

local function number_of(value)
    return tonumber(value or 0) or 0
end

-- ---- the claims ----

local at = 6
local function argument()
    at = at + 1
    return tonumber(ARGV[at])
end

local function windows()
    local list = {}
    for i = 1, argument() do
        list[i] = {limit = argument(), span = argument()}
    end
    return list
end

local function longest(list, least)
    for _, window in ipairs(list) do
        least = math.max(least, window.span)
    end
    return least
end

local server_time = redis.call('TIME')
local server_ms = tonumber(server_time[1]) * 1000 + math.floor(tonumber(server_time[2]) / 1000)

-- Only what is there: the call may have ended, or been admitted uncounted. No time passes for what is counted.
if op == 'renew' then
    for i = 3, #KEYS, 4 do
        if redis.call('ZSCORE', KEYS[i], ticket) then
            redis.call('ZADD', KEYS[i], server_ms + lease, ticket)
            redis.call('PEXPIRE', KEYS[i], lease)
        end
    end
    return {0, 0, 0, -1, -1, 0, -1, -1, 0}
end

local function claim_of(i)
    local c = {requests = KEYS[4 * i - 3], tokens = KEYS[4 * i - 2], calls = KEYS[4 * i - 1], state = KEYS[4 * i]}
    c.burst, c.concurrency = argument(), argument()
    c.request_windows, c.token_windows = windows(), windows()
    local state = redis.call('HMGET', c.state, 'last', 'offset')
    local last, offset = number_of(state[1]), number_of(state[2])
    local t = now + offset
    if state[1] and t < last then
        if last - t > BACK_MS then offset = offset + last - t end
        t = last
    end
    c.now = t
    redis.call('HSET', c.state, 'last', text(t), 'offset', text(offset))
    return c
end

-- ---- tokens: what is booked in each window ----

local function tokens_of(member)
    return tonumber(member:match(':(%-?%d+)$'))
end

local function sum_between(key, low, high)
    local sum = 0
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. text(low), high)) do
        sum = sum + tokens_of(member)
    end
    return sum
end

-- A window remembers its sum, and the time up to which everything has left it.
local function slide(c)
    local oldest
    for i, window in ipairs(c.token_windows) do
        local state = redis.call('HMGET', c.state, 'span' .. i, 'sum' .. i, 'tail' .. i)
        local tail = c.now - window.span
        if number_of(state[1]) == window.span then
            window.sum = number_of(state[2])
            if tail > number_of(state[3]) then
                window.sum = window.sum - sum_between(c.tokens, number_of(state[3]), text(tail))
            else
                tail = number_of(state[3])
            end
        else
            window.sum = sum_between(c.tokens, tail, '+inf')
        end
        window.tail = tail
        oldest = math.min(oldest or tail, tail)
    end
    if oldest then redis.call('ZREMRANGEBYSCORE', c.tokens, '-inf', text(oldest)) end
end

local function book(c, member, time, amount)
    if amount == 0 then return end
    redis.call('ZADD', c.tokens, text(time), member .. ':' .. text(amount))
    for _, window in ipairs(c.token_windows) do
        if time > window.tail then window.sum = window.sum + amount end
    end
end

-- Takes what was booked out again; its time, or nothing when it has left all windows.
local function unbook(c, member, amount)
    member = member .. ':' .. text(amount)
    local time = tonumber(redis.call('ZSCORE', c.tokens, member) or nil)
    if not time then return nil end
    redis.call('ZREM', c.tokens, member)
    for _, window in ipairs(c.token_windows) do
        if time > window.tail then window.sum = window.sum - amount end
    end
    return time
end

local function keep(c)
    local requests = longest(c.request_windows, c.burst > 0 and 60000 or 0)
    local all = longest(c.token_windows, requests)
    for i, window in ipairs(c.token_windows) do
        redis.call('HSET', c.state, 'span' .. i, window.span, 'sum' .. i, text(window.sum), 'tail' .. i, text(window.tail))
    end
    if op == 'admit' then redis.call('PEXPIRE', c.requests, requests + KEEP_MS) end
    redis.call('PEXPIRE', c.tokens, all + KEEP_MS)
    -- one of several operations may know less windows than another: never sooner than it was
    redis.call('PEXPIRE', c.state, math.max(all + KEEP_MS, redis.call('PTTL', c.state)))
end

-- ---- refusals ----

local refusal, refused, retry = 0, 0, nil

-- `wait` nil: never, or nobody knows.
local function refuse(kind, wait)
    if refusal == 0 or kind < refusal then refusal = kind end
    retry = math.max(retry or 0, wait or math.huge)
end

local function in_last(c, span)
    return redis.call('ZCOUNT', c.requests, '(' .. text(c.now - span), '+inf')
end

local function check_requests(c, kind, limit, span)
    local count = in_last(c, span)
    if count + 1 <= limit then return count end
    local first = limit >= 1 and redis.call('ZRANGEBYSCORE', c.requests, '(' .. text(c.now - span), '+inf', 'WITHSCORES',
                                            'LIMIT', text(count - limit), 1)
    refuse(kind, first and tonumber(first[2]) + span - c.now)
    return count
end

local function check_tokens(c, window, amount)
    local excess = window.sum + amount - window.limit
    if excess <= 0 then return end
    if amount > window.limit then return refuse(TOKENS) end
    local from = 0
    while true do
        local some = redis.call('ZRANGEBYSCORE', c.tokens, '(' .. text(window.tail), '+inf', 'WITHSCORES', 'LIMIT', from, 100)
        for i = 1, #some, 2 do
            excess = excess - tokens_of(some[i])
            if excess <= 0 then return refuse(TOKENS, tonumber(some[i + 1]) + window.span - c.now) end
        end
        if #some < 200 then return refuse(TOKENS) end
        from = from + 100
    end
end

-- ---- what is left ----

local left = {requests = {-1, -1, 0}, tokens = {-1, -1, 0}}

local function consider(kind, key, c, window, sum)
    local remaining, reset = math.max(0, window.limit - sum), 0
    local newest = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    if newest[2] then reset = math.max(0, tonumber(newest[2]) + window.span - c.now) end
    local now_left = left[kind]
    if now_left[1] < 0 or remaining < now_left[2] or (remaining == now_left[2] and reset > now_left[3]) then
        left[kind] = {window.limit, remaining, reset}
    end
end

local function answer(claims)
    for _, c in ipairs(claims) do
        for _, window in ipairs(c.request_windows) do
            consider('requests', c.requests, c, window, in_last(c, window.span))
        end
        for _, window in ipairs(c.token_windows) do
            consider('tokens', c.tokens, c, window, window.sum)
        end
    end
    if not retry or retry == math.huge then retry = 0 end
    local r, t = left.requests, left.tokens
    return {refusal, refused, retry, r[1], r[2], r[3], t[1], t[2], t[3]}
end

-- ---- the operations ----

local operations = {}

function operations.admit(claims)
    for i, c in ipairs(claims) do
        local before = refusal
        redis.call('ZREMRANGEBYSCORE', c.requests, '-inf', text(c.now - longest(c.request_windows, c.burst > 0 and 60000 or 0)))
        for _, window in ipairs(c.request_windows) do
            check_requests(c, REQUESTS, window.limit, window.span)
        end
        if c.burst > 0 then
            local limit = math.floor(c.burst * math.max(in_last(c, 60000) + 1, 60) / 6000)
            check_requests(c, BURST, limit, 1000)
        end
        for _, window in ipairs(c.token_windows) do
            check_tokens(c, window, 1)
        end
        if c.concurrency > 0 then
            redis.call('ZREMRANGEBYSCORE', c.calls, '-inf', server_ms)
            if redis.call('ZCARD', c.calls) >= c.concurrency then refuse(CONCURRENCY) end
        end
        if refusal ~= before then refused = i - 1 end
    end
    if refusal > 0 then return end
    for _, c in ipairs(claims) do
        if #c.request_windows > 0 or c.burst > 0 then redis.call('ZADD', c.requests, text(c.now), ticket) end
        if c.concurrency > 0 then
            redis.call('ZADD', c.calls, server_ms + lease, ticket)
            redis.call('PEXPIRE', c.calls, lease)
        end
    end
end

local function undo(claims, amount)
    for _, c in ipairs(claims) do
        redis.call('ZREM', c.requests, ticket)
        redis.call('ZREM', c.calls, ticket)
        unbook(c, ticket, amount)
    end
end

function operations.reserve(claims)
    for _, c in ipairs(claims) do
        for _, window in ipairs(c.token_windows) do
            check_tokens(c, window, tokens)
        end
    end
    if refusal > 0 then return undo(claims, 0) end
    for _, c in ipairs(claims) do
        if #c.token_windows > 0 then book(c, ticket, c.now, tokens) end
    end
end

function operations.settle(claims)
    for _, c in ipairs(claims) do
        redis.call('ZREM', c.calls, ticket)
        if #c.token_windows > 0 then
            if tokens > reserved then
                book(c, ticket .. '+', c.now, tokens - reserved)
            elseif tokens < reserved then
                local time = unbook(c, ticket, reserved)
                if time then book(c, ticket, time, tokens) end
            end
        end
    end
end

function operations.undo(claims)
    undo(claims, reserved)
end

local claims = {}
for i = 1, #KEYS / 4 do
    claims[i] = claim_of(i)
    slide(claims[i])
end
operations[op](claims)
for _, c in ipairs(claims) do
    keep(c)
end
return answer(claims)

"""What Redis does in one piece, so that nobody comes in between: Lua scripts, by name.

KEYS are whole keys, ARGV are values; what each script takes stands in its first line.
"""

from __future__ import annotations

from typing import Final

# changes, stamp, schema; text, version that is expected or "", fresh stamp, reader, channel, version
# → 1, 0, or -1: the store is too new
WRITE: Final = """
if tonumber(redis.call('GET', KEYS[3]) or 0) > tonumber(ARGV[4]) then return -1 end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0)[1]
local current = last and string.match(last, '^%d+') or ''
if current ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1], ARGV[6], ARGV[1])
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[3])
return 1
"""

# changes, stamp, schema, changes that wait; fresh stamp, reader, channel → 1, or 0: there is content
FILL: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('RENAME', KEYS[4], KEYS[1])
redis.call('PERSIST', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1
"""

# quotas, stamp; fresh stamp, channel, detector, cameras, …
PUBLISH: Final = """
redis.call('DEL', KEYS[1])
for n = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('SET', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1])
"""

# beats, their times; worker, text, at, forgotten before, seconds until all are → the text before, or nil
BEAT: Final = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[4])) do
    redis.call('HDEL', KEYS[1], dead)
    redis.call('ZREM', KEYS[2], dead)
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return before
"""

# lease; worker, milliseconds → 1 or 0
LEAD: Final = """
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

# lease; worker
RESIGN: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

# lease, records; leader, name, text → 1 or 0
KEEP: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""

# book, books, serial; the book's name, serial, seconds that it is remembered, counter, count, …
ADD: Final = """
local last = redis.call('GET', KEYS[3])
if last and tonumber(last) >= tonumber(ARGV[2]) then return end
redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[3])
for n = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[n], ARGV[n + 1]) end
if #ARGV > 3 then redis.call('SADD', KEYS[2], ARGV[1]) end
"""

# turns, their times; name, at, text, at that is expected or "", most, seconds until all are forgotten → 1 or 0
TAKE_TURN: Final = """
local last = redis.call('HGET', KEYS[1], ARGV[1])
local at = last and string.match(last, '^[^ ]+') or ''
if at ~= ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5])
if over > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
        redis.call('HDEL', KEYS[1], oldest)
        redis.call('ZREM', KEYS[2], oldest)
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
return 1
"""

# Keys of all that have to do with samples: ids, words, pictures, cameras, sizes, bytes of all together.
_DROP: Final = """
local function drop(id)
    redis.call('DECRBY', KEYS[6], redis.call('HGET', KEYS[5], id) or 0)
    redis.call('ZREM', KEYS[1], id)
    for n = 2, 5 do redis.call('HDEL', KEYS[n], id) end
end
"""

# …; id, words, picture, camera, at, most samples, most bytes, oldest at, seconds until all are too old
# (nothing after `at`: whatever there is stays)
ADD_SAMPLE: Final = (
    _DROP
    + """
local id, size = ARGV[1], #ARGV[2] + #ARGV[3]
if redis.call('HEXISTS', KEYS[5], id) == 1 then drop(id) end
redis.call('ZADD', KEYS[1], 0, id)
redis.call('HSET', KEYS[2], id, ARGV[2])
redis.call('HSET', KEYS[3], id, ARGV[3])
redis.call('HSET', KEYS[4], id, ARGV[5] .. ' ' .. ARGV[4])
redis.call('HSET', KEYS[5], id, size)
redis.call('INCRBY', KEYS[6], size)
if #ARGV == 5 then return end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[9]) end
while true do
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
    if not oldest then return end
    local at = tonumber(string.match(redis.call('HGET', KEYS[4], oldest), '^[^ ]+'))
    if at >= tonumber(ARGV[8]) and redis.call('ZCARD', KEYS[1]) <= tonumber(ARGV[6])
        and tonumber(redis.call('GET', KEYS[6])) <= tonumber(ARGV[7]) then return end
    drop(oldest)
end
"""
)

# …; "all", or "of" and a camera → how many
REMOVE_SAMPLES: Final = (
    _DROP
    + """
local gone = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local camera = string.match(redis.call('HGET', KEYS[4], id), '^[^ ]+ (.*)$')
    if ARGV[1] == 'all' or camera == ARGV[2] then
        drop(id)
        gone = gone + 1
    end
end
return gone
"""
)

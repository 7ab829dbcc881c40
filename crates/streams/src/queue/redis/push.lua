-- Adds items, or none when there is no room for all.
-- KEYS: bodies, claims, ready, delayed, leases, waiting, newest
-- ARGV: items at most, channel, name on the channel; then of each item: id, body, microsecond before which it is not
--       to be claimed ('' for at once)
-- Returns 1, or 0 when the queue is full.
local bodies, ready, delayed, waiting, newest = KEYS[1], KEYS[3], KEYS[4], KEYS[6], KEYS[7]
local function text(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local new, seen = {}, {}
for at = 4, #ARGV, 3 do
  local id = ARGV[at]
  if not seen[id] and redis.call('HEXISTS', bodies, id) == 0 then
    seen[id] = true
    new[#new + 1] = at
  end
end
if redis.call('HLEN', bodies) + #new > tonumber(ARGV[1]) then return 0 end

-- items that come in the same microsecond keep their order
local last = tonumber(redis.call('GET', newest)) or 0
for _, at in ipairs(new) do
  local id, not_before = ARGV[at], tonumber(ARGV[at + 2])
  redis.call('HSET', bodies, id, ARGV[at + 1])
  if not_before and not_before > now then
    redis.call('ZADD', delayed, text(not_before), id)
  else
    last = math.max(last + 1, now)
    redis.call('ZADD', ready, text(last), id)
    redis.call('ZADD', waiting, text(last), id)
  end
end
redis.call('SET', newest, text(last))
if #new > 0 then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return 1

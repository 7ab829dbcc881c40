-- Claims items: first those whose lease has run out, then the oldest ready ones.
-- KEYS: bodies, claims, ready, delayed, leases, waiting, newest
-- ARGV: items at most, microseconds of the lease
-- Returns {microseconds until something can be claimed, or -1; id, body, claims; id, body, claims; ...}
local bodies, claims, ready, delayed, leases, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local function text(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local count = tonumber(ARGV[1])

local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, count)
for at = 1, #due, 2 do
  redis.call('ZREM', delayed, due[at])
  redis.call('ZADD', ready, due[at + 1], due[at])
  redis.call('ZADD', waiting, due[at + 1], due[at])
end
local taken = redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, count)
if #taken < count then
  local popped = redis.call('ZPOPMIN', ready, count - #taken)
  for at = 1, #popped, 2 do taken[#taken + 1] = popped[at] end
end

local answer = {-1}
for _, id in ipairs(taken) do
  redis.call('ZADD', leases, text(now + tonumber(ARGV[2])), id)
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('HGET', bodies, id)
  answer[#answer + 1] = redis.call('HINCRBY', claims, id, 1)
end
if #taken == 0 then
  for _, places in ipairs({delayed, leases}) do
    local first = redis.call('ZRANGE', places, 0, 0, 'WITHSCORES')[2]
    if first then
      local wait = math.max(tonumber(first) - now, 0)
      if answer[1] < 0 or wait < answer[1] then answer[1] = wait end
    end
  end
end
return answer

-- How the queue stands.
-- KEYS: bodies, claims, ready, delayed, leases, waiting, newest
-- Returns {ready, delayed, claimed, microsecond since which the oldest waits or -1}
local ready, delayed, leases, waiting = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local due = redis.call('ZCOUNT', delayed, '-inf', now)
local expired = redis.call('ZCOUNT', leases, '-inf', now)
local oldest = tonumber(redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')[2])
if due > 0 then
  local first = tonumber(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])
  if not oldest or first < oldest then oldest = first end
end
return {
  redis.call('ZCARD', ready) + due + expired,
  redis.call('ZCARD', delayed) - due,
  redis.call('ZCARD', leases) - expired,
  oldest or -1,
}

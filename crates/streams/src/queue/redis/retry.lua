-- Puts an item back with a new body, unless it has ended.
-- KEYS: bodies, claims, ready, delayed, leases, waiting, newest
-- ARGV: id, body, microsecond before which it is not to be claimed, channel, name on the channel
local id = ARGV[1]
if redis.call('HEXISTS', KEYS[1], id) == 0 then return 0 end
redis.call('HSET', KEYS[1], id, ARGV[2])
for places = 3, 6 do redis.call('ZREM', KEYS[places], id) end
-- the next claim moves it to the ready ones when its time has come
redis.call('ZADD', KEYS[4], ARGV[3], id)
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1

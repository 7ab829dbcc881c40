-- Ends items.
-- KEYS: bodies, claims, ready, delayed, leases, waiting, newest. ARGV: ids.
redis.call('HDEL', KEYS[1], unpack(ARGV))
redis.call('HDEL', KEYS[2], unpack(ARGV))
for places = 3, 6 do redis.call('ZREM', KEYS[places], unpack(ARGV)) end
return 1

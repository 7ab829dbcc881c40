-- How the partition stands; it is begun when it is not there.
-- KEYS: meta, log, topics, ids. ARGV: an epoch in case a new one is needed. Returns {epoch, last, trimmed}.
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'n', '0', 'w', '0')
  epoch = ARGV[1]
end
return {epoch, redis.call('HGET', KEYS[1], 'n'), redis.call('HGET', KEYS[1], 'w')}

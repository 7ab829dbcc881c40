-- Number of a topic's newest entry. KEYS: topics. ARGV: topic.
return redis.call('HGET', KEYS[1], ARGV[1])

-- Appends publications to one partition, and trims it.
-- KEYS: meta, log, topics, ids
-- ARGV: an epoch in case a new one is needed, entries retained, their age in seconds, entries trimmed at most, the
--       channel and the name of the partition on it; then of each publication: id, topic, lane, time, data, change,
--       attributes ('' when there are none)
-- Returns {epoch, offset, offset, ...}
local meta, log, topics, ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function text(number) return string.format('%.0f', number) end
local stored = redis.call('HMGET', meta, 'e', 'n', 'w')
local epoch, last, trimmed = stored[1], tonumber(stored[2]) or 0, tonumber(stored[3]) or 0
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local expected = last > trimmed and text(last) .. '-0' or nil
if not epoch or (newest and newest[1]) ~= expected then
  -- the partition is new, or some of its keys were lost
  redis.call('DEL', log, topics, ids)
  epoch, trimmed = ARGV[1], last
end

local now = tonumber(redis.call('TIME')[1])
local offsets, appended = {epoch}, false
for at = 7, #ARGV, 7 do
  local id, topic = ARGV[at], ARGV[at + 1]
  local offset = redis.call('HGET', ids, id)
  if not offset then
    last = last + 1
    offset = text(last)
    local previous = redis.call('HGET', topics, topic)
    local fields = {
      'i', id, 't', topic, 'p', previous or text(trimmed), 'f', previous and '0' or '1',
      'l', ARGV[at + 2], 'a', ARGV[at + 3], 's', text(now), 'd', ARGV[at + 4],
    }
    if ARGV[at + 5] ~= '' then
      fields[#fields + 1] = 'c'
      fields[#fields + 1] = ARGV[at + 5]
    end
    if ARGV[at + 6] ~= '' then
      fields[#fields + 1] = 'x'
      fields[#fields + 1] = ARGV[at + 6]
    end
    redis.call('XADD', log, offset .. '-0', unpack(fields))
    redis.call('HSET', topics, topic, offset)
    redis.call('HSET', ids, id, offset)
    appended = true
  end
  offsets[#offsets + 1] = offset
end

-- what falls out of the log falls out of the topics and the ids, too
local function fields_of(entry)
  local fields = {}
  for at = 1, #entry[2], 2 do fields[entry[2][at]] = entry[2][at + 1] end
  return fields
end
local function drop(count)
  for _, entry in ipairs(redis.call('XRANGE', log, '-', '+', 'COUNT', count)) do
    local fields = fields_of(entry)
    local offset = string.match(entry[1], '^(%d+)')
    redis.call('HDEL', ids, fields.i)
    if redis.call('HGET', topics, fields.t) == offset then redis.call('HDEL', topics, fields.t) end
    trimmed = tonumber(offset)
  end
  redis.call('XTRIM', log, 'MINID', '=', text(trimmed + 1) .. '-0')
end
local budget = tonumber(ARGV[4])
local beyond = math.min(last - trimmed - tonumber(ARGV[2]), budget)
if beyond > 0 then
  drop(beyond)
  budget = budget - beyond
end
while budget > 0 and last > trimmed do
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if tonumber(fields_of(oldest).s) + tonumber(ARGV[3]) >= now then break end
  drop(1)
  budget = budget - 1
end

redis.call('HSET', meta, 'e', epoch, 'n', text(last), 'w', text(trimmed))
if appended then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return offsets

-- What lies after a cursor, once the entry at the cursor has proved that the log is the one that was read before.
-- KEYS: meta, log, topics, ids
-- ARGV: an epoch in case a new one is needed, the epoch that the reader believes in, its cursor, the id of the entry
--       at the cursor ('' when the reader does not know it), entries wanted
-- Returns {'reset' or 'trimmed', epoch, last, trimmed}, or {'entries', entry, ...}
local meta, log = KEYS[1], KEYS[2]
local function text(number) return string.format('%.0f', number) end
local stored = redis.call('HMGET', meta, 'e', 'n', 'w')
local epoch, last, trimmed = stored[1], tonumber(stored[2]) or 0, tonumber(stored[3]) or 0
local after, known = tonumber(ARGV[3]), ARGV[4]

local function answer(kind)
  return {kind, epoch, text(last), text(trimmed)}
end
local function renew()
  epoch = ARGV[1]
  redis.call('HSET', meta, 'e', epoch, 'n', text(last), 'w', text(trimmed))
  return answer('reset')
end
local function wipe()
  redis.call('DEL', log, KEYS[3], KEYS[4])
  trimmed = last
  return renew()
end

if not epoch then return wipe() end
if epoch ~= ARGV[2] then return answer('reset') end
if after > last then return renew() end -- the log stepped back
if after < trimmed then return answer('trimmed') end

-- the entry at the cursor, when it is retained, then those after it
local found = redis.call('XRANGE', log, text(after) .. '-0', '+', 'COUNT', tonumber(ARGV[5]) + 1)
local entries = {'entries'}
local expected = math.max(after, trimmed + 1)
if expected <= last and #found == 0 then return wipe() end
for index, entry in ipairs(found) do
  if entry[1] ~= text(expected) .. '-0' then return wipe() end
  if expected == after then
    -- the id is always the first field
    if known ~= '' and entry[2][2] ~= known then return renew() end
  elseif #entries <= tonumber(ARGV[5]) then
    entries[#entries + 1] = entry
  end
  expected = expected + 1
end
return entries

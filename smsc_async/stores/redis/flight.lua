-- Lists, and the leases of the processes that fetch them. clock.lua stands before this file.
--
-- KEYS[2]  the lease of one list: {holder, end}
-- KEYS[3]  the lists, by key: the instant of the fetch as a double, and the sealed list
-- KEYS[4]  their keys, by the instant of the last use
-- KEYS[5]  the bytes of all lists
-- ARGV[4]  the action: look, renew, release or forget
-- ARGV[5]  the key of the list
-- ARGV[6]  the holder
-- The fifth number is the duration of a lease, the sixth the seconds after which an unused list is dropped.
local now, suffix = the_time()
if not now then return suffix end
local key, holder, lease_for, ttl = ARGV[5], ARGV[6], numbers[5], numbers[6]

local function drop(each)
  local length = redis.call('HSTRLEN', KEYS[3], each)
  redis.call('HDEL', KEYS[3], each)
  redis.call('ZREM', KEYS[4], each)
  return redis.call('DECRBY', KEYS[5], length)
end

if ARGV[4] == 'forget' then
  for i = 5, #ARGV do drop(ARGV[i]) end
  return {'done' .. suffix, now}
end

local lease = redis.call('GET', KEYS[2])
lease = lease and cmsgpack.unpack(lease)
-- A lease that ends later than a lease can last is from before the clock was set back.
if lease and (lease[2] <= now or lease[2] > now + lease_for) then lease = nil end

local function take_lease()
  redis.call('SET', KEYS[2], cmsgpack.pack({holder, now + lease_for}), 'PX', 86400000)
end

if ARGV[4] == 'renew' then
  if not lease or lease[1] == holder then take_lease() end
  return {'done' .. suffix, now}
end

if ARGV[4] == 'release' then
  if lease and lease[1] == holder then redis.call('DEL', KEYS[2]) end
  if ARGV[7] ~= '' then
    drop(key)
    local row = struct.pack('>d', now) .. ARGV[7]
    redis.call('HSET', KEYS[3], key, row)
    redis.call('ZADD', KEYS[4], now, key)
    local total = redis.call('INCRBY', KEYS[5], #row)
    for _ = 1, 128 do
      local oldest = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
      if #oldest == 0 or (total <= numbers[7] and tonumber(oldest[2]) > now - ttl) then break end
      total = drop(oldest[1])
    end
    for i = 3, 5 do redis.call('PEXPIRE', KEYS[i], math.ceil(ttl / 1000)) end
  end
  return {'done' .. suffix, now}
end

local fresh, longest, with_last = numbers[7], numbers[8], numbers[9] == 1
-- A value that cannot be a list is not read: it comes back empty.
local length = redis.call('HSTRLEN', KEYS[3], key)
local row = length > 8 and length <= longest + 8 and redis.call('HGET', KEYS[3], key)
local at = row and struct.unpack('>d', row)
-- A fetch in the future: the clock was set back since then, and the age is unknown.
local age = at and at <= now and now - at or -1
if age >= 0 and age < fresh then
  redis.call('ZADD', KEYS[4], now, key)
  return {'reply' .. suffix, now, age, row:sub(9)}
end
if lease and lease[1] ~= holder then return {'leased' .. suffix, now} end
take_lease()
if length > 0 and with_last then return {'leads' .. suffix, now, age, row and row:sub(9) or ''} end
return {'leads' .. suffix, now}

-- Lists, and the leases of the processes that fetch them. clock.lua stands before this file.
--
-- KEYS[2]  the lease of one list: {holder, end}
-- KEYS[3]  the lists of this shard, by key: {instant of the fetch, the same in seconds since the epoch, bytes}
-- KEYS[4]  their keys, by the instant of the last use
-- ARGV[3]  the action: look, renew or release
-- ARGV[4]  the key of the list
-- ARGV[5]  the holder
-- The fifth number is the duration of a lease.
local now, suffix = the_time()
if not now then return suffix end
local key, holder, lease_for = ARGV[4], ARGV[5], numbers[5]

local lease = redis.call('GET', KEYS[2])
lease = lease and cmsgpack.unpack(lease)
-- A lease that ends later than a lease can last is from before the clock was set back.
if lease and (lease[2] <= now or lease[2] > now + lease_for) then lease = nil end

local function take_lease()
  redis.call('SET', KEYS[2], cmsgpack.pack({holder, now + lease_for}), 'PX', 86400000)
end

if ARGV[3] == 'renew' then
  if not lease or lease[1] == holder then take_lease() end
  return {'done' .. suffix, now}
end

if ARGV[3] == 'release' then
  if lease and lease[1] == holder then redis.call('DEL', KEYS[2]) end
  if ARGV[7] ~= '' then
    redis.call('HSET', KEYS[3], key, cmsgpack.pack({now, ARGV[6], ARGV[7]}))
    redis.call('ZADD', KEYS[4], now, key)
    local total = 0
    for _, each in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
      total = total + redis.call('HSTRLEN', KEYS[3], each)
    end
    while total > numbers[6] do
      local oldest = redis.call('ZPOPMIN', KEYS[4])[1]
      total = total - redis.call('HSTRLEN', KEYS[3], oldest)
      redis.call('HDEL', KEYS[3], oldest)
    end
  end
  return {'done' .. suffix, now}
end

local fresh, with_last = numbers[6], numbers[7] == 1
local reply = redis.call('HGET', KEYS[3], key)
reply = reply and cmsgpack.unpack(reply)
if reply then
  -- A fetch in the future: the clock was set back since then, and the age is unknown.
  local age = reply[1] <= now and now - reply[1] or 1e15
  if age < fresh then
    redis.call('ZADD', KEYS[4], now, key)
    return {'reply' .. suffix, now, age, reply[2], reply[3]}
  end
  reply[1] = age
end
if lease and lease[1] ~= holder then return {'leased' .. suffix, now} end
take_lease()
if reply and with_last then return {'leads' .. suffix, now, reply[1], reply[2], reply[3]} end
return {'leads' .. suffix, now}

-- Lists, and the leases of the processes that fetch them.
--
-- KEYS[k]    the lease of one list: its end as a double, and the holder
-- KEYS[k+1]  the lists, by key: the instant of the fetch as a double, and the sealed list
-- KEYS[k+2]  their keys, by the instant of the last use
-- KEYS[k+3]  the bytes of all lists
-- ARGV[w]    the action: look, renew, release or forget
-- ARGV[w+1]  the key of the list; for forget, the beginning of the keys
-- ARGV[w+2]  the holder; for forget, the cursor, which the answer has for the next call
-- ARGV[w+3]  for release, the sealed list, or nothing; for forget, the number of lists to look at
-- Number n is the duration of a lease, the next the seconds after which an unused list is dropped.
local function list(k, w, n)
  local key, holder, lease_for, ttl = ARGV[w + 1], ARGV[w + 2], numbers[n], numbers[n + 1]
  local length = redis.call('HSTRLEN', KEYS[k + 1], key)

  local function drop(each)
    local freed = redis.call('HSTRLEN', KEYS[k + 1], each)
    redis.call('HDEL', KEYS[k + 1], each)
    redis.call('ZREM', KEYS[k + 2], each)
    return redis.call('DECRBY', KEYS[k + 3], freed)
  end

  if ARGV[w] == 'forget' then
    local cursor, found = unpack(redis.call('HSCAN', KEYS[k + 1], holder, 'MATCH', key .. '*', 'COUNT', ARGV[w + 3]))
    for i = 1, #found, 2 do drop(found[i]) end
    return {'done', cursor}
  end

  local lease = redis.call('GET', KEYS[k])
  local ends = lease and struct.unpack('>d', lease)
  -- A lease that ends later than a lease can last is from before the clock was set back.
  if lease and (ends <= now or ends > now + lease_for) then lease = nil end
  local is_mine = lease and lease:sub(9) == holder

  local function take_lease()
    redis.call('SET', KEYS[k], struct.pack('>d', now + lease_for) .. holder, 'PX', '86400000')
  end

  if ARGV[w] == 'renew' then
    if not lease or is_mine then take_lease() end
    return {'done'}
  end

  if ARGV[w] == 'release' then
    if is_mine then redis.call('DEL', KEYS[k]) end
    if ARGV[w + 3] ~= '' then
      local row = struct.pack('>d', now) .. ARGV[w + 3]
      redis.call('HSET', KEYS[k + 1], key, row)
      redis.call('ZADD', KEYS[k + 2], now, key)
      local total = redis.call('INCRBY', KEYS[k + 3], #row - length)
      for _ = 1, 128 do
        local oldest = redis.call('ZRANGE', KEYS[k + 2], 0, 0, 'WITHSCORES')
        if #oldest == 0 or (total <= numbers[n + 2] and tonumber(oldest[2]) > now - ttl) then break end
        total = drop(oldest[1])
      end
      local lasts = string.format('%.0f', math.ceil(ttl / 1000))
      for i = k + 1, k + 3 do redis.call('PEXPIRE', KEYS[i], lasts) end
    end
    return {'done'}
  end

  local fresh, longest, with_last = numbers[n + 2], numbers[n + 3], numbers[n + 4] == 1
  -- A value that cannot be a list is not read: it comes back empty.
  local row = length > 8 and length <= longest + 8 and redis.call('HGET', KEYS[k + 1], key)
  local at = row and struct.unpack('>d', row)
  -- A fetch in the future: the clock was set back since then, and the age is unknown.
  local age = at and at <= now and now - at or -1
  if age >= 0 and age < fresh then
    redis.call('ZADD', KEYS[k + 2], now, key)
    return {'reply', age, row:sub(9)}
  end
  if lease and not is_mine then return {'leased'} end
  take_lease()
  if length > 0 and with_last then return {'leads', age, row and row:sub(9) or ''} end
  return {'leads'}
end

-- Lists, and the leases of the processes that fetch them.
--
-- The lists are in two generations. A list that is fetched goes to the young one, and so does an old list that is used. If
-- the young generation has half of the bytes, or exists for half of the TTL, it becomes the old one, whose lists are
-- dropped: those that were not used for the longest time. This takes the same time for every number of lists, and the
-- server drops a generation at its TTL itself.
--
-- KEYS[k]    the lease of one list: its end as a double, and the holder
-- KEYS[k+1]  the young lists, by key: the instant of the fetch as a double, and the sealed list
-- KEYS[k+2]  the old lists
-- KEYS[k+3]  the bytes of the young lists, including those that were forgotten
-- ARGV[w]    the action: look, renew, release or forget
-- ARGV[w+1]  the key of the list; for forget, the beginning of the keys
-- ARGV[w+2]  the holder; for forget, the cursor, which the answer has for the next call
-- ARGV[w+3]  for release, the sealed list, or nothing; for forget, the number of lists to look at
-- ARGV[w+4]  for forget, '1' for the young lists or '2' for the old ones
-- Number n is the duration of a lease, the next the TTL of a list, the next the most bytes of a generation.
local function list(k, w, n)
  local key, holder, lease_for = ARGV[w + 1], ARGV[w + 2], numbers[n]
  local young, old, bytes = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]

  if ARGV[w] == 'forget' then
    local lists = KEYS[k + ARGV[w + 4]]
    local cursor, found = unpack(redis.call('HSCAN', lists, holder, 'MATCH', key .. '*', 'COUNT', ARGV[w + 3]))
    for i = 1, #found, 2 do redis.call('HDEL', lists, found[i]) end
    return {'done', cursor}
  end

  -- Store a list among the young ones; return whether it has a place there.
  local function put(row)
    local ttl, most = math.ceil(numbers[n + 1] / 1000), numbers[n + 2]
    if #row > most then return false end
    local left = redis.call('PTTL', young)
    local total = left >= 0 and redis.call('INCRBY', bytes, #row - redis.call('HSTRLEN', young, key)) or #row
    if left >= 0 and (total > most or left < ttl / 2) then
      redis.call('UNLINK', old)
      redis.call('RENAME', young, old)
      left, total = -1, #row
    end
    redis.call('HSET', young, key, row)
    -- A generation that is new, or whose TTL grew because the clock was set back.
    if left < 0 or left > ttl then
      redis.call('PEXPIRE', young, ttl)
      redis.call('SET', bytes, total, 'PX', ttl)
    end
    return true
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
    if ARGV[w + 3] ~= '' then put(struct.pack('>d', now) .. ARGV[w + 3]) end
    return {'done'}
  end

  local fresh, longest, with_last = numbers[n + 3], numbers[n + 4], numbers[n + 5] == 1
  local lists, length = young, redis.call('HSTRLEN', young, key)
  if length == 0 then lists, length = old, redis.call('HSTRLEN', old, key) end
  -- A value that cannot be a list is not read: it comes back empty.
  local row = length > 8 and length <= longest + 8 and redis.call('HGET', lists, key)
  local at = row and struct.unpack('>d', row)
  -- A fetch in the future: the clock was set back since then, and the age is unknown.
  local age = at and at <= now and now - at or -1
  if age >= 0 and age < fresh then
    if lists == old and put(row) then redis.call('HDEL', old, key) end
    return {'reply', age, row:sub(9)}
  end
  if lease and not is_mine then return {'leased'} end
  take_lease()
  if length > 0 and with_last then return {'leads', age, row and row:sub(9) or ''} end
  return {'leads'}
end

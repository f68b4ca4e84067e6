-- Lockout states: compare and swap.
--
-- The rules are Python (fetch/lockout.py). The caller computes new states from those that it saw last, and they are saved
-- only if nobody has changed them meanwhile. On a single server these are the state of the service and that of the
-- credentials, on a cluster one of them.
--
-- KEYS[k…]  the states, as many as ``count``
-- ARGV[w…]  the states that the caller saw, each empty for none; then the new states, empty to read only
-- Number n: the seconds for which a store that lost its state is closed, 0 to save in a closed store as well
-- Numbers n+1…: the milliseconds after which each state means nothing, 0 for never

-- Return why the new states cannot be saved, or nil. The caller computed them with the time that it expects.
local function unsaved(k, count, w, n)
  local states, is_same = {}, is_expected and ARGV[w + count] ~= ''
  for i = 1, count do
    states[i] = redis.call('GET', KEYS[k + i - 1]) or ''
    is_same = is_same and states[i] == ARGV[w + i - 1]
  end
  if not is_same then return {'read', unpack(states)} end
  local closed_for = record[6] + numbers[n] - now
  if numbers[n] > 0 and closed_for > 0 then return {'closed', closed_for, record[9]} end
end

local function save(k, count, w, n)
  for i = 1, count do
    local key, state, lasts = KEYS[k + i - 1], ARGV[w + count + i - 1], numbers[n + i]
    local ttl = lasts > 0 and {'PX', math.ceil(lasts)} or {}
    -- The same state has the same TTL already.
    if state ~= ARGV[w + i - 1] then redis.call('SET', key, state, unpack(ttl)) end
  end
  return {'saved'}
end

-- Lockout states: compare and swap. clock.lua stands before this file.
--
-- The rules are Python (fetch/lockout.py). The caller computes new states from those that it read, and this script saves
-- them only if nobody has changed them meanwhile. On a single server it gets the state of the service and that of the
-- credentials together, on a cluster one of them.
--
-- KEYS[2…]  the states
-- ARGV[4…]  the states that the caller read, each empty for none; then the new states, empty to read only
-- Number 5: the seconds for which a store that lost its state is closed, 0 to save in a closed store as well
-- Numbers 6…: the milliseconds after which each state means nothing, 0 for never
local now, suffix, record = the_time()
if not now then return suffix end
local count, states = #KEYS - 1, {}
local saves = ARGV[4 + count] ~= ''
for i = 1, count do
  states[i] = redis.call('GET', KEYS[1 + i]) or ''
  saves = saves and states[i] == ARGV[3 + i]
end
if not saves then return {'read' .. suffix, now, unpack(states)} end
local closed_for = record[6] + numbers[5] - now
if numbers[5] > 0 and closed_for > 0 then return {'closed' .. suffix, now, closed_for, record[9]} end
for i = 1, count do
  if numbers[5 + i] > 0 then
    redis.call('SET', KEYS[1 + i], ARGV[3 + count + i], 'PX', math.ceil(numbers[5 + i]))
  else
    redis.call('SET', KEYS[1 + i], ARGV[3 + count + i])
  end
end
return {'saved' .. suffix, now}

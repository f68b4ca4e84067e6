-- Agree on one share of the logins: KEYS[1] as in clock.lua.
--
-- ARGV[1]  the salt
-- ARGV[2]  '1' to give no permit for a while from now on
-- ARGV[3]  '1' to do so even where the store is the one with this salt
local kept = redis.call('GET', KEYS[1])
local correction = 0
if kept then
  local agreed = cmsgpack.unpack(kept)
  if agreed[1] == ARGV[1] and ARGV[3] ~= '1' then return 0 end
  correction = agreed[2]
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] + correction
redis.call('SET', KEYS[1], cmsgpack.pack({ARGV[1], correction, ARGV[2] == '1' and now or 0}))
return 1

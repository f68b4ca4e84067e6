-- Agree on one share of the logins: KEYS[1] as in clock.lua.
--
-- ARGV[1]  the salt
-- ARGV[2]  '1' to give no permit for a while from now on; not again where that was done since the store was lost
-- ARGV[3]  '1' where it was lost just now, though its salt is the same: its server was restarted
local kept = redis.call('GET', KEYS[1])
local agreed = kept and cmsgpack.unpack(kept) or {'', 0, 0, 0, 0}
if agreed[1] == ARGV[1] and ARGV[3] ~= '1' and (ARGV[2] ~= '1' or agreed[3] > 0) then return 0 end
local time = redis.call('TIME')
agreed[1] = ARGV[1]
agreed[3] = ARGV[2] == '1' and time[1] * 1000000 + time[2] + agreed[2] or 0
redis.call('SET', KEYS[1], cmsgpack.pack(agreed))
return 1

-- Write the record of one shard: KEYS[1] as in clock.lua.
--
-- ARGV[1]  the salt
-- ARGV[2]  '1' to close the shard from now on; not again if that was done since the loss of the store
-- ARGV[3]  '1' if the store was lost just now although its salt is the same: the server was restarted
local packed = redis.call('GET', KEYS[1])
local record = packed and cmsgpack.unpack(packed) or {'', 0, 0, 0, 0}
if record[1] == ARGV[1] and ARGV[3] ~= '1' and (ARGV[2] ~= '1' or record[3] > 0) then return 0 end
local time = redis.call('TIME')
record[1] = ARGV[1]
record[3] = ARGV[2] == '1' and time[1] * 1000000 + time[2] + record[2] or 0
redis.call('SET', KEYS[1], cmsgpack.pack(record))
return 1

-- What every script begins with: the time, told so that a step of the server's clock does not show.
--
-- KEYS[1]  what the processes have agreed on for this share of the logins: {salt, correction, closed at}
-- ARGV[1]  the salt that the caller's digests are made with
-- ARGV[2]  numbers, packed as doubles. First what the time should be by the caller's own clock (0 where it has not heard
--          it yet), then how far the two may be apart; what the rest are, each script says
--
-- All times are in microseconds. Returns nothing where this is not the store that the caller knows: flushed, or new.
local numbers = {struct.unpack('>' .. string.rep('d', #ARGV[2] / 8), ARGV[2])}

local function the_time()
  local kept = redis.call('GET', KEYS[1])
  if not kept then return nil end
  local agreed = cmsgpack.unpack(kept)
  if agreed[1] ~= ARGV[1] then return nil end
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2] + agreed[2]
  local expected = numbers[1]
  local stepped = expected > 0 and math.abs(now - expected) > numbers[2]
  if stepped then
    expected = math.floor(expected)
    agreed[2] = agreed[2] + expected - now
    now = expected
  end
  -- Set back, and nobody has told by how much.
  local ahead = agreed[3] > now
  if ahead then agreed[3] = now end
  if stepped or ahead then redis.call('SET', KEYS[1], cmsgpack.pack(agreed)) end
  return now, agreed[3]
end

-- What every script begins with: the time, told so that a step of the server's clock does not show.
--
-- KEYS[1]  what the processes have agreed on for this share of the logins:
--          {salt, correction, closed at, how many corrections there were, when the last was}
-- ARGV[1]  the salt that the caller's digests are made with
-- ARGV[2]  numbers, packed as doubles. First what the time should be by the caller's own clock (0 where it has not heard
--          it yet), how far the two may be apart, after how many corrections it heard the time, and by how much the
--          clock has stepped since, where the caller is certain; what the rest are, each script says
--
-- All times are in microseconds. A command that comes late looks just like a clock that was set forward. So nothing is
-- done where the time is not what it should be: the caller is told, and knows when it has asked and when it was answered.
--
-- Returns the time, what stands behind the first word of an answer (the number of corrections: another element would cost
-- the caller 5 us), when the store was closed, and how many corrections there were and when; or nothing and the answer.
local numbers = {struct.unpack('>' .. string.rep('d', #ARGV[2] / 8), ARGV[2])}

local function the_time()
  local kept = redis.call('GET', KEYS[1])
  local agreed = kept and cmsgpack.unpack(kept)
  -- Flushed, or new.
  if not agreed or agreed[1] ~= ARGV[1] then return nil, {'lost'} end
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2] + agreed[2]
  local closed_at, era, corrected_at = agreed[3], agreed[4] or 0, agreed[5] or 0
  local expected, apart, heard, step = numbers[1], numbers[2], numbers[3], math.floor(numbers[4])
  local steps = step ~= 0 and heard == era
  if steps then
    now, era = now - step, era + 1
    corrected_at = now
  elseif expected > 0 and heard == era and math.abs(now - expected) > apart then
    return nil, {'stepped ' .. era, now}
  end
  -- Set back, and nobody has told by how much.
  local ahead = closed_at > now
  if ahead then closed_at = now end
  if steps or ahead then
    redis.call('SET', KEYS[1], cmsgpack.pack({ARGV[1], steps and agreed[2] - step or agreed[2], closed_at, era, corrected_at}))
  end
  return now, ' ' .. era, closed_at, era, corrected_at
end

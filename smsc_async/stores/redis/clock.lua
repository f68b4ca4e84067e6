-- The beginning of every script: the time, corrected for steps of the server's clock.
--
-- KEYS[1]  the record of this shard, which the processes share:
--          {salt, correction, closed at, number of corrections (the era), instant of the last correction}
-- ARGV[1]  the salt of the caller's digests
-- ARGV[2]  numbers, packed as doubles: the time that the caller expects (0 if it has no sample of the clock yet), by how
--          much the time may differ, the era of the caller's sample, and the step of the clock since then if the caller is
--          certain of one; each script documents the others
--
-- All times are in microseconds. A command that was slow looks like a clock that was set forward. So a script does nothing
-- if the time is not the expected one: the caller decides, since it knows when it sent and when it got the answer.
--
-- Returns the time, the suffix of the answer's first word (the era: another element would cost the caller 5 us), the
-- instant at which the store was closed, the era, and the instant of the last correction; or nil and the answer.
local numbers = {struct.unpack('>' .. string.rep('d', #ARGV[2] / 8), ARGV[2])}

local function the_time()
  local packed = redis.call('GET', KEYS[1])
  local record = packed and cmsgpack.unpack(packed)
  -- Flushed, or new.
  if not record or record[1] ~= ARGV[1] then return nil, {'lost'} end
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2] + record[2]
  local closed_at, era, corrected_at = record[3], record[4] or 0, record[5] or 0
  local expected, tolerance, sample_era, step = numbers[1], numbers[2], numbers[3], math.floor(numbers[4])
  local steps = step ~= 0 and sample_era == era
  if steps then
    now, era = now - step, era + 1
    corrected_at = now
  elseif expected > 0 and sample_era == era and math.abs(now - expected) > tolerance then
    return nil, {'stepped ' .. era, now}
  end
  -- The clock was set back, and no caller knows by how much.
  local is_ahead = closed_at > now
  if is_ahead then closed_at = now end
  if steps or is_ahead then
    local correction = steps and record[2] - step or record[2]
    redis.call('SET', KEYS[1], cmsgpack.pack({ARGV[1], correction, closed_at, era, corrected_at}))
  end
  return now, ' ' .. era, closed_at, era, corrected_at
end

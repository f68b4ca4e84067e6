-- The beginning of the script: the time, corrected for steps of the server's clock. call.lua is its end.
--
-- KEYS[1]  the record of the store, which open.lua writes: {format, id of the store, pepper, run of the server, correction,
--          closed at, number of corrections (the era), instant of the last correction, why the store is closed}; the
--          correction and the era are text, which no call has to format. ``struct`` takes half the time of ``cmsgpack``
-- ARGV[1]  the id of the store that the caller uses
-- ARGV[2]  numbers, packed as doubles: the time that the caller expects (0 if it has no sample of the clock yet), by how
--          much the time may differ, the era of the caller's sample, and the step of the clock since then if the caller is
--          certain of one; the files of the functions document the others
-- ARGV[3]  the number of the call, which the answer repeats: an answer to another call must never be taken for this one's
--
-- All times are in microseconds. A command that was slow looks like a clock that was set forward. So the script does nothing
-- if the time is not the expected one: the caller decides, since it knows when it sent and when it got the answer.
--
-- the_time() returns the time, the suffix of the answer's first word (the era, the number of the call, the uncorrected time
-- in seconds and microseconds, and the correction: each element more would cost the caller 5 us), the record, and whether
-- the caller's expectation holds; or nil and the answer.
local numbers = {struct.unpack('>' .. string.rep('d', #ARGV[2] / 8), ARGV[2])}

local record_format = '>sssssdsds'

local function the_time()
  local packed = redis.call('GET', KEYS[1])
  local record = packed and {struct.unpack(record_format, packed)}
  -- Flushed, or new.
  if not record or record[2] ~= ARGV[1] then return nil, {ok = 'lost 0 ' .. ARGV[3] .. ' 0 0 0'} end
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2] + record[5]
  local era = tonumber(record[7])
  local expected, tolerance, sample_era, step = numbers[1], numbers[2], numbers[3], math.floor(numbers[4])
  local steps = step ~= 0 and sample_era == era
  if steps then
    now, era = now - step, era + 1
    record[5], record[7], record[8] = string.format('%.0f', record[5] - step), string.format('%.0f', era), now
  end
  local suffix = ' ' .. record[7] .. ' ' .. ARGV[3] .. ' ' .. time[1] .. ' ' .. time[2] .. ' ' .. record[5]
  local is_expected = expected > 0 and sample_era == era
  if is_expected and math.abs(now - expected) > tolerance then return nil, {ok = 'stepped' .. suffix} end
  -- The clock was set back, and no caller knows by how much.
  local is_ahead = record[6] > now
  if is_ahead then record[6] = now end
  if steps or is_ahead then redis.call('SET', KEYS[1], struct.pack(record_format, unpack(record, 1, 9))) end
  return now, suffix, record, is_expected
end

local now, suffix, record, is_expected = the_time()
if not now then return suffix end

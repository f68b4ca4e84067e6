-- Permits of one login: the arithmetic of rows.py, where the permits are. clock.lua stands before it.
--
-- KEYS[2]  the permits: rows of {id, when its token is free, when its slot is, whether it is out, when it was written,
--          after how many corrections of the clock}
-- ARGV[3]  what to do: take, give or shut
-- ARGV[4]  the permit's id: a take that is asked again, since its answer was lost, takes nothing more
local now, told, closed_at, era, corrected_at = the_time()
if not now then return told end

local kept = redis.call('GET', KEYS[2])
local rows = {}
for _, row in ipairs(kept and cmsgpack.unpack(kept) or {}) do
  -- Written before the clock was corrected, and so by a clock that may have been wrong: it is as long away as if it had
  -- been written then, which is too long at the worst. Or in the future: set back, and nobody has told by how much.
  local at = math.min((row[6] or 0) == era and row[5] or corrected_at, now)
  if at ~= row[5] then row = {row[1], row[2] + at - row[5], row[3] + at - row[5], row[4], at, era} end
  if row[2] > now or row[3] > now then rows[#rows + 1] = row end
end

-- A day more than any row lasts: keys end by the server's own clock, and an hour's step must not end them.
local function save()
  if #rows > 0 then
    redis.call('SET', KEYS[2], cmsgpack.pack(rows), 'PX', math.ceil(86400000 + numbers[5] * 1000))
  elseif kept then
    redis.call('DEL', KEYS[2])
  end
end

local function without(id)
  for i, row in ipairs(rows) do
    if row[1] == id then return table.remove(rows, i) end
  end
end

local id = ARGV[4]

if ARGV[3] == 'give' then
  local token_for, slot_for = numbers[6], numbers[7]
  without(id)
  if token_for > 0 or slot_for > 0 then rows[#rows + 1] = {id, now + token_for, now + slot_for, 0, now, era} end
  save()
  return {'done' .. told, now}
end

local requests, window = numbers[6], numbers[7]

if ARGV[3] == 'shut' then
  for i = 1, requests do
    without('shut' .. i)
    rows[#rows + 1] = {'shut' .. i, now + window, 0, 0, now, era}
  end
  save()
  return {'done' .. told, now}
end

local linger, concurrent, token, lease, lasts = numbers[8], numbers[9], numbers[10] == 1, numbers[11], numbers[12]
local closed_for = closed_at + lasts - now
if closed_for > 0 then
  local answer = {'refused' .. told, now, closed_for, 0}
  for _ = 1, requests do answer[#answer + 1] = closed_for end
  return answer
end

local certain, soonest, held, out = {}, {}, {}, 0
for _, row in ipairs(rows) do
  if row[1] == id then return {'taken' .. told, now} end
  if row[2] > now then
    certain[#certain + 1] = row[2] - now
    -- A token whose answer is seen this instant is free a window from now: no sooner, unless nothing was sent.
    soonest[#soonest + 1] = row[4] == 1 and math.min(row[2] - now, window) or row[2] - now
    out = out + row[4]
  end
  if row[3] > now then held[#held + 1] = row[3] - now end
end
if token and #certain >= requests then
  table.sort(certain)
  table.sort(soonest)
  local first = #certain - requests + 1
  local answer = {'refused' .. told, now, certain[first], out}
  for i = first, #soonest do answer[#answer + 1] = soonest[i] end
  return answer
end
if #held >= concurrent then
  table.sort(held)
  return {'refused' .. told, now, held[#held - concurrent + 1], 1}
end
local ends = now + lease + linger
rows[#rows + 1] = {id, token and ends + window or 0, ends, 1, now, era}
save()
return {'taken' .. told, now}

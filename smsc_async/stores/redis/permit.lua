-- Permits of one login: the arithmetic of rows.py, on the server.
--
-- KEYS[k]    the permits: the quota, then the rows; a row is {id, instant at which the token is free, the same for the slot,
--          whether it is in flight, instant of the writing, era of the writing}
-- ARGV[w]    the action: acquire, usage (which writes nothing), release or drain
-- ARGV[w+1]  the permit's id: a repeated acquire, whose first answer was lost, acquires nothing more
-- ARGV[w+2]  the quota
-- Number n is the seconds for which the written row matters; each action documents the others.
local row_format = '>sddddd'

local function permit(k, w, n)
  local closed_at, era, corrected_at = record[6], tonumber(record[7]), record[8]

  local packed = redis.call('GET', KEYS[k])
  local stored_quota, next_row, rows = ARGV[w + 2], 1, {}
  if packed then stored_quota, next_row = struct.unpack('s', packed) end
  while packed and next_row <= #packed do
    local row = {struct.unpack(row_format, packed, next_row)}
    next_row = row[7]
    -- A row from before the last correction was written by a clock that may have been wrong: count it from the correction,
    -- which is too long at worst. A row from the future: the clock was set back, and no caller knows by how much.
    local at = math.min(row[6] == era and row[5] or corrected_at, now)
    if at ~= row[5] then row = {row[1], row[2] + at - row[5], row[3] + at - row[5], row[4], at, era} end
    if row[2] > now or row[3] > now then rows[#rows + 1] = row end
  end

  local quota = #rows > 0 and stored_quota or ARGV[w + 2]

  -- A day longer than any row lasts: keys expire by the server's own clock, and a step of an hour must not delete them.
  -- Redis takes 1 us to format a number.
  local function save()
    if #rows > 0 then
      local packed_rows = {struct.pack('s', quota)}
      for i, row in ipairs(rows) do packed_rows[i + 1] = struct.pack(row_format, unpack(row, 1, 6)) end
      local lasts = numbers[n] <= 3600 and '90000000' or math.ceil(86400000 + numbers[n] * 1000)
      redis.call('SET', KEYS[k], table.concat(packed_rows), 'PX', lasts)
    elseif packed then
      redis.call('DEL', KEYS[k])
    end
  end

  local function without(id)
    for i, row in ipairs(rows) do
      if row[1] == id then return table.remove(rows, i) end
    end
  end

  local id = ARGV[w + 1]

  if ARGV[w] == 'release' then
    local token_for, slot_for = numbers[n + 1], numbers[n + 2]
    without(id)
    if token_for > 0 or slot_for > 0 then rows[#rows + 1] = {id, now + token_for, now + slot_for, 0, now, era} end
    save()
    return {'done'}
  end

  local requests, window = numbers[n + 1], numbers[n + 2]

  if ARGV[w] == 'drain' then
    for i = 1, requests do
      without('drained' .. i)
      rows[#rows + 1] = {'drained' .. i, now + window, 0, 0, now, era}
    end
    save()
    return {'done'}
  end

  local linger, concurrent, token, lease, lost_for = numbers[n + 3], numbers[n + 4], numbers[n + 5] == 1, numbers[n + 6], numbers[n + 7]
  local closed_for = closed_at + lost_for - now
  if closed_for > 0 then return {'closed', closed_for, record[9]} end
  if quota ~= ARGV[w + 2] then return {'quota', quota} end

  local latest, earliest, slots, in_flight = {}, {}, {}, 0
  for _, row in ipairs(rows) do
    if row[1] == id then return {'granted'} end
    if row[2] > now then
      latest[#latest + 1] = row[2] - now
      -- The reply of a token in flight may be seen this instant: then the token is free one window from now.
      earliest[#earliest + 1] = row[4] == 1 and math.min(row[2] - now, window) or row[2] - now
      in_flight = in_flight + row[4]
    end
    if row[3] > now then slots[#slots + 1] = row[3] - now end
  end
  if ARGV[w] == 'usage' then
    table.sort(earliest)
    return {'usage', 0, #slots, unpack(earliest)}
  end
  if token and #latest >= requests then
    table.sort(latest)
    table.sort(earliest)
    local first = #latest - requests + 1
    local answer = {'refused', latest[first], in_flight}
    for i = first, #earliest do answer[#answer + 1] = earliest[i] end
    return answer
  end
  if #slots >= concurrent then
    table.sort(slots)
    return {'refused', slots[#slots - concurrent + 1], 1}
  end
  local ends = now + lease + linger
  rows[#rows + 1] = {id, token and ends + window or 0, ends, 1, now, era}
  save()
  return {'granted'}
end

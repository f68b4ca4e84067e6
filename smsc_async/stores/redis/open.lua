-- Create the record of the store, or check it; close a store that may have lost granted permits, from the loss on.
--
-- KEYS[1]  the record, as in clock.lua
-- ARGV     the format number, the pepper, the run of the server, a new id for a store that is missing, '1' to trust a
--          missing store that the caller has not used; then microseconds: since the server's start (-1 if that proves
--          nothing), and since the caller was last certain of its store (-1 for never); the run of the server that gave
--          the store to this one with all its keys, empty for none
--
-- Returns {'open', id}, or {'format', the other number}, or {'pepper'}.
local format, pepper, run, id, trusts = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local uptime, certain_for = tonumber(ARGV[6]), tonumber(ARGV[7])
-- Version 1 had a hash here.
if redis.call('TYPE', KEYS[1]).ok == 'hash' then return {'format', '1'} end
local packed = redis.call('GET', KEYS[1])
local record_format = '>sssssdsds'
local record = packed and {struct.unpack(record_format, packed)}
if record and record[1] ~= format then return {'format', record[1]} end
if record and record[2] and record[3] ~= pepper then return {'pepper'} end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] + (record and record[5] or 0)
local since_start = uptime >= 0 and now - uptime or now
local lost_at, event
if not record then
  record = {format, id, pepper, run, '0', 0, '0', 0, ''}
  if certain_for >= 0 then
    lost_at, event = now, 'the server was emptied, or another one took its place'
  elseif not trusts then
    lost_at, event = since_start, 'the store is new on this server'
  end
elseif record[4] ~= run and record[4] ~= ARGV[8] then
  lost_at, event = since_start, 'the server was restarted or replaced'
elseif certain_for >= 0 and ARGV[8] == '' and record[6] < now - certain_for then
  -- This caller used another server since then, and came back. Another caller that did so closes the store only once.
  lost_at, event = now, 'another server was used meanwhile'
end
if packed and not event and record[4] == run then return {'open', record[2]} end
record[4] = run
if event then record[6], record[9] = lost_at, event end
redis.call('SET', KEYS[1], struct.pack(record_format, unpack(record, 1, 9)))
return {'open', record[2]}

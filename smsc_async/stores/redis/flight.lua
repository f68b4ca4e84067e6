-- Answers, and who fetches them. clock.lua stands before it.
--
-- KEYS[2]  who has the lead for one answer: {holder, until when}
-- KEYS[3]  the answers of this share of the logins, by key: {when it came, the same in seconds since the epoch, bytes}
-- KEYS[4]  their keys by when they were used last
-- ARGV[3]  what to do: look, renew or land
-- ARGV[4]  the key of the answer
-- ARGV[5]  the holder
-- The fifth number is how long a lead lasts.
local now, told = the_time()
if not now then return told end
local key, holder, lasts = ARGV[4], ARGV[5], numbers[5]

local lead = redis.call('GET', KEYS[2])
lead = lead and cmsgpack.unpack(lead)
-- A lead further in the future than one lasts is from before the clock was set back.
if lead and (lead[2] <= now or lead[2] > now + lasts) then lead = nil end

local function take_lead()
  redis.call('SET', KEYS[2], cmsgpack.pack({holder, now + lasts}), 'PX', 86400000)
end

if ARGV[3] == 'renew' then
  if not lead or lead[1] == holder then take_lead() end
  return {'done' .. told, now}
end

if ARGV[3] == 'land' then
  if lead and lead[1] == holder then redis.call('DEL', KEYS[2]) end
  if ARGV[7] ~= '' then
    redis.call('HSET', KEYS[3], key, cmsgpack.pack({now, ARGV[6], ARGV[7]}))
    redis.call('ZADD', KEYS[4], now, key)
    local total = 0
    for _, each in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
      total = total + redis.call('HSTRLEN', KEYS[3], each)
    end
    while total > numbers[6] do
      local oldest = redis.call('ZPOPMIN', KEYS[4])[1]
      total = total - redis.call('HSTRLEN', KEYS[3], oldest)
      redis.call('HDEL', KEYS[3], oldest)
    end
  end
  return {'done' .. told, now}
end

local fresh, last = numbers[6], numbers[7] == 1
local answer = redis.call('HGET', KEYS[3], key)
answer = answer and cmsgpack.unpack(answer)
if answer then
  -- From the future: the clock was set back since, and its age is anybody's guess.
  local age = answer[1] <= now and now - answer[1] or 1e15
  if age < fresh then
    redis.call('ZADD', KEYS[4], now, key)
    return {'answer' .. told, now, age, answer[2], answer[3]}
  end
  answer[1] = age
end
if lead and lead[1] ~= holder then return {'led' .. told, now} end
take_lead()
if answer and last then return {'lead' .. told, now, answer[1], answer[2], answer[3]} end
return {'lead' .. told, now}

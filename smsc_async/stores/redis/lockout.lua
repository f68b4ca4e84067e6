-- The lockout states of a service and of credentials: compare and swap. clock.lua stands before this file.
--
-- The rules are Python (fetch/lockout.py). The caller computes new states from those that it read, and this script saves
-- them only if nobody has changed them meanwhile.
--
-- KEYS[2]  the state of the service
-- KEYS[3]  the state of the credentials
-- ARGV[4]  the state of the service that the caller read, empty for none
-- ARGV[5]  the state of the credentials that the caller read, empty for none
-- ARGV[6]  the new state of the service, empty to read only
-- ARGV[7]  the new state of the credentials
-- Number 5: the milliseconds after which the state of the credentials means nothing
local now, suffix = the_time()
if not now then return suffix end
local service = redis.call('GET', KEYS[2]) or ''
local credentials = redis.call('GET', KEYS[3]) or ''
if ARGV[6] == '' or service ~= ARGV[4] or credentials ~= ARGV[5] then
  return {'read' .. suffix, now, service, credentials}
end
redis.call('SET', KEYS[2], ARGV[6])
redis.call('SET', KEYS[3], ARGV[7], 'PX', math.ceil(numbers[5]))
return {'saved' .. suffix, now}

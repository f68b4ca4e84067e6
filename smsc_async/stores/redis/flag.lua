-- Set the flag KEYS[1] for ARGV[1] milliseconds; a flag that lasts longer is not shortened.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 0

-- The end of the script: what a call does in one step. The files before it have the functions.
--
-- ARGV[4]  what to do: 'lockout' alone; the begin or the finish of a request; or an action on a permit or on a list alone
local answer
if ARGV[4] == 'lockout' then
  answer = unsaved(2, #KEYS - 1, 5, 5) or save(2, #KEYS - 1, 5, 5)
elseif ARGV[4] == 'begin' then
  -- The lease of a list (with its four keys), a place, a token and a slot. The lease does not depend on the others; these
  -- are acquired together or not at all.
  local found = #KEYS > 4 and list(5, 12, 16) or {'leads'}
  local refusal = found[1] == 'leads' and (unsaved(3, 2, 5, 5) or permit(2, 9, 8)) or {'found'}
  if refusal[1] == 'granted' then save(3, 2, 5, 5) end
  answer = #found == 1 and refusal[1] == 'granted' and {'started'} or {'begun', found, refusal}
elseif ARGV[4] == 'finish' then
  -- Of these, only the states can have been changed by others.
  permit(2, 9, 8)
  if #KEYS > 4 then list(5, 12, 11) end
  answer = unsaved(3, 2, 5, 5) or save(3, 2, 5, 5)
else
  answer = (#KEYS == 2 and permit or list)(2, 4, 5)
end
answer[1] = answer[1] .. suffix
-- A single line is read by the caller in a third of the time.
if #answer == 1 then return {ok = answer[1]} end
return answer

-- Which moments a workspace's requests may be sent at: instantly_async/_pace/ledger.py, in Redis.
-- KEYS[1]: a hash. ARGV: what to do, its seconds, and of the limit the rate in 1/s and the burst in s.
local key, act, seconds = KEYS[1], ARGV[1], tonumber(ARGV[2])
local limit, burst = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local kept = redis.call('HMGET', key, 'next_at', 'paused_until', 'cut_at', 'rate_at_cut', 'rises_since', 'seen_at', 'cuts')
local v = {}
for i = 1, 7 do v[i] = tonumber(kept[i] or 0) end
local next_at, paused_until, cut_at, rate_at_cut, rises_since, seen_at, cuts = unpack(v)
local back = math.max(0, seen_at - now)  -- the clock was set back
next_at, paused_until, cut_at, rises_since = next_at - back, paused_until - back, cut_at - back, rises_since - back

local function rate()
  if rate_at_cut == 0 then return limit end
  local flat_at = (0.2 * rate_at_cut / 0.02) ^ (1 / 3)
  local cubic = 0.02 * (math.max(0, now - rises_since) - flat_at) ^ 3 + rate_at_cut
  return math.min(limit, math.max(1, cubic))
end
local function pause(until_)
  local added = until_ - math.max(paused_until, now)
  if added > 0 then rises_since, paused_until = rises_since + added, until_ end
end

local wait = 0
if act == 'reserve' and paused_until <= now then
  if next_at <= 0 then next_at = now + burst + 0.25 end
  local at = math.max(now, next_at - burst)
  next_at = math.max(next_at, at) + 1 / rate()
  wait = at - now
elseif act == 'pause' then
  pause(now + seconds)
elseif act == 'throttled' and now - seconds > cut_at and now - cut_at >= 1 then
  rate_at_cut, cut_at, cuts, rises_since = rate(), now, cuts + 1, math.max(now, paused_until)
  pause(now + 0.5)
end
local function text(number) return string.format('%.6f', number) end
redis.call('HSET', key, 'next_at', text(next_at), 'paused_until', text(paused_until), 'cut_at', text(cut_at),
  'rate_at_cut', text(rate_at_cut), 'rises_since', text(rises_since), 'seen_at', text(now), 'cuts', cuts)
redis.call('EXPIRE', key, 3600 + math.ceil(math.max(next_at, paused_until, now) - now))
return string.format('%.6f %.6f %.17g %d', wait, math.max(0, paused_until - now), rate(), cuts)

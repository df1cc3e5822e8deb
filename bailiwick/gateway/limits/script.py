"""The script that counts budgets in Redis. One call is one change; see `limit_redis` and, in Python, `decide.windows`.

Of each budget: `KEY:l` a list of `moment:amount`, `KEY:t` their sum, `KEY:h` what is kept for requests in flight by
token, `KEY:w` until when it has warned at 80 and at 100 percent. Without a window the list has one entry.
"""

SCRIPT = """
local what, token, at0, prefix, instance = ARGV[1], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local now
if ARGV[2] == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(ARGV[2])
end
local EXACT, PARTS = 256, 256
local function text(number) return string.format('%.0f', number) end
local function entry(raw)
  local at, amount = string.match(raw, '^(%d+):(%d+)$')
  return tonumber(at), tonumber(amount)
end
local alive = {}
local function lives(field)
  local id = string.match(field, '^[^:]+')
  if alive[id] == nil then alive[id] = id == instance or redis.call('EXISTS', prefix .. 'alive:' .. id) == 1 end
  return alive[id]
end
local function total(key, window)
  local sum = tonumber(redis.call('GET', key .. ':t') or '0')
  if window > 0 then
    local before = sum
    while true do
      local raw = redis.call('LINDEX', key .. ':l', 0)
      if not raw then break end
      local at, amount = entry(raw)
      if at > now - window then break end
      redis.call('LPOP', key .. ':l')
      sum = sum - amount
    end
    if sum ~= before then redis.call('SET', key .. ':t', text(sum), 'KEEPTTL') end
  end
  return sum
end
local function held(key)
  local sum, fields = 0, redis.call('HGETALL', key .. ':h')
  for i = 1, #fields, 2 do
    if lives(fields[i]) then sum = sum + tonumber(fields[i + 1]) else redis.call('HDEL', key .. ':h', fields[i]) end
  end
  return sum
end
local function add(key, window, amount, kept)
  if amount <= 0 then return end
  local sum, list = total(key, window) + amount, key .. ':l'
  local last = redis.call('LINDEX', list, -1)
  local merged = false
  if last then
    local at, before = entry(last)
    if window == 0 or now <= at then
      redis.call('LSET', list, -1, text(math.max(at, now)) .. ':' .. text(before + amount))
      merged = true
    elseif redis.call('LLEN', list) >= EXACT then
      local earlier = entry(redis.call('LINDEX', list, -2))
      if now - earlier <= math.floor(window / PARTS) then
        redis.call('LSET', list, -1, text(now) .. ':' .. text(before + amount))
        merged = true
      end
    end
  end
  if not merged then redis.call('RPUSH', list, text(now) .. ':' .. text(amount)) end
  redis.call('SET', key .. ':t', text(sum), 'EX', kept)
  redis.call('EXPIRE', list, kept)
end
local function give_back(key, window, amount)
  if amount <= 0 or at0 == 0 or (window > 0 and at0 <= now - window) then return end
  local sum = total(key, window)
  for i, raw in ipairs(redis.call('LRANGE', key .. ':l', 0, -1)) do
    local at, counted = entry(raw)
    if at >= at0 then
      local back = math.min(amount, counted)
      redis.call('LSET', key .. ':l', i - 1, text(at) .. ':' .. text(counted - back))
      redis.call('SET', key .. ':t', text(sum - back), 'KEEPTTL')
      return
    end
  end
end
local function wait(key, window, excess)
  if excess <= 0 then return 0 end
  if window == 0 then return -1 end
  for _, raw in ipairs(redis.call('LRANGE', key .. ':l', 0, -1)) do
    local at, amount = entry(raw)
    excess = excess - amount
    if excess <= 0 then return math.max(at + window - now, 0) end
  end
  return -1
end
local function warn(key, number, window, most, kept, found)
  local used = total(key, window)
  if used * 5 < most * 4 then return end
  local until_80 = tonumber(redis.call('HGET', key .. ':w', '80') or '0')
  local until_100 = tonumber(redis.call('HGET', key .. ':w', '100') or '0')
  local span = window == 0 and 1000000 * 86400 * 3650 or math.max(window, 60000000)
  if used >= most then
    if until_100 <= now then
      redis.call('HSET', key .. ':w', '80', text(now + span), '100', text(now + span))
      found[#found + 1] = number
      found[#found + 1] = 100
    end
  elseif until_80 <= now then
    redis.call('HSET', key .. ':w', '80', text(now + span))
    found[#found + 1] = number
    found[#found + 1] = 80
  end
  redis.call('EXPIRE', key .. ':w', math.max(kept, 120))
end
local budgets = {}
for i, key in ipairs(KEYS) do
  local place = 8 + (i - 1) * 6
  budgets[i] = {
    key = key,
    window = tonumber(ARGV[place]),
    most = tonumber(ARGV[place + 1]),
    take = tonumber(ARGV[place + 2]),
    hold = tonumber(ARGV[place + 3]),
    kept = tonumber(ARGV[place + 4]),
    warns = ARGV[place + 5] == '1',
  }
end
if what == 'levels' then
  local found = {}
  for _, b in ipairs(budgets) do
    found[#found + 1] = total(b.key, b.window) + held(b.key)
    found[#found + 1] = wait(b.key, b.window, 1)
  end
  return found
end
if what == 'reserve' then
  local fullest, longest = nil, nil
  for i, b in ipairs(budgets) do
    local wanted = b.take + b.hold
    if wanted == 0 then wanted = 1 end
    local excess = total(b.key, b.window) + held(b.key) + wanted - b.most
    if excess > 0 then
      local after = wait(b.key, b.window, excess)
      if fullest == nil or (longest >= 0 and (after < 0 or after > longest)) then fullest, longest = i, after end
    end
  end
  if fullest then return { -fullest, longest } end
  redis.call('SET', prefix .. 'alive:' .. instance, 1, 'EX', tonumber(ARGV[7]))
  local found = { now }
  for i, b in ipairs(budgets) do
    if b.take > 0 then
      add(b.key, b.window, b.take, b.kept)
      warn(b.key, i, b.window, b.most, b.kept, found)
    end
    if b.hold > 0 then
      redis.call('HSET', b.key .. ':h', token, text(b.hold))
      redis.call('EXPIRE', b.key .. ':h', 86400)
    end
  end
  return found
end
local found = {}
for i, b in ipairs(budgets) do
  if b.hold > 0 then redis.call('HDEL', b.key .. ':h', token) end
  if what == 'settle' then
    if b.take > 0 then
      add(b.key, b.window, b.take, b.kept)
      warn(b.key, i, b.window, b.most, b.kept, found)
    end
  else
    give_back(b.key, b.window, b.take)
  end
end
return found
"""

#!lua name=revocation

-- Atomic calls on a region's state, for Redis 7.0 and Valkey 8 and later.
-- docs/store-layout.md specifies keys, values and arguments; layout.py implements it.
-- No function has the flag `allow-oom`, so a full server refuses the whole call and
-- nothing is ever half written; for the same reason every check precedes the first
-- write. Numbers are compared as doubles, exact to 2^53, but written as the text they
-- arrived in or with '%d': tostring() keeps only 14 digits.

-- A record holds at most one call's entries, so this bounds the feed's memory. A
-- replica that was disconnected for longer loads a snapshot.
local FEED_RECORDS = 1024

-- The kind's letter and the digest.
local NAME_BYTES = 17

-- unpack() and a call's stack hold fewer than 8000 values; an entry takes two.
local MAX_ENTRIES = 3000

local SEVERITY = {active = 0, disabled = 1, deleted = 2}
local NEVER = -1

local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function greater(one, other)
  return tonumber(one) < tonumber(other) and other or one
end

local function read_state(meta)
  local flat, state = redis.call('HGETALL', meta), {}
  for at = 1, #flat, 2 do
    state[flat[at]] = flat[at + 1]
  end
  return state
end

-- Marks ------------------------------------------------------------------------------

local MARK = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$'

local function join_marks(stored, mark)
  assert(string.match(mark, MARK), 'not a mark of this layout')
  if not stored then
    return mark
  end
  local old, new = {string.match(stored, MARK)}, {string.match(mark, MARK)}
  for at = 1, 6 do
    new[at] = greater(old[at], new[at])
  end
  return table.concat(new, ' ')
end

-- A region is as fresh as its slowest partition.
local function freshness(state)
  local ready, as_of = '1', nil
  for partition = 0, state.partitions - 1 do
    local mark = state['p' .. partition]
    if not mark then
      return '0', '0'
    end
    local _, _, time, _, rebuilt = string.match(mark, MARK)
    if rebuilt ~= '1' then
      ready = '0'
    end
    if not as_of or tonumber(time) < tonumber(as_of) then
      as_of = time
    end
  end
  return ready, as_of
end

-- From argument 4 on, for each of args[3] partitions: number, the next_offset that
-- must have been reached or '', the mark or ''.
local function refusal(keys, args, state)
  local last = 3 + 3 * args[3]
  if #keys - 2 > MAX_ENTRIES or #args - last ~= 2 * (#keys - 2) then
    return 'ERR keys and arguments do not match, or are too many for one call'
  end
  if state.epoch ~= args[1] then
    return 'COLD the epoch is ' .. (state.epoch or 'missing') .. ', not ' .. args[1]
  end
  if state.clearing then
    return 'COLD the region is being emptied for epoch ' .. args[1]
  end
  for at = 4, last, 3 do
    local partition, expected = args[at], args[at + 1]
    if tonumber(partition) >= tonumber(state.partitions) then
      return 'PARTITIONS the epoch has ' .. state.partitions
        .. ' partitions and no partition ' .. partition
    end
    local reached = string.match(state['p' .. partition] or '', '^%S+') or NEVER
    if expected ~= '' and tonumber(reached) < tonumber(expected) then
      return 'MOVED_BACK partition ' .. partition .. ' is at ' .. reached
        .. ', expected ' .. expected
    end
  end
end

-- Joins the marks into the state before anything is written, so that a malformed mark
-- fails here. Returns the fields to write to the meta key.
local function move_marks(args, state)
  local moved = {}
  for at = 4, 3 + 3 * args[3], 3 do
    local name, mark = 'p' .. args[at], args[at + 2]
    mark = mark ~= '' and join_marks(state[name], mark) or state[name]
    if mark ~= state[name] then
      state[name] = mark
      moved[#moved + 1] = name
      moved[#moved + 1] = mark
    end
  end
  if #moved > 0 then
    state.ready, state.as_of = freshness(state)
  end
  return moved
end

-- Entries: each join returns the key's new value and expiry, or nil if both are
-- unchanged. --------------------------------------------------------------------------

local function is_later(one, other)
  for at = 1, #one do
    if one[at] ~= other[at] then
      return one[at] > other[at]
    end
  end
  return false
end

-- A denial has no time; the order by offset, then partition, is as good as any.
local function read_denied(value)
  local partition, offset = string.match(value, '^(%d+)%-(%d+)$')
  return {tonumber(offset), tonumber(partition)}
end

local function join_denied(key, stored, value, expires_at)
  local held_until = redis.call('PEXPIRETIME', key)
  local later = is_later(read_denied(value), read_denied(stored))
  if not later and expires_at <= held_until then
    return nil
  end
  value = later and value or stored
  expires_at = string.format('%d', math.max(expires_at, held_until))
  redis.call('SET', key, value, 'PXAT', expires_at)
  return value, expires_at
end

local SUBJECT = '^((%d+)%-(%d+)) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$'

local function read_subject(value, expires_at)
  local receipt, partition, offset, version, not_before, status, status_time, time,
    forwarded = string.match(value, SUBJECT)
  return {
    receipt = receipt, version = version, not_before = not_before, status = status,
    status_time = status_time, time = time, expires_at = expires_at,
    forwarded = tonumber(forwarded), own = tonumber(version) - tonumber(forwarded),
    place = {tonumber(time), tonumber(partition), tonumber(offset)},
  }
end

-- `deleted` is final; otherwise the later status wins, and at the same time the more
-- severe one.
local function outranks(one, other)
  local final = one.status == 'deleted'
  if final ~= (other.status == 'deleted') then
    return final
  end
  local mine, theirs = tonumber(one.status_time), tonumber(other.status_time)
  return mine > theirs
    or (mine == theirs and SEVERITY[one.status] > SEVERITY[other.status])
end

local function join_subjects(key, stored, value, expires_at, longest)
  local held = read_subject(stored, redis.call('PEXPIRETIME', key))
  local incoming = read_subject(value, expires_at)
  local latest = is_later(incoming.place, held.place) and incoming or held
  local ruling = outranks(incoming, held) and incoming or held
  local not_before = greater(held.not_before, incoming.not_before)
  -- Each side may lack an event that the other has: see `merge` in entries.py.
  local forwarded = math.max(held.forwarded, incoming.forwarded)
  local version = math.max(held.own, incoming.own) + forwarded
  value = string.format('%s %d %s %s %s %s %d', latest.receipt, version, not_before,
    ruling.status, ruling.status_time, latest.time, forwarded)
  -- The ruling entry decides, by its status or kind, whether the key never expires.
  local relevant_until = NEVER
  if ruling.expires_at ~= NEVER then
    relevant_until = tonumber(greater(not_before, latest.time)) + longest
    relevant_until = math.max(held.expires_at, relevant_until)
  end
  if value == stored and relevant_until == held.expires_at then
    return nil
  end
  local text = string.format('%d', relevant_until)
  if relevant_until == NEVER then
    redis.call('SET', key, value)
  else
    -- May be past: a region that was down learns late that a subject is enabled again.
    redis.call('SET', key, value, 'PXAT', text)
  end
  return value, text
end

-- Returns the stored value, if any; otherwise writes, unless already expired.
local function write_new(key, value, expires_at, number, now)
  if number > now then
    return redis.call('SET', key, value, 'NX', 'GET', 'PXAT', expires_at)
  elseif number == NEVER then
    return redis.call('SET', key, value, 'NX', 'GET')
  end
  return redis.call('GET', key)
end

-- Returns what was written, as fields of the feed: name, "expires_at value".
local function write_entries(keys, args)
  local longest, now = tonumber(args[2]), server_ms()
  local name_at = #keys[1] - #'meta' + 1
  local at, written = 4 + 3 * args[3], {}
  for each = 3, #keys do
    local key, value, expires_at = keys[each], args[at], args[at + 1]
    local number = tonumber(expires_at)
    local stored = write_new(key, value, expires_at, number, now)
    if not stored then
      value = (number > now or number == NEVER) and value or nil
    elseif string.find(value, ' ', 1, true) then
      value, expires_at = join_subjects(key, stored, value, number, longest)
    else
      value, expires_at = join_denied(key, stored, value, number)
    end
    if value then
      written[#written + 1] = string.sub(key, name_at)
      written[#written + 1] = expires_at .. ' ' .. value
    end
    at = at + 2
  end
  return written
end

-- Functions ---------------------------------------------------------------------------

-- Each record names its predecessor: after a failover to a server that lags in data
-- and clock, IDs alone would not reveal a missed record.
local function feed_replicas(keys, state, fields)
  local id = redis.call('XADD', keys[2], 'MAXLEN', '~', FEED_RECORDS, '*',
    'after', state.fed or '', 'epoch', state.epoch, 'ready', state.ready,
    'as_of', state.as_of, unpack(fields))
  redis.call('HSET', keys[1], 'fed', id)
end

-- Keys: meta, feed, the canaries to write, those to delete. Arguments: epoch,
-- partitions, the epoch to replace or '', identity, what to keep of the previous epoch
-- ('nothing', 'entries' or 'all'), then a value for each canary to write. An epoch that
-- keeps nothing accepts no entries before `clear` has deleted the old ones.
local function begin(keys, args)
  local state, before = read_state(keys[1]), args[3]
  if state.epoch and state.epoch ~= before then
    return state.epoch
  end
  if args[5] ~= 'all' or not state.epoch then
    redis.call('DEL', keys[1])
    state = {ready = '0', as_of = '0', fed = state.fed}
    redis.call('HSET', keys[1], 'ready', '0', 'as_of', '0')
  end
  state.epoch = args[1]
  redis.call('HSET', keys[1], 'epoch', args[1], 'partitions', args[2],
    'identity', args[4])
  if args[5] == 'nothing' then
    redis.call('HSET', keys[1], 'clearing', '1')
  end
  for at = 3, #keys do
    local value = args[at + 3]
    if value then
      redis.call('SET', keys[at], value)
    else
      redis.call('DEL', keys[at])
    end
  end
  feed_replicas(keys, state, {})
  return args[1]
end

-- Returns the next cursor, the keys of entries found from the given cursor on, and the
-- server's run_id: a cursor is only valid within one run.
local function scan(tag, cursor, count)
  local following, found = unpack(redis.call('SCAN', cursor, 'COUNT', count,
    'MATCH', tag .. string.rep('?', NAME_BYTES)))
  return following, found, string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- Keys: meta, then those to keep. Arguments: epoch, a cursor ('0' at first), about how
-- many keys to scan, the run_id of the previous reply. Deletes old entries of an epoch
-- that keeps nothing. Returns the next cursor ('0' at the end) and the run_id.
local function clear(keys, args)
  local epoch, clearing = unpack(redis.call('HMGET', keys[1], 'epoch', 'clearing'))
  if epoch ~= args[1] then
    return redis.error_reply('COLD the epoch is ' .. (epoch or 'missing'))
  elseif not clearing then
    return {'0', ''}
  end
  local tag, kept = string.sub(keys[1], 1, -#'meta' - 1), {}
  for at = 2, #keys do
    kept[keys[at]] = true
  end
  local cursor, found, run = scan(tag, args[2], args[3])
  if args[2] ~= '0' and args[4] ~= run then
    return redis.error_reply('MOVED_BACK another server answers now')
  end
  for _, key in ipairs(found) do
    if not kept[key] then
      redis.call('UNLINK', key)
    end
  end
  if cursor == '0' then
    redis.call('HDEL', keys[1], 'clearing')
  end
  return {cursor, run}
end

-- Keys: meta, feed, then one for each entry. Arguments: epoch, how long a subject entry
-- matters in ms, the number of partitions, three values for each (see `refusal`), then
-- for each entry its value and its expiry time in ms, -1 for never.
local function apply(keys, args)
  local state = read_state(keys[1])
  local refused = refusal(keys, args, state)
  if refused then
    return redis.error_reply(refused)
  end
  local ready, as_of = state.ready, state.as_of
  local moved = move_marks(args, state)
  local written = write_entries(keys, args)
  if #moved > 0 then
    redis.call('HSET', keys[1], 'ready', state.ready, 'as_of', state.as_of,
      unpack(moved))
  end
  if #written > 0 or ready ~= state.ready or as_of ~= state.as_of then
    feed_replicas(keys, state, written)
  end
  return #written / 2
end

-- Keys: meta, then those to look up. Returns epoch (nil while cold), ready and as_of,
-- then for each key nil or {value, expiry time in ms or -1}.
local function find(keys)
  local reply = redis.call('HMGET', keys[1], 'epoch', 'ready', 'as_of')
  if #keys > 1 then
    for at, value in ipairs(redis.call('MGET', unpack(keys, 2))) do
      reply[at + 3] = value and {value, redis.call('PEXPIRETIME', keys[at + 1])}
    end
  end
  return reply
end

-- Keys: meta. Arguments: a cursor, '0' at first; about how many keys to scan. Returns
-- epoch, the next cursor ('0' at the end), how many keys the server has, the server's
-- run_id (a cursor is only valid within one run), then for each entry its name and
-- "expires_at value", as in the feed. An entry may occur twice.
local function snapshot(keys, args)
  local tag = string.sub(keys[1], 1, -#'meta' - 1)
  local cursor, found, run = scan(tag, args[1], args[2])
  local epoch = redis.call('HGET', keys[1], 'epoch')
  local reply = {epoch, cursor, redis.call('DBSIZE'), run}
  for _, key in ipairs(found) do
    local value = redis.call('GET', key)
    if value then
      reply[#reply + 1] = string.sub(key, #tag + 1)
      reply[#reply + 1] = string.format('%d %s', redis.call('PEXPIRETIME', key), value)
    end
  end
  return reply
end

redis.register_function('revocation_begin', begin)
redis.register_function('revocation_clear', clear)
redis.register_function('revocation_apply', apply)
redis.register_function{
  function_name = 'revocation_find', callback = find, flags = {'no-writes'},
}
redis.register_function{
  function_name = 'revocation_snapshot', callback = snapshot, flags = {'no-writes'},
}

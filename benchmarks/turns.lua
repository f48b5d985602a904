-- wrk's requests in turns: in each of them every request says the same word in X-Callback.
--
--   wrk ... -s turns.lua URL -- FOLDER PID TURN_NS SEED WORD...
--
-- A turn is a stretch of the clock, so that all threads of wrk know it without a word to each other; a group of turns
-- has each WORD once, in an order drawn from SEED and the group's number. Each thread has one connection, and so one request
-- at a time. Of each that begins and ends within a turn a file of the thread in FOLDER has a line: the turn's number, the
-- word, the latency in ns, and the CPU time of the process PID at its end, ns. What goes beyond a turn has met two words.

local ffi = require("ffi")
local bit = require("bit")

ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } gc_otel_time;
  int clock_gettime(int clock, gc_otel_time *time);
]]

local CLOCK_MONOTONIC = 1
local GROUPS_OF_A_SEED = 2 ^ 32

local time = ffi.new("gc_otel_time")
local words, requests = {}, {}
local turn_ns, seed, cpu_clock, lines
local turn, word, began_ns = nil, nil, nil

local function now_ns(clock)
  assert(ffi.C.clock_gettime(clock, time) == 0)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  local folder, pid = arguments[1], tonumber(arguments[2])
  turn_ns, seed = tonumber(arguments[3]), tonumber(arguments[4])
  cpu_clock = bit.bor(bit.lshift(bit.bnot(pid), 3), 2) -- Linux: the CPU time of all threads of another process
  for place = 5, #arguments do
    words[#words + 1] = arguments[place]
    requests[arguments[place]] = wrk.format(nil, nil, { ["X-Callback"] = arguments[place] })
  end
  lines = assert(io.open(folder .. "/" .. number, "w"))
  lines:setvbuf("full", 65536)
end

local function word_of(a_turn)
  local group = math.floor(a_turn / #words)
  math.randomseed((seed * GROUPS_OF_A_SEED + group) % 2 ^ 52)
  local order = {}
  for place = 1, #words do
    local other = math.random(place)
    order[place] = order[other]
    order[other] = words[place]
  end
  return order[a_turn % #words + 1]
end

function request()
  began_ns = now_ns(CLOCK_MONOTONIC)
  local current = math.floor(began_ns / turn_ns)
  if current ~= turn then
    turn, word = current, word_of(current)
  end
  return requests[word]
end

function response(status)
  local ended_ns = now_ns(CLOCK_MONOTONIC)
  assert(status == 200, "the service answered " .. status)
  if math.floor(ended_ns / turn_ns) == turn then
    lines:write(string.format("%d %s %d %d\n", turn, word, ended_ns - began_ns, now_ns(cpu_clock)))
  end
end

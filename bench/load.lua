-- What wrk asks for: the targets given as arguments, in turn. What it saw goes to stdout as JSON; times are in milliseconds.

local requests, next = {}, 0

function init(args)
  for i, target in ipairs(args) do
    requests[i] = wrk.format("GET", target)
  end
end

function request()
  next = next % #requests + 1
  return requests[next]
end

function done(summary, latency)
  local errors = summary.errors
  local ms = function(value) return string.format("%.3f", value / 1000) end
  print(string.format(
    'RESULT {"requests":%d,"perSecond":%.1f,"min":%s,"mean":%s,"max":%s,"p50":%s,"p99":%s,"errors":%d}',
    summary.requests, summary.requests / summary.duration * 1e6, ms(latency.min), ms(latency.mean), ms(latency.max),
    ms(latency:percentile(50)), ms(latency:percentile(99)),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

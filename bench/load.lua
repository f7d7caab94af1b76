-- What wrk asks for: the targets given as arguments, in turn. The first argument says which headers a request has,
-- "plain" or "browser". What it saw goes to stdout as JSON; times are in milliseconds.

-- What Chrome sends for a fetch() of a page on another host. wrk itself adds Host.
local browser = {
  ["Connection"] = "keep-alive",
  ["sec-ch-ua"] = '"Not A(Brand";v="99", "Google Chrome";v="121", "Chromium";v="121"',
  ["sec-ch-ua-mobile"] = "?0",
  ["User-Agent"] = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    .. "Chrome/121.0.0.0 Safari/537.36",
  ["sec-ch-ua-platform"] = '"Windows"',
  ["Accept"] = "*/*",
  ["Origin"] = "https://blog.example.org",
  ["Sec-Fetch-Site"] = "same-site",
  ["Sec-Fetch-Mode"] = "cors",
  ["Sec-Fetch-Dest"] = "empty",
  ["Referer"] = "https://blog.example.org/",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7",
}

local requests, next = {}, 0

function init(args)
  local headers = table.remove(args, 1) == "browser" and browser or {}
  for i, target in ipairs(args) do
    requests[i] = wrk.format("GET", target, headers)
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
    'RESULT {"requests":%d,"perSecond":%.1f,"min":%s,"mean":%s,"max":%s,"p50":%s,"p99":%s,"p999":%s,"errors":%d}',
    summary.requests, summary.requests / summary.duration * 1e6, ms(latency.min), ms(latency.mean), ms(latency.max),
    ms(latency:percentile(50)), ms(latency:percentile(99)), ms(latency:percentile(99.9)),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

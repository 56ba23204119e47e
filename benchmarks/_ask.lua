-- wrk: asks one question about many tokens in turns, and tells what it took as JSON.
-- arguments: check or authz, and a file with a token on each line

local requests, number = {}, 0

function init(arguments)
  for token in io.lines(arguments[2]) do
    local method, path, headers, body = "GET", "/v1/authz/traefik", {}, nil
    if arguments[1] == "check" then
      method, path = "POST", "/v1/check"
      headers["Content-Type"] = "application/json"
      body = '{"token":"' .. token .. '"}'
    else
      headers["Authorization"] = "Bearer " .. token
      headers["X-Forwarded-Method"] = "GET"
      headers["X-Forwarded-Uri"] = "/datasets/42"
      headers["X-Forwarded-Host"] = "api.example"
      headers["X-Forwarded-Proto"] = "https"
    end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary, latency)
  local failed = 0
  for _, each in pairs(summary.errors) do failed = failed + each end
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"failed":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50), latency:percentile(99)))
end

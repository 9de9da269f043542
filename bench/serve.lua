-- The request of bench/serve.sh: the file that BODY names; DELAY is how many milliseconds a connection waits before each.
local f = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = f:read("*a")
f:close()
wrk.headers["Content-Type"] = "application/json"
local wait = tonumber(os.getenv("DELAY") or "")
if wait then
	function delay()
		return wait
	end
end

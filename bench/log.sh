#!/usr/bin/env bash
# So many rows a second for so long, answered and logged, without a loss and with flat memory: eight connections ask for 100 rows at a time
# by wrk (Debian's package), a pace above the goal. Every second the rate and the server's memory are sampled. It ends with status 1 when
# fewer rows a second were answered, when a row that was answered is not in the log, or when memory grew.
# Usage: bench/log.sh [SECONDS, 600] [ROWS a second, 20000] [PROJECT VERSION BODY]; without a project that of the bundled example is made.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD seconds=${1:-600} goal=${2:-20000} project=${3:-} version=${4:-employment:1} body=${5:-}
command -v wrk >/dev/null || { echo "wrk is missing: install Debian's package of that name"; exit 1; }
work=$(mktemp -d)
server= watcher=
trap '[ -z "$watcher" ] || kill "$watcher" 2>/dev/null; [ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$work"' EXIT
if [ -z "$project" ]; then
	make -s build
	project=$work/project body=$work/body.json
	cp -r examples/employment "$project"
	for step in 'make register' 'serve check'; do
		(cd "$project" && "$root/bin/assay" -q $step) >"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
	done
	gzip -dc examples/employment/train_2015.csv.gz | awk -F, '
		NR>101 {next}
		NR==1 {for (i=1; i<=NF; i++) name[i]=$i; printf "{\"dataframe_split\":{\"columns\":["; for (i=1; i<=NF; i++) if (name[i]!="id" && name[i]!="year" && name[i]!="employed") {printf "%s\"%s\"", (n++ ? "," : ""), name[i]} printf "],\"data\":["; next}
		{printf "%s[", (NR>2 ? "," : ""); n=0; for (i=1; i<=NF; i++) if (name[i]!="id" && name[i]!="year" && name[i]!="employed") printf "%s%s", (n++ ? "," : ""), $i; printf "]"}
		END {print "]}}"}' >"$body"
fi
rm -rf "$project/.assay/log"
port=18590
(cd "$project" && exec "$root/bin/assay" serve --model "$version" --listen "127.0.0.1:$port") >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 3000); do
	curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && break
	kill -0 "$server" 2>/dev/null || { cat "$work/server.log"; exit 1; }
	sleep 0.02
done
curl -sf -o /dev/null -H 'Content-Type: application/json' -d "@$body" "http://127.0.0.1:$port/invocations" || { echo 'the server refuses the request'; exit 1; }
sum() { curl -sf "http://127.0.0.1:$port/metrics" | awk -v m="^$1" '$0 ~ m {n+=$NF} END {printf "%d", n}'; }
answered() { sum 'assay_rows_total.*outcome="answered"'; }
echo "load of the machine: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores; $seconds s, $goal rows/s at least"
first=$(answered)
(while sleep 1; do printf '%s %s\n' "$(answered)" "$(awk '/^VmRSS/{print $2}' "/proc/$server/status")"; done) >"$work/samples" 2>/dev/null &
watcher=$!
out=$(BODY="$body" DELAY=$((520000 / goal)) wrk -t1 -c8 -d"${seconds}s" --latency -s "$root/bench/serve.lua" "http://127.0.0.1:$port/invocations")
kill "$watcher" && watcher=
last=$(answered) dropped=$(sum assay_log_lost_rows_total)
ticks=$(awk '{print $14+$15}' "/proc/$server/stat")
kill -TERM "$server" && wait "$server" || true
server=
logged=$(cd "$project" && "$root/bin/assay" --json log query "SELECT count(*) FILTER (_outcome = 'answered'), coalesce(sum(_lost), 0)::BIGINT FROM log" | tr -d ' \n"' | sed -n 's/.*rows:\[\[\([^]]*\)\].*/\1/p')
failed=0
awk -v s="$seconds" -v a="$last" -v f="$first" -v goal="$goal" -v l="$logged" -v d="$dropped" -v cpu="$ticks" -v hz="$(getconf CLK_TCK)" -v bad="$(awk '/Non-2xx|Socket errors/' <<<"$out")" \
	-v p50="$(awk '$1=="50%"{print $2}' <<<"$out")" -v p99="$(awk '$1=="99%"{print $2}' <<<"$out")" 'BEGIN {
	split(l, log_, ",")
	printf "%.0f rows/s answered, p50 of a request %s, p99 %s, %.2f cores; %d answered in all, %d in the log, %d lost\n", (a-f)/s, p50, p99, cpu/hz/s, a, log_[1], d+log_[2]
	if (bad) print bad
	exit !((a-f)/s >= goal && a == log_[1] && d+log_[2] == 0 && !bad)
}' || failed=1
awk '{a[NR]=$1; m[NR]=$2/1024} END {
	for (i=11; i<=NR; i+=10) {r=(a[i]-a[i-10])/10; if (!low || r<low) low=r}
	q=int(NR/4)
	for (i=q+1; i<=2*q; i++) if (m[i]>x) x=m[i]
	for (i=NR-q+1; i<=NR; i++) if (m[i]>y) y=m[i]
	for (i=1; i<=NR; i++) if (m[i]>z) z=m[i]
	printf "slowest ten seconds %.0f rows/s; resident: at most %d MB in the second quarter, %d MB in the last, %d MB ever\n", low, x, y, z
	exit !(NR>=8 && y <= 1.1*x+10)
}' "$work/samples" || { echo 'memory is not flat'; failed=1; }
[ "$failed" = 0 ] && echo 'sustained: reached' || echo 'sustained: missed'
exit "$failed"

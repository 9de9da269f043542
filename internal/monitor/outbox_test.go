package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// A hand is a clock that is moved by hand.
type hand struct {
	lock sync.Mutex
	at   time.Time
}

func (h *hand) now() time.Time {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.at
}

func (h *hand) forward(d time.Duration) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.at = h.at.Add(d)
}

func noticeOf(lane, n int) Notice {
	return Notice{Schema: NoticeSchema, ID: noticeID("test", fmt.Sprint(lane), fmt.Sprint(n)), Event: EventTrigger, Version: "people:1", Model: id("model"), Alert: "drift", Key: fmt.Sprintf("drift-%d", n), Severity: "error", State: assay.AlertFiring, Step: 1, Channel: fmt.Sprintf("c%d", lane), Causes: []assay.Cause{}}
}

func open(t testing.TB, dir string, clock func() time.Time) *Outbox {
	t.Helper()
	o, err := OpenOutbox(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func tallyOf(t testing.TB, o *Outbox) Tally {
	t.Helper()
	got, err := o.Tally()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestReceiverDownForAnHour: nothing is lost and nothing comes twice, in order; the pauses grow up to the longest.
func TestReceiverDownForAnHour(t *testing.T) {
	h := &hand{at: start}
	o := open(t, filepath.Join(t.TempDir(), "outbox"), h.now)
	for i := range 3 {
		for range 2 { // the second is the same message
			if _, err := o.Put(noticeOf(1, i), int64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	attempts := 0
	up := start.Add(time.Hour)
	for h.now().Before(start.Add(2 * time.Hour)) {
		_, err := o.Drain(t.Context(), nil, func(_ context.Context, n Notice) Answer {
			attempts++
			if h.now().Before(up) {
				return Answer{Text: "no connection"}
			}
			got = append(got, n.Key)
			return Answer{Status: 200, Accepted: true}
		})
		if err != nil {
			t.Fatal(err)
		}
		h.forward(time.Second)
	}
	if want := []string{"drift-0", "drift-1", "drift-2"}; !slices.Equal(got, want) {
		t.Errorf("the receiver got %v, want %v", got, want)
	}
	if attempts < 10 || attempts > 40 {
		t.Errorf("%d attempts in an hour", attempts)
	}
	if n := tallyOf(t, o); n != (Tally{Sent: 3}) {
		t.Errorf("the outbox says %+v", n)
	}
	if fresh, err := o.Put(noticeOf(1, 0), 0); fresh || err != nil {
		t.Errorf("a message that was sent was put again: %v, %v", fresh, err)
	}
	h.forward(KeepSettled + time.Hour)
	if err := o.Prune(); err != nil {
		t.Fatal(err)
	}
	if n := tallyOf(t, o); n != (Tally{}) {
		t.Errorf("after %s the outbox says %+v", KeepSettled, n)
	}
}

// TestDead: a message is given up a day after its first attempt, or at once when it was refused for good; what follows it goes on.
func TestDead(t *testing.T) {
	h := &hand{at: start}
	o := open(t, filepath.Join(t.TempDir(), "outbox"), h.now)
	for lane := range 2 {
		for i := range 2 {
			if _, err := o.Put(noticeOf(lane, i), int64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 * 24 * 12 {
		if _, err := o.Drain(t.Context(), nil, func(_ context.Context, n Notice) Answer {
			switch {
			case n.Key == "drift-1":
				return Answer{Status: 200, Accepted: true}
			case n.Channel == "c0":
				return Answer{Status: 400, Permanent: true}
			}
			return Answer{Status: 503}
		}); err != nil {
			t.Fatal(err)
		}
		h.forward(5 * time.Minute)
	}
	if n := tallyOf(t, o); n != (Tally{Sent: 2, Dead: 2}) {
		t.Errorf("the outbox says %+v", n)
	}
	dead, _, err := o.List("dead")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range dead {
		once := m.Channel == "c0"
		if took := m.SettledAt.Sub(m.TriedAt); once != (m.Attempts == 1) || !once && (took < GiveUpAfter || took > GiveUpAfter+MaxBackoff+5*time.Minute) {
			t.Errorf("%s: given up after %d attempts in %s", m.Channel, m.Attempts, took)
		}
	}
}

// TestDrainTogether: several processes drain one outbox, and each message is sent once.
func TestDrainTogether(t *testing.T) {
	h := &hand{at: start}
	dir := filepath.Join(t.TempDir(), "outbox")
	first := open(t, dir, h.now)
	const n = 40
	for i := range n {
		if _, err := first.Put(noticeOf(i, 0), 0); err != nil {
			t.Fatal(err)
		}
	}
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		o := open(t, dir, h.now)
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := o.Drain(context.Background(), nil, func(context.Context, Notice) Answer {
				sent.Add(1)
				return Answer{Status: 200, Accepted: true}
			}); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if sent.Load() != n || tallyOf(t, first) != (Tally{Sent: n}) {
		t.Errorf("%d messages were sent %d times; the outbox says %+v", n, sent.Load(), tallyOf(t, first))
	}
}

// TestKilled kills a process before every step of putting and of sending, and looks at what the next one finds: a message that was put is
// delivered, at least once, and under one id.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("ASSAY_TEST_OUTBOX"); dir != "" {
		at := os.Getenv("ASSAY_TEST_KILL_AT")
		h := &hand{at: start}
		o := open(t, dir, h.now)
		step := 0
		o.trace = func(name string) {
			step++
			if fmt.Sprint(step) == at {
				p, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = p.Kill()
				}
				if err != nil {
					t.Fatal(err)
				}
				select {}
			}
		}
		if _, err := o.Put(noticeOf(0, 0), 0); err != nil {
			t.Fatal(err)
		}
		fmt.Println("put")
		if _, err := o.Drain(t.Context(), nil, func(_ context.Context, n Notice) Answer {
			fmt.Println("delivered", n.ID)
			return Answer{Status: 200, Accepted: true}
		}); err != nil {
			t.Fatal(err)
		}
		return
	}
	killed := 0
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "outbox")
		c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		c.Env = append(os.Environ(), "ASSAY_TEST_OUTBOX="+dir, fmt.Sprintf("ASSAY_TEST_KILL_AT=%d", at))
		out, err := c.CombinedOutput()
		put, delivered := strings.Contains(string(out), "put\n"), strings.Count(string(out), "delivered "+noticeOf(0, 0).ID)
		if err == nil {
			if delivered != 1 {
				t.Fatalf("without a kill: %s", out)
			}
			break
		}
		killed++
		h := &hand{at: start.Add(claimFor + time.Second)} // what it had in hand is free again
		o := open(t, dir, h.now)
		if _, err := o.Drain(t.Context(), nil, func(_ context.Context, n Notice) Answer {
			if n.ID == noticeOf(0, 0).ID {
				delivered++
			}
			return Answer{Status: 200, Accepted: true}
		}); err != nil {
			t.Fatal(err)
		}
		if n := tallyOf(t, o); put && (delivered < 1 || delivered > 2 || n != (Tally{Sent: 1})) {
			t.Errorf("killed at step %d: delivered %d times, the outbox says %+v", at, delivered, n)
		}
		if held, err := os.ReadDir(filepath.Join(dir, "busy")); err != nil || len(held) != 0 {
			t.Errorf("killed at step %d: %d files stay in hand, %v", at, len(held), err)
		}
	}
	if killed < 10 {
		t.Errorf("only %d kills", killed)
	}
}

// together3 is the notice of one of three alerts that go to one channel as one message.
func together3(n int) Notice {
	x := noticeOf(0, n)
	x.Alert, x.Window = fmt.Sprintf("alert%d", n), &assay.Window{Number: 4}
	return x
}

// TestKilledTogether kills a process that sends two alerts as one message to a real receiver: before every step, and while the receiver has it in hand. A third alert
// is put before the next process looks. A receiver that drops the keys that it knows handles each alert once.
func TestKilledTogether(t *testing.T) {
	one := func(n Notice) string { return n.Channel }
	deliver := func(address string) func(context.Context, Notice) Answer {
		return func(ctx context.Context, n Notice) Answer {
			return courier().Send(ctx, Endpoint{Name: "c0", Type: TypeWebhook, Address: address, Secret: "key"}, n)
		}
	}
	if dir := os.Getenv("ASSAY_TEST_OUTBOX"); dir != "" {
		at := os.Getenv("ASSAY_TEST_KILL_AT")
		h := &hand{at: start}
		o := open(t, dir, h.now)
		for i := range 2 {
			if _, err := o.Put(together3(i), 0); err != nil {
				t.Fatal(err)
			}
		}
		step := 0
		o.trace = func(string) {
			step++
			if fmt.Sprint(step) == at {
				p, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = p.Kill()
				}
				if err != nil {
					t.Fatal(err)
				}
				select {}
			}
		}
		if _, err := o.Drain(t.Context(), one, deliver(fmt.Sprintf("%s?pid=%d", os.Getenv("ASSAY_TEST_RECEIVER"), os.Getpid()))); err != nil {
			t.Fatal(err)
		}
		return
	}
	killed := 0
	for at := 0; ; at++ { // 0: while the receiver has it in hand
		dir := filepath.Join(t.TempDir(), "outbox")
		known, handled := map[string]bool{}, map[string]int{}
		var lock sync.Mutex
		requests := 0
		r := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			body, err := io.ReadAll(q.Body)
			if err != nil {
				t.Error(err)
			}
			lock.Lock()
			defer lock.Unlock()
			requests++
			var n Notice
			if err := json.Unmarshal(body, &n); err != nil {
				t.Error(err)
			}
			if key := q.Header.Get("Idempotency-Key"); !known[key] {
				known[key] = true
				for _, x := range n.each() {
					handled[x.Alert]++
				}
			}
			if at == 0 && requests == 1 {
				pid, err := strconv.Atoi(q.URL.Query().Get("pid"))
				if err != nil {
					t.Error(err)
				}
				if p, err := os.FindProcess(pid); err != nil || p.Kill() != nil {
					t.Errorf("process %d is not killed: %v", pid, err)
				}
				<-q.Context().Done()
			}
		}))
		child := exec.Command(os.Args[0], "-test.run=^TestKilledTogether$")
		child.Env = append(os.Environ(), "ASSAY_TEST_OUTBOX="+dir, fmt.Sprintf("ASSAY_TEST_KILL_AT=%d", at), "ASSAY_TEST_RECEIVER="+r.URL)
		out, err := child.CombinedOutput()
		if err == nil {
			if r.Close(); requests != 1 {
				t.Fatalf("without a kill: %s", out)
			}
			break
		}
		killed++
		h := &hand{at: start.Add(claimFor + time.Second)} // what it had in hand is free again
		o := open(t, dir, h.now)
		if _, err := o.Put(together3(2), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Drain(t.Context(), one, deliver(r.URL)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if handled["alert0"] != 1 || handled["alert1"] != 1 || handled["alert2"] != 1 || tallyOf(t, o) != (Tally{Sent: 3}) {
			t.Errorf("killed at step %d: handled %v, the outbox says %+v\n%s", at, handled, tallyOf(t, o), out)
		}
	}
	if killed < 12 {
		t.Errorf("only %d kills", killed)
	}
}

// TestSameAgain: what was tried as one is tried as one until it is settled, whatever comes in between; when a part of it is withdrawn, the rest goes on.
func TestSameAgain(t *testing.T) {
	h := &hand{at: start}
	o := open(t, filepath.Join(t.TempDir(), "outbox"), h.now)
	one := func(n Notice) string { return n.Channel }
	var got []string
	up := false
	drain := func() {
		t.Helper()
		if _, err := o.Drain(t.Context(), one, func(_ context.Context, n Notice) Answer {
			var names []string
			for _, x := range n.each() {
				names = append(names, x.Alert)
			}
			got = append(got, n.ID+" "+strings.Join(names, "+"))
			return Answer{Accepted: up}
		}); err != nil {
			t.Fatal(err)
		}
		h.forward(MaxBackoff)
	}
	put := func(n int) {
		t.Helper()
		if _, err := o.Put(together3(n), int64(n)); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	put(1)
	drain()
	put(2)
	drain()
	first := noticeID(slices.Sorted(slices.Values([]string{together3(0).ID, together3(1).ID}))...) + " alert0+alert1"
	if want := []string{first, first, together3(2).ID + " alert2"}; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("%q, want %q", got, want)
	}
	got = nil
	if _, err := o.Withdraw([]string{together3(1).ID}); err != nil {
		t.Fatal(err)
	}
	up = true
	drain()
	if len(got) == 0 || strings.Contains(strings.Join(got, " "), "alert1") || tallyOf(t, o) != (Tally{Sent: 2}) {
		t.Errorf("%q, the outbox says %+v", got, tallyOf(t, o))
	}
}

// TestBackoff: between half of the doubled pause and all of it, the same every time, and not the same for two messages.
func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := noticeID(rapid.String().Draw(t, "a"))
		n := rapid.IntRange(1, 400).Draw(t, "attempts")
		full := MaxBackoff
		if n < 8 {
			full = min(full, FirstBackoff<<(n-1))
		}
		d := Backoff(a, n)
		if d < full/2 || d > full || d != Backoff(a, n) {
			t.Fatalf("attempt %d waits %s, want %s to %s", n, d, full/2, full)
		}
	})
	if Backoff(noticeID("a"), 3) == Backoff(noticeID("b"), 3) {
		t.Error("two messages wait as long")
	}
}

// TestBrokenFile: a file that holds no message is counted, and stops nothing.
func TestBrokenFile(t *testing.T) {
	h := &hand{at: start}
	dir := filepath.Join(t.TempDir(), "outbox")
	o := open(t, dir, h.now)
	if err := os.WriteFile(filepath.Join(dir, "queue", strings.Repeat("ab", 16)+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Put(noticeOf(0, 0), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Drain(t.Context(), nil, func(context.Context, Notice) Answer { return Answer{Status: 200, Accepted: true} }); err != nil {
		t.Fatal(err)
	}
	if n := tallyOf(t, o); n != (Tally{Sent: 1, Broken: 1}) {
		t.Errorf("the outbox says %+v", n)
	}
	if _, err := o.Put(Notice{ID: "../../etc"}, 0); err == nil {
		t.Error("an id that is a path was taken")
	}
}

func FuzzReadMessage(f *testing.F) {
	m := Message{Format: messageFormat, ID: noticeOf(0, 0).ID, Channel: "c0", Notice: noticeOf(0, 0), Lane: noticeOf(0, 0).lane()}
	b, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":"assay.message/1"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMessage(b)
		if err != nil {
			if assay.CodeOf(err) != assay.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMessage(again); err != nil && len(again) <= maxMessageBytes {
			t.Errorf("%s is not read again: %v", again, err)
		}
	})
}

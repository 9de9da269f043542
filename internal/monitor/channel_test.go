package monitor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// A receiver keeps what it got and answers as it is told.
type receiver struct {
	*httptest.Server
	got    []*http.Request
	bodies [][]byte
	answer http.HandlerFunc
}

func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.got, r.bodies = append(r.got, q), append(r.bodies, b)
		r.answer(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func courier() *Courier { return &Courier{Clock: func() time.Time { return start }} }

func alarming() Notice {
	n := noticeOf(1, 1)
	n.Window = &assay.Window{Number: 7}
	n.At, n.Fired = assay.InstantOf(start), assay.InstantOf(start.Add(-time.Minute))
	n.Causes = []assay.Cause{{Scope: "input", Kind: "distribution", Column: "age", Contribution: 1, Message: "age moved by 0.31 <b>"}}
	n.Summary = n.summary()
	return n
}

// TestWebhook: signed, and refused by its receiver when it was altered or is old.
func TestWebhook(t *testing.T) {
	r := receive(t, says(204, ""))
	e := Endpoint{Name: "ops", Type: TypeWebhook, Address: r.URL + "/hook", Secret: "a key of the webhook"}
	if a := courier().Send(t.Context(), e, alarming()); !a.Accepted || a.Status != 204 {
		t.Fatalf("%+v", a)
	}
	h, body := r.got[0].Header, r.bodies[0]
	if h.Get("Idempotency-Key") != alarming().ID || h.Get("Content-Type") != "application/json" || !bytes.Equal(body, alarming().JSON()) {
		t.Errorf("headers %v, body %s", h, body)
	}
	sig := h.Get(SignatureHeader)
	if !strings.HasPrefix(sig, "t=1772366400,v1=") || len(sig) != len("t=1772366400,v1=")+64 {
		t.Errorf("signature %s", sig)
	}
	for name, err := range map[string]error{
		"as it came":        VerifySignature(e.Secret, body, sig, start.Add(time.Minute)),
		"altered":           VerifySignature(e.Secret, append(body, ' '), sig, start),
		"another key":       VerifySignature("another", body, sig, start),
		"played again":      VerifySignature(e.Secret, body, sig, start.Add(SignatureWindow+time.Second)),
		"of another time":   VerifySignature(e.Secret, body, strings.Replace(sig, "t=1", "t=2", 1), start),
		"without signature": VerifySignature(e.Secret, body, "", start),
	} {
		if (err == nil) != (name == "as it came") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSign holds a signature against OpenSSL 3.0: printf '%s' '1.what do ya want for nothing?' | openssl dgst -sha256 -hmac Jefe
func TestSign(t *testing.T) {
	if got, want := Sign("Jefe", []byte("what do ya want for nothing?"), time.Unix(1, 0)), "t=1,v1=a9049465ce89cfb8e9aac62333abda66f80e3403f51f57f6bae3c3a4485eca38"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRedirect: a redirect to another host is not followed, one on the same host is, with its body.
func TestRedirect(t *testing.T) {
	other := receive(t, says(200, ""))
	r := receive(t, nil)
	r.answer = func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/away":
			http.Redirect(w, q, other.URL+"/hook", http.StatusTemporaryRedirect)
		case "/near":
			http.Redirect(w, q, "/hook", http.StatusPermanentRedirect)
		case "/get":
			http.Redirect(w, q, "/hook", http.StatusFound)
		}
	}
	for path, want := range map[string]int{"/away": 307, "/near": 200, "/get": 302} {
		a := courier().Send(t.Context(), Endpoint{Name: "ops", Type: TypeWebhook, Address: r.URL + path, Secret: "key"}, alarming())
		if a.Status != want || a.Accepted != (want == 200) {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if len(other.got) != 0 {
		t.Error("another host was told")
	}
	if last := r.bodies[len(r.bodies)-1]; len(last) == 0 {
		t.Error("the redirect lost the body")
	}
}

// TestAnswers: what each receiver's answer means, without address, secret, control characters or length.
func TestAnswers(t *testing.T) {
	const secret = "xoxb-very-secret"
	for _, x := range []struct {
		kind      string
		status    int
		body      string
		accepted  bool
		permanent bool
	}{
		{TypeWebhook, 200, "thanks", true, false},
		{TypeWebhook, 500, "secret " + secret + "\x00\x1b[31m" + strings.Repeat("x", 500), false, false},
		{TypeWebhook, 429, "", false, false},
		{TypeWebhook, 401, "", false, false},
		{TypeWebhook, 422, "", false, true},
		{TypeAlertmanager, 200, "", true, false},
		{TypeAlertmanager, 400, `"at least one label pair required"`, false, true},
		{TypePagerDuty, 202, `{"status":"success","message":"Event processed","dedup_key":"x"}`, true, false},
		{TypePagerDuty, 202, `not json`, false, false},
		{TypePagerDuty, 400, `{"status":"invalid event","message":"Event object is invalid"}`, false, true},
		{TypeSlack, 200, "ok", true, false},
		{TypeSlack, 200, "<html>login</html>", false, false},
		{TypeSlack, 403, "invalid_token", false, false},
	} {
		r := receive(t, says(x.status, x.body))
		e := Endpoint{Name: "x", Type: x.kind, Address: r.URL, Secret: secret}
		if x.kind == TypeAlertmanager {
			e.Secret = "user:" + secret
		}
		a := courier().Send(t.Context(), e, alarming())
		if a.Status != x.status || a.Accepted != x.accepted || a.Permanent != x.permanent {
			t.Errorf("%s %d: %+v", x.kind, x.status, a)
		}
		if strings.Contains(a.Text, secret) || strings.Contains(a.Text, r.URL) || len(a.Text) > maxAnswerText || strings.ContainsAny(a.Text, "\x00\x1b\n") {
			t.Errorf("%s %d: the text is %q", x.kind, x.status, a.Text)
		}
	}
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "90"); w.WriteHeader(503) })
	if a := courier().Send(t.Context(), Endpoint{Name: "x", Type: TypeWebhook, Address: r.URL, Secret: secret}, alarming()); a.After != 90*time.Second {
		t.Errorf("Retry-After: %+v", a)
	}
}

// TestUnreachable: why a receiver did not answer, without where it is.
func TestUnreachable(t *testing.T) {
	slow := receive(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	untrusted := httptest.NewUnstartedServer(says(200, ""))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + ln.Addr().String() + "/a-path-that-is-secret"
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		ctx           context.Context
		address, want string
	}{
		{ctx, slow.URL, "no answer within 10s"},
		{t.Context(), untrusted.URL, "the certificate is not trusted"},
		{t.Context(), closed, "no connection: dial: connection refused"},
	} {
		a := courier().Send(x.ctx, Endpoint{Name: "x", Type: TypeWebhook, Address: x.address, Secret: "key"}, alarming())
		if a.Accepted || a.Permanent || a.Text != x.want {
			t.Errorf("%s: %+v, want %q", x.address, a, x.want)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(untrusted.Certificate())
	c := courier()
	c.TLS = &tls.Config{RootCAs: pool, InsecureSkipVerify: true}
	if a := c.Send(t.Context(), Endpoint{Name: "x", Type: TypeWebhook, Address: untrusted.URL, Secret: "key"}, alarming()); !a.Accepted {
		t.Errorf("a certificate that is trusted: %+v", a)
	}
}

// TestLimits holds every message against the limits of its receiver, whatever the notice says.
func TestLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := alarming()
		text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("é<&", 2000)))
		n.Summary, n.Version, n.Key = text.Draw(t, "summary"), text.Draw(t, "version"), text.Draw(t, "key")
		n.Event = rapid.SampledFrom([]string{EventTrigger, EventAcknowledge, EventResolve, EventTest}).Draw(t, "event")
		n.Severity = rapid.SampledFrom([]string{"info", "warning", "error", "critical"}).Draw(t, "severity")
		n.Causes = nil
		for range rapid.IntRange(0, 30).Draw(t, "causes") {
			n.Causes = append(n.Causes, assay.Cause{Scope: "input", Message: text.Draw(t, "message")})
		}
		body, _ := courier().message(Endpoint{Type: TypePagerDuty, Secret: "routing"}, n)
		var pd struct {
			Action  string `json:"event_action"`
			Dedup   string `json:"dedup_key"`
			Payload *struct{ Summary, Source, Severity string }
		}
		if err := json.Unmarshal(body, &pd); err != nil {
			t.Fatal(err)
		}
		trigger := n.Event == EventTrigger || n.Event == EventTest
		if len(pd.Dedup) == 0 || len(pd.Dedup) > 255 || (pd.Payload != nil) != trigger || len(body) > 512<<10 {
			t.Fatalf("PagerDuty: %s", body)
		}
		if trigger && (pd.Action != "trigger" || len(pd.Payload.Summary) > 1024) {
			t.Fatalf("PagerDuty: %s", body)
		}
		body, _ = courier().message(Endpoint{Type: TypeSlack}, n)
		var sl slackMessage
		if err := json.Unmarshal(body, &sl); err != nil {
			t.Fatal(err)
		}
		for _, b := range sl.Blocks {
			limit := map[string]int{"header": 150, "section": 3000}[b.Type]
			if b.Text != nil && utf8.RuneCountInString(b.Text.Text) > limit || strings.Contains(string(body), "<!") {
				t.Fatalf("Slack: %s", body)
			}
		}
		body, _ = courier().message(Endpoint{Type: TypeAlertmanager}, n)
		var am []amAlert
		if err := json.Unmarshal(body, &am); err != nil || len(am) != 1 {
			t.Fatal(err)
		}
		for k, v := range am[0].Labels {
			if strings.Contains(v, n.Key) && n.Key != "" && n.Key != n.Version && len(n.Key) > 20 || k == "state" {
				t.Fatalf("Alertmanager: label %s=%s changes with the incident", k, v)
			}
		}
	})
}

// TestLetter: a mail whose text tries to add headers and lines is one mail with the headers that it should have.
func TestLetter(t *testing.T) {
	e := Endpoint{Name: "m", Type: TypeEmail, Address: "smtp://mail.example.test:2525?from=Assay+<assay@example.test>&to=ada@example.test,grace@example.test"}
	m, err := e.mailbox()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := alarming()
		n.Summary = rapid.OneOf(rapid.String(), rapid.Just("x\r\nBcc: eve@example.test\r\n\r\n.\r\nMAIL FROM:<eve>")).Draw(t, "summary")
		n.Causes = []assay.Cause{{Message: rapid.String().Draw(t, "cause")}}
		got, err := mail.ReadMessage(bytes.NewReader(letter(m, n, start)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Header) != 10 || got.Header.Get("Bcc") != "" {
			t.Fatalf("headers %v", got.Header)
		}
		if to, err := got.Header.AddressList("To"); err != nil || len(to) != 2 {
			t.Fatalf("to %v, %v", to, err)
		}
		if _, err := io.ReadAll(got.Body); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSubject: whatever a summary holds, a mail server and a reader of mail get it back, and no line with an encoded word is longer than 76 characters.
func TestSubject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("Überwachung der Kündigungen ", 12)), rapid.StringN(60, 300, -1), rapid.Just("?= =?")).Draw(t, "summary")
		s := subject(text)
		for i, line := range strings.Split("Subject: "+s, "\r\n") {
			if strings.Contains(line, "=?utf-8?q?") && len(line) > 76 || i > 0 && !strings.HasPrefix(line, " ") {
				t.Fatalf("%d characters: %q", len(line), line)
			}
		}
		m, err := mail.ReadMessage(strings.NewReader("Subject: " + s + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if want := cut(oneText(text, 400), 200); err != nil || got != want && !strings.Contains(want, "=?") && strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Fatalf("%q, want %q: %v", got, want, err)
		}
	})
}

// TestSlackTest: a test is one from its first line on.
func TestSlackTest(t *testing.T) {
	n := alarming()
	n.Event, n.Challenge, n.State = EventTest, "c0ffee", assay.AlertFiring
	if got := slack(n).Blocks[0].Text.Text; got != "[test] people:1: drift" {
		t.Error(got)
	}
}

// TestSlowMailServer: a server that takes its time with every answer gets its mail; one that says nothing, or takes its time for too long in all, is given up.
func TestSlowMailServer(t *testing.T) {
	serve := func(pause func(n int) time.Duration) string {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					lines := bufio.NewScanner(conn)
					answers := 0
					say := func(s string) {
						time.Sleep(pause(answers))
						answers++
						_, _ = io.WriteString(conn, s+"\r\n")
					}
					say("220 slow")
					for data := false; lines.Scan(); {
						switch line := lines.Text(); {
						case data && line != ".":
						case data:
							data = false
							say("250 kept")
						case line == "DATA":
							data = true
							say("354 go on")
						case line == "QUIT":
							say("221 bye")
							return
						default:
							say("250 slow")
						}
					}
				}()
			}
		}()
		return "smtp://" + ln.Addr().String() + "?from=a@example.test&to=b@example.test,c@example.test"
	}
	for _, x := range []struct {
		name  string
		pause func(int) time.Duration
		whole time.Duration
		want  string
	}{
		{"each answer after a while", func(int) time.Duration { return 100 * time.Millisecond }, time.Minute, "accepted for 2 recipients"},
		{"no answer", func(n int) time.Duration { return time.Duration(n) * 10 * time.Second }, time.Minute, "no answer within 500ms"},
		{"too long in all", func(int) time.Duration { return 100 * time.Millisecond }, 250 * time.Millisecond, "the server took longer than 250ms"},
	} {
		c := courier()
		c.step, c.whole = 500*time.Millisecond, x.whole
		if a := c.Send(t.Context(), Endpoint{Name: "m", Type: TypeEmail, Address: serve(x.pause)}, alarming()); a.Text != x.want || a.Accepted != (x.want[0] == 'a') || a.Permanent {
			t.Errorf("%s: %+v", x.name, a)
		}
	}
}

// TestEndpoints: what cannot be used is refused without saying the address.
func TestEndpoints(t *testing.T) {
	for _, e := range []Endpoint{
		{Type: TypeWebhook, Address: "https://hidden.example.test/x"},
		{Type: TypeWebhook, Address: "ftp://hidden.example.test", Secret: "k"},
		{Type: TypeWebhook, Address: "https://user:hidden@example.test", Secret: "k"},
		{Type: TypeSlack, Address: "http://hidden.example.test/services"},
		{Type: TypePagerDuty, Address: "http://hidden.example.test", Secret: "k"},
		{Type: TypeAlertmanager, Address: "http://hidden.example.test", Secret: "user:password"},
		{Type: TypeWebhook, Address: "https://hidden.example.test\r\nX: y", Secret: "k"},
		{Type: TypeEmail, Address: "smtp://hidden.example.test?from=a@b.test"},
		{Type: TypeEmail, Address: "smtp://hidden.example.test?from=a@b.test&to=c@d.test%0d%0aRCPT"},
		{Type: TypeEmail, Address: "http://hidden.example.test"},
		{Type: TypeEmail, Address: "smtp://u:p@hidden.example.test?from=a@b.test&to=c@d.test"},
	} {
		err := e.Check()
		if assay.CodeOf(err) != assay.Invalid || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s %s: %v", e.Type, e.Address, err)
		}
	}
	for _, e := range []Endpoint{
		{Type: TypeWebhook, Address: "http://inside.example.test:8080/hook", Secret: "k"},
		{Type: TypeSlack, Address: "http://127.0.0.1:8080/services"},
		{Type: TypeAlertmanager, Address: "http://alertmanager:9093"},
		{Type: TypePagerDuty, Address: PagerDutyAddress, Secret: "k"},
		{Type: TypeEmail, Address: "smtps://mail.example.test?from=a@b.test&to=c@d.test,e@f.test&tls=required", Secret: "user:password"},
	} {
		if err := e.Check(); err != nil {
			t.Errorf("%s %s: %v", e.Type, e.Address, err)
		}
	}
	a, b := Endpoint{Type: TypeSlack, Address: "https://a"}, Endpoint{Type: TypeSlack, Address: "https://b"}
	key, other := []byte("key"), []byte("other")
	if a.Target(key) != (Endpoint{Name: "another", Type: TypeSlack, Address: "https://a", Secret: "x"}).Target(key) || a.Target(key) == b.Target(key) || a.Target(key) == a.Target(other) {
		t.Error("a target tells apart what is the same, or does not what is not")
	}
	if u := (Endpoint{Type: TypeAlertmanager, Address: "http://am:9093/prefix/"}).url(); u != "http://am:9093/prefix/api/v2/alerts" {
		t.Error(u)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(TypePagerDuty, 202, "", []byte(`{"status":"success"}`))
	f.Add(TypeSlack, 200, "5", []byte(`ok`))
	f.Add(TypeWebhook, 503, "99999999999999999999", []byte{0xff})
	f.Fuzz(func(t *testing.T, kind string, status int, after string, body []byte) {
		a := readAnswer(kind, status, after, body)
		if a.Accepted && (status < 200 || status > 299) || a.Accepted && a.Permanent || a.After < 0 || a.After > MaxBackoff {
			t.Errorf("%+v", a)
		}
		if s := oneText(a.Text, maxAnswerText); len(s) > maxAnswerText || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00\x1b") {
			t.Errorf("%q", s)
		}
	})
}

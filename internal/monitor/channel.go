package monitor

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// Types of channels.
const (
	TypeWebhook      = "webhook"
	TypeAlertmanager = "alertmanager"
	TypePagerDuty    = "pagerduty"
	TypeSlack        = "slack"
	TypeEmail        = "email"
)

// Limits of one delivery.
const (
	SendTimeout    = 10 * time.Second // from the first byte to the end of the answer; for mail, of each step of the dialogue
	MailTimeout    = time.Minute      // for the whole dialogue with a mail server
	maxAnswerBytes = 64 << 10         // that are read of an answer
	maxAnswerText  = 200              // that are kept of it
	maxAddress     = 2048
	maxSecret      = 4096
)

// PagerDutyAddress is where events go when a channel names no address.
const PagerDutyAddress = "https://events.pagerduty.com/v2/enqueue"

// SignatureWindow is how old a signed request may be: a receiver refuses an older one, so that it cannot be played again later.
const SignatureWindow = 5 * time.Minute

// SignatureHeader carries the signature of a webhook: "t=SECONDS,v1=HEX", where HEX is the HMAC-SHA256 of "SECONDS.BODY" under the channel's key.
const SignatureHeader = "Assay-Signature"

// An Endpoint is a channel with where it leads. Address and Secret are in no message, no evidence, no log and no error.
type Endpoint struct {
	Name    string
	Type    string
	Address string // URL; smtp://HOST:PORT?from=A&to=B,C for email
	Secret  string // key of a webhook, routing key of PagerDuty, user:password of Alertmanager and of email
}

// Target tells two endpoints apart without saying where they lead: a digest of type and address, keyed with a secret of the store.
func (e Endpoint) Target(key []byte) assay.Digest {
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s\n%s", e.Type, e.Address)
	return assay.DigestSum([sha256.Size]byte(m.Sum(nil)))
}

// Check returns Invalid, without saying the address, for an endpoint that cannot be used.
func (e Endpoint) Check() error {
	var bad assay.Problems
	if len(e.Address) > maxAddress || len(e.Secret) > maxSecret || strings.ContainsAny(e.Address+e.Secret, "\r\n\x00") {
		bad.Add("the address or the secret is too long or has more than one line")
	} else if e.Type == TypeEmail {
		if _, err := e.mailbox(); err != nil {
			bad.Add("%s", err)
		}
	} else if u, err := url.Parse(e.Address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		bad.Add("the address is no http or https URL")
	} else if u.User != nil {
		bad.Add("the address has a user in it; want user:password as the secret")
	} else if secretive := e.Type == TypeSlack || e.Type == TypePagerDuty || e.Type == TypeAlertmanager && e.Secret != ""; secretive && u.Scheme == "http" && !loopback(u.Hostname()) {
		bad.Add("the address is plain http, over which its secret would be read by others")
	}
	if e.Secret == "" && (e.Type == TypeWebhook || e.Type == TypePagerDuty) {
		bad.Add("the secret is empty")
	}
	return bad.Err(assay.Invalid, "channel "+e.Name+" cannot be used")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// redact takes the endpoint's address and secret out of a text.
func (e Endpoint) redact(s string) string {
	hide := []string{e.Address, e.Secret}
	if u, err := url.Parse(e.Address); err == nil {
		hide = append(hide, u.Host, u.Hostname(), u.RequestURI(), u.Path, u.RawQuery)
	}
	if _, p, ok := strings.Cut(e.Secret, ":"); ok {
		hide = append(hide, p)
	}
	for _, h := range hide {
		if len(h) >= 4 {
			s = strings.ReplaceAll(s, h, "***")
		}
	}
	return s
}

// An Answer is what came of one attempt.
type Answer struct {
	Status    int           `json:"status"` // HTTP or SMTP; 0 when there was none
	Text      string        `json:"text"`   // the beginning of it, or why there was none; without address and secret
	Accepted  bool          `json:"accepted"`
	Permanent bool          `json:"permanent,omitempty"` // trying again cannot help: the receiver understood, and refused the message
	After     time.Duration `json:"-"`                   // how long the receiver asks to wait
}

// A Courier delivers notices. It may be used from several goroutines.
type Courier struct {
	Clock func() time.Time // required
	TLS   *tls.Config      // nil: the system's roots; certificates are always verified

	step, whole time.Duration // of a mail; 0: SendTimeout and MailTimeout
}

// Alive is how long an Alertmanager believes a firing alert that it hears no more of: four times the interval in which it is sent again, as Prometheus
// has it.
const Alive = 4 * KeepAliveEvery

// testAlive is how long a test lasts in an Alertmanager: longer than the group_wait and group_interval that routes have.
const testAlive = 15 * time.Minute

// KeepAliveEvery is how often an alert that holds is sent to Alertmanager again.
const KeepAliveEvery = time.Minute

// Send makes one attempt to deliver a notice.
func (c *Courier) Send(ctx context.Context, e Endpoint, n Notice) Answer {
	if err := e.Check(); err != nil {
		return Answer{Text: err.Error()}
	}
	var a Answer
	if e.Type == TypeEmail {
		a = c.mail(ctx, e, n)
	} else {
		ctx, cancel := context.WithTimeout(ctx, SendTimeout)
		defer cancel()
		a = c.post(ctx, e, n)
	}
	a.Text = oneText(e.redact(a.Text), maxAnswerText)
	return a
}

// post delivers over HTTP.
func (c *Courier) post(ctx context.Context, e Endpoint, n Notice) Answer {
	body, header := c.message(e, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url(), bytes.NewReader(body))
	if err != nil {
		return Answer{Text: "the request cannot be made"}
	}
	req.Header = header
	if e.Type == TypeAlertmanager && e.Secret != "" {
		user, password, _ := strings.Cut(e.Secret, ":")
		req.SetBasicAuth(user, password)
	}
	tr := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.tlsConfig(""), TLSHandshakeTimeout: SendTimeout, DisableKeepAlives: true, MaxResponseHeaderBytes: 32 << 10}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if last := via[len(via)-1]; next.URL.Host != last.URL.Host || next.URL.Scheme != last.URL.Scheme || next.Method != http.MethodPost || len(via) > 3 {
			return http.ErrUseLastResponse // its status is the answer
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{Text: why(err)}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return Answer{Status: resp.StatusCode, Text: "the answer broke off: " + why(err)}
	}
	return readAnswer(e.Type, resp.StatusCode, resp.Header.Get("Retry-After"), text)
}

func (c *Courier) tlsConfig(server string) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		t = c.TLS.Clone()
		t.InsecureSkipVerify = false
	}
	if server != "" {
		t.ServerName = server
	}
	return t
}

// url is where a message goes.
func (e Endpoint) url() string {
	if e.Type != TypeAlertmanager {
		return e.Address
	}
	u, err := url.Parse(e.Address)
	if err != nil || strings.HasSuffix(u.Path, "/api/v2/alerts") {
		return e.Address
	}
	return u.JoinPath("api/v2/alerts").String()
}

// why says what kept a receiver from answering, without where it is.
func why(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var u *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &u) && u.Timeout():
		return "no answer within " + SendTimeout.String()
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.As(err, &cert):
		return "the certificate is not trusted"
	case errors.As(err, &dns):
		return "the host is not known"
	case errors.As(err, &op):
		return "no connection: " + op.Op + ": " + lastError(op.Err)
	case errors.As(err, &u):
		return lastError(u.Err)
	}
	return lastError(err)
}

func lastError(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// Sign returns the header of a signed request.
func Sign(key string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// VerifySignature is what a receiver does: it returns Forbidden for a header that does not sign the body under the key, and for one that is older than
// SignatureWindow or as much ahead.
func VerifySignature(key string, body []byte, header string, now time.Time) error {
	t, _, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	at, err := strconv.ParseInt(t, 10, 64)
	if !ok || err != nil || !strings.HasPrefix(header, "t=") {
		return assay.Errorf(assay.Forbidden, "the request is not signed")
	}
	if !hmac.Equal([]byte(Sign(key, body, time.Unix(at, 0))), []byte(header)) {
		return assay.Errorf(assay.Forbidden, "the signature does not match")
	}
	if d := now.Sub(time.Unix(at, 0)); d > SignatureWindow || d < -SignatureWindow {
		return assay.Errorf(assay.Forbidden, "the signature is of another time: %s off, more than %s", d.Round(time.Second), SignatureWindow)
	}
	return nil
}

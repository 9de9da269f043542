package monitor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

const maxRecipients = 50

// A mailbox is what the address of an email channel says.
type mailbox struct {
	host, port string
	implicit   bool // smtps: TLS from the first byte
	require    bool // tls=required: no mail without TLS
	from       *mail.Address
	to         []*mail.Address
}

// mailbox reads smtp://HOST:PORT?from=A&to=B,C, with smtps for TLS from the first byte and tls=required for no mail in the clear.
func (e Endpoint) mailbox() (mailbox, error) {
	bad := func(what string) (mailbox, error) {
		return mailbox{}, errors.New(what + "; want smtp://HOST:PORT?from=A&to=B,C")
	}
	u, err := url.Parse(e.Address)
	if err != nil || u.Host == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return bad("the address is no smtp URL")
	}
	if u.User != nil || u.Path != "" && u.Path != "/" {
		return bad("the address has a user or a path in it")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("the address cannot be read")
	}
	m := mailbox{host: u.Hostname(), port: u.Port(), implicit: u.Scheme == "smtps", require: q.Get("tls") == "required"}
	if m.port == "" {
		m.port = map[bool]string{true: "465", false: "587"}[m.implicit]
	}
	if m.from, err = mail.ParseAddress(q.Get("from")); err != nil || !oneMailbox(m.from.Address) {
		return bad("the sender is no mail address")
	}
	if m.to, err = mail.ParseAddressList(q.Get("to")); err != nil || len(m.to) > maxRecipients {
		return bad("the recipients are no list of at most 50 mail addresses")
	}
	for _, a := range m.to {
		if !oneMailbox(a.Address) {
			return bad("a recipient is no mail address")
		}
	}
	return m, nil
}

// oneMailbox refuses what could be more than an address in an SMTP command or a header.
func oneMailbox(s string) bool {
	return len(s) <= 254 && !strings.ContainsAny(s, " \t\r\n\x00<>,;\"")
}

// mail delivers over SMTP. Credentials are sent over TLS only, or to this machine.
func (c *Courier) mail(ctx context.Context, e Endpoint, n Notice) Answer {
	m, err := e.mailbox()
	if err != nil {
		return Answer{Text: err.Error()}
	}
	step, whole := cmp.Or(c.step, SendTimeout), cmp.Or(c.whole, MailTimeout)
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	d := net.Dialer{Timeout: step}
	plain, err := d.DialContext(ctx, "tcp", net.JoinHostPort(m.host, m.port))
	if err != nil {
		return Answer{Text: why(err)}
	}
	defer plain.Close()
	stop := context.AfterFunc(ctx, func() { _ = plain.SetDeadline(longAgo) })
	defer stop()
	var conn net.Conn = patient{plain, step}
	if m.implicit {
		conn = tls.Client(conn, c.tlsConfig(m.host))
	}
	text, err := c.converse(conn, m, e.Secret, n)
	if err != nil {
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return Answer{Text: "the server took longer than " + whole.String()}
		case ctx.Err() != nil:
			err = ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return Answer{Text: "no answer within " + step.String()}
		}
		var reply *textproto.Error
		if errors.As(err, &reply) {
			// 5yz is final, but for those that tell of the account or of the server rather than of the message
			final := reply.Code >= 550 && reply.Code <= 554
			return Answer{Status: reply.Code, Text: reply.Msg, Permanent: final}
		}
		return Answer{Text: why(err)}
	}
	return Answer{Status: 250, Text: text, Accepted: true}
}

// longAgo is a deadline that has passed: whatever waits for the server gives up.
var longAgo = time.Unix(1, 0)

// patient is a connection on which nothing is waited for longer than step.
type patient struct {
	net.Conn
	step time.Duration
}

func (p patient) within(do func([]byte) (int, error), b []byte) (int, error) {
	t := time.AfterFunc(p.step, func() { _ = p.SetDeadline(longAgo) })
	defer t.Stop()
	return do(b)
}

func (p patient) Read(b []byte) (int, error)  { return p.within(p.Conn.Read, b) }
func (p patient) Write(b []byte) (int, error) { return p.within(p.Conn.Write, b) }

func (c *Courier) converse(conn net.Conn, m mailbox, secret string, n Notice) (string, error) {
	client, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := client.Hello("assay.localhost"); err != nil {
		return "", err
	}
	secure := m.implicit
	if ok, _ := client.Extension("STARTTLS"); ok && !secure {
		if err := client.StartTLS(c.tlsConfig(m.host)); err != nil {
			return "", err
		}
		secure = true
	}
	if m.require && !secure {
		return "", errors.New("the server offers no TLS, and the address requires it")
	}
	if user, password, ok := strings.Cut(secret, ":"); ok {
		if !secure && !loopback(m.host) {
			return "", errors.New("the server offers no TLS, and the password would be read by others")
		}
		if err := client.Auth(smtp.PlainAuth("", user, password, m.host)); err != nil {
			return "", err
		}
	}
	if err := client.Mail(m.from.Address); err != nil {
		return "", err
	}
	for _, to := range m.to {
		if err := client.Rcpt(to.Address); err != nil {
			return "", err
		}
	}
	w, err := client.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(letter(m, n, c.Clock())); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil { // the server's answer to the message
		return "", err
	}
	_ = client.Quit() // it has the message already
	return fmt.Sprintf("accepted for %d recipients", len(m.to)), nil
}

// subject is a summary as a header has it: one encoded word a line, so that no line with one is longer than 76 characters (RFC 2047, section 2). Of the text nothing
// can look like the end of a word, for there ? is encoded.
func subject(summary string) string {
	plain := cut(oneText(summary, 400), 200)
	s := mime.QEncoding.Encode("utf-8", plain)
	if s == plain {
		return s
	}
	return "\r\n " + strings.ReplaceAll(s, "?= =?", "?=\r\n =?")
}

// letter is a notice as a mail. What comes from names and causes is encoded, so that it can add no header.
func letter(m mailbox, n Notice, at time.Time) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	var to []string
	for _, a := range m.to {
		to = append(to, a.String())
	}
	header("From", m.from.String())
	header("To", strings.Join(to, ",\r\n "))
	header("Subject", subject(n.Summary))
	header("Date", at.UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+n.ID+"@assay.localhost>")
	header("References", "<"+assay.DigestOf([]byte(n.Version+"/"+n.Key)).Hex()+"@assay.localhost>")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	fmt.Fprintf(q, "%s\r\n\r\n", oneText(n.Summary, 2000))
	for _, c := range causeList(n) {
		fmt.Fprintf(q, "- %s\r\n", oneText(c, 500))
	}
	for _, line := range n.actionLines() {
		fmt.Fprintf(q, "\r\n%s", oneText(line, 500))
	}
	if len(n.actionLines()) > 0 {
		fmt.Fprint(q, "\r\n")
	}
	for _, x := range n.each() {
		fmt.Fprintf(q, "\r\nversion   %s\r\nalert     %s, %s\r\nstate     %s, step %d\r\nincident  %s\r\nevidence  %s\r\n", n.Version, x.Alert, x.Severity, n.State, x.Step, x.Key, x.Evidence)
		if n.Challenge != "" {
			fmt.Fprintf(q, "challenge %s\r\n", n.Challenge)
		} else if n.Event == EventTrigger {
			fmt.Fprintf(q, "\r\nassay alert ack %s --by NAME --reason TEXT\r\n", x.Key)
		}
	}
	_ = q.Close() // a bytes.Buffer takes everything
	return b.Bytes()
}

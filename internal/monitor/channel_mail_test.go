package monitor

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smtpServer takes mail for HOST:PORT, offers STARTTLS, takes credentials over TLS only, and keeps what came in a folder.
const smtpServer = `
import sys, ssl, asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
class Keep:
    async def handle_DATA(self, server, session, envelope):
        with open(sys.argv[2] + "/mail.eml", "wb") as f:
            f.write(("X-Rcpt: %s\r\nX-Tls: %s\r\nX-Auth: %s\r\n" % (",".join(envelope.rcpt_tos), session.ssl is not None, session.authenticated)).encode() + envelope.content)
        return "250 kept"
def auth(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"assay" and data.password == b"mail-password", handled=False)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
host, port = sys.argv[1].rsplit(":", 1)
Controller(Keep(), hostname=host, port=int(port), authenticator=auth, tls_context=context, require_starttls=False, auth_required=False).start()
asyncio.new_event_loop().run_forever()
`

// TestStartTLS: a real SMTP server that offers TLS gets the mail and the password over it.
func TestStartTLS(t *testing.T) {
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("only in the full test command")
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/usr/bin/python3", "-c", smtpServer, at, dir, cert, key) // Debian's, whose aiosmtpd scripts/deps.sh installs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	for range 300 {
		if conn, err := net.Dial("tcp", at); err == nil {
			conn.Close()
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("the certificate cannot be read")
	}
	e := Endpoint{Name: "mail", Type: TypeEmail, Address: "smtp://" + at + "?from=assay@example.test&to=ada@example.test&tls=required", Secret: "assay:mail-password"}
	if a := courier().Send(t.Context(), e, alarming()); a.Accepted || a.Text != "the certificate is not trusted" {
		t.Errorf("without its root: %+v", a)
	}
	trusting := courier()
	trusting.TLS = &tls.Config{RootCAs: pool}
	if a := trusting.Send(t.Context(), e, alarming()); !a.Accepted || a.Status != 250 {
		t.Fatalf("%+v", a)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "mail.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"X-Rcpt: ada@example.test", "X-Tls: True", "X-Auth: True", "Subject: [error] people:1: drift in window 7"} {
		if !strings.Contains(string(kept), want) {
			t.Errorf("%q is not in\n%s", want, kept)
		}
	}
	e.Secret = "assay:wrong-password"
	if a := trusting.Send(t.Context(), e, alarming()); a.Accepted || a.Permanent || a.Status != 535 {
		t.Errorf("a wrong password: %+v", a)
	}
}

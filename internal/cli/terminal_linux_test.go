package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	var unlock int32
	var n uint32
	for request, arg := range map[uintptr]unsafe.Pointer{syscall.TIOCSPTLCK: unsafe.Pointer(&unlock), syscall.TIOCGPTN: unsafe.Pointer(&n)} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(arg)); errno != 0 {
			t.Fatal(errno)
		}
	}
	size := [4]uint16{24, 80} // progress is as wide as the window, and a window of no width has none
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
		t.Fatal(errno)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	return master, slave
}

// TestTerminal: progress is drawn on a terminal, and only there: not with NO_COLOR, not with --quiet, not with --json, and the answer on
// standard output holds none of it.
func TestTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copyFolder("testdata/people", dir); err != nil {
		t.Fatal(err)
	}
	var wide strings.Builder // large enough for its profile to last a few refreshes of the screen
	for i := range 60_000 {
		for c := range 20 {
			fmt.Fprintf(&wide, "%d,", (i*7919+c*104729)%99991)
		}
		fmt.Fprintf(&wide, "%d\n", i%2)
	}
	header := ""
	for c := range 20 {
		header += fmt.Sprintf("c%d,", c)
	}
	header += "y\n"
	if err := os.WriteFile(filepath.Join(dir, "wide.csv"), []byte(header+wide.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		args []string
		env  string
		bar  bool
	}{
		{[]string{"profile", "wide.csv"}, "TERM=xterm", true},
		{[]string{"profile"}, "NO_COLOR=1", false},
		{[]string{"profile"}, "TERM=dumb", false},
		{[]string{"profile", "--quiet"}, "TERM=xterm", false},
		{[]string{"profile", "--json"}, "TERM=xterm", false},
	} {
		master, slave := openTerminal(t)
		c := process(t, dir, x.args...)
		var out strings.Builder
		c.Env, c.Stdout, c.Stderr = append(c.Env, "TERM=xterm", x.env), &out, slave
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		seen, _ := io.ReadAll(master) // ends with EIO when the process is gone
		if err := c.Wait(); err != nil {
			t.Errorf("assay %v: %v\n%s", x.args, err, seen)
		}
		if bar := strings.Contains(string(seen), "columns "); bar != x.bar {
			t.Errorf("assay %v with %s: progress %v, want %v: %q", x.args, x.env, bar, x.bar, seen)
		}
		if !x.bar && strings.ContainsAny(string(seen), "\x1b") {
			t.Errorf("assay %v with %s: control characters: %q", x.args, x.env, seen)
		}
		if strings.ContainsAny(out.String(), "\x1b\r") || out.Len() == 0 {
			t.Errorf("assay %v: standard output is %q", x.args, out.String())
		}
	}
}

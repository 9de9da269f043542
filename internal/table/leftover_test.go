package table

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
)

// TestLeftovers kills a process that has an engine: the next engine removes what it left, and nothing of an engine that lives.
func TestLeftovers(t *testing.T) {
	if tmp := os.Getenv("ASSAY_TEST_LEFTOVERS"); tmp != "" {
		e, err := Open(t.Context(), Options{TempDir: tmp})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.FromFrame(t.Context(), assay.Frame{{Name: "y", Type: assay.TypeNumber, Floats: []float64{1, 0, 1}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Scratch(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		time.Sleep(time.Minute)
	}
	tmp := t.TempDir()
	child := func() *exec.Cmd {
		c := exec.Command(os.Args[0], "-test.run=^TestLeftovers$")
		c.Env = append(os.Environ(), "ASSAY_TEST_LEFTOVERS="+tmp)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "ready") {
				return c
			}
		}
		t.Fatal("the other process did not start")
		return nil
	}
	folders := func(want int) {
		t.Helper()
		got, err := filepath.Glob(filepath.Join(tmp, dirPrefix+"*"))
		if err != nil || len(got) != want {
			t.Errorf("%d folders of engines, want %d (%v)", len(got), want, err)
		}
	}
	open := func() *Engine {
		t.Helper()
		e, err := Open(t.Context(), Options{TempDir: tmp})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	dead, alive := child(), child()
	foreign := filepath.Join(tmp, dirPrefix+"old") // of a version that held no lock: in use for all that is known
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	mine := open()
	folders(4)
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	folders(4)
	second := open()
	folders(4) // one more, and one less
	for _, e := range []*Engine{second, mine} {
		if _, err := e.FromFrame(t.Context(), assay.Frame{{Name: "y", Type: assay.TypeNumber, Floats: []float64{1}}}); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	folders(2)
	if err := alive.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = alive.Wait()
	if err := open().Close(); err != nil {
		t.Error(err)
	}
	folders(1)
}

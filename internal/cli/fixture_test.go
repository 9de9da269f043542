package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/assaytest"
)

// fixtures are kept in one folder, which TestMain removes.
var fixtures string

// A fixture is a project that several tests begin with. It is made once, and each test gets a copy and a clock that goes on from there.
type fixture struct {
	make func(t *testing.T) (*stageManager, string)
	once sync.Once
	base base
}

func (f *fixture) copy(t *testing.T) (*stageManager, string) {
	t.Helper()
	f.once.Do(func() {
		m, dir := f.make(t)
		to, err := os.MkdirTemp(fixtures, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		f.base = keep(m, to)
	})
	if f.base.dir == "" {
		t.Fatal("the project of another test could not be made")
	}
	dir := t.TempDir()
	m, err := f.base.copy(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m, dir
}

// A base is a folder as it was after some commands.
type base struct {
	dir   string
	calls int // of the clock, until then
}

func keep(m *stageManager, dir string) base {
	return base{dir, int(m.clock().Sub(assaytest.Clock()()) / time.Second)}
}

// copy writes the folder into another, in which commands go on.
func (b base) copy(dir string) (*stageManager, error) {
	clock := assaytest.Clock()
	for range b.calls {
		clock()
	}
	return &stageManager{clock: clock}, os.CopyFS(dir, os.DirFS(b.dir))
}

// bases holds what madeBy made, by project and command line.
var bases sync.Map

// madeBy is a data set of testdata with its assay.yaml, after one command line, which is run once for all tests.
func madeBy(project string, args ...string) (base, error) {
	once, _ := bases.LoadOrStore(project+" "+strings.Join(args, " "), sync.OnceValues(func() (base, error) {
		dir, err := os.MkdirTemp(fixtures, "")
		if err != nil {
			return base{}, err
		}
		if err := copyFolder(filepath.Join("testdata", project), dir); err != nil {
			return base{}, err
		}
		m := &stageManager{clock: assaytest.Clock()}
		if out, errs, exit := command(m, dir, args...); exit != 0 {
			return base{}, fmt.Errorf("assay %s of %s: exit status %d\n%s%s", strings.Join(args, " "), project, exit, out, errs)
		}
		return keep(m, dir), nil
	}))
	return once.(func() (base, error))()
}

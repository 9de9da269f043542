// Package table turns every source of rows into one relation that DuckDB runs, and holds all of DuckDB.
//
// A source (CSV, JSON, JSON Lines, Parquet; a file, a folder, a glob, standard input, a frame in memory) is read once into a private
// database; Table.InPlace is the exception. Nothing that happens to the file afterwards changes the table, and a file that changes while
// it is read is an error. Text is typed by looking at every row, never a sample, and the records that a scanner of our own counts are
// reconciled with the rows that DuckDB loaded, so that rows cannot be lost in silence.
//
// The database cannot reach the network, loads no extension, and can touch no file outside its own directory; its configuration is
// locked before the first source is opened. Data larger than the memory limit spills to that directory, which Close removes.
//
// The package does not profile, validate or split; it gives others typed columns, SQL over them, frames, digests and files.
//
// Goroutines may share an Engine, a Table and its methods; Rows belong to one goroutine.
package table

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	"github.com/assay-ml/assay"
)

// Options configure an Engine. The zero value is a good default.
type Options struct {
	MemoryBytes int64  // limit of DuckDB's memory; 0: 80 % of the machine's. Data beyond it spills to disk
	Threads     int    // 0: one per core
	TempDir     string // where the private directory is made; "": the system's
	InPlace     bool   // a Parquet file of few columns is read by every statement instead of loaded once; see Table.InPlace
}

// minMemoryBytes is the least memory limit with which DuckDB still loads a wide table.
const minMemoryBytes = 64 << 20

// An Engine is one private database and its directory.
type Engine struct {
	inPlace bool
	dir     string // private: the database, spill files and links to the sources, mode 0700
	lock    *os.File
	db      duckdb.Database
	serial  atomic.Int64 // names of relations and files
	mu      sync.Mutex
	idle    []*conn
	closed  bool
	running sync.WaitGroup

	statements atomic.Int64
	explain    atomic.Pointer[func(sql, plan string)] // nil: nobody asks how statements run
}

// Statements is how many statements the engine has run: what they cost depends on the machine, how many there are does not.
func (e *Engine) Statements() int64 { return e.statements.Load() }

// Open starts an engine. Close it to remove its files; those that a killed process left are removed by the next Open.
func Open(ctx context.Context, o Options) (*Engine, error) {
	var bad assay.Problems
	if o.MemoryBytes != 0 && o.MemoryBytes < minMemoryBytes {
		bad.Add("a memory limit of %d bytes is too small: at least %d (64 MiB)", o.MemoryBytes, minMemoryBytes)
	}
	if o.Threads < 0 {
		bad.Add("%d threads: want 0 (one per core) or more", o.Threads)
	}
	if err := bad.Err(assay.Invalid, "the table engine cannot start"); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.TempDir, dirPrefix)
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "no temporary directory can be made: %w", err).Try("set TMPDIR to a directory with free space")
	}
	// The database compares resolved paths with the directory that it may touch.
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, assay.Errorf(assay.Internal, "the temporary directory has no absolute path: %w", err)
	}
	e := &Engine{dir: dir, inPlace: o.InPlace}
	if e.lock, err = claim(dir); err != nil {
		e.Close()
		return nil, assay.Errorf(assay.Unavailable, "the temporary directory cannot be locked: %w", err).Try("set TMPDIR to a local directory")
	}
	clearLeftovers(dir)
	if err := e.start(ctx, o); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// start opens the database and locks it.
func (e *Engine) start(ctx context.Context, o Options) error {
	var config duckdb.Config
	if duckdb.CreateConfig(&config) == duckdb.StateError {
		return assay.Errorf(assay.Internal, "the table engine has no configuration")
	}
	defer duckdb.DestroyConfig(&config)
	settings := [][2]string{
		{"temp_directory", filepath.Join(e.dir, "spill")},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"preserve_insertion_order", "true"},
		{"checkpoint_threshold", "1TiB"},
		{"asof_loop_join_threshold", "0"}, // how few rows there are is an estimate: one that is too low made a join by time a loop over pairs
	}
	if o.MemoryBytes > 0 {
		settings = append(settings, [2]string{"memory_limit", strconv.FormatInt(o.MemoryBytes/1024, 10) + "KiB"})
	}
	if o.InPlace {
		// A file's statistics may lie and its pages may be damaged: what they seem to prove is not believed, and no page is passed over.
		settings = append(settings, [2]string{"disabled_optimizers", "statistics_propagation,filter_pushdown"})
	}
	if o.Threads > 0 {
		settings = append(settings, [2]string{"threads", strconv.Itoa(o.Threads)})
	}
	for _, s := range settings {
		if duckdb.SetConfig(config, s[0], s[1]) == duckdb.StateError {
			return assay.Errorf(assay.Internal, "the table engine does not know the setting %s", s[0])
		}
	}
	var msg string
	if duckdb.OpenExt(filepath.Join(e.dir, "main.duckdb"), &e.db, config, &msg) == duckdb.StateError {
		return assay.Errorf(assay.Unavailable, "the table engine cannot open its database")
	}
	return e.exec(ctx, fmt.Sprintf(`
		PRAGMA disable_checkpoint_on_shutdown;
		SET GLOBAL TimeZone = 'UTC';
		SET GLOBAL allowed_directories = [%s];
		SET GLOBAL enable_external_access = false;
		SET GLOBAL lock_configuration = true`, Literal(e.dir+string(filepath.Separator))))
}

// Close waits for running queries, closes the database and removes its directory. Tables of the engine are unusable afterwards.
// A second Close does nothing.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	e.running.Wait()
	for _, c := range idle {
		duckdb.Disconnect(&c.c)
	}
	duckdb.Close(&e.db)
	err := os.RemoveAll(e.dir)
	if e.lock != nil {
		e.lock.Close()
	}
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the temporary directory of the table engine cannot be removed: %w", err)
	}
	return nil
}

// name returns a name that no other relation or file of the engine has.
func (e *Engine) name(stem string) string {
	return stem + strconv.FormatInt(e.serial.Add(1), 10)
}

// A conn runs one statement at a time.
type conn struct{ c duckdb.Connection }

// conn takes an idle connection or makes one.
func (e *Engine) conn() (*conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, assay.Errorf(assay.Internal, "the table engine is closed")
	}
	c := &conn{}
	if n := len(e.idle); n > 0 {
		c, e.idle = e.idle[n-1], e.idle[:n-1]
	} else if duckdb.Connect(e.db, &c.c) == duckdb.StateError {
		return nil, assay.Errorf(assay.Unavailable, "the table engine gives no connection")
	}
	e.running.Add(1)
	return c, nil
}

// release gives a connection back.
func (e *Engine) release(c *conn) {
	e.mu.Lock()
	if e.closed {
		duckdb.Disconnect(&c.c)
	} else {
		e.idle = append(e.idle, c)
	}
	e.mu.Unlock()
	e.running.Done()
}

// exec runs statements of our own that answer nothing; there may be several, separated by semicolons.
func (e *Engine) exec(ctx context.Context, sql string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.explained(ctx, sql); err != nil {
		return err
	}
	c, err := e.conn()
	if err != nil {
		return err
	}
	defer e.release(c)
	defer c.interruptOn(ctx)()
	e.statements.Add(1)
	var res duckdb.Result
	state := duckdb.Query(c.c, sql, &res)
	defer duckdb.DestroyResult(&res)
	if state == duckdb.StateError {
		return translate(ctx, duckdb.ResultError(&res))
	}
	return nil
}

// Ident quotes an identifier for SQL.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

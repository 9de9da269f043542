package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver
	"github.com/pressly/goose/v3"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	databaseName  = "assay.db"
	blobsName     = "blobs"
	applicationID = 1095989601 // as in the first migration

	// busyTimeout is how long a write waits for another process.
	busyTimeout = 15 * time.Second
	readers     = 4
	pauseTime   = 50 * time.Millisecond

	// leftoverAge is how old a temporary file of the blobs must be to be certain that nobody writes it any more.
	leftoverAge = 7 * 24 * time.Hour
)

// SQLite is a Store in a directory of the local file system.
type SQLite struct {
	dir      string
	clock    func() time.Time
	producer string
	blobs    *blob.Dir
	reads    *sql.DB
	writes   *sql.DB

	mu   sync.Mutex        // one write of this process at a time
	step func(name string) // called at each commit point; durability tests stop the process there
}

var _ Store = (*SQLite)(nil)

// OpenSQLite opens the store in o.Dir, makes it if needed, and brings an older one up to date. It returns Unimplemented for a store
// that a newer Assay wrote, and Unavailable for one that is damaged or cannot be written.
func OpenSQLite(ctx context.Context, o Options) (*SQLite, error) {
	if o.Dir == "" || o.Clock == nil || o.Producer == "" {
		return nil, assay.Errorf(assay.Internal, "a store needs a directory, a clock and a producer")
	}
	if err := os.MkdirAll(o.Dir, 0o755); errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist) {
		return nil, assay.Errorf(assay.Invalid, "the store %s is to be a directory, and a file is in its place", filepath.Base(o.Dir)).Try("store: .assay in assay.yaml")
	} else if err != nil {
		return nil, fault("the store's directory cannot be made", err)
	}
	blobs, err := blob.OpenDir(filepath.Join(o.Dir, blobsName))
	if err != nil {
		return nil, err
	}
	if err := databaseThere(ctx, o.Dir, blobs); err != nil {
		return nil, err
	}
	s := &SQLite{dir: o.Dir, clock: o.Clock, producer: o.Producer, blobs: blobs, step: func(string) {}}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// What interrupted writes left is in nobody's way: that it cannot be removed is no reason not to open the store.
	_, _ = s.blobs.Sweep(leftoverAge, s.clock)
	return s, nil
}

// databaseThere refuses a directory that has blobs and no database, or an empty one: the ledger of the sealed labels was in it, and a new
// one would begin without. Blobs come after the database, so they are looked for first: another process may be making both.
func databaseThere(ctx context.Context, dir string, blobs *blob.Dir) error {
	found := errors.New("a blob")
	if err := blobs.Each(ctx, func(assay.Digest, int64) error { return found }); !errors.Is(err, found) {
		return err
	}
	switch fi, err := os.Stat(filepath.Join(dir, databaseName)); {
	case err == nil && fi.Size() > 0:
		return nil
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return assay.Errorf(assay.Unavailable, "the store has blobs, but its database %s is missing or empty", databaseName).
			Try("restore %s from a backup, or move the store's directory away to begin anew", databaseName)
	default:
		return fault("the store cannot be opened", err)
	}
}

func (s *SQLite) open(ctx context.Context) error {
	path, err := filepath.Abs(filepath.Join(s.dir, databaseName))
	if err != nil {
		return fault("the store's directory cannot be found", err)
	}
	dsn := func(extra string) string {
		u := url.URL{Path: filepath.ToSlash(path)}
		return "file:" + u.EscapedPath() + "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=" + milliseconds(busyTimeout) +
			"&_foreign_keys=on&_recursive_triggers=on&_stmt_cache_size=64" + extra
	}
	if s.writes, err = sql.Open("sqlite3", dsn("&_txlock=immediate")); err != nil {
		return fault("the store cannot be opened", err)
	}
	s.writes.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.reads, err = sql.Open("sqlite3", dsn("&_query_only=on")); err != nil {
		return fault("the store cannot be opened", err)
	}
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	return nil
}

// migrate brings the schema up to date. Two processes may do so at once: each migration is one transaction, so the slower one fails,
// looks again and finds the work done.
func (s *SQLite) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fault("the migrations are missing", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.writes, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fault("the migrations cannot be read", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	for attempt, waited := 0, time.Duration(0); ; attempt++ {
		held, err := s.version(ctx)
		switch {
		case busy(err) && waited < busyTimeout && ctx.Err() == nil:
			// Where waiting could be a deadlock, as when two connections turn a new database to WAL, SQLite says at once that it is
			// busy, whatever its timeout is.
			pause(ctx)
			waited += pauseTime
			attempt--
			continue
		case err != nil:
			return err
		case held > newest:
			return assay.Errorf(assay.Unimplemented, "the store has version %d, and this assay knows versions up to %d", held, newest).
				Try("use the assay that wrote the store, or a newer one")
		case held == newest:
			return nil
		}
		_, err = p.Up(ctx)
		if err == nil {
			continue
		}
		if attempt >= 20 || ctx.Err() != nil {
			return fault("the store cannot be brought up to date", err)
		}
		pause(ctx)
	}
}

// pause is the time between two attempts.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(pauseTime):
	}
}

// version returns the version of the schema: 0 for a new database. It refuses a database that is no store.
func (s *SQLite) version(ctx context.Context) (int64, error) {
	var app, tables, known int64
	err := s.writes.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'goose_%' AND name NOT LIKE 'sqlite_%'),
		(SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version')`).Scan(&app, &tables, &known)
	if err != nil {
		return 0, fault("the store cannot be opened", err)
	}
	if tables > 0 && app != applicationID {
		return 0, assay.Errorf(assay.Invalid, "%s is a database of another program, not a store", databaseName).
			Try("choose another directory for store in assay.yaml")
	}
	if known == 0 {
		return 0, nil
	}
	var v int64
	if err := s.writes.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v); err != nil {
		return 0, fault("the store cannot be opened", err)
	}
	return v, nil
}

// Close implements Store.
func (s *SQLite) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reads, s.writes} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fault("the store cannot be closed", err)
	}
	return nil
}

// write runs fn in a transaction that holds the store's write lock from its beginning. what goes into the message of a failure.
func (s *SQLite) write(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step("store: begin")
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return fault(what, err)
	}
	if err := fn(tx); err != nil {
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			return fault(what, errors.Join(err, rerr))
		}
		return fault(what, err)
	}
	s.step("store: commit")
	if err := tx.Commit(); err != nil {
		return fault(what, err)
	}
	s.step("store: committed")
	return nil
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// each runs a query and calls fn on every row.
func each(ctx context.Context, q queryer, fn func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
